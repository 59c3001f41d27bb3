package rest

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir/auth"
)

// TestServer_noRouteLeadsIntoATenantThatIsNotNamed: where the tenants are named, neither a token of another nor an
// administrator who names another, or none, gets anywhere; what is told doesn't depend on what is there.
func TestServer_noRouteLeadsIntoATenantThatIsNotNamed(t *testing.T) {
	t.Parallel()
	f := auth.TokenFile{Path: filepath.Join(t.TempDir(), auth.TokenFileName)}
	secret := func(token auth.Token) string {
		t.Helper()
		text, err := f.Create(token, criteria.R4(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + text
	}
	root, stray := secret(auth.Token{Name: "root", Admin: true}), secret(auth.Token{Name: "stray", Scopes: []string{"system/*.cruds"}})
	in, err := auth.New(auth.Config{Tenants: map[string]auth.Quota{"a": {}}}, auth.Options{File: f.Path, Definitions: criteria.R4()})
	if err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, func(o *Options) { o.Authenticator = in })
	h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`, root, TenantHeader+": a")
	before := h.rows()
	type request struct{ method, path string }
	var all []request
	for _, r := range h.server.routes {
		all = append(all, request{r.method, r.path})
	}
	for _, o := range h.server.Operations {
		for _, method := range o.Methods {
			all = append(all, request{method, o.Level.path(o.Name)})
		}
	}
	fill := strings.NewReplacer(":type", "Patient", ":id", "1", ":inner", "Observation", ":vid", "1")
	for _, r := range all {
		path := fill.Replace(r.path)
		for _, tt := range []struct {
			status  int
			headers []string
		}{
			{401, []string{stray}},
			{401, []string{stray, TenantHeader + ": a"}},
			{403, []string{root}},
			{403, []string{root, TenantHeader + ": default"}},
			{403, []string{root, TenantHeader + ": b"}},
			{403, []string{root, TenantHeader + ": a/../b"}},
		} {
			if got := h.do(r.method, path, "", tt.headers...); got.status != tt.status || strings.Contains(string(got.body), `"Patient"`) {
				t.Errorf("%s %s with %d headers: %d %s", r.method, path, len(tt.headers), got.status, got.body)
			}
		}
	}
	if h.rows() != before {
		t.Error("something was written")
	}
}
