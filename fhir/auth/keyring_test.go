package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"fhirhook/criteria"
	"fhirhook/fhir/auth"
)

// TestKeys_rotation: a new key is found by its first token, and one that was taken back is no good any more,
// also for tokens that were seen before.
func TestKeys_rotation(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("old", rsaKey()))
	a := i.authenticator(t)
	long := members{"exp": at.Add(24 * time.Hour).Unix()}
	old := sign(jose.RS256, rsaKey(), members{"kid": "old"}, i.claims(long))
	fresh := sign(jose.ES256, p256(), members{"kid": "new"}, i.claims(long))
	again := sign(jose.RS256, rsaKey(), members{"kid": "old"}, i.claims(long, members{"jti": "2"}))
	expect := func(step, token string, want auth.Reason) {
		t.Helper()
		if got := reason(t, a, token); got != want {
			t.Errorf("%s: reason %d, want %d", step, got, want)
		}
	}
	expect("at first", old, 0)
	i.publish(public("old", rsaKey()), public("new", p256()))
	i.clock.advance(11 * time.Second)
	expect("both are published", fresh, 0)
	expect("both are published", old, 0)
	i.publish(public("new", p256()))
	i.clock.advance(time.Minute)
	expect("taken back, and not looked at yet", old, 0)
	expect("somebody sends an unknown kid", sign(jose.RS256, otherRSA(), members{"kid": "x"}, i.claims(long)), auth.Unknown)
	expect("taken back, and seen before", old, auth.Unknown)
	expect("taken back, and never seen", again, auth.Unknown)
	expect("the new one", fresh, 0)
	i.publish()
	i.clock.advance(11 * time.Minute) // the keys are old now: the next one looks
	expect("nothing is published", again, auth.Unknown)
	expect("nothing is published", fresh, auth.Unknown)
}

// TestKeys_areFetchedNowAndThen: without anybody asking for a new key a withdrawn one ends with its age.
func TestKeys_areFetchedNowAndThen(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("1", p256()))
	a := i.authenticator(t)
	token := func(n int) string {
		return sign(jose.ES256, p256(), members{"kid": "1"}, i.claims(members{"jti": fmt.Sprint(n)}))
	}
	for n := range 20 {
		if got := reason(t, a, token(n)); got != 0 {
			t.Fatalf("after %d minutes: %d", n, got)
		}
		i.clock.advance(time.Minute)
	}
	if n := i.asked.Load(); n < 2 || n > 3 {
		t.Errorf("the keys were fetched %d times in 20 minutes", n)
	}
}

