package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestExplain_printsWhatTheServerSays(t *testing.T) {
	t.Parallel()
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		if r.URL.Path != "/fhir/R4/Observation" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","diagnostics":"no such type"}]}`))
			return
		}
		_, _ = w.Write([]byte(`{"resourceType":"Bundle","total":2,"entry":[{"resource":{"resourceType":"Observation"},"search":{"mode":"match"}},` +
			`{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","diagnostics":"left out"},{"severity":"information","diagnostics":"A step."}]},"search":{"mode":"outcome"}}]}`))
	}))
	t.Cleanup(server.Close)
	tests := []struct{ server, search, url, out, err string }{
		{server.URL, "Observation?code=a b", "/fhir/R4/Observation?code=a%20b&_explain=true", "warning: left out\nA step.\n2 matches, 1 of them on this page.\n", ""},
		{server.URL + "/fhir/R4/", "/Observation", "/fhir/R4/Observation?_explain=true", "warning: left out\nA step.\n2 matches, 1 of them on this page.\n", ""},
		{server.URL, "Nothing", "/fhir/R4/Nothing?_explain=true", "", "no such type"},
		{"127.0.0.1:8080", "Observation", "", "", "is not a URL"},
		{server.URL, "Observation/1?x=y", "", "", "is not a search"},
	}
	for _, tt := range tests {
		asked = ""
		var out strings.Builder
		err := Explain(t.Context(), tt.server, tt.search, &out)
		if asked != tt.url || out.String() != tt.out {
			t.Errorf("%s: asked %q, printed %q", tt.search, asked, out.String())
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v", tt.search, err)
		}
	}
}
