package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	ours = "https://fhirhook.dev/StructureDefinition/subscription-"
	hapi = "http://hapifhir.io/fhir/StructureDefinition/subscription-resthook-"
	med  = "https://www.medplum.com/fhir/StructureDefinition/subscription-"
)

// set is a Subscription with settings, each as the end of an extension's URL and its value in JSON, on the channel.
func set(endpoint, criteria string, settings ...string) string {
	var all []string
	for _, s := range settings {
		url, value, _ := strings.Cut(s, " ")
		all = append(all, `{"url":"`+url+`",`+value+`}`)
	}
	return fmt.Sprintf(`{"resourceType":"Subscription","status":"requested","reason":"events","criteria":%q,"channel":{"extension":[%s],"type":"rest-hook","endpoint":%q}}`,
		criteria, strings.Join(all, ","), endpoint)
}

func dialect(name string) string  { return ours + `dialect "valueCode":"` + name + `"` }
func pattern(text string) string  { return ours + `event "valueString":"` + text + `"` }
func wireName(text string) string { return ours + `event-name "valueString":"` + text + `"` }

// Event patterns from the request to the wire, over a kill in the middle.
func TestServer_eventPatterns(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := start(t, data)
	r := newReceiver(t, nil)
	subscribe := func(path, criteria string, settings ...string) string {
		return p.create("Subscription", set(r.URL+"/"+path, criteria, settings...))
	}
	subscribe("lab", "[*]", dialect("clinik"), pattern("lab.created"))
	subscribe("labs", "[*]", dialect("clinik"), pattern("LAB.*"))
	subscribe("analysis", "[*]", dialect("healthsync"), pattern("analysis.completed"), pattern("Family-Member.*"))
	subscribe("service", "[*]", dialect("webhook-events"), pattern("diagnostic-reports"))
	subscribe("fhir", "DiagnosticReport", dialect("fhir"), pattern("*"))
	subscribe("named", "DiagnosticReport?status=final", pattern("*.updated"), wireName("Result ready"))
	tests := subscribe("tests", "[*]", dialect("webhook-events"), pattern("ping"))
	subscribe("everything", "[*]", pattern("*"))

	report := func(status, text string) {
		p.must(http.StatusOK, http.MethodPut, "/DiagnosticReport/r", fmt.Sprintf(`{"resourceType":"DiagnosticReport","id":"r","status":%q,"code":{"text":%q}}`, status, text))
	}
	p.must(http.StatusCreated, http.MethodPut, "/DiagnosticReport/r", `{"resourceType":"DiagnosticReport","id":"r","status":"preliminary","code":{"text":"x"}}`)
	report("final", "x")
	p.kill()
	p = start(t, data)
	report("final", "y")
	p.must(http.StatusNoContent, http.MethodDelete, "/DiagnosticReport/r", "")
	p.create("RelatedPerson", `{"resourceType":"RelatedPerson","patient":{"reference":"Patient/p"}}`)
	p.must(http.StatusOK, http.MethodPost, "/Subscription/"+tests+"/$ping", "")

	want := map[string]string{
		"/lab":        "lab.created",
		"/labs":       "lab.created lab.deleted lab.updated lab.updated",
		"/analysis":   "analysis.completed family_member.added",
		"/service":    "diagnostic-reports.created diagnostic-reports.removed diagnostic-reports.updated diagnostic-reports.updated",
		"/fhir":       "diagnostic-report.created diagnostic-report.updated diagnostic-report.updated",
		"/named":      "Result ready Result ready",
		"/tests":      "ping",
		"/everything": "diagnostic-report.created diagnostic-report.deleted diagnostic-report.updated diagnostic-report.updated related-person.created",
	}
	byPath := func(got []notification) map[string]string {
		names, seen := map[string][]string{}, map[string]bool{}
		for _, n := range got {
			if !seen[n.id] {
				seen[n.id] = true
				names[n.path] = append(names[n.path], n.header.Get("X-Fhirhook-Event"))
			}
		}
		all := map[string]string{}
		for path, list := range names {
			slices.Sort(list)
			all[path] = strings.Join(list, " ")
		}
		return all
	}
	got := byPath(r.await(t, "all notifications", func(got []notification) bool {
		total := 0
		for _, list := range byPath(got) {
			total += len(strings.Fields(list))
		}
		wanted := 0
		for _, list := range want {
			wanted += len(strings.Fields(list))
		}
		return total >= wanted
	}))
	for path, names := range want {
		if got[path] != names {
			t.Errorf("%s: got %q, want %q", path, got[path], names)
		}
	}
	for _, n := range r.all() {
		if n.path == "/analysis" && !strings.Contains(string(n.body), `"type":"`+n.header.Get("X-Fhirhook-Event")+`"`) {
			t.Errorf("%s in the header, and in the body %s", n.header.Get("X-Fhirhook-Event"), n.body)
		}
	}
}

