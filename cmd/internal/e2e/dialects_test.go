package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"fhirhook/channel/resthook"
	"fhirhook/cmd/internal/app"
)

// An operator's own dialect from the configuration file, on the wire: its body, headers, signature and event names,
// of changes, of a delete and of a test; and what becomes of its Subscriptions when the operator takes it away.
func TestDialects_operatorsOwn(t *testing.T) {
	t.Parallel()
	own, err := resthook.ParseDialects([]byte(`dialects:
- name: acme
  change: {method: PUT, to: resource, body: '{"what": ${event}, "about": "${type}/${focus}", "it": ${resource}}'}
  delete: {method: DELETE, to: resource}
  ping:   {method: POST, body: '{"what": ${event}}'}
  content-type: application/vnd.acme+json
  signature: {header: X-Acme-Signature, form: sha256}
  headers:
  - {name: X-Acme-Id, value: 'acme:${id}'}
  - {name: X-Acme-Gone, value: '${focus}', only: delete}
  success: 204
  timeout: 60s
  retry: 100ms
  orders: [resource]
  interactions: [create, update, delete]
  names: {case: snake, plural: true, created: added}
  events:
  - {name: report.signed, type: DiagnosticReport, interactions: [create, update], criteria: status=final, enters: true}
  declares: [report.archived]
`))
	if err != nil {
		t.Fatal(err)
	}
	with := func(o *app.Options) { o.Dialects, o.Dialect = own, "acme" }
	data := t.TempDir()
	p := start(t, data, with)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	named := p.create("Subscription", set(r.URL+"/in", "[*]", dialect("acme"), pattern("report.*"), pattern("diagnostic-reports.*"), pattern("report.archived"), ours+`secret "valueString":"abc"`))
	p.create("Subscription", set(r.URL+"/default", "DiagnosticReport", ours+`order "valueCode":"resource"`)) // the server's default is the operator's own
	p.must(http.StatusUnprocessableEntity, http.MethodPost, "/Subscription", set(r.URL, "[*]", dialect("acme"), pattern("report.lost")))
	p.must(http.StatusUnprocessableEntity, http.MethodPost, "/Subscription", set(r.URL, "[*]", dialect("acne")))
	p.must(http.StatusUnprocessableEntity, http.MethodPost, "/Subscription", set(r.URL, "[*]", dialect("acme"), ours+`order "valueCode":"none"`))

	p.must(http.StatusCreated, http.MethodPut, "/DiagnosticReport/r", `{"resourceType":"DiagnosticReport","id":"r","status":"preliminary","code":{"text":"x"}}`)
	p.must(http.StatusOK, http.MethodPut, "/DiagnosticReport/r", `{"resourceType":"DiagnosticReport","id":"r","status":"final","code":{"text":"x"}}`)
	p.must(http.StatusNoContent, http.MethodDelete, "/DiagnosticReport/r", "")
	p.must(http.StatusOK, http.MethodPost, "/Subscription/"+named+"/$ping", "")

	want := []struct{ method, path, event string }{
		{"PUT", "/in/DiagnosticReport/r", "diagnostic_reports.added"},
		{"PUT", "/in/DiagnosticReport/r", "report.signed"},
		{"DELETE", "/in/DiagnosticReport/r", "diagnostic_reports.deleted"},
		{"POST", "/in", "ping"},
	}
	got := r.await(t, "what acme sends", atLeast(len(want)+3))
	byEvent := map[string]notification{}
	defaults := 0
	for _, n := range got {
		if n.subscription == named {
			byEvent[n.header.Get("X-Fhirhook-Event")] = n
		} else {
			defaults++
		}
	}
	if defaults != 3 || len(byEvent) != len(want) {
		t.Errorf("%d notifications in the default dialect and these kinds in the named one: %v", defaults, byEvent)
	}
	for _, w := range want {
		n, ok := byEvent[w.event]
		if !ok || n.method != w.method || n.path != w.path {
			t.Errorf("%s: %s %s, want %s %s", w.event, n.method, n.path, w.method, w.path)
		}
		if got := n.header.Get("X-Acme-Signature"); got != "sha256="+signature("abc", n.body) {
			t.Errorf("%s: X-Acme-Signature %q", w.event, got)
		}
		if got := n.header.Get("X-Acme-Id"); got != "acme:"+n.id || n.id == "" {
			t.Errorf("%s: X-Acme-Id %q", w.event, got)
		}
		if got := n.header.Get("X-Acme-Gone"); (got == "r") != (n.method == "DELETE") {
			t.Errorf("%s: X-Acme-Gone %q", w.event, got)
		}
		if w.method == "DELETE" {
			continue
		}
		var body struct {
			What, About string
			It          json.RawMessage
		}
		if err := json.Unmarshal(n.body, &body); err != nil || body.What != w.event || n.header.Get("Content-Type") != "application/vnd.acme+json" {
			t.Errorf("%s: %s, %v", w.event, n.body, err)
		}
		if w.method == "PUT" {
			stored := p.must(http.StatusOK, http.MethodGet, "/"+n.resource, "")
			if string(body.It) != string(stored.body) || body.About != "DiagnosticReport/r" {
				t.Errorf("%s: %s", w.event, n.body)
			}
		}
	}

	// Without its dialect a Subscription can't deliver; the server says so where the operator looks, and goes on.
	p.stop()
	p = start(t, data, func(o *app.Options) { o.Log = nil })
	p.must(http.StatusCreated, http.MethodPut, "/DiagnosticReport/s", `{"resourceType":"DiagnosticReport","id":"s","status":"final","code":{"text":"x"}}`)
	ping, err := p.request(http.MethodPost, "/Subscription/"+named+"/$ping", "")
	if err != nil || ping.status < 400 || !strings.Contains(string(ping.body), "acme") {
		t.Errorf("a ping without its dialect: %d %s, %v", ping.status, ping.body, err)
	}
	p.stop()
	start(t, data, with)
	r.await(t, "what was owed meanwhile", func(got []notification) bool {
		for _, n := range got {
			if n.subscription == named && strings.HasPrefix(n.resource, "DiagnosticReport/s/") {
				return true
			}
		}
		return false
	})
}
