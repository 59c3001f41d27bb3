package auth_test

import (
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"fhirhook/criteria"
	"fhirhook/fhir/auth"
)

// FuzzAuthenticate: whatever stands in the header, nobody comes in who has neither the token nor a JWT with the signed
// content.
func FuzzAuthenticate(f *testing.F) {
	i := newIssuer(f, public("1", edwardKey()))
	secret := "fhk_" + strings.Repeat("FUZZ", 13)
	a := must(auth.New(auth.Config{
		Tokens:  []auth.Token{{Name: "x", Hash: auth.HashToken(secret), Admin: true}},
		Issuers: []auth.Issuer{{URL: i.URL, Audience: []string{"https://own.example/fhir/R4"}}},
	}, auth.Options{Definitions: criteria.R4(), Dev: true, Now: i.clock.now}))
	good := sign(jose.EdDSA, edwardKey(), members{"kid": "1"}, i.claims(members{"iss": i.URL}))
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		"", "Bearer " + good, "bearer " + secret, "Basic dTpw", "Bearer ..", "Bearer " + parts[0] + "." + parts[1] + ".",
		"Bearer " + encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + "." + parts[2], "Bearer " + parts[0] + "." + encode([]byte(`{}`)) + "." + parts[2],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		p, err := a.Authenticate(t.Context(), header)
		if (p == nil) == (err == nil) {
			t.Fatalf("%q: %v, %v", header, p, err)
		}
		if p == nil {
			return
		}
		_, token, _ := strings.Cut(header, " ")
		token = strings.TrimLeft(token, " ")
		if token != secret && token != good {
			t.Fatalf("%q lets %s in", header, p.Subject)
		}
	})
}
