package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

func TestJWT_ofEveryAlgorithm(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("r", rsaKey()), public("2", p256()), public("3", p384()), public("5", p521()), public("e", edwardKey()))
	a := i.authenticator(t)
	for _, tt := range []struct {
		alg jose.SignatureAlgorithm
		key any
		kid string
	}{
		{jose.RS256, rsaKey(), "r"},
		{jose.RS384, rsaKey(), "r"},
		{jose.RS512, rsaKey(), "r"},
		{jose.PS256, rsaKey(), "r"},
		{jose.PS384, rsaKey(), "r"},
		{jose.PS512, rsaKey(), "r"},
		{jose.ES256, p256(), "2"},
		{jose.ES384, p384(), "3"},
		{jose.ES512, p521(), "5"},
		{jose.EdDSA, edwardKey(), "e"},
	} {
		for _, header := range []members{{"kid": tt.kid}, {"kid": tt.kid, "typ": "at+jwt"}, {"kid": tt.kid, "typ": "application/at+JWT"}, {"typ": "JWT"}} {
			if got := reason(t, a, sign(tt.alg, tt.key, header, i.claims())); got != 0 {
				t.Errorf("%s %v: refused for reason %d", tt.alg, header, got)
			}
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestJWT_whoItIs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("1", p256()))
	exp := at.Add(10 * time.Minute).Truncate(time.Second)
	for _, tt := range []struct {
		name   string
		change members
		config func(*auth.Issuer)
		want   auth.Principal
		scopes string
	}{
		{name: "scope as text", want: auth.Principal{Tenant: fhir.DefaultTenant}, scopes: "openid system/Observation.rs"},
		{name: "scope as a list", change: members{"scope": []string{"system/Patient.read", "openid"}}, want: auth.Principal{Tenant: fhir.DefaultTenant}, scopes: "system/Patient.rs openid"},
		{name: "scp", change: members{"scope": nil, "scp": []string{"user/Patient.r system/*.s"}}, want: auth.Principal{Tenant: fhir.DefaultTenant}, scopes: "user/Patient.r system/*.s"},
		{name: "no scope", change: members{"scope": nil}, want: auth.Principal{Tenant: fhir.DefaultTenant}},
		{name: "what is no scope gives nothing", change: members{"scope": "system/Observation.sr x"}, want: auth.Principal{Tenant: fhir.DefaultTenant}, scopes: "system/Observation.sr x"},
		{name: "one of several audiences", change: members{"aud": []string{"other", "https://own.example/fhir/R4"}}, want: auth.Principal{Tenant: fhir.DefaultTenant}, scopes: "openid system/Observation.rs"},
		{name: "the issuer's tenant", config: func(c *auth.Issuer) { c.Tenant = "clinic" }, want: auth.Principal{Tenant: "clinic"}, scopes: "openid system/Observation.rs"},
		{name: "the token's tenant", config: func(c *auth.Issuer) { c.TenantClaim = "https://x.example/org" }, change: members{"https://x.example/org": "clinic-7"}, want: auth.Principal{Tenant: "clinic-7"}, scopes: "openid system/Observation.rs"},
		{name: "a tenant claim that is not configured", change: members{"tenant": "clinic"}, want: auth.Principal{Tenant: fhir.DefaultTenant}, scopes: "openid system/Observation.rs"},
		{name: "a patient", change: members{"patient": "p-1", "scope": "patient/*.rs"}, want: auth.Principal{Tenant: fhir.DefaultTenant, Patient: "p-1"}, scopes: "patient/*.rs"},
		{name: "an administrator", config: func(c *auth.Issuer) { c.Admin = true }, change: members{"scope": "fhirhook/admin"}, want: auth.Principal{Tenant: fhir.DefaultTenant, Admin: true}, scopes: "fhirhook/admin"},
		{name: "whom the issuer may not appoint", change: members{"scope": "fhirhook/admin"}, want: auth.Principal{Tenant: fhir.DefaultTenant}, scopes: "fhirhook/admin"},
		{name: "an admin claim that means nothing", config: func(c *auth.Issuer) { c.Admin = true }, change: members{"admin": true, "scope": "admin"}, want: auth.Principal{Tenant: fhir.DefaultTenant}, scopes: "admin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.config == nil {
				tt.config = func(*auth.Issuer) {}
			}
			token := sign(jose.ES256, p256(), members{"kid": "1"}, i.claims(tt.change))
			got, err := i.authenticator(t, tt.config).Authenticate(t.Context(), "Bearer "+token)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Issuer, tt.want.Subject, tt.want.Expires = i.URL, "app", exp
			if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreUnexported(auth.Principal{}), cmpopts.IgnoreFields(auth.Principal{}, "Scopes")); diff != "" {
				t.Error(diff)
			}
			if got.Scopes.String() != tt.scopes {
				t.Errorf("scopes %q, want %q", got.Scopes, tt.scopes)
			}
			if got.Access().Unlimited() != tt.want.Admin || got.Open() {
				t.Errorf("unlimited: %t", got.Access().Unlimited())
			}
		})
	}
}

