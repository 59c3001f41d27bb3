package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const (
	triggerURL   = "https://fhirhook.dev/StructureDefinition/subscription-trigger"
	parameterURL = "https://fhirhook.dev/StructureDefinition/subscription-trigger-parameter"
	fhirPathURL  = "https://medplum.com/fhir/StructureDefinition/fhir-path-criteria-expression"
)

// extended is a Subscription with extensions, each written as "url valueX text".
func extended(t testing.TB, endpoint, criteria string, extensions ...string) string {
	t.Helper()
	list := []map[string]string{{"url": "https://example.org/unrelated", "valueString": "x"}} // an empty array is no FHIR
	for _, e := range extensions {
		parts := strings.SplitN(e, " ", 3)
		list = append(list, map[string]string{"url": parts[0], parts[1]: parts[2]})
	}
	b, err := json.Marshal(map[string]any{
		"resourceType": "Subscription", "status": "requested", "reason": "triggers", "criteria": criteria, "extension": list,
		"channel": map[string]any{"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// story is the life of an Observation: each line a step, and which versions notify by which trigger.
var story = []string{
	`{"resourceType":"Observation","id":"o","status":"preliminary","code":{"text":"x"}}`,                           // 1
	`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"}}`,                                 // 2: enters
	`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"y"}}`,                                 // 3: code changes
	`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"y"},"issued":"2026-01-01T00:00:00Z"}`, // 4
	`{"resourceType":"Observation","id":"o","status":"amended","code":{"text":"y"}}`,                               // 5: leaves
	`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"y"}}`,                                 // 6: enters
	"", // 7: leaves
	`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"z"}}`, // 8: enters
}

func TestServer_triggers(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := start(t, data)
	r := newReceiver(t, nil)
	want := map[string]string{}
	for _, s := range []struct {
		criteria   string
		extensions []string
		want       string
	}{
		{"Observation?status=final", nil, "create/8 update/2 update/3 update/4 update/6"},
		{"Observation?status=final", []string{triggerURL + " valueCode matches"}, "create/8 update/2 update/3 update/4 update/6"},
		{"Observation?status=final", []string{triggerURL + " valueCode enters"}, "create/8 update/2 update/6"},
		{"Observation?status=final", []string{triggerURL + " valueCode leaves"}, "delete/7 update/5"},
		{"Observation?status=final", []string{triggerURL + " valueCode changes", parameterURL + " valueString code"}, "update/3"},
		{"Observation?status=final", []string{triggerURL + " valueCode changes", parameterURL + " valueString status"}, ""},
		{"Observation", []string{triggerURL + " valueCode changes", parameterURL + " valueString code", parameterURL + " valueString status"}, "update/2 update/3 update/5 update/6"},
		{"Observation", []string{fhirPathURL + " valueString %current.status = 'final' and %previous.status != 'final'"}, "update/2 update/6"},
		{"Observation", []string{fhirPathURL + " valueString %previous.empty()"}, "create/1 create/8"},
		{"Observation?status=final", []string{fhirPathURL + " valueString %current.issued.exists()", triggerURL + " valueCode changes", parameterURL + " valueString status"}, ""},
		{"Observation?status=final", []string{fhirPathURL + " valueString %current.issued.exists()"}, "update/4"},
	} {
		want[p.create("Subscription", extended(t, r.URL, s.criteria, s.extensions...))] = s.want
	}
	sentinel := p.create("Subscription", extended(t, r.URL, "Basic"))
	for i, body := range story {
		if i == len(story)/2 {
			p.kill()
			p = start(t, data)
		}
		if body == "" {
			p.must(http.StatusNoContent, http.MethodDelete, "/Observation/o", "")
			continue
		}
		a, err := p.request(http.MethodPut, "/Observation/o", body)
		if err != nil || a.status >= 300 {
			t.Fatalf("step %d: %v %d %s", i, err, a.status, a.body)
		}
	}
	p.create("Basic", `{"resourceType":"Basic","code":{"text":"the end"}}`)

	total := 1
	for _, w := range want {
		total += len(strings.Fields(w))
	}
	// Every lane was told of what it is owed before the one that comes last in the log; a lane's own sending
	// may take longer, and may be repeated after the kill.
	unique := func(got []notification) map[string]notification {
		all := map[string]notification{}
		for _, n := range got {
			all[n.id] = n
		}
		return all
	}
	got := unique(r.await(t, "all notifications", func(got []notification) bool {
		all := unique(got)
		for _, n := range all {
			if n.subscription == sentinel {
				return len(all) >= total
			}
		}
		return false
	}))
	for id, w := range want {
		var list []string
		for _, n := range got {
			if n.subscription != id {
				continue
			}
			_, version, _ := strings.Cut(n.resource, "/_history/")
			list = append(list, n.interaction+"/"+version)
			if n.interaction == "delete" && string(n.body) != "{}" {
				t.Errorf("the body of a delete: %s", n.body)
			}
			if n.interaction != "delete" && !strings.Contains(string(n.body), fmt.Sprintf(`"versionId":"%s"`, version)) {
				t.Errorf("version %s was sent as %s", version, n.body)
			}
		}
		if have := sorted(list); have != w {
			t.Errorf("Subscription/%s: got %q, want %q", id, have, w)
		}
	}
}

func TestServer_refusesTriggers(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	for _, s := range []struct {
		extensions []string
		path       string
	}{
		{[]string{triggerURL + " valueCode sometimes"}, "Subscription.extension[1].valueCode"},
		{[]string{triggerURL + " valueCode changes"}, "Subscription.extension[1].valueCode"},
		{[]string{triggerURL + " valueCode changes", parameterURL + " valueString nonsense"}, "Subscription.extension[2].valueString"},
		{[]string{parameterURL + " valueString code"}, "Subscription.extension[1].valueString"},
		{[]string{triggerURL + " valueCode leaves", "https://fhirhook.dev/StructureDefinition/subscription-dialect valueCode fhir"}, "Subscription.extension[1].valueCode"},
		{[]string{fhirPathURL + " valueString %current.status ="}, "Subscription.extension[1].valueString"},
	} {
		a := p.must(http.StatusUnprocessableEntity, http.MethodPost, "/Subscription", extended(t, "http://127.0.0.1:9/x", "Observation", s.extensions...))
		if !strings.Contains(string(a.body), s.path) {
			t.Errorf("%v: %s", s.extensions, a.body)
		}
	}
}

func sorted(list []string) string {
	slices.Sort(list)
	return strings.Join(list, " ")
}

// What happens to a Patient and his Observations is told to those who wait for the
// Observations of a man, and for the Patients with a final Observation.
func TestServer_tellsOfWhatEntersThroughLinks(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	r := newReceiver(t, nil)
	chain := p.create("Subscription", extended(t, r.URL, "Observation?subject:Patient.gender=male", triggerURL+" valueCode enters"))
	has := p.create("Subscription", extended(t, r.URL, "Patient?_has:Observation:subject:status=final", triggerURL+" valueCode enters"))
	plain := p.create("Subscription", extended(t, r.URL, "Observation?subject:Patient.gender=male"))
	put := func(path, body string) {
		t.Helper()
		if a, err := p.request(http.MethodPut, path, body); err != nil || a.status >= 300 {
			t.Fatalf("%s: %v %d %s", path, err, a.status, a.body)
		}
	}
	observation := func(id, status string) string {
		return `{"resourceType":"Observation","id":"` + id + `","status":"` + status + `","code":{"text":"x"},"subject":{"reference":"Patient/p"}}`
	}
	put("/Patient/p", `{"resourceType":"Patient","id":"p","gender":"female"}`)
	put("/Observation/a", observation("a", "registered"))
	put("/Observation/b", observation("b", "registered"))
	put("/Observation/b", observation("b", "final"))                         // the Patient enters
	put("/Patient/p", `{"resourceType":"Patient","id":"p","gender":"male"}`) // both Observations enter
	put("/Observation/a", observation("a", "final"))
	want := map[string]string{
		chain: "Observation/a/_history/1 update, Observation/b/_history/2 update",
		has:   "Patient/p/_history/1 update",
		plain: "Observation/a/_history/2 update",
	}
	got := r.await(t, "all notifications", atLeast(4))
	for id, w := range want {
		var list []string
		for _, n := range got {
			if n.subscription == id {
				list = append(list, n.resource+" "+n.interaction)
			}
		}
		slices.Sort(list)
		if have := strings.Join(list, ", "); have != w {
			t.Errorf("Subscription/%s: got %q, want %q", id, have, w)
		}
	}
}
