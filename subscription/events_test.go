package subscription

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

func event(pattern string) string { return ext(us+"subscription-event", `"valueString":"`+pattern+`"`) }

func dialectOf(name string) string { return ext(us+"subscription-dialect", `"valueCode":"`+name+`"`) }

// events are patterns as extensions.
func events(patterns string) []string {
	var ee []string
	for p := range strings.FieldsSeq(patterns) {
		ee = append(ee, event(p))
	}
	return ee
}

func eventful(t testing.TB, criteria, dialect, patterns string, more ...string) *Subscription {
	t.Helper()
	ee := append(append([]string{dialectOf(dialect)}, events(patterns)...), more...)
	s, err := Parse(fhir.Key{}, 1, document(t, on(criteria, ee...)), testOptions(t))
	if err != nil {
		t.Fatalf("%s, %s, %s: %v", criteria, dialect, patterns, err)
	}
	return s
}

// states are versions of a resource, written as its status or as - for a deletion; the first is version 1.
func states(of fhir.Type, list string) []*fhir.Resource {
	var all []*fhir.Resource
	for i, status := range strings.Fields(list) {
		r := &fhir.Resource{Key: fhir.Key{Type: of, ID: "x"}, Version: uint64(i) + 1}
		if status == "-" {
			r.Deleted = true
		} else {
			r.JSON = []byte(`{"resourceType":"` + string(of) + `","id":"x","status":"` + status + `"}`)
		}
		all = append(all, r)
	}
	return all
}

// changes are the changes that made the states, and read reads them.
func changesOf(all []*fhir.Resource) (changes []store.Notification, read func(uint64) (*fhir.Resource, error)) {
	for i, r := range all {
		n := store.Notification{Focus: r.Key, Version: r.Version, Interaction: fhir.Update}
		switch {
		case r.Deleted:
			n.Interaction = fhir.Delete
		case i == 0 || all[i-1].Deleted:
			n.Interaction = fhir.Create
		}
		changes = append(changes, n)
	}
	return changes, func(v uint64) (*fhir.Resource, error) {
		if v == 0 || v > uint64(len(all)) {
			return nil, errors.New("there is no version " + strconv.FormatUint(v, 10))
		}
		return all[v-1], nil
	}
}

// notified are the numbers of the versions that notify a Subscription of [*], as far as the event patterns go.
func (s *Subscription) notified(t testing.TB, all []*fhir.Resource) string {
	t.Helper()
	changes, read := changesOf(all)
	asks := termsOf(s, "")
	var versions []string
	for _, n := range changes {
		covered, err := asks.covered(n, read)
		if err != nil {
			t.Fatal(err)
		}
		if covered && asks.about(n.Focus.Type, n.Interaction) {
			versions = append(versions, strconv.FormatUint(n.Version, 10))
		}
	}
	return strings.Join(versions, " ")
}

