package resthook

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/channel"
)

// authorized is an endpoint that wants tokens, and the server that gives them.
type authorized struct {
	endpoint, issuer *endpointServer
	secret           string // file
	hook             *Channel
	network          *Network

	given  atomic.Int64     // tokens given
	grant  http.HandlerFunc // instead of giving one
	accept func(authorization string) bool
}

func newAuthorized(t *testing.T) *authorized {
	t.Helper()
	a := &authorized{secret: write(t, filepath.Join(t.TempDir(), "secret"), []byte("client-s3cret\n"))}
	a.endpoint = newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		got := r.Header.Get("Authorization")
		if !strings.HasPrefix(got, "Bearer tkn-") || a.accept != nil && !a.accept(got) {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprintf(w, "you sent %s", got)
	})
	a.endpoint.StartTLS()
	a.issuer = newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		name, secret, _ := r.BasicAuth()
		if a.grant != nil {
			a.grant(w, r)
			return
		}
		if name != "ward" || secret != "client-s3cret" || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"tkn-%d-of-the-issuer","token_type":"bearer","expires_in":3600}`, a.given.Add(1))
	})
	a.issuer.StartTLS()
	pool := x509.NewCertPool()
	pool.AddCert(a.endpoint.Certificate())
	pool.AddCert(a.issuer.Certificate())
	a.hook, a.network = hookTo(t, NetworkOptions{RootCAs: pool, Origins: []Origin{{Origin: a.endpoint.URL, OAuth2: &OAuth2{
		TokenURL: a.issuer.URL + "/token", ClientID: "ward", ClientSecretFile: a.secret, Scopes: []string{"notify", "read"}, Audience: "ris",
	}}}})
	return a
}

func (a *authorized) send(t *testing.T, headers ...channel.Header) (channel.Reply, *channel.SendError) {
	t.Helper()
	reply, err := a.hook.Send(t.Context(), channel.Message{
		Target: channel.Target{Endpoint: a.endpoint.URL + "/hook", Headers: headers, Timeout: time.Minute}, ID: "1", Event: "ping", Test: true,
	})
	e, ok := errors.AsType[*channel.SendError](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	for _, text := range []string{string(reply.Body), fmt.Sprint(err)} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, "tkn-") {
			t.Errorf("a secret was told: %s", text)
		}
	}
	return reply, e
}

func (a *authorized) tokens() *tokens {
	for _, o := range a.network.origins {
		return o.tokens
	}
	return nil
}

func TestOAuth_tokenIsKept(t *testing.T) {
	a := newAuthorized(t)
	for range 3 {
		reply, err := a.send(t)
		if err != nil || string(reply.Body) != "you sent ********" {
			t.Fatalf("%s, %v", reply.Body, err)
		}
	}
	asked := a.issuer.requests()
	if len(asked) != 1 || asked[0].FormValue("scope") != "notify read" || asked[0].FormValue("audience") != "ris" || asked[0].UserAgent() != Product {
		t.Errorf("asked %d times, the first for %v", len(asked), asked[0].Form)
	}
	if got := a.endpoint.requests()[2].Header["Authorization"]; len(got) != 1 || got[0] != "Bearer tkn-1-of-the-issuer" {
		t.Errorf("the endpoint got %v", got)
	}
	own := a.tokens()
	if left := time.Until(own.until); left > time.Hour-earlier || left < time.Hour-2*earlier {
		t.Errorf("the token counts for %s", left)
	}
	own.until = time.Now()
	if _, err := a.send(t); err != nil || a.given.Load() != 2 {
		t.Errorf("%v, %d tokens after the first ran out", err, a.given.Load())
	}
}

// A token that was revoked is replaced within the attempt; an endpoint that takes none is not asked for ever.
func TestOAuth_refusedTokenIsReplacedOnce(t *testing.T) {
	a := newAuthorized(t)
	if _, err := a.send(t); err != nil {
		t.Fatal(err)
	}
	a.accept = func(got string) bool { return got != "Bearer tkn-1-of-the-issuer" }
	if reply, err := a.send(t); err != nil || reply.Status != 200 {
		t.Errorf("%d, %v", reply.Status, err)
	}
	if n := len(a.endpoint.requests()); n != 3 || a.given.Load() != 2 {
		t.Errorf("%d requests with %d tokens", n, a.given.Load())
	}
	a.accept = func(string) bool { return false }
	reply, err := a.send(t)
	if err == nil || err.Class != ClassAuth || reply.Status != http.StatusUnauthorized || !strings.Contains(err.Hint, "scopes and audience") {
		t.Errorf("%d, %v", reply.Status, err)
	}
	if n := len(a.endpoint.requests()); n != 5 || a.given.Load() != 3 {
		t.Errorf("%d requests with %d tokens", n, a.given.Load())
	}
}

func TestOAuth_failures(t *testing.T) {
	elsewhere := newEndpoint(t, nil)
	elsewhere.Start()
	answer := func(status int, media, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", media)
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const json = "application/json"
	tests := []struct {
		name  string
		grant http.HandlerFunc
		hint  string
	}{
		{"a wrong secret", answer(401, json, `{"error":"invalid_client","error_description":"client-s3cret is wrong"}`), "401, invalid_client"},
		{"an error that is told with 200", answer(200, json, `{"error":"invalid_scope"}`), "invalid_scope"},
		{"an error of its own, with a secret", answer(400, json, `{"error":"client-s3cret"}`), "answered 400"},
		{"an error that is no JSON", answer(503, "text/html", "client-s3cret"), "answered 503"},
		{"a redirect", answer(307, json, ""), "redirects are not followed"},
		{"a redirect by GET", answer(302, json, ""), "redirects are not followed"},
		{"no JSON", answer(200, json, "client-s3cret"), "no token"},
		{"no token in it", answer(200, json, `{"token_type":"bearer"}`), "no token"},
		{"another type", answer(200, json, `{"access_token":"tkn-1","token_type":"mac"}`), "another type"},
		{"a token with a line break", answer(200, json, `{"access_token":"tkn-1\r\nX-Evil: 1","token_type":"bearer"}`), "can't stand in a header"},
		{"a token with a blank", answer(200, json, `{"access_token":"tkn-1 x","token_type":"bearer"}`), "can't stand in a header"},
		{"a giant token", answer(200, json, `{"access_token":"tkn-`+strings.Repeat("x", 1<<16)+`","token_type":"bearer"}`), "can't stand in a header"},
		{"a giant answer", answer(200, json, `{"access_token":"`+strings.Repeat("x", 4<<20)), "no token"},
		{"a hang-up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the token endpoint: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthorized(t)
			a.grant = tt.grant
			_, err := a.send(t)
			if err == nil || err.Class != ClassAuth || !strings.Contains(err.Hint, tt.hint) {
				t.Errorf("got %v, want %q", err, tt.hint)
			}
			if n := len(a.endpoint.requests()); n != 0 {
				t.Errorf("%d requests without a token", n)
			}
			a.grant = nil
			if _, err := a.send(t); err != nil {
				t.Errorf("once it is mended: %v", err)
			}
		})
	}
	if n := len(elsewhere.requests()); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// The secret may be changed while the server runs, and its file may be broken for a while.
