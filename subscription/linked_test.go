package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// caused is a verdict with its cause.
type caused struct {
	Number  uint64
	Focus   string
	Version uint64
	Cause   string
	Kind    fhir.Interaction
}

func (c caused) String() string {
	return fmt.Sprintf("%d %s %s/%d because of %q", c.Number, c.Kind, c.Focus, c.Version, c.Cause)
}

func (w *world) caused() map[store.Lane][]caused {
	w.t.Helper()
	all := map[store.Lane][]caused{}
	err := w.db.Queue().View(context.Background(), func(q store.QueueReader) error {
		for r, err := range q.Lanes(store.Lane{}) {
			if err != nil {
				return err
			}
			for n, err := range q.Owed(r.Lane, 0) {
				if err != nil {
					return err
				}
				all[r.Lane] = append(all[r.Lane], caused{n.Number, n.Focus.String(), n.Version, n.Cause, n.Interaction})
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return all
}

// seeing are the options of a Matcher that sees other resources.
func (w *world) seeing(o Options) MatcherOptions {
	engine := search.New(w.db, o.Definitions, search.Options{})
	return MatcherOptions{Parse: o, Resolve: engine.Resolver, Referrers: engine.Referrers}
}

// transact writes resources in one transaction; "Type/id" deletes.
func (w *world) transact(changes ...string) {
	w.t.Helper()
	_, err := w.db.Update(context.Background(), store.Origin{}, func(tx store.Writer) error {
		for _, c := range changes {
			if name, id, ok := strings.Cut(c, "/"); ok && !strings.HasPrefix(c, "{") {
				if _, err := store.Delete(tx, fhir.Key{Tenant: "t", Type: fhir.Type(name), ID: id}, ""); err != nil {
					return err
				}
				continue
			}
			in, err := fhir.Read([]byte(c), 0)
			if err != nil {
				return err
			}
			if _, err := store.Update(tx, fhir.Key{Tenant: "t", Type: in.Type, ID: in.ID}, in, "", w.gate.Admit); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

func organization(id, name, partOf string) string {
	s := `{"resourceType":"Organization","id":"` + id + `","name":"` + name + `"`
	if partOf != "" {
		s += `,"partOf":{"reference":"Organization/` + partOf + `"}`
	}
	return s + "}"
}

func patientOf(id, gender, organization string) string {
	s := `{"resourceType":"Patient","id":"` + id + `","gender":"` + gender + `"`
	if organization != "" {
		s += `,"managingOrganization":{"reference":"Organization/` + organization + `"}`
	}
	return s + "}"
}

func observationOf(id, status, patient string) string {
	s := `{"resourceType":"Observation","id":"` + id + `","status":"` + status + `"`
	if patient != "" {
		s += `,"subject":{"reference":"Patient/` + patient + `"}`
	}
	return s + "}"
}

func enters(criteria string, more ...string) string {
	return on(criteria, append([]string{trigger("enters")}, more...)...)
}

func TestMatcher_tellsOfWhatEntersBecauseOfALinkedResource(t *testing.T) {
	o := testOptions(t)
	tests := []struct {
		name  string
		sub   string
		steps [][]string
		want  []string
	}{
		{"a chain", enters("Observation?subject:Patient.gender=male"), [][]string{
			{patientOf("p", "female", ""), observationOf("a", "final", "p"), observationOf("b", "final", "p"), observationOf("c", "final", "q")},
			{patientOf("p", "male", "")},
			{patientOf("p", "male", "o")}, // as before
			{patientOf("p", "female", "")},
			{observationOf("b", "amended", "p")},
			{patientOf("p", "male", "")},
			{patientOf("q", "male", "")},
		}, []string{
			"1 update Observation/a/1 because of \"Patient/p/_history/2\"", "2 update Observation/b/1 because of \"Patient/p/_history/2\"",
			"3 update Observation/a/1 because of \"Patient/p/_history/5\"", "4 update Observation/b/2 because of \"Patient/p/_history/5\"",
			"5 update Observation/c/1 because of \"Patient/q/_history/1\"",
		}},
		{"a chain and the focus itself", enters("Observation?subject:Patient.gender=male&status=final"), [][]string{
			{patientOf("p", "male", ""), observationOf("a", "final", "p")},
			{observationOf("b", "registered", "p")},
			{observationOf("b", "final", "p")},
			{patientOf("p", "female", "")},
			{patientOf("p", "male", ""), observationOf("a", "final", "p") + " "},
		}, []string{
			`1 create Observation/a/1 because of ""`, `2 update Observation/b/2 because of ""`,
			`3 update Observation/a/1 because of "Patient/p/_history/3"`, `4 update Observation/b/2 because of "Patient/p/_history/3"`,
		}},
		{"several levels", enters("Observation?subject:Patient.organization.name=x"), [][]string{
			{organization("o", "x", ""), patientOf("p", "male", ""), observationOf("a", "final", "p")},
			{patientOf("p", "male", "o")},
			{organization("o", "y", "")},
			{organization("o", "x", "")},
			{"Organization/o"},
			{organization("o", "x", "")},
		}, []string{
			`1 update Observation/a/1 because of "Patient/p/_history/2"`, `2 update Observation/a/1 because of "Organization/o/_history/3"`,
			`3 update Observation/a/1 because of "Organization/o/_history/5"`,
		}},
		{"_has", enters("Patient?_has:Observation:patient:status=final"), [][]string{
			{patientOf("p", "male", ""), patientOf("q", "male", "")},
			{observationOf("a", "registered", "p")},
			{observationOf("a", "final", "p")},
			{observationOf("b", "final", "p")}, // had one already
			{observationOf("a", "final", "q")},
			{"Observation/b"},
			{observationOf("a", "final", "p")},
		}, []string{
			`1 update Patient/p/1 because of "Observation/a/_history/2"`, `2 update Patient/q/1 because of "Observation/a/_history/3"`,
			`3 update Patient/p/1 because of "Observation/a/_history/4"`,
		}},
		{"_has in _has", enters("Organization?_has:Patient:organization:_has:Observation:patient:status=final"), [][]string{
			{organization("o", "x", ""), patientOf("p", "male", ""), observationOf("a", "final", "p")},
			{patientOf("p", "male", "o")},
			{observationOf("a", "amended", "p")},
			{observationOf("a", "final", "p")},
		}, []string{
			`1 update Organization/o/1 because of "Patient/p/_history/2"`, `2 update Organization/o/1 because of "Observation/a/_history/3"`,
		}},
		{"one transaction tells once, and names its first cause", enters("Observation?subject:Patient.organization.name=x"), [][]string{
			{organization("o", "y", ""), patientOf("p", "male", ""), observationOf("a", "final", "p")},
			{organization("o", "x", ""), patientOf("p", "male", "o"), patientOf("p", "female", "o")},
		}, []string{`1 update Observation/a/1 because of "Organization/o/_history/2"`}},
		{"a version that its own transaction replaced", enters("Observation?subject:Patient.gender=male"), [][]string{
			{patientOf("p", "female", ""), observationOf("a", "final", "p")},
			{patientOf("p", "male", ""), patientOf("p", "female", "")},
			{patientOf("p", "male", ""), "Patient/p"},
			{patientOf("p", "male", ""), patientOf("p", "male", "o")},
		}, []string{`1 update Observation/a/1 because of "Patient/p/_history/7"`}},
		{"only updates are asked for", enters("Patient?_has:Observation:patient:status=final", interaction("create")), [][]string{
			{patientOf("p", "male", "")}, {observationOf("a", "final", "p")}, {patientOf("q", "male", ""), observationOf("b", "final", "q")},
		}, []string{`1 create Patient/q/1 because of ""`}},
		{"matches looks at the focus alone", on("Observation?subject:Patient.gender=male"), [][]string{
			{patientOf("p", "female", ""), observationOf("a", "final", "p")}, {patientOf("p", "male", "")},
		}, nil},
		{"FHIRPath is asked last", enters("Observation?subject:Patient.gender=male", fhirPathCriteria("status = 'final' and %previous.status = 'final'")), [][]string{
			{patientOf("p", "female", ""), observationOf("a", "final", "p"), observationOf("b", "amended", "p")}, {patientOf("p", "male", "")},
		}, []string{`1 update Observation/a/1 because of "Patient/p/_history/2"`}},
	}
	for _, tt := range tests {
		w := newWorld(t, o)
		w.write("t", fhir.Subscription, "s", tt.sub)
		for _, step := range tt.steps {
			w.transact(step...)
		}
		matchAll(t, w, w.seeing(o))
		var got []string
		for _, c := range w.caused()[store.Lane{Tenant: "t", Subscription: "s"}] {
			got = append(got, c.String())
		}
		slices.Sort(got)
		if diff := gocmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// linkedCriteria look at resources behind one or two links, in either direction, and at none.
var linkedCriteria = []string{
	"Observation?subject:Patient.gender=male", "Observation?subject:Patient.gender:not=male&status=final", "Observation?subject:Patient.organization.name=x",
	"Patient?_has:Observation:patient:status=final", "Patient?organization.name=x&gender=male", "Patient?organization.partof.name=x",
	"Organization?_has:Patient:organization:_has:Observation:patient:status=final", "Organization?partof.name=x",
	"Patient?organization.name=x&_has:Observation:patient:status=final", "[Patient,Organization]?_id=1", "Observation?status=final",
}

func (d *drawn) linkedTransaction() {
	rt := d.rt
	id := func(label string) string { return rapid.SampledFrom([]string{"1", "2"}).Draw(rt, label) }
	maybe := func(label string) string { return rapid.SampledFrom([]string{"", "1", "2"}).Draw(rt, label) }
	var changes []string
	for range rapid.IntRange(1, 3).Draw(rt, "changes") {
		switch rapid.IntRange(0, 6).Draw(rt, "what") {
		case 0, 1:
			changes = append(changes, organization(id("id"), rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "name"), maybe("part of")))
		case 2, 3:
			changes = append(changes, patientOf(id("id"), rapid.SampledFrom([]string{"male", "female"}).Draw(rt, "gender"), maybe("organization")))
		case 4, 5:
			changes = append(changes, observationOf(id("id"), rapid.SampledFrom([]string{"final", "amended"}).Draw(rt, "status"), maybe("patient")))
		default:
			changes = append(changes, rapid.SampledFrom([]string{"Organization", "Patient", "Observation"}).Draw(rt, "type")+"/"+id("id"))
		}
	}
	d.transact(changes...)
}

type pair struct{ before, after *fhir.Resource }

// naiveEntering holds each Subscription against every resource there is, before and behind each transaction.
// Its causes are the rows of the transaction; which of them counts is left open.
func (w *world) naiveEntering(o Options) map[store.Lane]map[string]int {
	w.t.Helper()
	o.Policy = nil
	all := map[store.Lane]map[string]int{}
	engine := search.New(w.db, o.Definitions, search.Options{})
	var rows []store.Change
	err := w.db.View(context.Background(), func(r store.Reader) error {
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			rows = append(rows, c)
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	subs := map[store.Lane]*Subscription{}
	began := store.Seq(0)
	state := map[fhir.Key]*fhir.Resource{}
	for len(rows) > 0 {
		end := rows[0].End
		after := map[fhir.Key]*fhir.Resource{}
		for k, r := range state {
			after[k] = r
		}
		written := map[fhir.Key]bool{}
		var own []pair // versions that the transaction wrote, each with the one before it
		now := rows[0].Resource.Updated
		for len(rows) > 0 && rows[0].End == end {
			r := rows[0].Resource
			rows = rows[1:]
			written[r.Key] = true
			own = append(own, pair{after[r.Key], r})
			delete(after, r.Key)
			if r.Deleted {
				continue
			}
			if r.Key.Type != fhir.Subscription {
				after[r.Key] = r
				continue
			}
			s, err := Parse(r.Key, r.Version, r.Doc(), o)
			if err != nil {
				w.t.Fatalf("%v", err)
			}
			subs[store.Lane{Tenant: r.Key.Tenant, Subscription: r.Key.ID}] = s
		}
		at := func(place store.Seq) criteria.Env {
			env := criteria.Env{Now: now}
			env.Lookup = criteria.NewLookup(engine.Resolver(context.Background(), "t", place, env), o.Definitions)
			return env
		}
		for k, r := range after {
			if !written[k] {
				own = append(own, pair{r, r})
			}
		}
		for lane, s := range subs {
			for _, p := range own {
				if !s.Query.Match(p.after, at(end)) || p.before != nil && s.Query.Match(p.before, at(began)) {
					continue
				}
				if all[lane] == nil {
					all[lane] = map[string]int{}
				}
				all[lane][fmt.Sprintf("%s/%d at %d, written %t", p.after.Key, p.after.Version, end, written[p.after.Key])]++
			}
		}
		began, state = end, after
	}
	return all
}

// entered is what the Matcher told, with the transactions of the causes.
func (w *world) entered() map[store.Lane]map[string]int {
	w.t.Helper()
	ends := map[string]store.Seq{}
	err := w.db.View(context.Background(), func(r store.Reader) error {
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			ends[c.Resource.VersionedReference()] = c.End
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	all := map[store.Lane]map[string]int{}
	for lane, list := range w.caused() {
		for _, c := range list {
			if all[lane] == nil {
				all[lane] = map[string]int{}
			}
			cause := c.Cause
			if cause == "" {
				cause = fmt.Sprintf("%s/_history/%d", c.Focus, c.Version)
			}
			all[lane][fmt.Sprintf("%s/%d at %d, written %t", c.Focus, c.Version, ends[cause], c.Cause == "")]++
		}
	}
	return all
}

// What enters, by itself or through links, is exactly what is found behind a transaction and was not found before it, once,
// however small the steps are and whenever the Matcher is stopped.
func TestMatcher_enteringAgreesWithSearchingEverythingTwice(t *testing.T) {
	o := testOptions(t)
	told := 0
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) { // a bubble has no deadline to ask for
			d := &drawn{world: newWorld(rt, o), rt: rt, o: o}
			d.options = d.seeing(o)
			for i := range rapid.IntRange(1, 4).Draw(rt, "subscriptions") {
				c := rapid.SampledFrom(linkedCriteria).Draw(rt, "criteria")
				d.world.write("t", fhir.Subscription, fmt.Sprint(i), enters(c))
			}
			for range rapid.IntRange(1, 15).Draw(rt, "transactions") {
				d.linkedTransaction()
				for range rapid.IntRange(0, 2).Draw(rt, "steps") {
					d.step(rapid.IntRange(0, 2).Draw(rt, "restart") == 0)
				}
			}
			for d.step(rapid.IntRange(0, 4).Draw(rt, "restart") == 0) {
			}
			want := d.naiveEntering(o)
			if diff := gocmp.Diff(want, d.entered()); diff != "" {
				rt.Fatalf("(-naive +matcher)\n%s", diff)
			}
			for _, list := range want {
				told += len(list)
			}
			d.world.verdicts() // numbers without gaps
		})
	})
	if told < 20 {
		t.Errorf("%d notifications: the test says nothing", told)
	}
}

// dying is a store of which some write to the queue fails, and each behind it.
type dying struct {
	store.DB
	left int // writes that succeed
}

func (d *dying) Queue() store.Queue { return dyingQueue{d.DB.Queue(), d} }

type dyingQueue struct {
	store.Queue
	d *dying
}

var errDead = errors.New("dead")

func (q dyingQueue) Update(ctx context.Context, l store.Lease, fn func(store.QueueWriter) error) error {
	if q.d.left == 0 {
		return errDead
	}
	q.d.left--
	return q.Queue.Update(ctx, l, fn)
}

// A row may cause more verdicts than a step holds. Wherever the server dies in it, each is given once.
func TestMatcher_diesAmongWhatALinkedResourceCauses(t *testing.T) {
	o := testOptions(t)
	const focuses = 10
	for died := 0; ; died++ {
		w := newWorld(t, o)
		w.write("t", fhir.Subscription, "chain", enters("Observation?subject:Patient.gender=male"))
		w.write("t", fhir.Subscription, "later", enters("Observation?subject:Patient.gender=male&status=final"))
		w.write("t", fhir.Subscription, "own", on("Patient"))
		w.write("t", "Patient", "p", patientOf("p", "female", ""))
		for i := range focuses {
			w.transact(observationOf(fmt.Sprint(i), "final", "p"))
		}
		w.transact(patientOf("p", "male", ""), organization("o", "x", ""))
		mortal := &dying{w.db, died}
		run := func(db store.DB) error {
			m := NewMatcher(db, w.seeing(o))
			m.bounds = bounds{rows: 100, bytes: 1 << 20, verdicts: 3, quiet: 1}
			if err := m.start(t.Context()); err != nil {
				return err
			}
			for {
				if moved, err := m.step(t.Context()); err != nil || !moved {
					return err
				}
			}
		}
		err := run(mortal)
		if err != nil && !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		survived := err == nil
		if err := run(w.db); err != nil {
			t.Fatal(err)
		}
		for lane, want := range map[string]int{"chain": focuses, "later": focuses, "own": 2} {
			seen := map[string]bool{}
			list := w.caused()[store.Lane{Tenant: "t", Subscription: lane}]
			for i, c := range list {
				if seen[fmt.Sprint(c.Focus, c.Version)] = true; c.Number != uint64(i)+1 {
					t.Errorf("dead after %d writes: %s has %v at %d", died, lane, c, i)
				}
			}
			if len(list) != want || len(seen) != want {
				t.Errorf("dead after %d writes: %s got %d, %d of them different, and should have %d", died, lane, len(list), len(seen), want)
			}
		}
		if survived {
			if died < 2*focuses/3 {
				t.Errorf("there were %d writes only", died)
			}
			return
		}
	}
}

// A Subscription that could not be compiled for a while is told of what entered through links since.
func TestMatcher_catchesUpWithWhatEnteredThroughLinks(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	w.smuggle("t", fhir.Subscription, "s", enters("Observation?subject:Patient.nonsense=1"))
	w.transact(patientOf("p", "female", ""), observationOf("a", "final", "p"), observationOf("b", "final", "p"), observationOf("c", "final", "p"))
	w.transact(patientOf("p", "male", ""), observationOf("d", "final", "p"))
	matchAll(t, w, w.seeing(o))
	w.write("t", fhir.Subscription, "s", enters("Observation?subject:Patient.gender=male"))
	m := NewMatcher(w.db, w.seeing(o))
	m.bounds.verdicts = 2
	if err := m.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for moved := true; moved; {
		var err error
		if moved, err = m.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, c := range w.caused()[store.Lane{Tenant: "t", Subscription: "s"}] {
		got = append(got, c.String())
	}
	if diff := gocmp.Diff([]string{
		`1 update Observation/a/1 because of "Patient/p/_history/2"`, `2 update Observation/b/1 because of "Patient/p/_history/2"`,
		`3 update Observation/c/1 because of "Patient/p/_history/2"`, `4 create Observation/d/1 because of ""`,
	}, got); diff != "" {
		t.Error(diff)
	}
}
