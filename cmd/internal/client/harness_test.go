package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// server answers in the process, so that tests have their own time.
type server struct {
	mu    sync.Mutex
	asked []string // method, path and query, and what was sent
	token string   // of the last request
	http.ServeMux
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	line := r.Method + " " + r.URL.RequestURI()
	if r.Body != nil {
		var sent any
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			return nil, err
		}
		b, err := json.Marshal(sent)
		if err != nil {
			return nil, err
		}
		line += " " + string(b)
	}
	s.mu.Lock()
	s.asked, s.token = append(s.asked, line), r.Header.Get("Authorization")
	s.mu.Unlock()
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// take returns what was asked since the last time.
func (s *server) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *server) answer(pattern, body string) {
	s.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
}

func refuse(w http.ResponseWriter, status int, text string) {
	b, _ := json.Marshal(text) // a string always marshals
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","diagnostics":%s}]}`, b)
}

// noon is when the tests are, for what is printed.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// output is what a command wrote.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// open is a Client of s, and what it prints.
func open(t *testing.T, s *server, change func(*Client)) (c *Client, out, errs *output) {
	t.Helper()
	out, errs = &output{}, &output{}
	c, err := New(Options{Server: "http://fhir.example", Out: out, Err: errs})
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport, c.now, c.zone = s, func() time.Time { return noon }, time.FixedZone("", 3600)
	if change != nil {
		change(c)
	}
	return c, out, errs
}

// wantUsage fails unless err is about the command line, and names all of the texts.
func wantUsage(t *testing.T, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, ErrUsage) {
		t.Errorf("%v is not about usage", err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v does not name %q", err, text)
		}
	}
}

func TestNew_refusesWhatIsNoServer(t *testing.T) {
	t.Parallel()
	for server, text := range map[string]string{
		"127.0.0.1:8080": "is not a URL", "ftp://x": "is not a URL", "": "is not a URL", "http://": "is not a URL",
		"http://ann:pw@x.example": "FHIRHOOK_TOKEN", "ann:pw@x.example": "is not a URL", "http://x.example/fhir?a=pw": "must end with its path",
		"http://x.example/%zz": "is not a URL",
	} {
		_, err := New(Options{Server: server})
		wantUsage(t, err, text)
		if strings.Contains(err.Error(), "pw") {
			t.Errorf("%v tells a password", err)
		}
	}
	for _, token := range []string{"a b", "a\nb", "ä", "\x7f"} {
		_, err := New(Options{Server: DefaultServer, Token: token})
		wantUsage(t, err, "token")
		if strings.Contains(err.Error(), token) {
			t.Errorf("%v tells the token", err)
		}
	}
}

func TestClient_sendsTheTokenAndShowsItNowhere(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusUnauthorized, "who are you?") })
	c, out, errs := open(t, s, func(c *Client) { c.Token = "sesame" })
	err := c.Ping(t.Context(), "labs")
	if s.token != "Bearer sesame" {
		t.Errorf("sent %q", s.token)
	}
	if err == nil || !strings.Contains(err.Error(), "who are you? (set FHIRHOOK_TOKEN") {
		t.Error(err)
	}
	if text := out.String() + errs.String() + fmt.Sprint(err); strings.Contains(text, "sesame") {
		t.Errorf("the token is told: %s", text)
	}
}

func TestClient_explainsWhatGoesWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    string
		usage   bool
	}{
		"an outcome": {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 404, "no\x1b[31m such\nthing") }, "no\uFFFD[31m such thing", false},
		"a refusal of parameters": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"issue":[{"severity":"warning","diagnostics":"w"},{"severity":"error","details":{"text":"a"}},{"severity":"error","diagnostics":"b"}]}`)
		}, "a; b", true},
		"no FHIR":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); fmt.Fprint(w, "<html>") }, "the server answers 502 Bad Gateway", false},
		"no FHIR at last": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }, "and not with FHIR", false},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
		}, "name the final URL by --server", false},
	} {
		s := &server{}
		s.HandleFunc("/", tt.handler)
		c, _, _ := open(t, s, nil)
		err := c.Ping(t.Context(), "Subscription/labs")
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrUsage) != tt.usage {
			t.Errorf("%s: %v", name, err)
		}
		if asked := s.take(); len(asked) != 1 || asked[0] != "POST /fhir/R4/Subscription/labs/$ping" {
			t.Errorf("%s: asked %q", name, asked)
		}
	}
	for _, name := range []string{"", "a b", "a/b", "Patient/1", "../x", strings.Repeat("a", 65)} {
		c, _, _ := open(t, &server{}, nil)
		wantUsage(t, c.Ping(t.Context(), name), "is not the id of a Subscription")
	}
}

func TestClient_tellsThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	const gone = "http://127.0.0.1:1" // a port that nobody is given
	c, err := New(Options{Server: gone + "/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context(), "labs"); err == nil || !strings.Contains(err.Error(), "no server answers at "+gone+"/fhir/R4: ") || !strings.Contains(err.Error(), "FHIRHOOK_SERVER") {
		t.Error(err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ping(stopped, "labs"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
