package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// patch sends a JSON Patch and returns the status and the answer.
func (p *process) patch(t *testing.T, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, p.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json-patch+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// TestPatch_ofASubscriptionKeepsItsSecret: a patch leaves the key at work and never shows it, however it tries.
func TestPatch_ofASubscriptionKeepsItsSecret(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, nil)
	server := start(t, t.TempDir())
	path := "/Subscription/" + server.create("Subscription", strings.Replace(seed0Signed, "ENDPOINT", receiver.URL+"/webhook", 1))
	for _, tt := range []struct {
		patch  string
		status int
	}{
		{`[{"op":"add","path":"/reason","value":"why"}]`, 200},
		{`[{"op":"test","path":"/extension/0/valueString","value":"abc"}]`, 422},
		{`[{"op":"test","path":"/extension/0/valueString","value":"********"}]`, 422},
		{`[{"op":"copy","from":"/extension/0/valueString","path":"/reason"}]`, 422},
		{`[{"op":"move","from":"/extension/0/valueString","path":"/reason"}]`, 422},
		{`[{"op":"copy","from":"/extension","path":"/channel/extension"}]`, 422},
		{`[{"op":"replace","path":"/extension/0/url","value":"https://other.example/x"}]`, 422},
		{`[{"op":"replace","path":"/channel/endpoint","value":"http://127.0.0.1:1/elsewhere"}]`, 422},
		{`[{"op":"add","path":"/reason","value":"because"}]`, 200},
	} {
		status, answer := server.patch(t, path, tt.patch)
		if status != tt.status || strings.Contains(answer, `"abc"`) || strings.Contains(answer, "abc") && status == 422 {
			t.Errorf("%s: %d %s", tt.patch, status, answer)
		}
	}
	server.create("DiagnosticReport", report)
	for _, n := range receiver.await(t, "the report", atLeast(1)) {
		if got, want := n.header.Get("X-Signature"), signature("abc", n.body); got != want {
			t.Errorf("X-Signature %q, want %q", got, want)
		}
	}
}