// TestJWT_attacks are tokens that must not let anybody in. Each is genuine but for what its name tells.
func TestJWT_attacks(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("r", rsaKey()), public("2", p256()), public("3", p384()))
	other := newIssuer(t, public("r", otherRSA()))
	a := i.authenticator(t)
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(rsaKey().Public()))})
	asDER := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	asPKCS1 := x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)
	asJWK := must(json.Marshal(public("r", rsaKey())))
	good := sign(jose.RS256, rsaKey(), members{"kid": "r"}, i.claims())
	if got := reason(t, a, good); got != 0 {
		t.Fatalf("the genuine token is refused for reason %d", got)
	}
	parts := strings.Split(good, ".")
	raw := func(header, claims, signature string) string {
		return encode([]byte(header)) + "." + encode([]byte(claims)) + "." + signature
	}
	payload := string(must(json.Marshal(i.claims())))
	hmacOf := func(header string, key []byte) string {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(encode([]byte(header)) + "." + encode([]byte(payload))))
		return raw(header, payload, encode(m.Sum(nil)))
	}
	rs := func(header members, changes ...members) string {
		if header == nil {
			header = members{"kid": "r"}
		}
		return sign(jose.RS256, rsaKey(), header, i.claims(changes...))
	}
	exact := func(claims string) string { return sign(jose.RS256, rsaKey(), members{"kid": "r"}, claims) }
	now := at.Unix()

	type attack struct {
		name, token string
		want        auth.Reason
	}
	attacks := []attack{
		// The algorithm.
		{"alg none", raw(`{"alg":"none"}`, payload, ""), auth.Malformed},
		{"alg none with a signature", raw(`{"alg":"none","kid":"r"}`, payload, parts[2]), auth.Malformed},
		{"alg None", raw(`{"alg":"None"}`, payload, parts[2]), auth.Malformed},
		{"alg NONE", raw(`{"alg":"NONE"}`, payload, parts[2]), auth.Malformed},
		{"alg nOnE", raw(`{"alg":"nOnE"}`, payload, parts[2]), auth.Malformed},
		{"alg none and a blank", raw(`{"alg":"none "}`, payload, parts[2]), auth.Malformed},
		{"alg empty", raw(`{"alg":""}`, payload, parts[2]), auth.Malformed},
		{"alg missing", raw(`{"kid":"r"}`, payload, parts[2]), auth.Malformed},
		{"alg null", raw(`{"alg":null,"kid":"r"}`, payload, parts[2]), auth.Malformed},
		{"alg a list", raw(`{"alg":["RS256"],"kid":"r"}`, payload, parts[2]), auth.Malformed},
		{"alg in lower case", raw(`{"alg":"rs256","kid":"r"}`, payload, parts[2]), auth.Malformed},
		{"alg twice", raw(`{"alg":"none","alg":"RS256","kid":"r"}`, payload, parts[2]), auth.Malformed},
		{"alg and Alg", raw(`{"Alg":"RS256","kid":"r"}`, payload, parts[2]), auth.Malformed},
		{"HS256 with the public key as PEM", hmacOf(`{"alg":"HS256","kid":"r"}`, asPEM), auth.Malformed},
		{"HS256 with the public key as DER", hmacOf(`{"alg":"HS256","kid":"r"}`, asDER), auth.Malformed},
		{"HS256 with the public key as PKCS 1", hmacOf(`{"alg":"HS256","kid":"r"}`, asPKCS1), auth.Malformed},
		{"HS256 with the public key as JWK", hmacOf(`{"alg":"HS256","kid":"r"}`, asJWK), auth.Malformed},
		{"HS256 with the modulus", hmacOf(`{"alg":"HS256","kid":"r"}`, rsaKey().N.Bytes()), auth.Malformed},
		{"HS256 with nothing", hmacOf(`{"alg":"HS256","kid":"r"}`, nil), auth.Malformed},
		{"an HMAC that calls itself RS256", hmacOf(`{"alg":"RS256","kid":"r"}`, asPEM), auth.Unknown},
		{"RS256 with the key of another", sign(jose.RS256, otherRSA(), members{"kid": "r"}, i.claims()), auth.Unknown},
		{"ES256 with the kid of an RSA key", sign(jose.ES256, p256(), members{"kid": "r"}, i.claims()), auth.Unknown},
		{"RS256 with the kid of an EC key", sign(jose.RS256, rsaKey(), members{"kid": "2"}, i.claims()), auth.Unknown},
		{"ES256 by the kid of a P-384 key", sign(jose.ES256, p256(), members{"kid": "3"}, i.claims()), auth.Unknown},

		// The signature.
		{"no signature", parts[0] + "." + parts[1] + ".", auth.Malformed},
		{"no signature and no dot", parts[0] + "." + parts[1], auth.Malformed},
		{"the signature of another token", parts[0] + "." + encode([]byte(strings.Replace(payload, `"app"`, `"root"`, 1))) + "." + parts[2], auth.Unknown},
		{"a cut signature", good[:len(good)-6], auth.Unknown},
		{"a signature and more", good + "AAAA", auth.Unknown},
		{"RS256 all zero", raw(`{"alg":"RS256","kid":"r"}`, payload, encode(make([]byte, 256))), auth.Unknown},
		{"ES256 with r and s zero", raw(`{"alg":"ES256","kid":"2"}`, payload, encode(make([]byte, 64))), auth.Unknown},
		{"ES256 with r and s the order", raw(`{"alg":"ES256","kid":"2"}`, payload, encode(append(p256().Params().N.Bytes(), p256().Params().N.Bytes()...))), auth.Unknown},
		{"ES256 with r zero and s one", raw(`{"alg":"ES256","kid":"2"}`, payload, encode(append(make([]byte, 63), 1))), auth.Unknown},
		{"ES256 in DER", raw(`{"alg":"ES256","kid":"2"}`, payload, encode([]byte{0x30, 6, 2, 1, 0, 2, 1, 0})), auth.Unknown},
		{"ES256 too short", raw(`{"alg":"ES256","kid":"2"}`, payload, encode(make([]byte, 63))), auth.Unknown},

		// Where the key comes from.
		{"kid unknown", rs(members{"kid": "x"}), auth.Unknown},
		{"kid a path", rs(members{"kid": "../../../../dev/null"}), auth.Unknown},
		{"kid a file", rs(members{"kid": "/etc/passwd"}), auth.Unknown},
		{"kid a URL", rs(members{"kid": other.URL + "/keys"}), auth.Unknown},
		{"kid an SQL injection", rs(members{"kid": "x' UNION SELECT 'key"}), auth.Unknown},
		{"kid a command", rs(members{"kid": "r; touch /tmp/x"}), auth.Unknown},
		{"kid with a NUL", rs(members{"kid": "r\x00"}), auth.Unknown},
		{"kid empty", rs(members{"kid": ""}), auth.Malformed},
		{"kid a number", rs(members{"kid": 1}), auth.Malformed},
		{"kid a list", rs(members{"kid": []string{"r"}}), auth.Malformed},
		{"kid huge", rs(members{"kid": strings.Repeat("r", 600)}), auth.Malformed},
		{"jku to another's keys", sign(jose.RS256, otherRSA(), members{"kid": "r", "jku": other.URL + "/keys"}, i.claims()), auth.Unknown},
		{"x5u to another's keys", sign(jose.RS256, otherRSA(), members{"kid": "r", "x5u": other.URL + "/keys"}, i.claims()), auth.Unknown},
		{"its own key in jwk", embedded(i.claims()), auth.Unknown},
		{"its own key in jwk with our kid", embeddedAs("r", i.claims()), auth.Unknown},
		{"iss of another issuer with its key", sign(jose.RS256, otherRSA(), members{"kid": "r"}, i.claims(members{"iss": other.URL})), auth.WrongIssuer},

		// Headers that change what the rest means.
		{"crit", rs(members{"kid": "r", "crit": []string{"exp"}, "exp": 1}), auth.Malformed},
		{"crit empty", raw(`{"alg":"RS256","kid":"r","crit":[]}`, payload, parts[2]), auth.Malformed},
		{"b64 false", raw(`{"alg":"RS256","kid":"r","b64":false,"crit":["b64"]}`, payload, parts[2]), auth.Malformed},
		{"cty JWT, nested", sign(jose.RS256, rsaKey(), members{"kid": "r", "cty": "JWT"}, good), auth.Malformed},
		{"nested without cty", sign(jose.RS256, rsaKey(), members{"kid": "r"}, good), auth.Malformed},
		{"zip", rs(members{"kid": "r", "zip": "DEF"}), auth.Malformed},
		{"enc", rs(members{"kid": "r", "enc": "A128GCM"}), auth.Malformed},
		{"typ of a logout token", rs(members{"kid": "r", "typ": "logout+jwt"}), auth.Malformed},
		{"typ of a DPoP proof", rs(members{"kid": "r", "typ": "dpop+jwt"}), auth.Malformed},
		{"typ a number", rs(members{"kid": "r", "typ": 1}), auth.Malformed},
		{"a header that is a list", raw(`["RS256"]`, payload, parts[2]), auth.Malformed},
		{"a header and more", raw(`{"alg":"RS256","kid":"r"}{}`, payload, parts[2]), auth.Malformed},

		// The form.
		{"five parts, as encrypted", "a.b.c.d.e", auth.Malformed},
		{"four parts", good + ".x", auth.Malformed},
		{"many dots", strings.Repeat(".", 8000), auth.Malformed},
		{"only dots", "..", auth.Malformed},
		{"a dot in front", "." + good, auth.Malformed},
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], auth.Malformed},
		{"padding at the end", good + "==", auth.Malformed},
		{"base64 of another alphabet", parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 171), auth.Malformed},
		{"base64 with left-over bits", parts[0] + "." + parts[1] + "." + leftover(parts[2]), auth.Malformed},
		{"a line break", parts[0] + ".\n" + parts[1] + "." + parts[2], auth.Malformed},
		{"a blank in the middle", parts[0] + ". " + parts[1] + "." + parts[2], auth.Malformed},
		{"huge", raw(`{"alg":"RS256","kid":"r"}`, strings.Repeat(" ", 9000), parts[2]), auth.Malformed},
		{"JSON serialisation", fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, parts[1], parts[0], parts[2]), auth.Malformed},
		{"deep claims", exact(strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)), auth.Malformed},

		// The claims.
		{"claims that are a list", exact(`[]`), auth.Malformed},
		{"claims that are text", exact(`"x"`), auth.Malformed},
		{"claims that are no JSON", exact(`x`), auth.Malformed},
		{"iss twice", exact(strings.Replace(payload, "{", `{"iss":"https://other.example",`, 1)), auth.Malformed},
		{"exp twice", exact(strings.Replace(payload, "{", fmt.Sprintf(`{"exp":%d,`, now+600), 1)), auth.Malformed},
		{"sub twice by an escape", exact(strings.Replace(payload, "{", `{"su\u0062":"root",`, 1)), auth.Malformed},
		{"claims that are no UTF-8", exact(strings.Replace(payload, `"app"`, "\"a\xff\"", 1)), auth.Malformed},
		{"iss missing", rs(nil, members{"iss": nil}), auth.WrongIssuer},
		{"iss with a slash behind", rs(nil, members{"iss": i.URL + "/"}), auth.WrongIssuer},
		{"iss with a blank behind", rs(nil, members{"iss": i.URL + " "}), auth.WrongIssuer},
		{"iss in upper case", rs(nil, members{"iss": strings.ToUpper(i.URL)}), auth.WrongIssuer},
		{"iss shorter", rs(nil, members{"iss": i.URL[:len(i.URL)-1]}), auth.WrongIssuer},
		{"iss longer", rs(nil, members{"iss": i.URL + ".evil.example"}), auth.WrongIssuer},
		{"iss a list", rs(nil, members{"iss": []string{i.URL}}), auth.WrongIssuer},
		{"iss of static tokens", rs(nil, members{"iss": auth.CreatedTokens}), auth.WrongIssuer},
		{"aud missing", rs(nil, members{"aud": nil}), auth.Unfit},
		{"aud empty", rs(nil, members{"aud": ""}), auth.WrongAudience},
		{"aud an empty list", rs(nil, members{"aud": []string{}}), auth.WrongAudience},
		{"aud another", rs(nil, members{"aud": "https://other.example"}), auth.WrongAudience},
		{"aud a prefix", rs(nil, members{"aud": "https://own.example/fhir"}), auth.WrongAudience},
		{"aud longer", rs(nil, members{"aud": "https://own.example/fhir/R4/x"}), auth.WrongAudience},
		{"aud with a slash behind", rs(nil, members{"aud": "https://own.example/fhir/R4/"}), auth.WrongAudience},
		{"aud in upper case", rs(nil, members{"aud": "https://OWN.example/fhir/R4"}), auth.WrongAudience},
		{"aud two in one text", rs(nil, members{"aud": "x https://own.example/fhir/R4"}), auth.WrongAudience},
		{"aud an object", rs(nil, members{"aud": members{"https://own.example/fhir/R4": true}}), auth.Unfit},
		{"aud a list of lists", rs(nil, members{"aud": [][]string{{"https://own.example/fhir/R4"}}}), auth.Unfit},
		{"aud a number", rs(nil, members{"aud": 1}), auth.Unfit},
		{"exp missing", rs(nil, members{"exp": nil}), auth.Unfit},
		{"exp null", exact(strings.Replace(payload, fmt.Sprintf(`"exp":%d`, now+600), `"exp":null`, 1)), auth.Unfit},
		{"exp a text", rs(nil, members{"exp": "9999999999"}), auth.Unfit},
		{"exp negative", rs(nil, members{"exp": -1}), auth.Unfit},
		{"exp beyond all time", rs(nil, members{"exp": 1e18}), auth.Unfit},
		{"exp beyond all numbers", exact(strings.Replace(payload, fmt.Sprintf(`"exp":%d`, now+600), `"exp":1e999`, 1)), auth.Unfit},
		{"exp zero", rs(nil, members{"exp": 0}), auth.Expired},
		{"exp over by a minute", rs(nil, members{"exp": now - 60}), auth.Expired},
		{"nbf in two minutes", rs(nil, members{"nbf": now + 120}), auth.Early},
		{"nbf a text", rs(nil, members{"nbf": "0"}), auth.Unfit},
		{"iat in two minutes", rs(nil, members{"iat": now + 120}), auth.Early},
		{"iat a text", rs(nil, members{"iat": "0"}), auth.Unfit},
		{"sub missing", rs(nil, members{"sub": nil}), auth.Unfit},
		{"sub empty", rs(nil, members{"sub": ""}), auth.Unfit},
		{"sub a number", rs(nil, members{"sub": 5}), auth.Unfit},
		{"sub huge", rs(nil, members{"sub": strings.Repeat("x", 600)}), auth.Unfit},
		{"scope an object", rs(nil, members{"scope": members{}}), auth.Unfit},
		{"scope a list of numbers", rs(nil, members{"scope": []int{1}}), auth.Unfit},
		{"more scopes than anybody needs", rs(nil, members{"scope": strings.Repeat("a ", 600)}), auth.Unfit},
		{"patient two ids", rs(nil, members{"patient": "1,2"}), auth.Unfit},
		{"patient a reference", rs(nil, members{"patient": "Patient/1"}), auth.Unfit},
		{"patient a list", rs(nil, members{"patient": []string{"1"}}), auth.Unfit},
		{"patient empty", rs(nil, members{"patient": ""}), auth.Unfit},
	}
	if len(attacks) < 100 {
		t.Errorf("%d attacks", len(attacks))
	}
	for _, tt := range attacks {
		if got := reason(t, a, tt.token); got != tt.want {
			t.Errorf("%s: reason %d, want %d", tt.name, got, tt.want)
		}
	}
	if n := other.asked.Load(); n != 0 {
		t.Errorf("a token made the server fetch keys from where it said, %d times", n)
	}
	if n := i.asked.Load(); n > 2 {
		t.Errorf("invented kids made the server fetch keys %d times", n)
	}
	if got := reason(t, a, good); got != 0 {
		t.Errorf("after all that the genuine token is refused for reason %d", got)
	}
}

