package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/auth"
)

// TestSmart_isServedWhereAnIssuerIs: an app that knows only the base URL finds out where to get a token, and that it needs one.
func TestSmart_isServedWhereAnIssuerIs(t *testing.T) {
	t.Parallel()
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			fmt.Fprint(w, `{"keys":[]}`)
			return
		}
		base := "http://" + r.Host
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"token_endpoint":%q,"token_endpoint_auth_methods_supported":["private_key_jwt"]}`, base, base+"/keys", base+"/token")
	}))
	t.Cleanup(issuer.Close)
	s := besiege(t, t.TempDir(), func(o *app.Options) {
		o.Auth.Issuers = []auth.Issuer{{URL: issuer.URL, Audience: []string{"x"}, Tenant: "a"}}
	})
	smart := s.mustAs("", http.StatusOK, "GET", "/.well-known/smart-configuration", "").json(t)
	if smart["token_endpoint"] != issuer.URL+"/token" || !strings.Contains(fmt.Sprint(smart["capabilities"]), "client-confidential-asymmetric") {
		t.Errorf("%v", smart)
	}
	statement := string(s.mustAs("", http.StatusOK, "GET", "/metadata", "").body)
	for _, want := range []string{`"code":"SMART-on-FHIR"`, `{"url":"token","valueUri":"` + issuer.URL + `/token"}`} {
		if !strings.Contains(statement, want) {
			t.Errorf("the statement does not say %s", want)
		}
	}
	if document := string(s.mustAs("", http.StatusOK, "GET", "^/openapi.json", "").body); !strings.Contains(document, issuer.URL+"/.well-known/openid-configuration") {
		t.Error("the OpenAPI document does not name the issuer")
	}
	s.mustAs("", http.StatusNotFound, "GET", "^/.well-known/smart-configuration", "")

	plain := besiege(t, t.TempDir())
	plain.mustAs("", http.StatusNotFound, "GET", "/.well-known/smart-configuration", "")
}
