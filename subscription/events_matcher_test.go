package subscription

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// told are the verdicts of a lane, as in "DiagnosticReport/r/2 update".
func (w *world) told(id string) (told []string) {
	for _, v := range w.verdicts()[store.Lane{Tenant: "t", Subscription: id}] {
		told = append(told, fmt.Sprintf("%s/%d %s", v.Focus, v.Version, v.Interaction))
	}
	return told
}

func report(status, more string) string {
	return `{"resourceType":"DiagnosticReport","status":"` + status + `"` + more + `}`
}

// A change's name is told from its versions, however often the server starts in between.
func TestMatcher_catalogueEventsSurviveRestarts(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	for id, patterns := range map[string]string{
		"done": "analysis.completed", "any": "*", "updated": "diagnostic-report.updated", "gone": "*.deleted", "people": "user.updated", "tests": "ping",
	} {
		w.write("t", fhir.Subscription, id, on("[*]", append(events(patterns), dialectOf("healthsync"))...))
	}
	for _, body := range []string{report("preliminary", ""), report("final", ""), report("final", `,"language":"de"`), report("amended", ""), report("final", ""), "", report("final", "")} {
		w.write("t", "DiagnosticReport", "r", body)
		m := NewMatcher(w.db, MatcherOptions{Parse: o})
		m.bounds = bounds{rows: 1, bytes: 1, verdicts: 1, quiet: 1}
		for moved, err := true, m.start(t.Context()); moved; {
			if err != nil {
				t.Fatal(err)
			}
			moved, err = m.step(t.Context())
		}
	}
	const r = "DiagnosticReport/r/"
	want := map[string][]string{
		"done":    {r + "2 update", r + "5 update", r + "7 create"},
		"any":     {r + "1 create", r + "2 update", r + "3 update", r + "4 update", r + "5 update", r + "6 delete", r + "7 create"},
		"updated": {r + "2 update", r + "3 update", r + "4 update", r + "5 update"},
		"gone":    {r + "6 delete"},
		"people":  nil,
		"tests":   nil,
	}
	for id, want := range want {
		if diff := gocmp.Diff(want, w.told(id)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", id, diff)
		}
	}
}

// Criteria and patterns both have to hold, and the patterns are judged on the change, whatever the trigger.
func TestMatcher_patternsRestrictCriteriaAndTriggers(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	ada := "DiagnosticReport?subject=Patient/ada"
	for id, s := range map[string]string{
		"criteria": on(ada, event("analysis.completed"), dialectOf("healthsync")),
		"enters":   on(ada, event("diagnostic-report.updated"), trigger("enters")),
		"leaves":   on(ada, event("*.deleted"), trigger("leaves")),
		"left":     on(ada, event("*.updated"), trigger("leaves")),
		"changes":  on(ada, event("analysis.completed"), dialectOf("healthsync"), trigger("changes"), follow("status")),
		"holds":    on(ada, event("*.updated"), fhirPathCriteria("%previous.status = 'final'")),
	} {
		w.write("t", fhir.Subscription, id, s)
	}
	const hers, his = `,"subject":{"reference":"Patient/ada"}`, `,"subject":{"reference":"Patient/bob"}`
	for _, body := range []string{report("preliminary", hers), report("final", his), report("preliminary", hers), report("final", hers), report("final", hers+`,"conclusion":"x"`), ""} {
		w.write("t", "DiagnosticReport", "r", body)
	}
	matchAll(t, w, MatcherOptions{Parse: o})
	const r = "DiagnosticReport/r/"
	for id, want := range map[string][]string{
		"criteria": {r + "4 update"},
		"enters":   {r + "3 update"},
		"leaves":   {r + "6 delete"},
		"left":     {r + "2 update"},
		"changes":  {r + "4 update"},
		"holds":    {r + "3 update", r + "5 update"},
	} {
		if diff := gocmp.Diff(want, w.told(id)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", id, diff)
		}
	}
}