func TestOAuth_secretIsReadEachTime(t *testing.T) {
	a := newAuthorized(t)
	write(t, a.secret, []byte("\n"))
	if _, err := a.send(t); err == nil || err.Class != ClassAuth || !strings.Contains(err.Hint, "client-secret-file") {
		t.Errorf("got %v", err)
	}
	write(t, a.secret, []byte("client-s3cret"))
	if _, err := a.send(t); err != nil {
		t.Error(err)
	}
}

// slowIssuer takes a second for each answer.
type slowIssuer struct {
	status int
	asked  atomic.Int64
}

func (i *slowIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.asked.Add(1)
	<-time.After(time.Second)
	return &http.Response{
		StatusCode: i.status, Request: r, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"access_token":"tkn-shared","token_type":"bearer","expires_in":20}`)),
	}, nil
}

// Many that wait for a token share one, and share its failure; who asks later asks anew.
func TestOAuth_oneFetchForMany(t *testing.T) {
	secret := write(t, filepath.Join(t.TempDir(), "secret"), []byte("client-s3cret"))
	for _, tt := range []struct {
		status, once, failed int64 // once: requests of one fetch; the library tries both ways of sending the secret
	}{{200, 1, 0}, {502, 2, 20}} {
		synctest.Test(t, func(t *testing.T) {
			issuer := &slowIssuer{status: int(tt.status)}
			own := newTokens(OAuth2{TokenURL: "https://id.example/token", ClientID: "ward", ClientSecretFile: secret}, nil)
			own.client.Transport = issuer
			var failed atomic.Int64
			many := func() {
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						if _, err := own.get(t.Context(), ""); err != nil {
							failed.Add(1)
						}
					})
				}
				wg.Wait()
			}
			many()
			if failed.Load() != tt.failed || issuer.asked.Load() != tt.once {
				t.Errorf("%d: %d failed after %d requests", tt.status, failed.Load(), issuer.asked.Load())
			}
			<-time.After(15 * time.Second) // a quarter of its life is left out
			many()
			if want := 2 * tt.once; issuer.asked.Load() != want {
				t.Errorf("%d: %d requests, want %d", tt.status, issuer.asked.Load(), want)
			}
		})
	}
}

// A token endpoint is judged like any: by what its name resolves to when it is dialled.
func TestOAuth_tokenEndpointIsJudged(t *testing.T) {
	c := newCanary(t)
	secret := write(t, filepath.Join(t.TempDir(), "secret"), []byte("client-s3cret"))
	z := newZone(map[string][]string{"id.example": {"127.0.0.1"}})
	n, err := NewNetwork(NetworkOptions{Resolver: z.resolver(), admitted: c.admit, Origins: []Origin{{
		Origin: "https://ris.example", OAuth2: &OAuth2{TokenURL: "https://id.example:" + c.port + "/token", ClientID: "ward", ClientSecretFile: secret},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	hook := New(Options{Network: n})
	defer hook.Close()
	err = ping(t, hook, "https://ris.example/hook")
	e, ok := errors.AsType[*channel.SendError](err)
	if !ok || e.Class != ClassAuth || !strings.Contains(e.Hint, "id.example resolves to 127.0.0.1") {
		t.Errorf("got %v", err)
	}
	if connections, admitted := c.look(); connections > 0 || len(admitted) > 0 {
		t.Errorf("%d connections, leave for %v", connections, admitted)
	}
}

func TestOAuth_authorizationOfTheSubscriptionIsRefused(t *testing.T) {
	a := newAuthorized(t)
	target := channel.Target{Endpoint: a.endpoint.URL, Headers: []channel.Header{{Name: "X-A", Value: "1"}, {Name: "authorization", Value: "Bearer mine"}}}
	if i, err := a.network.CheckTarget(target); err == nil || i != 1 || !strings.Contains(err.Error(), "remove that line") || strings.Contains(err.Error(), "mine") {
		t.Errorf("got %v", err)
	}
	if _, err := a.send(t, target.Headers...); err == nil || err.Class != ClassMessage || !err.Unbuilt {
		t.Errorf("sent: %v", err)
	}
	if n := len(a.endpoint.requests()) + len(a.issuer.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, fine := range []channel.Target{
		{Endpoint: "https://elsewhere.example", Headers: target.Headers},
		{Endpoint: strings.Replace(a.endpoint.URL, "https", "http", 1), Headers: target.Headers},
		{Endpoint: a.endpoint.URL, Headers: []channel.Header{{Name: "X-Authorization", Value: "1"}}},
	} {
		if _, err := a.network.CheckTarget(fine); err != nil {
			t.Errorf("%+v: %v", fine, err)
		}
	}
}

// The time for a token is part of the attempt's.
func TestOAuth_silentTokenEndpoint(t *testing.T) {
	a := newAuthorized(t)
	end := make(chan struct{}) // closed when the test ends
	defer close(end)
	a.grant = func(http.ResponseWriter, *http.Request) { <-end }
	_, err := a.hook.Send(t.Context(), channel.Message{
		Target: channel.Target{Endpoint: a.endpoint.URL, Timeout: time.Second}, ID: "1", Event: "ping", Test: true,
	})
	e, ok := errors.AsType[*channel.SendError](err)
	if !ok || e.Class != ClassAuth || !strings.Contains(e.Hint, "in time") {
		t.Errorf("got %v", err)
	}
}