// DESIGN 4.2 and 4.3 on event patterns, row by row.
func TestEvents_asDesigned(t *testing.T) {
	const life = "preliminary final final - final" // created, updated, updated, deleted, created
	tests := []struct {
		words             string // of DESIGN
		dialect, patterns string
		of                fhir.Type
		want              string
	}{
		{"* covers every change", "kit", "*", "Observation", "1 2 3 4 5"},
		{"patient.* and * include deleted", "kit", "observation.*", "Observation", "1 2 3 4 5"},
		{"exact", "kit", "observation.created", "Observation", "1 5"},
		{"exact", "kit", "observation.deleted", "Observation", "4"},
		{"several", "kit", "observation.deleted observation.updated", "Observation", "2 3 4"},
		{"ignore case, hyphens and underscores", "kit", "PractitionerRole.Created", "PractitionerRole", "1 5"},
		{"ignore case, hyphens and underscores", "kit", "practitioner_role.*", "PractitionerRole", "1 2 3 4 5"},
		{"of another type", "kit", "patient.*", "Observation", ""},
		{"any type", "kit", "*.created", "Observation", "1 5"},
		{"in the fhir dialect only created and updated", "fhir", "*", "Observation", "1 2 3 5"},
		{"in the fhir dialect only created and updated", "fhir", "observation.*", "Observation", "1 2 3 5"},
		{"clinik lab = DiagnosticReport", "clinik", "lab.*", "DiagnosticReport", "1 2 3 4 5"},
		{"clinik lab = DiagnosticReport", "clinik", "lab.created", "DiagnosticReport", "1 5"},
		{"clinik prescription = MedicationRequest", "clinik", "Prescription.updated", "MedicationRequest", "2 3"},
		{"know both", "clinik", "diagnostic-report.created", "DiagnosticReport", "1 5"},
		{"know both", "clinik", "*.deleted", "DiagnosticReport", "4"},
		{"healthsync analysis.completed = DiagnosticReport becoming final", "healthsync", "analysis.completed", "DiagnosticReport", "2 5"},
		{"know both", "healthsync", "diagnostic-report.updated", "DiagnosticReport", "2 3"},
		{"know both", "healthsync", "diagnostic-report.* analysis.completed", "DiagnosticReport", "1 2 3 4 5"},
		{"*.completed is of the catalogue", "healthsync", "*.completed", "DiagnosticReport", "2 5"},
		{"healthsync document.uploaded = DocumentReference created", "healthsync", "document.uploaded", "DocumentReference", "1 5"},
		{"healthsync document.*", "healthsync", "document.*", "DocumentReference", "1 2 3 4 5"},
		{"healthsync share.accessed = AuditEvent", "healthsync", "share.accessed", "AuditEvent", "1 5"},
		{"healthsync share.* names AuditEvent, too", "healthsync", "share.*", "AuditEvent", "1 5"},
		{"family_member.added", "healthsync", "FamilyMember.added", "RelatedPerson", "1 5"},
		{"webhook-events plural types and removed", "webhook-events", "observations.removed", "Observation", "4"},
		{"webhook-events plural types and removed", "webhook-events", "observation.deleted", "Observation", "4"},
		{"webhook-events plural types and removed", "webhook-events", "observations.*", "Observation", "1 2 3 4 5"},
		{"seed 1: the service alone", "webhook-events", "observations", "Observation", "1 2 3 4 5"},
		{"seed 1: the service alone", "webhook-events", "allergy-intolerances", "AllergyIntolerance", "1 2 3 4 5"},
		{"seed 1: the service by the page's own word", "webhook-events", "medical-encounters", "Encounter", "1 2 3 4 5"},
		{"seed 1: the service by the page's own word", "webhook-events", "Medical_Encounters", "Encounter", "1 2 3 4 5"},
		{"[*] is every type but AuditEvent", "kit", "*", "AuditEvent", ""},
		{"[*] is every type but Subscription", "kit", "* *.created", "Subscription", ""},
		{"unless a pattern other than * names one", "kit", "* audit-event.*", "AuditEvent", "1 2 3 4 5"},
		{"unless a pattern other than * names one", "kit", "* Subscription.updated", "Subscription", "2 3"},
		{"ping: tests only", "webhook-events", "ping", "Observation", ""},
		{"ping beside others adds nothing", "kit", "ping observation.created", "Observation", "1 5"},
	}
	for _, tt := range tests {
		t.Run(tt.words+"/"+tt.dialect+" "+tt.patterns+" of "+string(tt.of), func(t *testing.T) {
			s := eventful(t, "[*]", tt.dialect, tt.patterns)
			if got := s.notified(t, states(tt.of, life)); got != tt.want {
				t.Errorf("notified of %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEvents_decideTheInteractions(t *testing.T) {
	c, u, d := Interactions{Create: true}, Interactions{Update: true}, Interactions{Delete: true}
	only := func(code string) string {
		return ext(med+"subscription-supported-interaction", `"valueCode":"`+code+`"`)
	}
	tests := []struct {
		dialect, patterns string
		more              []string
		want              Interactions
	}{
		{"kit", "*", nil, c.or(u).or(d)},
		{"fhir", "*", nil, c.or(u)},
		{"medplum", "patient.created", nil, c}, // whose default has all three
		{"kit", "patient.created patient.deleted", nil, c.or(d)},
		{"kit", "patient.*", []string{only("create"), only("delete")}, c.or(d)},
		{"kit", "patient.created", []string{only("create"), only("update")}, c},
		{"kit", "patient.*", []string{ext(hap+"subscription-send-delete-messages", `"valueBoolean":true`)}, c.or(u).or(d)},
		{"kit", "patient.updated", []string{trigger("leaves")}, u},
		{"kit", "*", []string{only("update"), trigger("leaves")}, u.or(d)},
		{"healthsync", "share.revoked", nil, u.or(d)}, // one that is created is share.created, whatever its status
		{"healthsync", "share.accessed", nil, c},
		{"kit", "ping", nil, Interactions{}},
		{"kit", "ping", []string{only("update")}, Interactions{}},
	}
	for _, tt := range tests {
		if got := eventful(t, "[*]", tt.dialect, tt.patterns, tt.more...).Interactions; got != tt.want {
			t.Errorf("%s, %s, %s: %+v, want %+v", tt.dialect, tt.patterns, tt.more, got, tt.want)
		}
	}
}

// The candidate index tries criteria for the types alone that the patterns leave.
func TestEvents_narrowTheCriteria(t *testing.T) {
	tests := []struct{ criteria, dialect, patterns, want string }{
		{"[*]", "clinik", "lab.*", "DiagnosticReport"},
		{"[*]", "clinik", "lab.created patient.*", "[DiagnosticReport,Patient]"},
		{"[*]?_tag=a", "clinik", "lab.*", "DiagnosticReport?_tag=a"},
		{"[*]", "healthsync", "share.*", "[AuditEvent,Consent]"},
		{"[Patient,DiagnosticReport]?_tag=a|b", "clinik", "lab.*", "DiagnosticReport?_tag=a|b"},
		{"/Patient?gender=male", "kit", "patient.*", "Patient?gender=male"},
		{"[*]", "kit", "*", "[*]"},
		{"[*]", "kit", "*.created patient.updated", "[*]"},
		{"[*]", "kit", "ping", "[*]"},
	}
	for _, tt := range tests {
		s := eventful(t, tt.criteria, tt.dialect, tt.patterns)
		want, err := criteria.Parse(tt.want, criteria.R4())
		if err != nil {
			t.Fatal(err)
		}
		if s.Query.String() != want.String() || s.Criteria != tt.criteria {
			t.Errorf("%s for %s: %s, want %s", tt.criteria, tt.patterns, s.Query, want)
		}
	}
}

// A parameter that every type of [*] has to have need only be one of the types that the patterns leave.
func TestEvents_followedParametersAreOfTheTypesThatAreLeft(t *testing.T) {
	s := eventful(t, "[*]", "kit", "patient.updated", trigger("changes"), follow("gender"))
	if diff := gocmp.Diff([]string{"gender"}, s.Parameters); diff != "" {
		t.Error(diff)
	}
}

func TestEvents_aboutStandsTestsOnly(t *testing.T) {
	final, preliminary := states("DiagnosticReport", "final")[0], states("DiagnosticReport", "preliminary")[0]
	access, consent := states("AuditEvent", "x")[0], states("Consent", "active")[0]
	tests := []struct {
		criteria, patterns string
		tests              bool
		stand              []*fhir.Resource
		not                []*fhir.Resource
	}{
		{"[*]", "", false, []*fhir.Resource{final, preliminary, consent}, []*fhir.Resource{access}},
		{"[AuditEvent,Consent]", "", false, []*fhir.Resource{access, consent}, []*fhir.Resource{final}},
		{"[*]", "*", false, []*fhir.Resource{final, preliminary, consent}, []*fhir.Resource{access}},
		{"[AuditEvent,Consent]", "*", false, []*fhir.Resource{access, consent}, []*fhir.Resource{final}},
		{"[*]", "analysis.completed share.accessed", false, []*fhir.Resource{final, access}, []*fhir.Resource{preliminary, consent}},
		{"[*]", "diagnostic-report.updated", false, []*fhir.Resource{final, preliminary}, []*fhir.Resource{consent}},
		{"[*]", "share.revoked", false, nil, []*fhir.Resource{consent, final}},
		{"[*]", "ping", true, nil, []*fhir.Resource{final, consent, access}},
	}
	for _, tt := range tests {
		s := eventful(t, tt.criteria, "healthsync", tt.patterns)
		if s.TestsOnly() != tt.tests {
			t.Errorf("%s: tests only: %v", tt.patterns, !tt.tests)
		}
		for _, r := range tt.stand {
			if !s.About(r.Key.Type) || !s.Stands(r, time.Time{}) {
				t.Errorf("%s for %s is not about %s %s", tt.criteria, tt.patterns, r.Key, r.JSON)
			}
		}
		for _, r := range tt.not {
			if s.About(r.Key.Type) && s.Stands(r, time.Time{}) {
				t.Errorf("%s for %s is about %s %s", tt.criteria, tt.patterns, r.Key, r.JSON)
			}
		}
	}
}

// ownDialect is a dialect of an operator's with a catalogue full of traps.
func ownDialect() resthook.Dialect {
	d, _ := resthook.Lookup("kit")
	d.Name = "own"
	cu, all := []string{"create", "update"}, []string{"create", "update", "delete"}
	d.Names = resthook.Naming{Plural: true, Created: "added", Deleted: "removed"}
	d.Events = []resthook.Event{
		{Name: "report.urgent", Type: "DiagnosticReport", Interactions: cu, Criteria: "status=amended"},
		{Name: "report.done", Type: "DiagnosticReport", Interactions: cu, Criteria: "status=final", Enters: true},
		{Name: "report.changed", Type: "DiagnosticReport", Interactions: []string{"update"}},
		{Name: "report.done", Type: "DiagnosticReport", Interactions: all, Criteria: "status=final"}, // of an update never
		{Name: "patient.created", Type: "Person", Interactions: []string{"create"}},                  // a type's generic name
		{Name: "lab.result.in_time", Type: "Observation", Interactions: cu, Criteria: "status=final"},
	}
	d.Declares = []string{"billing.paid"}
	return d
}

func ownOptions(t testing.TB) Options {
	t.Helper()
	o := testOptions(t)
	table, err := NewDialectTable("own", append(resthook.Dialects(), ownDialect())...)
	if err != nil {
		t.Fatal(err)
	}
	o.Dialects = table
	return o
}

// A name in neither is refused, unless the operator's dialect declares it.
func TestEvents_operatorsNames(t *testing.T) {
	o := ownOptions(t)
	for pattern, ok := range map[string]bool{
		"report.urgent": true, "report.*": true, "REPORT.done": true, "lab.result.intime": true, "lab.*": true, "lab.result.*": true, "*.in-time": true,
		"*.result.in-time": true, "billing.paid": true, "billing.*": true, "*.paid": true, "*.added": true, "*.created": true, "patients.added": true, "patient.created": true,
		"people.added": false, "lab.result": false, "billing": false, "billing.due": false, "*.result": false, "*.": false, ".*": false, "": false, "report.": false, ".urgent": false, "re*.urgent": false, "*.*.*": false,
	} {
		_, err := Parse(fhir.Key{}, 1, document(t, on("[*]", event(pattern))), o)
		if (err == nil) != ok {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	s, err := Parse(fhir.Key{}, 1, document(t, on("[*]", event("billing.*"))), o)
	if err != nil || !s.TestsOnly() {
		t.Errorf("a declared name has no changes: %v", err)
	}
}

// called are all names that a change goes by, told from DESIGN's words without any table.
func called(n *Names, c store.Notification, read func(uint64) (*fhir.Resource, error)) (names []string, err error) {
	wire, err := n.of(c, read)
	if err != nil {
		return nil, err
	}
	names = []string{wire, EventName(c.Focus.Type, c.Interaction), n.dialect.Names.Name(string(c.Focus.Type), c.Interaction.String())}
	if n.dialect.Names.Plural { // the words of R4 and of the dialect are understood with either noun
		own, plain := strings.Split(names[2], "."), strings.Split(names[1], ".")
		names = append(names, own[0]+"."+plain[1], plain[0]+"."+own[1])
	}
	for i := range names {
		names[i] = strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(names[i]))
	}
	return names, nil
}

// covers is what a pattern means: it is true of one of the names, the star standing for anything.
func covers(pattern string, names []string, wild bool, of fhir.Type) bool {
	pattern = strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(pattern))
	if strings.HasPrefix(pattern, "*") && wild && (of == fhir.AuditEvent || of == fhir.Subscription) {
		return false
	}
	return slices.ContainsFunc(names, func(name string) bool {
		if !strings.Contains(pattern, ".") && pattern != "*" {
			return strings.HasPrefix(name, pattern+".")
		}
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// The compiled patterns cover what the names say, of whatever dialect, and tell beforehand which kinds of changes
// they never cover.
func TestEvents_agreeWithTheNames(t *testing.T) {
	o := ownOptions(t)
	pool := map[string][]string{
		"kit":            {"*", "*.created", "*.deleted", "diagnostic-report.*", "Patient.created", "person.*", "audit_event.*", "observation.updated", "ping"},
		"fhir":           {"*", "*.created", "*.updated", "diagnostic-report.*", "Patient.created", "audit_event.*", "ping"},
		"clinik":         {"*", "lab.*", "lab.created", "LAB.deleted", "diagnostic-report.updated", "*.deleted", "patient.*", "Audit-Event.created"},
		"healthsync":     {"*", "analysis.completed", "analysis.*", "diagnostic_report.updated", "share.*", "share.accessed", "*.completed", "*.created", "user.updated", "patient.updated", "document.*"},
		"webhook-events": {"*", "patients", "diagnostic-reports", "patients.removed", "patient.deleted", "patients.deleted", "*.removed", "*.deleted", "observations.created", "audit-events"},
		"own":            {"*", "report.*", "report.done", "report.urgent", "report.changed", "patient.created", "patients.added", "patient.added", "persons.*", "*.added", "*.changed", "lab.result.*", "*.in-time", "billing.paid", "diagnostic-reports", "diagnostic-reports.created"},
	}
	types := []fhir.Type{"DiagnosticReport", "Patient", "Person", "Observation", "AuditEvent", "Subscription", "Consent", "DocumentReference"}
	rapid.Check(t, func(rt *rapid.T) {
		dialect := rapid.SampledFrom(slices.Sorted(maps.Keys(pool))).Draw(rt, "dialect")
		patterns := rapid.SliceOfN(rapid.SampledFrom(pool[dialect]), 1, 4).Draw(rt, "patterns")
		heads := rapid.SampledFrom([]string{"[*]", "[" + strings.Join([]string{"AuditEvent", "Consent", "DiagnosticReport", "DocumentReference", "Observation", "Patient", "Person", "Subscription"}, ",") + "]"}).Draw(rt, "criteria")
		ee := []string{dialectOf(dialect)}
		for _, p := range patterns {
			ee = append(ee, event(p))
		}
		doc, err := tape.Parse([]byte(on(heads, ee...)), 0)
		if err != nil {
			rt.Fatal(err)
		}
		s, err := Parse(fhir.Key{}, 1, doc, o)
		if err != nil {
			rt.Fatalf("%s: %v", patterns, err)
		}
		deletes := dialect != "fhir"
		of := rapid.SampledFrom(types).Draw(rt, "type")
		status := rapid.SampledFrom([]string{"preliminary", "final", "amended", "cancelled", "-"})
		list := []string{"preliminary"}
		for range rapid.IntRange(0, 5).Draw(rt, "more") {
			next := status.Draw(rt, "status")
			if next == "-" && list[len(list)-1] == "-" {
				next = "final"
			}
			list = append(list, next)
		}
		all := states(of, strings.Join(list, " "))
		changes, read := changesOf(all)
		for _, n := range changes {
			names, err := called(s.Names, n, read)
			if err != nil {
				rt.Fatal(err)
			}
			want := n.Interaction != fhir.Delete || deletes
			want = want && slices.ContainsFunc(patterns, func(p string) bool { return covers(p, names, heads == "[*]", of) })
			got, err := s.Covers(n, read)
			if err != nil {
				rt.Fatal(err)
			}
			if got != want {
				rt.Fatalf("%s %s: %s version %d (%v): %v, want %v", dialect, patterns, of, n.Version, names, got, want)
			}
			asks := termsOf(s, "")
			if got && (!asks.about(of, n.Interaction) || !s.About(of) || !s.Query.About(of)) {
				rt.Fatalf("%s %s: %s of %s is covered and would not be looked at (%s)", dialect, patterns, n.Interaction, of, s.Query)
			}
		}
	})
}

// The name of a change does not depend on who asks, nor is there anything before the first version.
func TestNames_becomingOfTheFirstVersionAndOfLinkedChanges(t *testing.T) {
	table := testOptions(t)
	rules, _ := table.Dialects.Rules("healthsync")
	all := states("DiagnosticReport", "final final - final")
	_, read := changesOf(all)
	for _, tt := range []struct {
		n    store.Notification
		want string
	}{
		{store.Notification{Version: 1, Interaction: fhir.Create}, "analysis.completed"},
		{store.Notification{Version: 1, Interaction: fhir.Update}, "analysis.completed"}, // as $resend sends it
		{store.Notification{Version: 1, Interaction: fhir.Update, Cause: "Patient/p/_history/2"}, "diagnostic-report.updated"},
		{store.Notification{Version: 2, Interaction: fhir.Update}, "diagnostic-report.updated"},
		{store.Notification{Version: 4, Interaction: fhir.Update}, "analysis.completed"},
	} {
		tt.n.Focus = all[0].Key
		if got, err := rules.Names.of(tt.n, read); got != tt.want || err != nil {
			t.Errorf("%+v: %s, %v; want %s", tt.n, got, err, tt.want)
		}
	}
}

// Whatever a pattern is, it is refused with its element or understood, and what is understood is understood again.
func FuzzEvents(f *testing.F) {
	for _, p := range []string{"*", "*.*", "patient.*", "patient.created", "*.created", "ping", "lab.*", "Family_Member.added", "encounters", "", ".", "*.", "a*b.c", "patient.*.*", "\u0130.created", "share.accessed\x00"} {
		f.Add(p, "healthsync")
		f.Add(p, "webhook-events")
	}
	o := ownOptions(f)
	f.Fuzz(func(t *testing.T, pattern, dialect string) {
		quoted := string(tape.Quote(pattern))
		doc, err := tape.Parse([]byte(on("[*]", dialectOf("clinik"), ext(us+"subscription-event", `"valueString":`+quoted), ext(us+"subscription-event-name", `"valueString":`+quoted))), 0)
		if err != nil {
			return // no string that JSON has
		}
		s, err := Parse(fhir.Key{}, 1, doc, o)
		if err != nil {
			if len(issues(err)) == 0 {
				t.Fatalf("an error that no client can read: %v", err)
			}
			return
		}
		again, err := Parse(fhir.Key{}, 1, document(t, on(s.Query.String(), dialectOf("clinik"), ext(us+"subscription-event", `"valueString":`+quoted))), o)
		if err != nil {
			if s.TestsOnly() {
				return
			}
			t.Fatalf("%q narrows to %s, and is refused there: %v", pattern, s.Query, err)
		}
		if again.Interactions != s.Interactions || again.Query.String() != s.Query.String() {
			t.Fatalf("%q: %+v of %s, then %+v of %s", pattern, s.Interactions, s.Query, again.Interactions, again.Query)
		}
		rules, ok := o.Dialects.Rules(dialect)
		if ok {
			rules.Names.index.find(pattern)
		}
	})
}
