package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// The product page's two requests, with the tokens that it lost put back: resourceType, brackets, a real
// endpoint and the extension's URL.
const (
	seed0Plain = `{
  "resourceType": "Subscription",
  "criteria": "DiagnosticReport?status=completed",
  "channel": {
    "type": "rest-hook",
    "endpoint": "ENDPOINT",
    "header": ["Authorization: Bearer secret-token-abc-123"]
  }
}`
	seed0Signed = `{
  "resourceType": "Subscription",
  "criteria": "DiagnosticReport?status=completed",
  "status": "active",
  "channel": {
    "type": "rest-hook",
    "endpoint": "ENDPOINT"
  },
  "extension": [{
    "url": "https://www.medplum.com/fhir/StructureDefinition-subscriptionSecret",
    "valueString": "abc"
  }]
}`
	report = `{"resourceType":"DiagnosticReport","status":"completed","code":{"text":"Full blood count"}}`
)

func TestSeed0_subscriptionReportNotification(t *testing.T) {
	t.Parallel()
	plain, signed := newReceiver(t, nil), newReceiver(t, nil)
	server := start(t, t.TempDir())
	server.create("Subscription", strings.Replace(seed0Plain, "ENDPOINT", plain.URL+"/webhook", 1))
	server.create("Subscription", strings.Replace(seed0Signed, "ENDPOINT", signed.URL+"/webhook", 1))
	const reports = 5
	for range reports {
		server.create("DiagnosticReport", report)
	}
	server.create("DiagnosticReport", strings.Replace(report, "completed", "final", 1))

	for _, n := range plain.await(t, "reports to the plain receiver", atLeast(reports)) {
		if got := n.header.Get("Authorization"); got != "Bearer secret-token-abc-123" {
			t.Errorf("Authorization %q, want what channel.header says", got)
		}
		if got := n.header.Get("X-Signature"); got != "" {
			t.Errorf("X-Signature %q without a secret", got)
		}
	}
	seen := map[int]bool{}
	for _, n := range signed.await(t, "reports to the signed receiver", atLeast(reports)) {
		if got, want := n.header.Get("X-Signature"), signature("abc", n.body); got != want {
			t.Errorf("X-Signature %q, want %q", got, want)
		}
		if n.method != http.MethodPost || n.path != "/webhook" {
			t.Errorf("%s %s, want POST /webhook", n.method, n.path)
		}
		if strings.Contains(n.id, ".") || n.id == "" {
			t.Errorf("webhook-id %q must be there and hold no dot", n.id)
		}
		stored := server.must(http.StatusOK, http.MethodGet, "/"+n.resource, "")
		if string(stored.body) != string(n.body) {
			t.Errorf("delivered %s, stored %s", n.body, stored.body)
		}
		seen[n.sequence] = true
	}
	for i := 1; i <= reports; i++ {
		if !seen[i] {
			t.Errorf("sequence number %d is missing: %v", i, seen)
		}
	}
	if code := server.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0\n%s", code, server.log)
	}
	if got := len(signed.all()); got != reports {
		t.Errorf("%d notifications, want %d: the final report does not match", got, reports)
	}
}