// TestKeys_unavailable: what an issuer may answer instead of keys. Nobody is let in, and somebody is told.
func TestKeys_unavailable(t *testing.T) {
	t.Parallel()
	elsewhere := newIssuer(t, public("1", p256()))
	for name, answer := range map[string]http.HandlerFunc{
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"404":     http.NotFound,
		"204":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"garbage": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"no keys": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") },
		"null":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":null}`) },
		"a list":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[]`) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/keys", http.StatusFound)
		},
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			for range 2000 {
				if _, err := fmt.Fprint(w, strings.Repeat(" ", 1024)); err != nil {
					return
				}
			}
			(*elsewhere.jwks.Load())(w, nil)
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"keys":[`)
		},
		"too many keys": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"keys":[`+strings.Repeat(`{"kty":"EC"},`, 200)+`{}]}`)
		},
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.answer(answer)
			a := i.authenticator(t)
			token := sign(jose.ES256, p256(), members{"kid": "1"}, i.claims())
			for range 3 {
				if got := reason(t, a, token); got != auth.KeysUnavailable {
					t.Errorf("reason %d", got)
				}
			}
			if n := i.asked.Load(); n != 1 {
				t.Errorf("the keys were asked for %d times within a moment", n)
			}
			i.publish(public("1", p256()))
			i.clock.advance(11 * time.Second)
			if got := reason(t, a, token); got != 0 {
				t.Errorf("once the keys are there: reason %d", got)
			}
		})
	}
	if elsewhere.asked.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// TestKeys_outliveAnOutage: an issuer that is down for a while ends nothing; one that is down for long ends
// everything.
func TestKeys_outliveAnOutage(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("1", p256()))
	a := i.authenticator(t)
	token := sign(jose.ES256, p256(), members{"kid": "1"}, i.claims(members{"exp": at.Add(24 * time.Hour).Unix()}))
	if got := reason(t, a, token); got != 0 {
		t.Fatal(got)
	}
	i.answer(http.NotFound)
	for _, step := range []struct {
		after time.Duration
		want  auth.Reason
	}{{59 * time.Minute, 0}, {2 * time.Minute, auth.KeysUnavailable}} {
		i.clock.advance(step.after)
		if got := reason(t, a, token); got != step.want {
			t.Errorf("at %s: reason %d, want %d", i.clock.now(), got, step.want)
		}
	}
}

// TestKeys_hangingIssuer: who waits may hang up, which neither ends the fetch nor uses up the try; known keys go on.
func TestKeys_hangingIssuer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("1", p256()))
	a := i.authenticator(t)
	known := sign(jose.ES256, p256(), members{"kid": "1"}, i.claims())
	if got := reason(t, a, known); got != 0 {
		t.Fatal(got)
	}
	i.clock.advance(11 * time.Second)
	arrived, release := make(chan struct{}), make(chan struct{})
	i.answer(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		fmt.Fprint(w, `{"keys":[`+string(must(public("2", p384()).MarshalJSON()))+`]}`)
	})
	first, hangUp := context.WithCancel(t.Context())
	var all sync.WaitGroup
	fresh := "Bearer " + sign(jose.ES384, p384(), members{"kid": "2"}, i.claims())
	all.Go(func() {
		if _, err := a.Authenticate(first, fresh); err != nil {
			t.Errorf("the one who fetched: %v", err)
		}
	})
	<-arrived
	hangUp()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Authenticate(gone, fresh); err == nil {
		t.Error("who has hung up and could not know is let in")
	}
	if got := reason(t, a, sign(jose.ES256, p256(), members{"kid": "1"}, i.claims(members{"jti": "x"}))); got != 0 {
		t.Errorf("a known key, meanwhile: reason %d", got)
	}
	for range 4 {
		all.Go(func() {
			if _, err := a.Authenticate(t.Context(), fresh); err != nil {
				t.Errorf("one who waited: %v", err)
			}
		})
	}
	close(release)
	all.Wait()
	if n := i.asked.Load(); n != 2 {
		t.Errorf("the keys were asked for %d times", n)
	}
}

// TestKeys_invented: a flood of invented kids makes one fetch in ten seconds.
func TestKeys_invented(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("1", p256()))
	a := i.authenticator(t)
	for n := range 100 {
		if got := reason(t, a, sign(jose.ES256, p256(), members{"kid": fmt.Sprint("x", n)}, i.claims())); got != auth.Unknown {
			t.Fatalf("reason %d", got)
		}
		i.clock.advance(500 * time.Millisecond)
	}
	if n := i.asked.Load(); n < 4 || n > 6 {
		t.Errorf("the keys were asked for %d times in 50 s", n)
	}
}

func TestDiscovery_isNotBelievedBlindly(t *testing.T) {
	t.Parallel()
	keys := newIssuer(t, public("1", p256()))
	for name, doc := range map[string]string{
		"another issuer":     `{"issuer":"https://other.example","jwks_uri":"` + keys.URL + `/keys"}`,
		"a slash more":       `{"issuer":"ISSUER/","jwks_uri":"` + keys.URL + `/keys"}`,
		"no issuer":          `{"jwks_uri":"` + keys.URL + `/keys"}`,
		"no keys":            `{"issuer":"ISSUER"}`,
		"keys without TLS":   `{"issuer":"ISSUER","jwks_uri":"http://keys.example/keys"}`,
		"keys in a file":     `{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}`,
		"keys at a user's":   `{"issuer":"ISSUER","jwks_uri":"https://u:p@keys.example/keys"}`,
		"no document":        `nothing`,
		"keys at a metadata": `{"issuer":"ISSUER","jwks_uri":"http://169.254.169.254/latest/meta-data"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := &issuer{}
			i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, strings.ReplaceAll(doc, "ISSUER", i.URL))
			}))
			t.Cleanup(i.Close)
			if got := reason(t, i.authenticator(t), sign(jose.ES256, p256(), members{"kid": "1"}, i.claims())); got != auth.KeysUnavailable {
				t.Errorf("reason %d", got)
			}
		})
	}
	if keys.asked.Load() != 0 {
		t.Error("keys were fetched all the same")
	}
}

// TestJWKS_withoutDiscovery: the configuration may say where the keys are.
func TestJWKS_withoutDiscovery(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("1", p256()))
	const name = "https://issuer.example/realm"
	a := i.authenticator(t, func(c *auth.Issuer) { c.URL, c.JWKS = name, i.URL+"/keys" })
	if got := reason(t, a, sign(jose.ES256, p256(), members{"kid": "1"}, i.claims(members{"iss": name}))); got != 0 {
		t.Errorf("reason %d", got)
	}
}

// TestJWKS_overTLS: a certificate that nobody vouches for is not believed.
func TestJWKS_overTLS(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, public("1", p256()))
	server := httptest.NewUnstartedServer(*i.jwks.Load())
	server.Config.ErrorLog = discard
	server.StartTLS()
	t.Cleanup(server.Close)
	config := auth.Config{Issuers: []auth.Issuer{{URL: "https://issuer.example", JWKS: server.URL, Audience: []string{"https://own.example/fhir/R4"}}}}
	token := sign(jose.ES256, p256(), members{"kid": "1"}, i.claims(members{"iss": "https://issuer.example"}))
	o := auth.Options{Definitions: criteria.R4(), Now: i.clock.now}
	if got := reason(t, must(auth.New(config, o)), token); got != auth.KeysUnavailable {
		t.Errorf("reason %d", got)
	}
	o.Transport = server.Client().Transport.(*http.Transport)
	if got := reason(t, must(auth.New(config, o)), token); got != 0 {
		t.Errorf("with its CA: reason %d", got)
	}
}

// TestRun_fetchesBeforeAnybodyWaits, and stops when it is told to.
func TestRun_fetchesBeforeAnybodyWaits(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	fetched := make(chan struct{}, 1)
	i.answer(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"keys":[`+string(must(public("1", p256()).MarshalJSON()))+`]}`)
		fetched <- struct{}{}
	})
	a := i.authenticator(t)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	<-fetched
	if got := reason(t, a, sign(jose.ES256, p256(), members{"kid": "1"}, i.claims())); got != 0 || i.asked.Load() != 1 {
		t.Errorf("reason %d, asked %d times", got, i.asked.Load())
	}
	stop()
	all.Wait()
}
