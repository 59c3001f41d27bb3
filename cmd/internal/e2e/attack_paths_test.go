package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/auth"
)

// bearer adds a static token to a server, and returns it.
func bearer(o *app.Options, name, tenant string, admin bool, scopes ...string) string {
	secret, hash := auth.NewToken()
	o.Auth.Tokens = append(o.Auth.Tokens, auth.Token{Name: name, Hash: hash, Tenant: tenant, Admin: admin, Scopes: scopes})
	return secret
}

// detours are ways to write a path in which %s is a path without its first slash. None of them leads anywhere else.
var detours = []string{
	"/%s", "//%s", "///%s", "/./%s", "/../%s", "/fhir/R4/../../%s", "/fhir/R4/Patient/../../../%s", "/fhir/R4/./../../%s", "/fhir/R4/Patient/1/../../../../%s",
	"/%%2e%%2e/%s", "/fhir/R4/%%2e%%2e/%%2e%%2e/%s", "/fhir/R4/..%%2f..%%2f%s", "/fhir/R4/%%2e%%2e%%2f%%2e%%2e%%2f%s", "/fhir/R4%%2f..%%2f..%%2f%s",
	"/fhir/R4/..%%5c..%%5c%s", "/fhir/R4/..;/..;/%s", "/fhir/R4/..;x=y/..;x=y/%s", "/fhir/R4;/../../%s", "/;/%s", "/%s;x=y", "/%s;.json", "/%s%%3b",
	"/%%252e%%252e/%s", "/fhir/R4/..%%252f..%%252f%s", "/fhir/R4/%%c0%%ae%%c0%%ae/%%c0%%ae%%c0%%ae/%s", "/fhir/R4/..%%c0%%af..%%c0%%af%s",
	"/%s%%00", "/%s%%00.json", "/%s%%0a", "/%s%%0d%%0a", "/%s%%20", "/%s%%09", "/%s/", "/%s//", "/%s/.", "/%s/..", "/%s/%%2e", "/%s?", "/%s?x", "/%s%%3f",
	"/%s%%23", "/fhir/R4/..//..//%s", "/fhir//R4/..//../%s", "/FHIR/R4/../../%s", "/fhir/r4/../../%s", "/fhir/R4/metadata/../../../%s", "/webhooks/../%s", "/webhooks/..%%2f%s",
	"/%%66hir/R4/../../%s", "/%%2f%s", "/%%5c%s", "/\xc0\xae\xc0\xae/%s", "/\xe2\x80\xae%s",
}

