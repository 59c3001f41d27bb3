package e2e_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
)

// siege is a server that wants to know who calls, and callers of two tenants.
type siege struct {
	*process
	tokens map[string]string // by the caller's name
}

// callersOf are the callers of every siege: alice attacks in tenant a, bob has something to lose in tenant b.
func callersOf() []auth.Token {
	everything := []string{"system/*.cruds"}
	return []auth.Token{
		{Name: "admin", Tenant: "a", Admin: true},
		{Name: "alice", Tenant: "a", Scopes: everything},
		{Name: "bob", Tenant: "b", Scopes: everything},
		{Name: "reader", Tenant: "b", Scopes: []string{"system/*.rs"}},
		{Name: "patient", Tenant: "b", Scopes: []string{"patient/*.rs"}, Patient: "somebody-else"},
		{Name: "subscriber", Tenant: "b", Scopes: []string{"system/Subscription.cruds"}},
	}
}

// besiege starts a server.
func besiege(t testing.TB, data string, change ...func(*app.Options)) *siege {
	t.Helper()
	s := &siege{tokens: map[string]string{}}
	var held []auth.Token
	for _, c := range callersOf() {
		s.tokens[c.Name], c.Hash = auth.NewToken()
		held = append(held, c)
	}
	s.process = start(t, data, append([]func(*app.Options){func(o *app.Options) { o.Auth.Tokens = held }}, change...)...)
	return s
}

// as sends a request as a caller, "" for nobody; a path that begins with ^ is not below the FHIR base. Headers are
// "Name: value".
func (s *siege) as(who, method, path, body string, headers ...string) answer {
	s.t.Helper()
	target := s.base + path
	if beside, ok := strings.CutPrefix(path, "^"); ok {
		target = strings.TrimSuffix(s.base, rest.Prefix) + beside
	}
	q, err := http.NewRequestWithContext(s.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	switch {
	case body == "":
	case strings.HasPrefix(path, "^"):
		q.Header.Set("Content-Type", "application/json")
	default:
		q.Header.Set("Content-Type", "application/fhir+json")
	}
	if who != "" {
		token, ok := s.tokens[who]
		if !ok {
			s.t.Fatalf("there is no caller %s", who)
		}
		q.Header.Set("Authorization", "Bearer "+token)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		q.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text}
}

// mustAs is as, with the status that is wanted.
func (s *siege) mustAs(who string, status int, method, path, body string, headers ...string) answer {
	s.t.Helper()
	a := s.as(who, method, path, body, headers...)
	if a.status != status {
		s.t.Fatalf("%s %s as %s: status %d, want %d\n%s", method, path, who, a.status, status, a.body)
	}
	return a
}

// in gives a caller's answers another testing.TB, for a subtest.
func (s *siege) in(t testing.TB) *siege {
	p := &process{t: t, base: s.base, command: s.command, log: s.log}
	p.ended.Do(func() {}) // the test that began it ends it
	return &siege{p, s.tokens}
}

// readAnswer reads what http.Client.Do returned.
func readAnswer(response *http.Response, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, text}, err
}

// instants are what two answers that mean the same differ in.
var instants = regexp.MustCompile(`"(lastUpdated|versionId)":"[^"]*"|deleted at [^ ;]*`)
