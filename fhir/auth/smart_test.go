package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir/auth"
)

// publisher is an issuer of which the discovery document counts.
func publisher(t *testing.T, more string) (a *auth.Authenticator, url string, asked *atomic.Int32, c *clock) {
	t.Helper()
	asked, c = &atomic.Int32{}, &clock{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/openid-configuration" {
			http.NotFound(w, r)
			return
		}
		asked.Add(1)
		base := "http://" + r.Host
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q%s}`, base, base+"/keys", more)
	}))
	t.Cleanup(s.Close)
	a, err := auth.New(auth.Config{Issuers: []auth.Issuer{{URL: s.URL, Audience: []string{"x"}}}}, auth.Options{Definitions: criteria.R4(), Dev: true, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return a, s.URL, asked, c
}

// TestSmart_saysWhatTheIssuerPublishesAndNothingElse: capabilities are claimed as far as the document bears them out.
func TestSmart_saysWhatTheIssuerPublishesAndNothingElse(t *testing.T) {
	t.Parallel()
	always := []string{"permission-v2", "permission-v1", "permission-user", "permission-patient"}
	for name, tt := range map[string]struct {
		more string
		want auth.Smart // without issuer and keys
	}{
		"little": {`,"token_endpoint":"https://id.example/token"`, auth.Smart{
			Token: "https://id.example/token", GrantTypes: []string{"authorization_code", "implicit"}, TokenAuth: []string{"client_secret_basic"},
			Scopes: []string{"system/*.cruds", "user/*.cruds", "patient/*.cruds"}, Capabilities: append(always[:4:4], "client-confidential-symmetric"),
		}},
		"all": {
			`,"token_endpoint":"https://id.example/token","authorization_endpoint":"https://id.example/auth?p=x","registration_endpoint":"https://id.example/register","grant_types_supported":["client_credentials"],
			"token_endpoint_auth_methods_supported":["private_key_jwt","none"],"token_endpoint_auth_signing_alg_values_supported":["ES384"],"scopes_supported":["openid","fhirUser","offline_access","system/*.rs"],
			"code_challenge_methods_supported":["S256"],"response_types_supported":["code"],"revocation_endpoint":"https://id.example/revoke","introspection_endpoint":"https://id.example/introspect","more":{}`,
			auth.Smart{
				Token: "https://id.example/token", Authorization: "https://id.example/auth?p=x", Registration: "https://id.example/register", GrantTypes: []string{"client_credentials"},
				TokenAuth: []string{"private_key_jwt", "none"}, TokenAlgs: []string{"ES384"}, Scopes: []string{"openid", "fhirUser", "offline_access", "system/*.rs"},
				Challenges: []string{"S256"}, ResponseTypes: []string{"code"}, Revocation: "https://id.example/revoke", Introspection: "https://id.example/introspect",
				Capabilities: append(always[:4:4], "permission-offline", "client-public", "client-confidential-asymmetric", "sso-openid-connect"),
			},
		},
		"what is no URL": {`,"token_endpoint":"https://id.example/token","authorization_endpoint":"javascript:alert(1)","revocation_endpoint":"/x","capabilities":["launch-ehr"]`, auth.Smart{
			Token: "https://id.example/token", GrantTypes: []string{"authorization_code", "implicit"}, TokenAuth: []string{"client_secret_basic"},
			Scopes: []string{"system/*.cruds", "user/*.cruds", "patient/*.cruds"}, Capabilities: append(always[:4:4], "client-confidential-symmetric"),
		}},
	} {
		a, url, _, _ := publisher(t, tt.more)
		tt.want.Issuer, tt.want.JWKS = url, url+"/keys"
		got, err := a.Smart(t.Context(), true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(tt.want, *got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestSmart_asksTheIssuerSeldom: whoever asks needs no token, so that asking must not reach the issuer each time, neither
// while it answers nor while it doesn't.
func TestSmart_asksTheIssuerSeldom(t *testing.T) {
	t.Parallel()
	for more, ok := range map[string]bool{`,"token_endpoint":"https://id.example/token"`: true, ``: false, `,"token_endpoint":7`: false} {
		a, _, asked, c := publisher(t, more)
		if s, err := a.Smart(t.Context(), false); s != nil || err != nil || asked.Load() != 0 {
			t.Errorf("%s: without waiting %v, %v", more, s, err)
		}
		for range 20 {
			s, err := a.Smart(t.Context(), true)
			if (err == nil) != ok || (s != nil) != ok {
				t.Errorf("%s: %v, %v", more, s, err)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%s: asked %d times", more, n)
		}
		c.advance(11 * time.Second)
		_, _ = a.Smart(t.Context(), true)
		if n := asked.Load(); ok && n != 1 || !ok && n != 2 {
			t.Errorf("%s: after ten seconds asked %d times", more, n)
		}
		c.advance(time.Hour)
		_, _ = a.Smart(t.Context(), true)
		if n := asked.Load(); ok && n != 2 || !ok && n != 3 {
			t.Errorf("%s: after an hour asked %d times", more, n)
		}
	}
}

// TestSmart_withoutAnIssuerThereIsNone: with static tokens there is nobody to get one from.
func TestSmart_withoutAnIssuerThereIsNone(t *testing.T) {
	t.Parallel()
	_, hash := auth.NewToken()
	a, err := auth.New(auth.Config{Tokens: []auth.Token{{Name: "x", Hash: hash, Admin: true}}}, auth.Options{Definitions: criteria.R4()})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []*auth.Authenticator{a, nil} {
		if s, err := a.Smart(context.Background(), true); s != nil || !errors.Is(err, auth.ErrNoIssuer) {
			t.Errorf("%v, %v", s, err)
		}
	}
}
