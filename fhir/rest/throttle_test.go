package rest

import (
	"net/http"
	"strings"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

// TestServer_boundsTheRequestsOfATenant: who is over gets 429 and is told how long to wait; nothing was done. Another
// tenant, and whoever has no token, takes nothing from it.
func TestServer_boundsTheRequestsOfATenant(t *testing.T) {
	t.Parallel()
	known := callers{}
	known.add(t, "root", "", true)
	known.add(t, "lab", "system/Patient.cruds", false)
	h := newHarness(t, func(o *Options) {
		o.Authenticator = known
		o.Limit = auth.NewLimiter(func(tenant string) float64 {
			if tenant == fhir.DefaultTenant {
				return 0.001 // one, and then one in a quarter of an hour
			}
			return 0
		})
	})
	for range 5 {
		h.must(http.StatusUnauthorized, "GET", "/Patient/a", "")
		h.must(http.StatusUnauthorized, "GET", "/Patient/a", "", "Authorization: Bearer nonsense")
		h.must(http.StatusOK, "GET", "/metadata", "")
		h.must(http.StatusOK, "GET", "/Patient", "", "Authorization: Bearer root", "X-Fhirhook-Tenant: other")
	}
	const patient = `{"resourceType":"Patient","id":"a"}`
	h.must(http.StatusCreated, "PUT", "/Patient/a", patient, "Authorization: Bearer lab")
	before := h.rows()
	for _, request := range []struct{ method, path, body string }{
		{"PUT", "/Patient/b", strings.Replace(patient, `"a"`, `"b"`, 1)}, {"GET", "/Patient/a", ""}, {"GET", "/Patient", ""}, {"DELETE", "/Patient/a", ""},
	} {
		r := h.must(http.StatusTooManyRequests, request.method, request.path, request.body, "Authorization: Bearer lab")
		wait := r.header.Get("Retry-After")
		if r.at("issue", 0, "code") != "throttled" || len(wait) != 3 && wait != "1000" || r.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s %s: %v %s", request.method, request.path, r.header, r.body)
		}
	}
	if h.rows() != before {
		t.Error("something was written")
	}
}
