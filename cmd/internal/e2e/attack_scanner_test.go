package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// scanner looks for secrets in everything that servers under test answer, log, measure and store. Secrets come to it by
// themselves: whatever a request carries where secrets stand (Authorization, channel.header, secret extensions, a
// webhook's secret) and whatever an answer shows of one that was made. Every test of the suite goes through it, for it is
// http.DefaultTransport (TestMain), and start takes its server down in it.
//
// Two answers may show a secret: that to the create that brought it, and that to the rotation.
type scanner struct {
	next http.RoundTripper

	mu      sync.Mutex            // guards what follows
	servers map[string]*watched   // by host and port
	known   map[string]*watchword // by the secret
}

// watched is a server under test.
type watched struct {
	leaks []string
}

// watchword is a secret and the forms that it could leak in.
type watchword struct {
	what  string // where it came from
	forms [][]byte
	host  string // that it was sent to
}

// shortest is the length from which a text is taken for a secret: a shorter one stands anywhere by accident.
const shortest = 10

// leakScanner is the suite's.
var leakScanner = &scanner{next: http.DefaultTransport}

// add takes a secret in. What stands in the open anyway isn't one.
func (s *scanner) add(host, what, secret string) {
	secret = strings.TrimSpace(secret)
	if len(secret) < shortest || strings.Trim(secret, "*") == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]*watchword{}
	}
	if _, ok := s.known[host+" "+secret]; ok {
		return
	}
	quoted, _ := json.Marshal(secret) // of a string it can't fail
	w := &watchword{what: what, host: host}
	for _, form := range []string{
		secret, string(bytes.Trim(quoted, `"`)), url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)),
	} {
		w.forms = append(w.forms, []byte(form))
	}
	s.known[host+" "+secret] = w
}

// watch tells that a host and port is a server under test.
func (s *scanner) watch(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers == nil {
		s.servers = map[string]*watched{}
	}
	s.servers[host] = &watched{}
}

// look finds secrets of a server in a text, but for those that it may hold.
func (s *scanner) look(host, where string, text []byte, may []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.servers[host]
	if server == nil {
		return
	}
	for _, w := range s.known {
		if w.host != host {
			continue
		}
		for _, form := range w.forms {
			at := bytes.Index(text, form)
			if at < 0 || bytes.Contains(may, form) {
				continue
			}
			server.leaks = append(server.leaks, fmt.Sprintf("%s holds %s: …%s…", where, w.what, bytes.ReplaceAll(text[max(0, at-60):min(len(text), at+len(form)+20)], form, []byte("[the secret]"))))
			break
		}
	}
}

// found are the leaks of a server, each once.
func (s *scanner) found(host string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.servers[host]
	if server == nil {
		return nil
	}
	found := server.leaks
	server.leaks = nil
	return found
}

// RoundTrip implements http.RoundTripper.
func (s *scanner) RoundTrip(q *http.Request) (*http.Response, error) {
	s.mu.Lock()
	_, ours := s.servers[q.URL.Host]
	s.mu.Unlock()
	if !ours {
		return s.next.RoundTrip(q)
	}
	var sent []byte
	if q.Body != nil {
		var err error
		if sent, err = io.ReadAll(q.Body); err != nil {
			return nil, err
		}
		_ = q.Body.Close() // it was read
		q = q.Clone(q.Context())
		if q.Body = http.NoBody; len(sent) > 0 {
			q.Body = io.NopCloser(bytes.NewReader(sent))
		}
	}
	for _, line := range q.Header.Values("Authorization") {
		_, token, _ := strings.Cut(line, " ")
		s.add(q.URL.Host, "a token", token)
	}
	secrets(sent, func(what, secret string) { s.add(q.URL.Host, what, secret) })
	response, err := s.next.RoundTrip(q)
	if err != nil {
		s.look(q.URL.Host, "an error", []byte(err.Error()), nil)
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // it was read, or that failed
	if err != nil {
		body = append(body, []byte(err.Error())...)
		response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:0]), failing{err}))
	} else {
		response.Body = io.NopCloser(bytes.NewReader(body))
	}
	if q.Context().Value(guess{}) != nil {
		return response, nil
	}
	where := fmt.Sprintf("the answer %d to %s %s", response.StatusCode, q.Method, q.URL.Path)
	var may []byte
	if shows(q, response.StatusCode) {
		may = sent
	}
	s.look(q.URL.Host, where, body, may)
	var head bytes.Buffer
	_ = response.Header.Write(&head) // a Buffer takes everything
	s.look(q.URL.Host, "the head of "+where, head.Bytes(), nil)
	if shows(q, response.StatusCode) {
		secrets(body, func(what, secret string) { s.add(q.URL.Host, what, secret) }) // one that was made: never again
	}
	return response, nil
}

