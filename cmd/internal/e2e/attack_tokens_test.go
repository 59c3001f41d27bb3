package e2e_test

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/criteria"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
)

// with sends a GET with these lines of Authorization, and other headers, "Name: value".
func (s *siege) with(target string, authorization []string, headers ...string) answer {
	s.t.Helper()
	q, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, line := range authorization {
		q.Header.Add("Authorization", line)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		q.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text}
}

// mustRefuse fails unless an answer is a 401 as it has to be, which says nothing of what was sent.
func mustRefuse(t *testing.T, r answer, sent ...string) {
	t.Helper()
	if r.status != http.StatusUnauthorized || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), `Bearer realm="fhirhook"`) || !strings.Contains(string(r.body), `"resourceType":"OperationOutcome"`) {
		t.Errorf("%v: %d %v %s", sent, r.status, r.header, r.body)
	}
}

// TestAttack_tokens tries to be somebody without the token for it.
func TestAttack_tokens(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	expired, hash := auth.NewToken()
	// Made before the server starts, as `fhirhook token create` does.
	made, err := (auth.TokenFile{Path: filepath.Join(data, auth.TokenFileName)}).Create(auth.Token{Name: "made", Scopes: []string{"system/*.rs"}}, criteria.R4(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := besiege(t, data, func(o *app.Options) {
		o.Auth.Tokens = append(o.Auth.Tokens, auth.Token{Name: "expired", Hash: hash, Admin: true, Expires: time.Now().Add(-time.Second)})
	})
	patients, alice := s.base+"/Patient", s.tokens["alice"]
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(v.(string))) }
	stranger, _ := auth.NewToken()

	for name, lines := range map[string][]string{
		"nobody":               nil,
		"an empty line":        {""},
		"no token":             {"Bearer"},
		"an empty token":       {"Bearer "},
		"another scheme":       {"Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+alice))},
		"no scheme":            {alice},
		"a stranger's":         {"Bearer " + stranger},
		"an expired one":       {"Bearer " + expired},
		"a prefix":             {"Bearer " + alice[:len(alice)-1]},
		"more than one":        {"Bearer " + alice + "x"},
		"another case":         {"Bearer " + strings.ToLower(alice)},
		"its hash":             {"Bearer " + auth.HashToken(alice)},
		"two lines":            {"Bearer " + alice, "Bearer " + alice},
		"two lines, one good":  {"Bearer " + alice, "Bearer " + stranger},
		"a list":               {"Bearer " + alice + ", Bearer " + stranger},
		"two words":            {"Bearer " + alice + " " + alice},
		"a JWT without a key":  {"Bearer " + part(`{"alg":"none"}`) + "." + part(`{"sub":"alice","scope":"fhirhook/admin","exp":99999999999}`) + "."},
		"a JWT of nobody's":    {"Bearer " + part(`{"alg":"HS256","typ":"JWT"}`) + "." + part(`{"iss":"fhirhook:tokens","sub":"made","exp":99999999999}`) + ".c2ln"},
		"something very large": {"Bearer " + strings.Repeat("A", 20_000)},
	} {
		t.Run(name, func(t *testing.T) { mustRefuse(t, s.in(t).with(patients, lines), name) })
	}
	for name, target := range map[string]string{
		"in the query": patients + "?access_token=" + url.QueryEscape(alice),
		"as the user":  strings.Replace(patients, "http://", "http://alice:"+alice+"@", 1),
	} {
		t.Run(name, func(t *testing.T) { mustRefuse(t, s.in(t).with(target, nil), name) })
	}
	t.Run("in other headers", func(t *testing.T) {
		mustRefuse(t, s.in(t).with(patients, nil, "Cookie: access_token="+alice, "Proxy-Authorization: Bearer "+alice, "X-Authorization: Bearer "+alice,
			"X-Forwarded-User: admin", "X-Remote-User: admin", "X-Fhirhook-Tenant: a"))
	})

	t.Run("revocation on an open connection", func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
		defer client.CloseIdleConnections()
		get := func() (status int, reused bool) {
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
			q, err := http.NewRequestWithContext(ctx, http.MethodGet, patients, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			q.Header.Set("Authorization", "Bearer "+made)
			response, err := client.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Fatal(err)
			}
			return response.StatusCode, reused
		}
		if status, _ := get(); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		if err := (auth.TokenFile{Path: filepath.Join(data, auth.TokenFileName)}).Revoke("made", time.Now()); err != nil {
			t.Fatal(err)
		}
		if status, reused := get(); status != http.StatusUnauthorized || !reused {
			t.Errorf("status %d, on the same connection: %t", status, reused)
		}
	})
	t.Run("what only administrators may", func(t *testing.T) {
		s := s.in(t)
		s.mustAs("alice", 201, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`)
		for _, q := range []struct {
			method, path, body string
			headers            []string
		}{
			{"POST", "/Patient/p/$resend", "", nil},
			{"GET", "^/metrics", "", nil},
			{"GET", "/Patient", "", []string{"X-Fhirhook-Tenant: b"}},
			{"PUT", "/Patient/p", `{"resourceType":"Patient","id":"p","active":true}`, []string{"X-Fhirhook-Notify: no"}},
		} {
			for who, refused := range map[string]bool{"alice": true, "admin": false} {
				if r := s.as(who, q.method, q.path, q.body, q.headers...); (r.status == http.StatusForbidden) != refused {
					t.Errorf("%s %s as %s: %d %s", q.method, q.path, who, r.status, r.body)
				}
			}
		}
	})
	t.Run("requests that no route knows", func(t *testing.T) {
		for _, path := range []string{"^/", "^/fhir", "^/fhir/R4/../R4/Patient", "^//fhir//R4//Patient", "^/fhir/R4/Patient/", "^/FHIR/R4/Patient", "^/webhooks/", "^/webhook-events", "^/debug/pprof/", "^/console"} {
			if r := s.in(t).as("", "GET", path, ""); r.status < 400 {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
	})
	t.Run("guessing takes time, and keeps nobody out", func(t *testing.T) {
		s := s.in(t)
		limited := false
		for range 1000 {
			r := s.with(patients, []string{"Bearer " + stranger})
			if limited = r.status == http.StatusTooManyRequests && r.header.Get("Retry-After") != ""; limited {
				break
			}
		}
		if !limited {
			t.Error("tokens can be tried as fast as requests go")
		}
		s.mustAs("alice", 200, "GET", "/Patient", "")
	})
}

// TestAttack_tokens_rawHeaders sends what clients never would.
func TestAttack_tokens_rawHeaders(t *testing.T) {
	t.Parallel()
	s := besiege(t, t.TempDir())
	alice := s.tokens["alice"]
	for name, lines := range map[string]string{
		"folded":               "Authorization: Bearer\r\n " + alice + "\r\n",
		"a space in the name":  "Authorization : Bearer " + alice + "\r\n",
		"a tab":                "Authorization:\tBearer\t" + alice + "\r\n",
		"another line's end":   "X-A: b\nAuthorization: Bearer " + alice + "\n",
		"a lone CR":            "X-A: b\rAuthorization: Bearer " + alice + "\r\n",
		"NUL":                  "Authorization: Bearer " + alice + "\x00\r\n",
		"twice":                "Authorization: Bearer " + alice + "\r\nauthorization: Bearer " + alice + "\r\n",
		"in a trailer":         "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\nAuthorization: Bearer " + alice + "\r\n",
		"behind an upgrade":    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
		"as a connection name": "Connection: Authorization\r\nX-Authorization: Bearer " + alice + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			text := rawRequest(t, s.host(), "GET "+rest.Prefix+"/Patient HTTP/1.1\r\nHost: "+s.host()+"\r\n"+lines+"Connection: close\r\n\r\n")
			if strings.HasPrefix(text, "HTTP/1.1 2") || strings.HasPrefix(text, "HTTP/1.1 101") || strings.Contains(text, alice) {
				t.Errorf("%s", text)
			}
		})
	}
}

// rawRequest sends bytes and returns what comes back until the connection ends.
func rawRequest(t testing.TB, host, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patient)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return err.Error() // it was refused before it had been sent
	}
	got, _ := io.ReadAll(c) // what came before the connection ended, however it did
	return string(got)
}
