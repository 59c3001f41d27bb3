package auth

import (
	"slices"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
)

// FuzzParseKeys: what an issuer may publish gives only public keys, each with algorithms that suit it.
func FuzzParseKeys(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[]}`, `{"keys":null}`, `{}`, `[]`, `{"keys":[{"kty":"oct","k":"AAAA","alg":"HS256"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"1"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","x5c":["AA"]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err != nil {
			return
		}
		if keys == nil {
			t.Fatal("a set without usable keys looks like none")
		}
		for _, k := range keys {
			if len(k.algs) == 0 || !(&jose.JSONWebKey{Key: k.public}).IsPublic() {
				t.Fatalf("%+v", k)
			}
			for _, a := range k.algs {
				if !slices.Contains(algorithms, a) {
					t.Fatalf("%s", a)
				}
			}
		}
	})
}
