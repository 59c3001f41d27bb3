package client

import (
	"strings"
	"testing"
)

func TestExplain_printsWhatTheServerSays(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.answer("/fhir/R4/Observation", `{"resourceType":"Bundle","total":2,"entry":[{"resource":{"resourceType":"Observation"},"search":{"mode":"match"}},`+
		`{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","diagnostics":"left out"},{"severity":"information","diagnostics":"A step."}]},"search":{"mode":"outcome"}}]}`)
	said := "warning: left out\nA step.\n2 matches, 1 of them on this page.\n"
	for search, url := range map[string]string{
		"Observation?code=a b": "/fhir/R4/Observation?code=a%20b&_explain=true", "/Observation": "/fhir/R4/Observation?_explain=true",
	} {
		c, out, _ := open(t, s, nil)
		if err := c.Explain(t.Context(), search); err != nil || out.String() != said {
			t.Errorf("%s: %v, printed %q", search, err, out.String())
		}
		if asked := s.take(); len(asked) != 1 || asked[0] != "GET "+url {
			t.Errorf("%s: asked %q", search, asked)
		}
	}
	c, _, _ := open(t, s, nil)
	if err := c.Explain(t.Context(), "Nothing"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an unknown type: %v", err)
	}
	wantUsage(t, c.Explain(t.Context(), "Observation/1?x=y"), "is not a search")
}