func TestServer_refusesEventPatterns(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	const at = "Subscription.channel.extension"
	for _, s := range []struct {
		criteria string
		settings []string
		path     string
	}{
		{"[*]", []string{pattern("nonsense.created")}, at + "[0].valueString"},
		{"[*]", []string{pattern("patient.*"), pattern("lab.created")}, at + "[1].valueString"},
		{"Observation?status=final", []string{pattern("patient.*")}, at + "[0].valueString"},
		{"[*]", []string{dialect("fhir"), pattern("patient.deleted")}, at + "[1].valueString"},
		{"[*]", []string{wireName(`a\r\nX-Evil: 1`)}, at + "[0].valueString"},
		{"[*]", []string{med + `success-codes "valueString":"99"`}, at + "[0].valueString"},
		{"[*]", []string{med + `audit-event-destination "valueCode":"paper"`}, at + "[0].valueCode"},
		{"[*]", []string{hapi + `deliver-latest-version "valueString":"true"`}, at + "[0]"},
	} {
		a := p.must(http.StatusUnprocessableEntity, http.MethodPost, "/Subscription", set("http://127.0.0.1:9/x", s.criteria, s.settings...))
		if !strings.Contains(string(a.body), `"`+s.path+`"`) {
			t.Errorf("%v: %s", s.settings, a.body)
		}
	}
}

// HAPI's and Medplum's settings, seen by a receiver that misbehaves.
func TestServer_settingsOfOtherServers(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	moved := newReceiver(t, nil)
	first, updated := make(chan struct{}), make(chan struct{}) // each is closed once
	goOn := sync.OnceFunc(func() { close(updated) })
	defer goOn()
	var failed atomic.Bool
	r := newReceiver(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.URL.Path == "/gone":
			w.WriteHeader(http.StatusGone)
		case q.URL.Path == "/moved":
			http.Redirect(w, q, moved.URL, http.StatusFound)
		case failed.CompareAndSwap(false, true): // /latest
			close(first)
			<-updated // before the retry, however long that takes
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	gone := p.create("Subscription", set(r.URL+"/gone", "Patient", med+`success-codes "valueString":"200,201,410-600"`))
	elsewhere := p.create("Subscription", set(r.URL+"/moved", "Patient", med+`success-codes "valueString":"302"`))
	p.create("Subscription", set(r.URL+"/latest", "Patient", hapi+`deliver-latest-version "valueBoolean":true`, hapi+`strip-version-ids "valueBoolean":true`, ours+`order "valueCode":"resource"`))
	p.must(http.StatusCreated, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p","gender":"male"}`)
	select {
	case <-first:
	case <-time.After(patient):
		t.Fatal("nothing was sent")
	}
	p.must(http.StatusOK, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p","gender":"female"}`)
	goOn()
	got := r.await(t, "all notifications", func(got []notification) bool { return len(got) >= 2+2+3 })
	for i, n := range slices.DeleteFunc(got, func(n notification) bool { return n.path != "/latest" }) {
		version, gender := []string{"1", "1", "2"}[i], []string{"male", "female", "female"}[i]
		if n.resource != "Patient/p/_history/"+version || !strings.Contains(string(n.body), gender) || strings.Contains(string(n.body), "versionId") {
			t.Errorf("request %d: %s with %s", i, n.resource, n.body)
		}
	}
	for id, want := range map[string]string{gone: `"valueInteger":410`, elsewhere: "the redirect was not followed"} {
		var body string
		eventually(t, "the record of both", func() bool { // it comes in batches
			body = string(p.must(http.StatusOK, http.MethodGet, "/Subscription/"+id+"/$deliveries", "").body)
			return strings.Count(body, `"valueCode":"delivered"`) >= 4
		})
		if !strings.Contains(body, want) || strings.Count(body, `"valueCode":"delivered"`) != 4 { // the state of each, and of its attempt
			t.Errorf("%s is not in %s", want, body)
		}
		if a := p.must(http.StatusOK, http.MethodGet, "/Subscription/"+id, ""); a.json(t)["status"] != "active" {
			t.Errorf("%s", a.body)
		}
	}
	if n := len(moved.all()); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}
