package operate

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func pattern(text string) string {
	return `{"url":"https://fhirhook.dev/StructureDefinition/subscription-event","valueString":"` + text + `"}`
}

func inDialect(name string) string {
	return `{"url":"https://fhirhook.dev/StructureDefinition/subscription-dialect","valueCode":"` + name + `"}`
}

// condition is the condition of an explanation by its name, as in "true the change is …".
func condition(p parameters, name string) string {
	for _, c := range p.parts("condition") {
		if c.get("name") == name {
			return c.get("holds") + " " + c.get("detail")
		}
	}
	return ""
}

func TestExplain_tellsTheEventsNamesAndWhatIsAskedFor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("s", "[*]", noRetries, inDialect("healthsync"), pattern("analysis.completed"))
		w.subscribe("plain", "[*]", noRetries)
		w.put("DiagnosticReport", "r", `,"status":"preliminary"`)
		w.put("DiagnosticReport", "r", `,"status":"final"`)
		w.put("DiagnosticReport", "r", `,"status":"final","conclusion":"x"`)
		w.put("Patient", "p", "")
		synctest.Wait()
		for version, want := range map[string]string{
			"DiagnosticReport/r/_history/1": "false not-owed false the change is the event diagnostic-report.created, and the Subscription asks for analysis.completed",
			"DiagnosticReport/r/_history/2": "true delivered true the change is the event analysis.completed, or diagnostic-report.updated, and the Subscription asks for analysis.completed",
			"DiagnosticReport/r/_history/3": "false not-owed false the change is the event diagnostic-report.updated, and the Subscription asks for analysis.completed",
			"Patient/p":                     "false not-owed false the change is the event patient.created, and the Subscription asks for analysis.completed",
		} {
			p := w.must(200, "POST", "Subscription/s/$explain?reference="+version, "").parameters(t)
			if got := p.get("would-notify") + " " + p.get("outcome") + " " + condition(p, "event"); got != want {
				t.Errorf("%s:\n got %s\nwant %s", version, got, want)
			}
		}
		p := w.must(200, "POST", "Subscription/s/$explain?reference=Patient/p", "").parameters(t)
		if got := condition(p, "type"); got != "false the resource is of the type Patient, and the criteria are [*], for the events analysis.completed" {
			t.Errorf("the type: %s", got)
		}
		p = w.must(200, "POST", "Subscription/s/$explain", `{"resourceType":"DiagnosticReport","id":"new","status":"final","code":{"text":"x"}}`).parameters(t)
		if p.get("would-notify") != "true" {
			t.Errorf("of what is not stored: %+v", p)
		}
		if p := w.must(200, "POST", "Subscription/plain/$explain?reference=Patient/p", "").parameters(t); condition(p, "event") != "" {
			t.Errorf("a condition that nobody set: %+v", p)
		}
	})
}

func TestBackfill_takesWhatThePatternsAreAbout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put("DiagnosticReport", "draft", `,"status":"preliminary"`)
		w.put("DiagnosticReport", "was", `,"status":"final"`)
		w.put("DiagnosticReport", "was", `,"status":"final","conclusion":"x"`)
		w.put("Patient", "p", "")
		w.put("AuditEvent", "a", "")
		for id, want := range map[string]struct {
			patterns []string
			total    string
		}{
			"done":     {[]string{"analysis.completed"}, "1"},
			"reports":  {[]string{"diagnostic-report.created"}, "2"},
			"all":      {[]string{"*"}, "3"},
			"accessed": {[]string{"share.accessed", "user.updated"}, "2"},
		} {
			var ee []string
			for _, p := range want.patterns {
				ee = append(ee, pattern(p))
			}
			w.subscribe(id, "[*]", append(ee, noRetries, inDialect("healthsync"))...)
			synctest.Wait()
			job := w.must(200, "POST", "Subscription/"+id+"/$backfill?dry-run=true", "").parameters(t)
			if got := job.get("total"); got != want.total {
				t.Errorf("%s: %s, want %s", id, got, want.total)
			}
		}
		w.subscribe("tests", "[*]", noRetries, pattern("ping"))
		w.must(422, "POST", "Subscription/tests/$backfill", "")
		w.must(422, "POST", "Subscription/done/$backfill?search=Patient", "")
	})
}

func TestResend_goesToWhomThePatternsCover(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("updated", "[*]", noRetries, pattern("patient.updated"))
		w.subscribe("created", "[*]", noRetries, pattern("patient.created"))
		w.subscribe("others", "[*]", noRetries, pattern("observation.*"))
		w.put("Patient", "p", "")
		synctest.Wait()
		w.endpoint.take()
		answer := string(w.must(200, "POST", "Patient/p/$resend?verbose=true", "").body)
		for _, want := range []string{
			"goes to 1 of 3 Subscriptions", "Subscription/created: it does not ask for update, but for create",
			"Subscription/others: its criteria [*], for the events observation.* are not about Patient", "Subscription/updated: it is sent as number 1",
		} {
			if !strings.Contains(answer, want) {
				t.Errorf("%q is not in %s", want, answer)
			}
		}
	})
}

func TestPlan_narrowsByEventPatterns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscribe("labs", "[*]", inDialect("clinik"), pattern("lab.*"))
		w.subscribe("tests", "[*]", pattern("ping"))
		synctest.Wait()
		p := w.must(200, "GET", "Subscription/$plan", "").parameters(t)
		if p.get("active") != "2" || p.get("tried-for-each-change") != "1" {
			t.Errorf("%+v", p)
		}
		var got []string
		for _, s := range p.parts("subscription") {
			got = append(got, s.get("events")+": "+s.get("found-by"))
		}
		want := []string{
			"lab.*: tried for each change of [DiagnosticReport]: its criteria have no equality that a value could be looked up by",
			"ping: no change: its event patterns ask for tests only",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}