// DESIGN 4.2: [*] is every type but Subscription and AuditEvent, unless an event pattern other than * names one;
// only versions that a client wrote. What the server writes about Subscriptions must not go round in circles.
func TestMatcher_patternsForTheServersOwnTypesDoNotLoop(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	w.write("t", fhir.Subscription, "all", on("[*]", event("*")))
	w.write("t", fhir.Subscription, "audit", on("[*]", event("audit-event.*")))
	w.write("t", fhir.Subscription, "access", on("[*]", event("share.accessed"), dialectOf("healthsync")))
	w.write("t", fhir.Subscription, "subs", on("[*]", event("*"), event("subscription.*")))
	matchAll(t, w, MatcherOptions{Parse: o})
	w.write("t", fhir.AuditEvent, "a", `{"resourceType":"AuditEvent","n":1}`)
	w.server("t", fhir.AuditEvent, "b", `{"resourceType":"AuditEvent","n":1}`)
	w.server("t", fhir.AuditEvent, "a", `{"resourceType":"AuditEvent","n":2}`)
	w.server("t", fhir.Subscription, "all", strings.Replace(on("[*]", event("*")), `"criteria"`, `"status":"error","error":"x","criteria"`, 1))
	w.write("t", fhir.Subscription, "audit", "")
	w.write("t", "Basic", "x", `{"resourceType":"Basic"}`)
	matchAll(t, w, MatcherOptions{Parse: o})
	for id, want := range map[string][]string{
		"all":    {"Basic/x/1 create"},
		"audit":  {"AuditEvent/a/1 create"},
		"access": {"AuditEvent/a/1 create"},
		"subs":   {"Subscription/subs/1 create", "Subscription/audit/2 delete", "Basic/x/1 create"},
	} {
		if diff := gocmp.Diff(want, w.told(id)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", id, diff)
		}
	}
}

// What enters because of a linked resource is an update of its type, and nothing that became something else.
func TestMatcher_linkedChangesAreCoveredAsUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t)
		w := newWorld(t, o)
		const named = "DiagnosticReport?subject:Patient.name=Quell"
		for id, patterns := range map[string]string{"updated": "diagnostic-report.updated", "created": "diagnostic-report.created", "done": "analysis.completed", "all": "*"} {
			w.write("t", fhir.Subscription, id, on(named, append(events(patterns), trigger("enters"), dialectOf("healthsync"))...))
		}
		w.transact(`{"resourceType":"Patient","id":"p"}`)
		w.transact(`{"resourceType":"DiagnosticReport","id":"r","status":"final","subject":{"reference":"Patient/p"}}`)
		w.transact(`{"resourceType":"Patient","id":"p","name":[{"family":"Quell"}]}`)
		matchAll(t, w, w.seeing(o))
		matchAll(t, w, w.seeing(o))
		const r = "DiagnosticReport/r/1 update"
		for id, want := range map[string][]string{"updated": {r}, "created": nil, "done": nil, "all": {r}} {
			if diff := gocmp.Diff(want, w.told(id)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", id, diff)
			}
		}
	})
}

// A change of another type costs nothing: the Set that it is held against doesn't hold the Subscription there.
func TestMatcher_patternsKeepSubscriptionsOutOfOtherTypesWay(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	for i := range 20 {
		w.write("t", fhir.Subscription, fmt.Sprintf("s%d", i), on("[*]", event([]string{"lab.*", "ping"}[i%2]), dialectOf("clinik")))
	}
	m := matchAll(t, w, MatcherOptions{Parse: o})
	of := m.set.tenants["t"]
	if n := of.set.Len(); n != 10 {
		t.Errorf("%d Subscriptions in the Set, and 10 want nothing but tests", n)
	}
	for id, e := range of.subs {
		if e.terms.about("Observation", fhir.Create) {
			t.Errorf("%s asks for Observations", id)
		}
	}
	w.write("t", fhir.Subscription, "s1", on("[*]", event("lab.*"), dialectOf("clinik"))) // from tests to changes
	w.write("t", fhir.Subscription, "s0", on("[*]", event("ping"), dialectOf("clinik")))  // and back
	w.write("t", "DiagnosticReport", "r", report("final", ""))
	m = matchAll(t, w, MatcherOptions{Parse: o})
	if n := m.set.tenants["t"].set.Len(); n != 10 || len(w.told("s1")) != 1 || w.told("s0") != nil {
		t.Errorf("%d in the Set; %v, %v", n, w.told("s1"), w.told("s0"))
	}
}
