package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"fhirhook/criteria"
	"fhirhook/fhir/auth"
)

// The keys of invented issuers, made once: RSA keys take their time.
var (
	rsaKey    = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakRSA   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	p256      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	edwardKey = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed([]byte(strings.Repeat("seed", 8))) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// clock is a time that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return at.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// issuer is an OIDC issuer on loopback.
type issuer struct {
	*httptest.Server

	clock clock
	jwks  atomic.Pointer[http.HandlerFunc]
	asked atomic.Int32 // for the keys
}

func newIssuer(t testing.TB, keys ...jose.JSONWebKey) *issuer {
	t.Helper()
	i := &issuer{}
	i.publish(keys...)
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		(*i.jwks.Load())(w, r)
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) answer(h http.HandlerFunc) { i.jwks.Store(&h) }

func (i *issuer) publish(keys ...jose.JSONWebKey) {
	text := must(json.Marshal(jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{}, keys...)}))
	i.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

func public(id string, key crypto.Signer, alg ...jose.SignatureAlgorithm) jose.JSONWebKey {
	k := jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig"}
	if len(alg) > 0 {
		k.Algorithm = string(alg[0])
	}
	return k
}

// authenticator trusts the issuer.
func (i *issuer) authenticator(t testing.TB, change ...func(*auth.Issuer)) *auth.Authenticator {
	t.Helper()
	c := auth.Issuer{URL: i.URL, Audience: []string{"https://own.example/fhir/R4"}}
	for _, f := range change {
		f(&c)
	}
	a, err := auth.New(auth.Config{Issuers: []auth.Issuer{c}}, auth.Options{Definitions: criteria.R4(), Dev: true, Now: i.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type members map[string]any

// claims are those of an ordinary token, with changes; nil leaves one out.
func (i *issuer) claims(changes ...members) members {
	c := members{
		"iss": i.URL, "sub": "app", "aud": "https://own.example/fhir/R4", "scope": "openid system/Observation.rs",
		"iat": i.clock.now().Unix(), "exp": i.clock.now().Add(10 * time.Minute).Unix(),
	}
	for _, change := range changes {
		for name, value := range change {
			c[name] = value
			if value == nil {
				delete(c, name)
			}
		}
	}
	return c
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes a JWT, of whatever header and claims.
func sign(alg jose.SignatureAlgorithm, key any, header members, claims any) string {
	payload, ok := claims.(string)
	if !ok {
		payload = string(must(json.Marshal(claims)))
	}
	o := jose.SignerOptions{}
	for name, value := range header {
		o.WithHeader(jose.HeaderKey(name), value)
	}
	signed := must(must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, &o)).Sign([]byte(payload)))
	return must(signed.CompactSerialize())
}

// reason is why a token is refused, 0 if it isn't. No error may hold a part of the token.
func reason(t testing.TB, a *auth.Authenticator, token string) auth.Reason {
	t.Helper()
	_, err := a.Authenticate(t.Context(), "Bearer "+token)
	if err == nil {
		return 0
	}
	refusal, ok := errors.AsType[*auth.RefusedError](err)
	if !ok {
		t.Fatalf("%T: %v", err, err)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 12 && strings.Contains(err.Error()+refusal.Challenge()+refusal.Unwrap().Error(), part) {
			t.Errorf("the error holds a part of the token: %v", err)
		}
	}
	return refusal.Reason
}