// guess marks the context of a request that holds a secret as a guess, which the answer repeats.
type guess struct{}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// shows tells the answers that may show a secret that their request brought, or made.
func shows(q *http.Request, status int) bool {
	path := strings.TrimRight(q.URL.Path, "/")
	switch {
	case q.Method != http.MethodPost:
		return false
	case strings.HasSuffix(path, "/$rotate-secret"), strings.HasSuffix(path, "/rotate-secret"):
		return status == http.StatusOK
	case strings.HasSuffix(path, "/Subscription"), strings.HasSuffix(path, "/webhooks"), strings.HasSuffix(path, "/webhook-events"):
		return status == http.StatusCreated
	default:
		return status == http.StatusOK && strings.HasSuffix(path, "/fhir/R4") // entries that create
	}
}

// secrets yields what stands in the places of secrets of a body, with a name of the place.
func secrets(body []byte, found func(what, secret string)) {
	var v any
	if len(body) == 0 || json.Unmarshal(body, &v) != nil {
		return
	}
	// Parameters of $rotate-secret, and secret of a webhook.
	if top, ok := v.(map[string]any); ok {
		if text, ok := top["secret"].(string); ok && text != "generate" {
			found("a webhook's secret", text)
		}
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			name, _ := v["name"].(string)
			at, _ := v["url"].(string)
			if text, ok := v["valueString"].(string); ok && (name == "secret" || strings.HasSuffix(at, "subscription-secret") || strings.HasSuffix(at, "subscriptionSecret") || strings.HasSuffix(at, "-previous-secret")) {
				found("a signing key", text)
			}
			if channel, ok := v["channel"].(map[string]any); ok && v["resourceType"] == "Subscription" {
				lines, _ := channel["header"].([]any)
				for _, line := range lines {
					text, _ := line.(string)
					if name, value, ok := strings.Cut(text, ":"); ok && !strings.EqualFold(strings.TrimSpace(name), "Content-Type") { // which says what anybody may know
						found("a header's value", value)
					}
				}
			}
			for _, one := range v {
				walk(one)
			}
		}
	}
	walk(v)
}

// masterKey is the file of a folder's own master key.
const masterKey = "master.key"

// keys takes in what a server was given to keep beside its clients' secrets: its master key, and what stands in files that its
// options name, as the secrets of OAuth clients do. Options are JSON.
func (s *scanner) keys(host, dir string, options []byte) {
	file := func(what, path string) {
		if text, err := os.ReadFile(path); err == nil && len(text) < 1<<10 { // a certificate isn't one
			s.add(host, what, string(text))
		}
	}
	file("the master key", filepath.Join(dir, masterKey))
	var v any
	if json.Unmarshal(options, &v) != nil {
		return
	}
	var walk func(name string, v any)
	walk = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, one := range v {
				walk(name, one)
			}
		case []any:
			for _, one := range v {
				walk(name, one)
			}
		case string:
			if strings.HasSuffix(name, "File") {
				file("the file "+name, v)
			}
		}
	}
	walk("", v)
}

// folder looks into every file below a folder but the master key's own.
func (s *scanner) folder(host, dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // what can't be read holds nothing that was read
		if err != nil || d.IsDir() || d.Name() == masterKey {
			return nil //nolint:nilerr // a file that went meanwhile ends nothing
		}
		if text, err := os.ReadFile(path); err == nil {
			s.look(host, "the file "+filepath.Base(path), text, nil)
		}
		return nil
	})
}

