package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestRedeliver_whatALinkCausedKeepsItsIdentity: an Observation enters the criteria because its patient changed. Its
// deliveries tell of that, and sent again it has the id and number that it had (invariant 3).
func TestRedeliver_whatALinkCausedKeepsItsIdentity(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	p := start(t, t.TempDir())
	p.must(http.StatusCreated, http.MethodPut, "/Subscription/s", `{"resourceType":"Subscription","id":"s","status":"active","reason":"test",
		"criteria":"Observation?subject:Patient.gender=female","channel":{"type":"rest-hook","endpoint":"`+r.URL+`"},
		"extension":[{"url":"https://fhirhook.dev/StructureDefinition/subscription-trigger","valueCode":"enters"}]}`)
	p.must(http.StatusCreated, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p"}`)
	p.must(http.StatusCreated, http.MethodPut, "/Observation/o", `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}}`)
	p.must(http.StatusOK, http.MethodPut, "/Patient/p", `{"resourceType":"Patient","id":"p","gender":"female"}`)
	r.await(t, "the observation that entered", atLeast(1))
	first := r.all()[0]
	for _, path := range []string{"/Observation/o/$deliveries", "/Subscription/s/$deliveries?resource=Observation/o", "/Subscription/s/$deliveries"} {
		eventually(t, path, func() bool {
			page := string(p.must(http.StatusOK, http.MethodGet, path, "").body)
			return strings.Contains(page, first.id) && strings.Contains(page, `"Patient/p/_history/2"`) && strings.Contains(page, `"delivered"`)
		})
	}
	p.must(http.StatusAccepted, http.MethodPost, "/Subscription/s/$redeliver?delivery="+first.id, "")
	r.await(t, "the same once more", atLeast(2))
	if again := r.all()[1]; again.id != first.id || again.sequence != first.sequence || again.resource != first.resource {
		t.Errorf("sent again %s, number %d, of %s; it was %s, %d, %s", again.id, again.sequence, again.resource, first.id, first.sequence, first.resource)
	}
}