// embedded is a token that brings its own key.
func embedded(claims members) string { return embeddedAs("", claims) }

func embeddedAs(kid string, claims members) string {
	key := jose.JSONWebKey{Key: otherRSA(), KeyID: kid}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, &jose.SignerOptions{EmbedJWK: true}))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// leftover sets bits behind the last whole byte, which some decoders pass over.
func leftover(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last^1])
}

func TestJWT_headersThatAreIgnored(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("r", rsaKey()))
	elsewhere := newIssuer(t)
	a := i.authenticator(t)
	for _, header := range []members{
		{"kid": "r", "jku": elsewhere.URL + "/keys"}, {"kid": "r", "x5u": elsewhere.URL + "/keys"}, {"kid": "r", "x5t": "abc"}, {"kid": "r", "unheard-of": members{"a": 1}},
	} {
		if got := reason(t, a, sign(jose.RS256, rsaKey(), header, i.claims())); got != 0 {
			t.Errorf("%v: refused for reason %d", header, got)
		}
	}
	if elsewhere.asked.Load() != 0 {
		t.Error("a header made the server fetch something")
	}
}

// TestJWT_clocks: a minute is forgiven, in both directions, and a cached token ends when it has to.
func TestJWT_clocks(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("1", p256()))
	a := i.authenticator(t)
	now := at.Unix()
	early := sign(jose.ES256, p256(), members{"kid": "1"}, i.claims(members{"nbf": now + 59, "iat": now + 59}))
	if got := reason(t, a, early); got != 0 {
		t.Errorf("a minute early: %d", got)
	}
	short := sign(jose.ES256, p256(), members{"kid": "1"}, i.claims(members{"exp": float64(now) + 1.5}))
	for _, step := range []struct {
		after time.Duration
		want  auth.Reason
	}{
		{0, 0},
		{60 * time.Second, 0},
		{time.Second, auth.Expired},
		{time.Hour, auth.Expired},
	} {
		i.clock.advance(step.after)
		if got := reason(t, a, short); got != step.want {
			t.Errorf("at %s: reason %d, want %d", i.clock.now(), got, step.want)
		}
	}
}

