package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	importing "fhirhook/cmd/internal/load"
)

// The pitfalls: mistakes that servers with Subscriptions are known to have made. Each is a test of that name.

// trap is a server and a receiver with as many endpoints as paths.
type trap struct {
	*process
	r *receiver
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	t.Parallel()
	return &trap{start(t, t.TempDir()), newReceiver(t, nil)}
}

// strict is a setting by which notifications come one after the other.
const strict = ours + `order "valueCode":"subscription"`

// reads are the notifications of a path, each once, as interaction and version: create Patient/p/_history/1.
func reads(got []notification, path string) (all []string) {
	seen := map[string]bool{}
	for _, n := range got {
		if n.path == path && !seen[n.id] {
			seen[n.id] = true
			all = append(all, n.interaction+" "+n.resource)
		}
	}
	return all
}

// expect waits until a path has got so many, and compares. What is last in want is written last by the test, so
// that whatever should not come would have come before.
func (x *trap) expect(path string, want ...string) {
	x.t.Helper()
	got := reads(x.r.await(x.t, path, func(got []notification) bool { return len(reads(got, path)) >= len(want) }), path)
	if !slices.Equal(got, want) {
		x.t.Errorf("%s got\n\t%s\nwant\n\t%s", path, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// put writes a resource of which members are given, the comma in front.
func (x *trap) put(reference, members string) {
	x.t.Helper()
	typ, id, _ := strings.Cut(reference, "/")
	a, err := x.request(http.MethodPut, "/"+reference, fmt.Sprintf(`{"resourceType":%q,"id":%q%s}`, typ, id, members))
	if err != nil || a.status >= 300 {
		x.t.Fatalf("PUT %s: %v, %d: %s", reference, err, a.status, a.body)
	}
}

// with is a Subscription for Patients with lines of channel.header.
func with(endpoint string, header ...string) string {
	lines, err := json.Marshal(header)
	if err != nil {
		panic(err) // strings can't fail
	}
	return fmt.Sprintf(`{"resourceType":"Subscription","status":"requested","reason":"headers","criteria":"Patient","channel":{"type":"rest-hook","endpoint":%q,"header":%s}}`,
		endpoint, lines)
}

func TestPitfall_headerValueHoldsColons(t *testing.T) {
	x := newTrap(t)
	x.create("Subscription", with(x.r.URL+"/a", "Referer: https://clinic.example:8443/a?b=c:d", "X-Time:12:30:00"))
	x.put("Patient/p", "")
	got := x.r.await(t, "the notification", atLeast(1))[0].header
	if got.Get("Referer") != "https://clinic.example:8443/a?b=c:d" || got.Get("X-Time") != "12:30:00" {
		t.Errorf("Referer %q, X-Time %q", got.Get("Referer"), got.Get("X-Time"))
	}
}

func TestPitfall_duplicateHeaderNames(t *testing.T) {
	x := newTrap(t)
	x.create("Subscription", with(x.r.URL+"/a", "X-Tag: one", "X-Other: x", "X-Tag: two", "x-tag: three"))
	x.put("Patient/p", "")
	got := x.r.await(t, "the notification", atLeast(1))[0].header
	if want := []string{"one", "two", "three"}; !slices.Equal(got.Values("X-Tag"), want) {
		t.Errorf("X-Tag %q, want %q", got.Values("X-Tag"), want)
	}
}

// refusesHeaders sends each line behind a good one and wants a refusal that names it, and nothing stored.
func refusesHeaders(t *testing.T, lines ...string) {
	t.Helper()
	x := newTrap(t)
	for _, line := range lines {
		a := x.must(http.StatusUnprocessableEntity, http.MethodPost, "/Subscription", with(x.r.URL, "X-Good: yes", line))
		if !strings.Contains(string(a.body), `"Subscription.channel.header[1]"`) {
			t.Errorf("%q: %s", line, a.body)
		}
	}
	if total, body := x.totalOf("/Subscription"); total != 0 {
		t.Errorf("%d are stored: %s", total, body)
	}
}

func TestPitfall_lineBreakInAHeader(t *testing.T) {
	refusesHeaders(t, "X-A: b\r\nX-Evil: 1", "X-A: b\nX-Evil: 1", "X-A: b\r", "X-A\r\n: b", "X-A: b\x00", "X-A: b\u0085")
}

func TestPitfall_headerWithoutAColon(t *testing.T) {
	refusesHeaders(t, "Bearer abc", "X-A", ": value without a name", "X A: b")
}

func TestPitfall_hopByHopOrSignatureHeadersOverridden(t *testing.T) {
	refusesHeaders(t, "Host: evil.example", "Content-Length: 1", "Transfer-Encoding: chunked", "Connection: close", "TE: trailers", "Trailer: X",
		"Upgrade: h2c", "Expect: 100-continue", "Proxy-Authorization: Basic x", "Proxy-Connection: close", "webhook-signature: v1,x", "Webhook-Id: x",
		"webhook-timestamp: 0", "X-Fhirhook-Sequence: 1", "x-fhirhook-test: true", "X-Signature: 00", "Content-Type: text/plain")
}

func TestPitfall_subscription1001OfATenant(t *testing.T) {
	x := newTrap(t)
	const many = 1001
	var entries []string
	for i := range many {
		entries = append(entries, fmt.Sprintf(`{"resource":%s,"request":{"method":"POST","url":"Subscription"}}`, set(fmt.Sprintf("%s/%d", x.r.URL, i), "Patient?gender=female", strict)))
	}
	x.must(http.StatusOK, http.MethodPost, "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
	x.put("Patient/p", `,"gender":"female"`)
	got := x.r.await(t, "a notification to each", atLeast(many))
	paths := map[string]bool{}
	for _, n := range got {
		paths[n.path] = true
	}
	if len(paths) != many {
		t.Errorf("%d of %d were notified", len(paths), many)
	}
}

func TestPitfall_twoWithTheSameCriteria(t *testing.T) {
	x := newTrap(t)
	for range 2 {
		x.create("Subscription", set(x.r.URL+"/same", "Patient?gender=female", strict))
	}
	x.put("Patient/p", `,"gender":"female"`)
	got := x.r.await(t, "both", atLeast(2))
	if got[0].id == got[1].id || got[0].subscription == got[1].subscription || got[0].sequence != 1 || got[1].sequence != 1 {
		t.Errorf("%s number %d of %s and %s number %d of %s", got[0].id, got[0].sequence, got[0].subscription, got[1].id, got[1].sequence, got[1].subscription)
	}
}

func TestPitfall_oneBadAmongGood(t *testing.T) {
	x := newTrap(t)
	bundle := func(kind string) string {
		entry := `{"resource":%s,"request":{"method":"POST","url":"Subscription"}}`
		return fmt.Sprintf(`{"resourceType":"Bundle","type":%q,"entry":[`+entry+","+entry+","+entry+`]}`, kind,
			set(x.r.URL+"/first", "Patient?gender=female", strict), set(x.r.URL+"/bad", "Patient?nonsense=female", strict), set(x.r.URL+"/last", "Patient?gender=female", strict))
	}
	a := x.must(http.StatusUnprocessableEntity, http.MethodPost, "", bundle("transaction"))
	if !strings.Contains(string(a.body), "Bundle.entry[1].resource.criteria") || !strings.Contains(string(a.body), "nonsense") {
		t.Errorf("the refusal names nothing: %s", a.body)
	}
	answer := string(x.must(http.StatusOK, http.MethodPost, "", bundle("batch")).body)
	if strings.Count(answer, `"201 `) != 2 || strings.Count(answer, `"422 `) != 1 {
		t.Errorf("the batch answers %s", answer)
	}
	x.put("Patient/p", `,"gender":"female"`)
	for _, path := range []string{"/first", "/last"} {
		x.expect(path, "create Patient/p/_history/1")
	}
	if got := reads(x.r.all(), "/bad"); got != nil {
		t.Errorf("the bad one got %v", got)
	}
}

// deletes asks for deletions, too.
const deletes = `"valueCode":"delete"`

const interaction = "https://medplum.com/fhir/StructureDefinition/subscription-supported-interaction "

func TestPitfall_deleteWithParametersInCriteria(t *testing.T) {
	x := newTrap(t)
	x.create("Subscription", set(x.r.URL+"/a", "Observation?status=final&code=http://loinc.org|1975-2", interaction+deletes, strict))
	const coded = `,"code":{"coding":[{"system":"http://loinc.org","code":"1975-2"}]}`
	x.put("Observation/matches", `,"status":"final"`+coded)
	x.put("Observation/other", `,"status":"preliminary"`+coded)
	x.put("Observation/left", `,"status":"final"`+coded)
	x.put("Observation/left", `,"status":"amended"`+coded)
	for _, id := range []string{"other", "left", "matches"} { // judged on the version that each delete ended
		x.must(http.StatusNoContent, http.MethodDelete, "/Observation/"+id, "")
	}
	x.expect("/a", "delete Observation/matches/_history/2")
}

func TestPitfall_deleteFlagOnRootOrChannel(t *testing.T) {
	x := newTrap(t)
	onChannel := set(x.r.URL+"/channel", "Patient", interaction+deletes)
	onRoot := strings.TrimSuffix(with(x.r.URL+"/root", "X-A: b"), "}") + `,"extension":[{"url":"http://hapifhir.io/fhir/StructureDefinition/subscription-send-delete-messages","valueBoolean":true},
		{"url":"https://fhirhook.dev/StructureDefinition/subscription-order","valueCode":"subscription"}]}`
	x.create("Subscription", onChannel)
	x.create("Subscription", onRoot)
	x.put("Patient/p", "")
	x.must(http.StatusNoContent, http.MethodDelete, "/Patient/p", "")
	x.expect("/channel", "delete Patient/p/_history/2") // the interactions extension says all of them
	x.expect("/root", "create Patient/p/_history/1", "delete Patient/p/_history/2")
}

func TestPitfall_withoutTheDeleteFlagBeforeOneWithIt(t *testing.T) {
	x := newTrap(t)
	x.create("Subscription", set(x.r.URL+"/without", "Patient", strict))
	x.create("Subscription", set(x.r.URL+"/with", "Patient", interaction+deletes))
	x.create("Subscription", set(x.r.URL+"/behind", "Patient", strict))
	x.put("Patient/p", "")
	x.must(http.StatusNoContent, http.MethodDelete, "/Patient/p", "")
	x.put("Patient/q", "")
	x.expect("/with", "delete Patient/p/_history/2")
	x.expect("/without", "create Patient/p/_history/1", "create Patient/q/_history/1")
	x.expect("/behind", "create Patient/p/_history/1", "create Patient/q/_history/1")
}

// Every way to write notifies, and once.
func TestPitfall_writesByEveryPath(t *testing.T) {
	x := newTrap(t)
	x.create("Subscription", set(x.r.URL+"/a", "Patient", strict))
	const known = `,"identifier":[{"system":"urn:clinic","value":"7"}]`
	body := func(gender string) string {
		return `{"resourceType":"Patient","id":"p"` + known + `,"gender":"` + gender + `"}`
	}
	entry := func(gender string) string {
		return `{"resource":` + body(gender) + `,"request":{"method":"PUT","url":"Patient/p"}}`
	}
	bundle := func(kind, gender string) string {
		return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + entry(gender) + `]}`
	}
	patched := func(path, kind, patch string) func() {
		return func() { x.typed(http.StatusOK, http.MethodPatch, path, kind, patch) }
	}
	want := []string{}
	for _, w := range []struct {
		path string
		do   func()
	}{
		{"update as create", func() { x.put("Patient/p", known+`,"gender":"unknown"`) }},
		{"update", func() { x.put("Patient/p", known+`,"gender":"male"`) }},
		{"conditional update", func() {
			x.must(http.StatusOK, http.MethodPut, "/Patient?identifier=urn:clinic|7", body("female"))
		}},
		{"JSON Patch", patched("/Patient/p", "application/json-patch+json", `[{"op":"replace","path":"/gender","value":"other"}]`)},
		{"merge patch", patched("/Patient/p", "application/merge-patch+json", `{"gender":"male"}`)},
		{"FHIRPath Patch", patched("/Patient/p", "application/fhir+json", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[
			{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.gender"},{"name":"value","valueCode":"female"}]}]}`)},
		{"conditional patch", patched("/Patient?identifier=urn:clinic|7", "application/merge-patch+json", `{"gender":"other"}`)},
		{"batch", func() { x.must(http.StatusOK, http.MethodPost, "", bundle("batch", "male")) }},
		{"transaction", func() { x.must(http.StatusOK, http.MethodPost, "", bundle("transaction", "female")) }},
		{"import", func() { x.bring(body("other")) }},
		{"restoring a version", func() {
			x.must(http.StatusOK, http.MethodPut, "/Patient/p", string(x.must(http.StatusOK, http.MethodGet, "/Patient/p/_history/2", "").body))
		}},
		{"reviving after a deletion", func() {
			x.must(http.StatusNoContent, http.MethodDelete, "/Patient/p", "")
			x.put("Patient/p", known)
		}},
	} {
		w.do()
		version, i := len(want)+1, "update"
		if version == 1 {
			i = "create"
		}
		if w.path == "reviving after a deletion" {
			version, i = version+1, "create"
		}
		want = append(want, fmt.Sprintf("%s Patient/p/_history/%d", i, version))
		x.expect("/a", want...)
		if t.Failed() {
			t.Fatalf("the write by %s did not notify once", w.path)
		}
	}
}

// typed is must with a content type.
func (x *trap) typed(status int, method, path, kind, body string) {
	x.t.Helper()
	request, err := http.NewRequestWithContext(x.t.Context(), method, x.base+path, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		x.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != status {
		x.t.Fatalf("%s %s: status %d, want %d", method, path, response.StatusCode, status)
	}
}

// bring imports one resource, as the command does with --notify.
func (x *trap) bring(resource string) {
	x.t.Helper()
	dir := x.t.TempDir()
	file := filepath.Join(dir, "one.ndjson")
	if err := os.WriteFile(file, []byte(resource+"\n"), 0o600); err != nil {
		x.t.Fatal(err)
	}
	report, err := importing.Run(x.t.Context(), importing.Options{
		Files: []string{file}, State: filepath.Join(dir, "state.json"), Name: "trap",
		Target: importing.Remote{Base: x.base, Notify: true, Client: http.DefaultClient},
	})
	if err != nil || report.Present != 1 {
		x.t.Fatalf("%+v, %v", report, err)
	}
}

func TestPitfall_noOpUpdateFiresNothing(t *testing.T) {
	x := newTrap(t)
	x.create("Subscription", set(x.r.URL+"/a", "Patient", strict))
	const same = `{"resourceType":"Patient","id":"p","identifier":[{"value":"7"}],"gender":"female"}`
	x.must(http.StatusCreated, http.MethodPut, "/Patient/p", same)
	etag := x.must(http.StatusOK, http.MethodGet, "/Patient/p", "").header.Get("ETag")
	stored := string(x.must(http.StatusOK, http.MethodGet, "/Patient/p", "").body)
	for _, body := range []string{same, stored, strings.ReplaceAll(same, ",", " ,\n ")} {
		if got := x.must(http.StatusOK, http.MethodPut, "/Patient/p", body).header.Get("ETag"); got != etag {
			t.Errorf("ETag %s, want %s", got, etag)
		}
	}
	x.must(http.StatusOK, http.MethodPut, "/Patient?identifier=7", same)
	x.typed(http.StatusOK, http.MethodPatch, "/Patient/p", "application/merge-patch+json", `{"gender":"female"}`)
	for _, kind := range []string{"batch", "transaction"} {
		x.must(http.StatusOK, http.MethodPost, "", `{"resourceType":"Bundle","type":"`+kind+`","entry":[{"resource":`+same+`,"request":{"method":"PUT","url":"Patient/p"}}]}`)
	}
	x.must(http.StatusNoContent, http.MethodDelete, "/Patient/none", "")
	x.put("Patient/last", "")
	x.expect("/a", "create Patient/p/_history/1", "create Patient/last/_history/1")
}

func TestPitfall_rolledBackWriteFiresNothing(t *testing.T) {
	x := newTrap(t)
	x.create("Subscription", set(x.r.URL+"/a", "Patient", strict))
	x.put("Patient/p", "")
	good := `{"resource":{"resourceType":"Patient","id":"rolled-back"},"request":{"method":"PUT","url":"Patient/rolled-back"}}`
	for bad, status := range map[string]int{
		`{"resource":{"resourceType":"Patient","id":"p"},"request":{"method":"PUT","url":"Patient/p","ifMatch":"W/\"99\""}}`: 412,
		`{"resource":{"resourceType":"Patient","id":"x","gender":"nonsense"},"request":{"method":"PUT","url":"Patient/y"}}`:  400,
		`{"request":{"method":"GET","url":"Patient/nobody"}}`:                                                                404,
	} {
		x.must(status, http.MethodPost, "", `{"resourceType":"Bundle","type":"transaction","entry":[`+good+","+bad+`]}`)
	}
	x.put("Patient/last", "")
	x.expect("/a", "create Patient/p/_history/1", "create Patient/last/_history/1")
	x.must(http.StatusNotFound, http.MethodGet, "/Patient/rolled-back", "")
}