// TestAttack_paths asks for what isn't one's own by every way to write it: metrics without an administrator's token, and
// another tenant's Patient with a good one.
func TestAttack_paths(t *testing.T) {
	t.Parallel()
	var mine, theirs string
	p := start(t, t.TempDir(), func(o *app.Options) {
		mine = bearer(o, "mine", "a", false, "system/*.cruds")
		theirs = bearer(o, "theirs", "b", false, "system/*.cruds")
	})
	w := p.wire(nil)
	send := func(t *testing.T, method, path, token, body string) string {
		t.Helper()
		head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n", method, path, w.addr, len(body))
		if token != "" {
			head += "Authorization: Bearer " + token + "\r\n"
		}
		return w.exchange(t, head+"\r\n"+body)
	}
	if got := send(t, http.MethodPut, "/fhir/R4/Patient/theirs", theirs, `{"resourceType":"Patient","id":"theirs","name":[{"family":"Planted"}]}`); !strings.HasPrefix(got, "HTTP/1.1 201 ") {
		t.Fatalf("the other tenant can't write: %q", got)
	}
	if got := send(t, http.MethodGet, "/fhir/R4/Patient/theirs", theirs, ""); !strings.Contains(got, "Planted") {
		t.Fatalf("the other tenant does not see its own, so the cases below prove nothing: %q", got)
	}
	foreign := func(t *testing.T, got string) {
		t.Helper()
		found := answered(got)
		if len(found) != 1 || found[0][0] == '5' || strings.Contains(got, "Planted") || strings.Contains(got, "go_goroutines") {
			t.Errorf("answered %v: %q", found, clip(got))
		}
	}
	for i, detour := range detours {
		t.Run(fmt.Sprintf("%d %q", i, detour), func(t *testing.T) {
			foreign(t, send(t, http.MethodGet, fmt.Sprintf(detour, "metrics"), "", ""))
			foreign(t, send(t, http.MethodGet, fmt.Sprintf(detour, "metrics"), mine, ""))
			foreign(t, send(t, http.MethodPost, fmt.Sprintf(detour, "metrics"), mine, "{}"))
			foreign(t, send(t, http.MethodGet, fmt.Sprintf(detour, "fhir/R4/Patient/theirs"), mine, ""))
			foreign(t, send(t, http.MethodGet, fmt.Sprintf(detour, "fhir/R4/Patient/theirs"), "", ""))
			foreign(t, send(t, http.MethodGet, fmt.Sprintf(detour, "b/fhir/R4/Patient/theirs"), mine, ""))
		})
	}
	for _, path := range []string{
		"/fhir/R4/Patient/theirs%2f..%2ftheirs", "/fhir/R4/Patient/a/../theirs", "/fhir/R4/b%00Patient/theirs", "/fhir/R4/Patient/b%00theirs",
		"/fhir/R4/Patient/theirs/_history/1", "/fhir/R4/Patient/theirs/$everything", "/fhir/R4/Patient?_id=theirs", "/fhir/R4/Patient?_tenant=b", "/fhir/R4/Patient?tenant=b",
		"/fhir/R4/PATIENT/theirs", "/fhir/R4/patient/theirs", "/fhir/R4/Patient/THEIRS", "/fhir/R4/Patient/theirs.json", "/fhir/R4/Patient/theirs;tenant=b",
	} {
		t.Run(path, func(t *testing.T) { foreign(t, send(t, http.MethodGet, path, mine, "")) })
	}
}

// TestAttack_unauthenticated asks everything that the server serves without a token.
func TestAttack_unauthenticated(t *testing.T) {
	t.Parallel()
	var admin, reader string
	p := start(t, t.TempDir(), func(o *app.Options) {
		admin = bearer(o, "admin", "", true)
		reader = bearer(o, "reader", "", false, "system/*.rs")
	})
	w := p.wire(nil)
	get := func(path, token string) string {
		head := "GET " + path + " HTTP/1.1\r\nHost: " + w.addr + "\r\nConnection: close\r\n"
		if token != "" {
			head += "Authorization: Bearer " + token + "\r\n"
		}
		return w.exchange(t, head+"\r\n")
	}
	for _, c := range []struct{ path, token, want string }{
		{"/metrics", "", "401"},
		{"/metrics", "nonsense", "401"},
		{"/metrics", reader, "403"},
		{"/metrics", admin, "200"},
		{"/healthz", "", "200"},
		{"/readyz", "", "200"},
		{"/openapi.json", "", "200"},
		{"/fhir/R4/metadata", "", "200"},
		{"/fhir/R4/Patient", "", "401"},
		{"/fhir/R4/Patient/1", "", "401"},
		{"/fhir/R4", "", "401"},
		{"/fhir/R4/_history", "", "401"},
		{"/fhir/R4/Subscription/1/$status", "", "401"},
		{"/webhooks", "", "401"},
		{"/webhooks/1", "", "401"},
	} {
		if got := answered(get(c.path, c.token)); len(got) != 1 || got[0] != c.want {
			t.Errorf("GET %s with %d bytes of token: %v, want %s", c.path, len(c.token), got, c.want)
		}
	}
	if got := get("/readyz", ""); strings.Contains(got, "changes") {
		t.Errorf("anybody reads how much is written here: %q", got)
	}
	if got := get("/metrics", admin); !strings.Contains(got, "go_goroutines") {
		t.Errorf("an administrator's metrics: %q", clip(got))
	}
}