func TestJWT_onlyTheAlgorithmsThatAreConfigured(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("r", rsaKey()), public("2", p256(), jose.ES256), public("p", otherRSA(), jose.PS256))
	a := i.authenticator(t, func(c *auth.Issuer) { c.Algorithms = []string{"ES256"} })
	if got := reason(t, a, sign(jose.RS256, rsaKey(), members{"kid": "r"}, i.claims())); got != auth.Malformed {
		t.Errorf("RS256: %d", got)
	}
	if got := reason(t, a, sign(jose.ES256, p256(), members{"kid": "2"}, i.claims())); got != 0 {
		t.Errorf("ES256: %d", got)
	}
	all := i.authenticator(t)
	if got := reason(t, all, sign(jose.RS256, otherRSA(), members{"kid": "p"}, i.claims())); got != auth.Unknown {
		t.Errorf("RS256 by a key for PS256: %d", got)
	}
	if got := reason(t, all, sign(jose.PS256, otherRSA(), members{"kid": "p"}, i.claims())); got != 0 {
		t.Errorf("PS256 by a key for PS256: %d", got)
	}
}

// TestJWT_keysThatAreLeftOut: what an issuer should not have published is not used, and spoils nothing.
func TestJWT_keysThatAreLeftOut(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("a published secret", 4))
	encryption := public("enc", otherRSA())
	encryption.Use = "enc"
	i := newIssuer(
		t, jose.JSONWebKey{Key: secret, KeyID: "oct", Algorithm: "HS256"}, public("weak", weakRSA()), encryption,
		jose.JSONWebKey{Key: otherRSA(), KeyID: "private"}, public("other alg", otherRSA(), "RSA-OAEP"), public("good", rsaKey()),
	)
	good := *i.jwks.Load()
	i.answer(func(w http.ResponseWriter, r *http.Request) {
		caught := httptest.NewRecorder()
		good(caught, r)
		_, _ = w.Write([]byte(strings.Replace(caught.Body.String(), `{"keys":[`, `{"keys":[null,5,{},{"kty":"XYZ"},{"kty":"RSA","n":"x"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},`, 1)))
	})
	a := i.authenticator(t)
	for _, tt := range []struct {
		kid, token string
		want       auth.Reason
	}{
		{"oct", sign(jose.HS256, secret, members{"kid": "oct"}, i.claims()), auth.Malformed},
		{"weak", sign(jose.RS256, weakRSA(), members{"kid": "weak"}, i.claims()), auth.Unknown},
		{"enc", sign(jose.RS256, otherRSA(), members{"kid": "enc"}, i.claims()), auth.Unknown},
		{"private", sign(jose.RS256, otherRSA(), members{"kid": "private"}, i.claims()), auth.Unknown},
		{"other alg", sign(jose.RS256, otherRSA(), members{"kid": "other alg"}, i.claims()), auth.Unknown},
		{"no kid", sign(jose.RS256, otherRSA(), nil, i.claims()), auth.Unknown},
		{"good", sign(jose.RS256, rsaKey(), members{"kid": "good"}, i.claims()), 0},
	} {
		if got := reason(t, a, tt.token); got != tt.want {
			t.Errorf("%s: reason %d, want %d", tt.kid, got, tt.want)
		}
	}
}

func TestJWT_tenantsThatAreNotThere(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("1", p256()))
	a := i.authenticator(t, func(c *auth.Issuer) { c.TenantClaim = "org" })
	for _, org := range []any{nil, "", "../x", "a\x00b", []string{"clinic"}, 5, strings.Repeat("a", 65), ".hidden"} {
		if got := reason(t, a, sign(jose.ES256, p256(), members{"kid": "1"}, i.claims(members{"org": org}))); got != auth.Unfit {
			t.Errorf("%v: %d", org, got)
		}
	}
}

func BenchmarkAuthenticate_cachedJWT(b *testing.B) {
	i := newIssuer(b, public("r", rsaKey()))
	a := i.authenticator(b)
	header := "Bearer " + sign(jose.RS256, rsaKey(), members{"kid": "r"}, i.claims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(b.Context(), header); err != nil {
			b.Fatal(err)
		}
	}
}
