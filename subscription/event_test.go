package subscription

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// speak makes a Subscription of the rig use a built-in dialect.
func (r *rig) speak(id, dialect string) {
	r.t.Helper()
	d, ok := resthook.Lookup(dialect)
	rules, err := RulesOf(d)
	if !ok || err != nil {
		r.t.Fatalf("dialect %s: %v", dialect, err)
	}
	r.configure[id] = func(s *Subscription) {
		s.Target.Dialect, s.LastOnDelete, s.Names = dialect, rules.LastOnDelete, rules.Names
	}
}

func TestDeliverer_changesAreNamedByTheDialect(t *testing.T) {
	preliminary, final := map[string]any{"status": "preliminary"}, map[string]any{"status": "final"}
	shared := map[string]any{"status": "active", "provision": map[string]any{
		"actor": []any{map[string]any{"role": map[string]any{"text": "reader"}, "reference": map[string]any{"reference": "Practitioner/p"}}},
		"data":  []any{map[string]any{"meaning": "instance", "reference": map[string]any{"reference": "DocumentReference/d"}}},
	}}
	tests := []struct {
		dialect  string
		of       fhir.Type
		versions []map[string]any // nil: a deletion
		want     string
	}{
		{"kit", "DiagnosticReport", []map[string]any{final, nil}, "diagnostic-report.created diagnostic-report.deleted"},
		{"clinik", "DiagnosticReport", []map[string]any{preliminary, final, nil, final}, "lab.created lab.updated lab.deleted lab.created"},
		{"clinik", "Patient", []map[string]any{{}}, "patient.created"},
		{
			"healthsync", "DiagnosticReport",
			[]map[string]any{preliminary, final, {"status": "final", "language": "de"}, preliminary, final, nil, final},
			"diagnostic-report.created analysis.completed diagnostic-report.updated diagnostic-report.updated analysis.completed diagnostic-report.deleted analysis.completed",
		},
		{"healthsync", "Consent", []map[string]any{{"status": "active"}, {"status": "rejected"}, nil}, "share.created share.revoked share.revoked"},
		{"healthsync", "Consent", []map[string]any{shared, nil, {"status": "active"}}, "document.shared share.revoked share.created"},
		{"webhook-events", "Library", []map[string]any{{}, {"active": true}, nil}, "libraries.created libraries.updated libraries.removed"},
	}
	for _, tt := range tests {
		t.Run(tt.dialect+" "+string(tt.of), func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.subscribe("s", "https://a.example/hook", Active)
				r.speak("s", tt.dialect)
				r.owePut("s", fhir.Key{Tenant: fhir.DefaultTenant, Type: tt.of, ID: "x"}, tt.versions)
				r.start()
				synctest.Wait()
				r.halt()
				got := make([]string, len(tt.versions))
				for _, s := range r.channel.sent() {
					got[s.m.Sequence-1] = s.m.Event
				}
				if strings.Join(got, " ") != tt.want {
					t.Errorf("got  %s\nwant %s", strings.Join(got, " "), tt.want)
				}
			})
		})
	}
}

func TestDeliverer_deletionCarriesTheVersionThatItEndedOnlyWhereTheDialectSendsIt(t *testing.T) {
	for dialect, carries := range map[string]bool{"webhook-events": true, "kit": false, "healthsync": false} {
		for _, focus := range []fhir.Type{"Patient", fhir.Subscription} {
			play(t, func(t *testing.T, r *rig) {
				r.subscribe("s", "https://a.example/hook", Active)
				r.speak("s", dialect)
				written := r.owePut("s", fhir.Key{Tenant: fhir.DefaultTenant, Type: focus, ID: "x"}, []map[string]any{{"language": "de"}, {"language": "fr"}, nil})
				r.start()
				synctest.Wait()
				r.halt()
				want := ""
				switch {
				case carries && focus == fhir.Subscription:
					want = `"redacted"`
				case carries:
					want = string(written[1].JSON)
				}
				found := false
				for _, s := range r.channel.sent() {
					if s.m.Interaction != "delete" {
						continue
					}
					found = true
					if string(s.m.Body) != want || s.m.Version != "3" {
						t.Errorf("%s: version %s with %s, want version 3 with %s", dialect, s.m.Version, s.m.Body, want)
					}
				}
				if !found {
					t.Errorf("%s: no deletion was sent", dialect)
				}
			})
		}
	}
}

// owePut writes versions of a resource (nil: deletes it), and owes each.
func (r *rig) owePut(id string, focus fhir.Key, versions []map[string]any) (written []*fhir.Resource) {
	r.t.Helper()
	gone := true
	r.updateQueue(func(w store.QueueWriter) error {
		return w.PutLane(store.LaneRecord{Lane: laneOf(id), Next: uint64(len(versions)) + 1, Head: 1})
	})
	for i, body := range versions {
		n := store.Notification{Lane: laneOf(id), Number: uint64(i) + 1, Focus: focus, Version: uint64(i) + 1, Interaction: fhir.Update}
		var v *fhir.Resource
		switch {
		case body == nil:
			v, n.Interaction, gone = r.write(focus, nil), fhir.Delete, true
		case gone:
			v, n.Interaction, gone = r.put(focus, body), fhir.Create, false
		default:
			v = r.put(focus, body)
		}
		n.Updated, written = v.Updated, append(written, v)
		r.updateQueue(func(w store.QueueWriter) error { return w.Owe(n) })
	}
	return written
}

func TestRulesOf_catalogueCriteriaAreAboutTheResourceAlone(t *testing.T) {
	for _, criteria := range []string{"nope=x", "subject:Patient.name=x"} {
		d, _ := resthook.Lookup("kit")
		d.Events = []resthook.Event{{Name: "lab.ready", Type: "DiagnosticReport", Interactions: []string{"create"}, Criteria: criteria}}
		if _, err := RulesOf(d); err == nil || !strings.Contains(err.Error(), "dialect kit: event lab.ready: ") {
			t.Errorf("%s: error %v", criteria, errors.Unwrap(err))
		}
	}
}
