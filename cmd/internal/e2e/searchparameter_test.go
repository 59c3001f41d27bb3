package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
)

const nickname = `{"resourceType":"SearchParameter","id":"nick","url":"http://example.org/sp/nick","name":"nick","status":"active",
"description":"x","code":"nick","base":["Patient"],"type":"string","expression":"Patient.name.where(use='nickname').given"}`

func named(use, given string) string {
	return `{"resourceType":"Patient","name":[{"use":"` + use + `","given":["` + given + `"]}]}`
}

// totalOf is how many a search finds, and its whole answer.
func (p *process) totalOf(search string) (int, string) {
	p.t.Helper()
	a := p.must(http.StatusOK, http.MethodGet, "/"+search, "")
	return int(a.json(p.t)["total"].(float64)), string(a.body)
}

// The life of a search parameter that a client defines: searched by, subscribed by, changed, taken away and
// brought back, with the server killed in between.
func TestServer_searchParameterOfAClient(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := start(t, data)
	r := newReceiver(t, nil)
	subscribe := func(status int) answer {
		t.Helper()
		return p.must(status, http.MethodPut, "/Subscription/s", `{"resourceType":"Subscription","id":"s","status":"requested","reason":"x","criteria":"Patient?nick=bob","channel":{"type":"rest-hook","endpoint":"`+r.URL+`"}}`)
	}
	status := func() (string, string) {
		t.Helper()
		s := p.must(http.StatusOK, http.MethodGet, "/Subscription/s", "").json(t)
		text, _ := s["error"].(string)
		return s["status"].(string), text
	}
	until := func(want string) string {
		t.Helper()
		for deadline := time.Now().Add(patient); ; {
			got, text := status()
			if got == want {
				return text
			}
			if time.Now().After(deadline) {
				t.Fatalf("the Subscription is %s (%s), and not %s", got, text, want)
			}
			select { // asked again when a notification comes, or a little later
			case <-r.change:
			case <-time.After(20 * time.Millisecond):
			}
		}
	}

	p.create("Patient", named("nickname", "Bob"))
	p.create("Patient", named("official", "Bob"))
	subscribe(http.StatusUnprocessableEntity)
	if a := p.must(http.StatusOK, http.MethodGet, "/Patient?nick=bob", ""); !strings.Contains(string(a.body), "nick") || !strings.Contains(string(a.body), "OperationOutcome") {
		t.Errorf("the unknown parameter is not told of: %s", a.body)
	}

	p.must(http.StatusCreated, http.MethodPut, "/SearchParameter/nick", nickname)
	if n, body := p.totalOf("Patient?nick=bob"); n != 1 {
		t.Errorf("found %d: %s", n, body)
	}
	if a := p.must(http.StatusOK, http.MethodGet, "/metadata", ""); !strings.Contains(string(a.body), "http://example.org/sp/nick") {
		t.Error("the CapabilityStatement does not list it")
	}
	subscribe(http.StatusCreated)
	p.create("Patient", named("official", "Bob"))
	first := p.create("Patient", named("nickname", "Bob"))
	if got := r.await(t, "the nickname", atLeast(1)); !strings.HasPrefix(got[0].resource, "Patient/"+first+"/") {
		t.Errorf("notified of %s", got[0].resource)
	}

	// Its meaning changes for searches and for the Subscription alike.
	p.must(http.StatusOK, http.MethodPut, "/SearchParameter/nick", strings.Replace(nickname, "nickname')", "official')", 1))
	if n, body := p.totalOf("Patient?nick=bob"); n != 2 {
		t.Errorf("found %d: %s", n, body)
	}
	p.create("Patient", named("nickname", "Bob"))
	second := p.create("Patient", named("official", "Bob"))
	if got := r.await(t, "the official name", atLeast(2)); !strings.HasPrefix(got[1].resource, "Patient/"+second+"/") {
		t.Errorf("notified of %s", got[1].resource)
	}

	// It goes: the Subscription says so, and waits.
	p.must(http.StatusNoContent, http.MethodDelete, "/SearchParameter/nick", "")
	if text := until("error"); !strings.Contains(text, "SearchParameter/nick, which defined nick, was deleted") {
		t.Errorf("the error does not name the definition: %s", text)
	}
	p.must(http.StatusBadRequest, http.MethodDelete, "/Patient?nick=bob", "")
	missed := p.create("Patient", named("nickname", "Bob"))
	p.kill()
	p = start(t, data)
	if got, text := status(); got != "error" {
		t.Errorf("after a restart it is %s (%s)", got, text)
	}

	// It comes back: nothing was lost.
	p.must(http.StatusCreated, http.MethodPut, "/SearchParameter/nick", nickname)
	if text := until("active"); text != "" {
		t.Errorf("the error stays: %s", text)
	}
	got := r.await(t, "what was missed", func(got []notification) bool { // the one before may come again, for the kill
		return len(got) > 0 && got[len(got)-1].sequence > 2
	})
	if last := got[len(got)-1]; !strings.HasPrefix(last.resource, "Patient/"+missed+"/") || last.sequence != 3 {
		t.Errorf("notified of %s as number %d", last.resource, last.sequence)
	}
	if n, body := p.totalOf("Patient?" + url.Values{"nick:exact": {"Bob"}}.Encode()); n != 4 {
		t.Errorf("found %d: %s", n, body)
	}
	eventually(t, "the index has it", func() bool { // behind the answers' back
		_, body := p.totalOf("Patient?nick=bob&_explain=true")
		return strings.Contains(body, "the index gave nick=bob")
	})
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestServer_refusesSearchParameters(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	p.must(http.StatusCreated, http.MethodPut, "/SearchParameter/nick", nickname)
	p.must(http.StatusCreated, http.MethodPut, "/SearchParameter/draft", strings.NewReplacer(`"nick"`, `"draft"`, "active", "draft", "Patient.name", "nonsense(").Replace(nickname))
	p.must(http.StatusUnprocessableEntity, http.MethodPost, "/SearchParameter", strings.NewReplacer("sp/nick", "sp/other", ".given", ".family").Replace(nickname))
	for _, tt := range []struct{ name, old, new, at string }{
		{"a clash with R4", `"code":"nick"`, `"code":"family"`, "SearchParameter.code"},
		{"an expression outside the subset", ".given", ".given.lower()", "SearchParameter.expression"},
		{"an unknown base", `"Patient"]`, `"Pacient"]`, "SearchParameter.base[0]"},
		{"a bad code", `"code":"nick"`, `"code":"ni:ck"`, "SearchParameter.code"},
	} {
		a := p.must(http.StatusUnprocessableEntity, http.MethodPut, "/SearchParameter/nick", strings.Replace(nickname, tt.old, tt.new, 1))
		if !strings.Contains(string(a.body), tt.at) {
			t.Errorf("%s: %s is not named: %s", tt.name, tt.at, a.body)
		}
	}
	if n, body := p.totalOf("Patient?nick=x"); n != 0 {
		t.Errorf("found %d: %s", n, body)
	}
	// One transaction defines, uses and subscribes.
	bundle := `{"resourceType":"Bundle","type":"transaction","entry":[
{"resource":` + strings.NewReplacer("nick", "two").Replace(nickname) + `,"request":{"method":"PUT","url":"SearchParameter/two"}},
{"resource":{"resourceType":"Subscription","id":"s","status":"requested","reason":"x","criteria":"Patient?two=x","channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:9/"}},"request":{"method":"PUT","url":"Subscription/s"}}]}`
	p.must(http.StatusOK, http.MethodPost, "", bundle)
}

func TestServer_searchParametersOfAFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one := func(code string) string {
		return strings.ReplaceAll(strings.ReplaceAll(nickname, "\n", ""), "nick\"", code+"\"")
	}
	write("one.json", one("one"))
	write("bundle.json", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":`+one("two")+`},{"resource":`+one("three")+`}]}`)
	write("lines.ndjson", one("four")+"\n\n"+one("five")+"\n")
	write("notes.txt", "no JSON")
	write("draft.json", strings.Replace(one("six"), "active", "draft", 1))
	data := t.TempDir()
	p := start(t, data, func(o *app.Options) { o.SearchParameters = folder })
	p.create("Patient", named("nickname", "Bob"))
	p.create("Patient", named("official", "Bob"))
	for _, code := range []string{"one", "two", "three", "four", "five"} {
		if n, body := p.totalOf("Patient?" + code + "=bob"); n != 1 {
			t.Errorf("%s finds %d: %s", code, n, body)
		}
	}
	p.must(http.StatusBadRequest, http.MethodDelete, "/Patient?six=bob", "")
	p.must(http.StatusUnprocessableEntity, http.MethodPost, "/SearchParameter", strings.NewReplacer("org/sp", "org/other", ".given", ".family").Replace(one("one")))
}