// leave looks at what a server shows without being asked, before it is ended.
func (s *scanner) leave(host string) {
	client := http.Client{Transport: s, Timeout: 5 * time.Second}
	for _, path := range []string{"/metrics", "/readyz", "/openapi.json", "/fhir/R4/metadata"} {
		if response, err := client.Get("http://" + host + path); err == nil {
			_ = response.Body.Close() // the scanner has read it
		}
	}
}

// report fails a test for each leak of its server.
func (s *scanner) report(t testing.TB, host string) {
	t.Helper()
	for _, leak := range s.found(host) {
		t.Errorf("a secret leaked: %s", leak)
	}
}

// TestScanner_findsWhatLeaks is what makes the scanner worth anything: a server that leaks in each place that it looks at.
func TestScanner_findsWhatLeaks(t *testing.T) {
	t.Parallel()
	const secret = "s3cret-value-of-a-header"
	subscription := `{"resourceType":"Subscription","channel":{"header":["X-Key: ` + secret + `"]}}`
	shown := `{"resourceType":"Subscription","extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"made-by-the-server"}],"channel":{"header":["X-Key: ` + secret + `"]}}`
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		answer, header           string
		leaks                    int
	}{
		{"the create's own answer", "POST", "/fhir/R4/Subscription", subscription, 201, shown, "", 0},
		{"another's secret in a create's answer", "POST", "/fhir/R4/Subscription", `{}`, 201, shown, "", 1},
		{"an update's answer", "PUT", "/fhir/R4/Subscription/1", subscription, 201, shown, "", 1},
		{"a create that found one", "POST", "/fhir/R4/Subscription", subscription, 200, shown, "", 1},
		{"a refusal", "POST", "/fhir/R4/Subscription", subscription, 422, `{"text":"X-Key: ` + secret + `"}`, "", 1},
		{"a read", "GET", "/fhir/R4/Subscription/1", "", 200, shown, "", 1},
		{"a header", "GET", "/fhir/R4/Subscription/1", "", 200, "", "Location: /" + secret, 1},
		{"base64", "GET", "/fhir/R4/Subscription/1", "", 200, base64.StdEncoding.EncodeToString([]byte(secret)), "", 1},
		{"the token", "GET", "/fhir/R4/Subscription/1", "", 401, "token-of-this-test is not known", "", 1},
		{"what was made, read afterwards", "GET", "/fhir/R4/Subscription/1", "", 200, "made-by-the-server", "", 1},
		{"nothing", "GET", "/fhir/R4/Subscription/1", "", 200, "X-Key: ********", "", 0},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if name, value, ok := strings.Cut(tt.header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.answer) // to this test
		}))
		s := &scanner{next: server.Client().Transport}
		host := strings.TrimPrefix(server.URL, "http://")
		s.watch(host)
		s.add(host, "a header's value", secret)
		if strings.HasPrefix(tt.name, "what was made") {
			s.add(host, "made", "made-by-the-server")
		}
		q, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer token-of-this-test")
		response, err := (&http.Client{Transport: s}).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(response.Body); err != nil || string(text) != tt.answer {
			t.Errorf("%s: the answer is %s, %v", tt.name, text, err)
		}
		server.Close()
		if got := s.found(host); len(got) != tt.leaks {
			t.Errorf("%s: found %v, want %d leaks", tt.name, got, tt.leaks)
		}
	}

	s := &scanner{}
	s.watch("h")
	s.add("h", "a key", secret)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data.db"), []byte("\x00\x01"+secret+"\x02"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.folder("h", dir)
	s.look("h", "the log", []byte(`level=WARN msg="`+secret+`"`), nil)
	if got := s.found("h"); len(got) != 2 {
		t.Errorf("found %v, want a leak in a file and one in the log", got)
	}

	s, dir = &scanner{}, t.TempDir()
	s.watch("h")
	for name, text := range map[string]string{masterKey: "the-key-of-the-folder\n", "client": "the-secret-of-a-client"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.keys("h", dir, []byte(`{"Clients":[{"ClientSecretFile":"`+filepath.Join(dir, "client")+`"}]}`))
	s.folder("h", filepath.Join(dir, masterKey))
	s.look("h", "an answer", []byte("the-key-of-the-folder, the-secret-of-a-client"), nil)
	if got := s.found("h"); len(got) != 2 {
		t.Errorf("found %v, want two leaks of keys", got)
	}
}