// TestAttack_guessing tries tokens until the server has had enough; who is known goes on working.
func TestAttack_guessing(t *testing.T) {
	t.Parallel()
	var token string
	p := start(t, t.TempDir(), func(o *app.Options) { token = bearer(o, "lab", "", false, "system/Patient.cruds") })
	try := func(token string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+"/Patient", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusTooManyRequests && response.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		return response.StatusCode
	}
	if got := try(token); got != http.StatusOK {
		t.Fatalf("a good token: %d", got)
	}
	tries := 0
	for ; tries < 1000; tries++ {
		guess, _ := auth.NewToken()
		if got := try(guess); got == http.StatusTooManyRequests {
			break
		} else if got != http.StatusUnauthorized {
			t.Fatalf("a guess: %d", got)
		}
	}
	if tries == 1000 {
		t.Error("a thousand guesses were not slowed down")
	}
	if got := try(token); got != http.StatusOK {
		t.Errorf("the token that was good, from the same address: %d", got)
	}
}

// TestAttack_scopeDefinitions lets a caller define the parameter that its own scope is restricted by: the scope goes on meaning what R4 says.
func TestAttack_scopeDefinitions(t *testing.T) {
	t.Parallel()
	var admin, caller string
	p := start(t, t.TempDir(), func(o *app.Options) {
		admin = bearer(o, "admin", "", true)
		caller = bearer(o, "caller", "", false, "system/Patient.rs?gender=female", "system/SearchParameter.cruds")
	})
	as := func(token, method, path, body string) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, p.base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/fhir+json")
		r.Header.Set("Authorization", "Bearer "+token)
		a, err := readAnswer(http.DefaultClient.Do(r))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for id, gender := range map[string]string{"his": "male", "hers": "female"} {
		if a := as(admin, http.MethodPut, "/Patient/"+id, fmt.Sprintf(`{"resourceType":"Patient","id":%q,"gender":%q,"name":[{"family":"female"}],"identifier":[{"value":"female"}]}`, id, gender)); a.status != http.StatusCreated {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for i, definition := range []string{
		`"code":"gender","base":["Patient"],"type":"token","expression":"Patient.identifier"`,
		`"code":"gender","base":["Patient"],"type":"string","expression":"Patient.name.family"`,
		`"code":"gender","base":["Resource"],"type":"token","expression":"Resource.id"`,
		`"code":"mine","url":"http://hl7.org/fhir/SearchParameter/Patient-gender","base":["Patient"],"type":"token","expression":"Patient.identifier"`,
		`"code":"mine","url":"http://hl7.org/fhir/SearchParameter/individual-gender","base":["Patient"],"type":"token","expression":"Patient.identifier"`,
	} {
		body := fmt.Sprintf(`{"resourceType":"SearchParameter","id":"sp%d","name":"Mine","status":"active","description":"d",%s}`, i, definition)
		if !strings.Contains(definition, `"url"`) {
			body = strings.Replace(body, `"name"`, fmt.Sprintf(`"url":"http://x.example/%d","name"`, i), 1)
		}
		defined := as(caller, http.MethodPut, fmt.Sprintf("/SearchParameter/sp%d", i), body)
		if a := as(caller, http.MethodGet, "/Patient/his", ""); a.status != http.StatusForbidden && a.status != http.StatusNotFound {
			t.Errorf("after %s (%d) the caller reads what its scope excludes: %d %s", definition, defined.status, a.status, a.body)
		}
		for _, search := range []string{"/Patient", "/Patient?gender=male", "/Patient?gender=female", "/Patient?mine=female"} {
			if a := as(caller, http.MethodGet, search, ""); strings.Contains(string(a.body), `"his"`) {
				t.Errorf("after %s (%d) GET %s finds what the scope excludes: %s", definition, defined.status, search, a.body)
			}
		}
		if a := as(caller, http.MethodGet, "/Patient/hers", ""); a.status != http.StatusOK {
			t.Errorf("after %s (%d) the caller doesn't read what its scope allows: %d %s", definition, defined.status, a.status, a.body)
		}
	}
}
