package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestServer_knowsItselfByAllNamesOfLoopback refers to a Patient under a name of the server that is not the one
// it listens at, as a client that calls it by that name does.
func TestServer_knowsItselfByAllNamesOfLoopback(t *testing.T) {
	p := start(t, t.TempDir())
	receiver := newReceiver(t, nil)
	other := strings.Replace(p.base, "127.0.0.1", "localhost", 1)
	if other == p.base {
		t.Fatalf("the server listens at %s", p.base)
	}
	for _, criteria := range []string{"Observation?subject=Patient/1", "Observation?patient=1", "Observation?subject=" + other + "/Patient/1", "Observation?subject=" + p.base + "/Patient/1"} {
		p.create("Subscription", fmt.Sprintf(`{"resourceType":"Subscription","status":"requested","reason":"r","criteria":%q,
			"channel":{"type":"rest-hook","endpoint":%q,"payload":"application/fhir+json"}}`, criteria, receiver.URL))
	}
	observation := func(subject string) string {
		return p.create("Observation", fmt.Sprintf(`{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":%q}}`, subject))
	}
	found := []string{observation("Patient/1"), observation(other + "/Patient/1"), observation(p.base + "/Patient/1")}
	observation("http://elsewhere.example/fhir/R4/Patient/1")

	got := receiver.await(t, "four Subscriptions, three Observations", atLeast(12))
	for _, n := range got {
		if strings.Contains(string(n.body), "elsewhere") {
			t.Errorf("notified of a reference to another server: %s", n.body)
		}
	}
	for _, value := range []string{"Patient/1", "1", other + "/Patient/1", p.base + "/Patient/1"} {
		body := string(p.must(http.StatusOK, http.MethodGet, "/Observation?subject="+url.QueryEscape(value), "").body)
		for _, id := range found {
			if !strings.Contains(body, `"id":"`+id+`"`) {
				t.Errorf("subject=%s does not find %s", value, id)
			}
		}
		if strings.Contains(body, "elsewhere") {
			t.Errorf("subject=%s finds a reference to another server", value)
		}
	}
}
