package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/auth"
)

// callers starts a server with callers of a test's own.
func callers(t testing.TB, tokens ...auth.Token) *siege {
	t.Helper()
	s := &siege{tokens: map[string]string{}}
	for i := range tokens {
		s.tokens[tokens[i].Name], tokens[i].Hash = auth.NewToken()
	}
	s.process = start(t, t.TempDir(), func(o *app.Options) { o.Auth.Tokens = tokens })
	return s
}

// subscribeAs writes a Subscription.
func (s *siege) subscribeAs(who, id, criteria, endpoint string, extensions ...string) answer {
	s.t.Helper()
	more := ""
	if len(extensions) > 0 {
		more = `,"extension":[` + strings.Join(extensions, ",") + `]`
	}
	a := s.as(who, "PUT", "/Subscription/"+id, fmt.Sprintf(`{"resourceType":"Subscription","id":%q,"status":"active","reason":%q,"criteria":%q,
		"channel":{"type":"rest-hook","endpoint":%q}%s}`, id, "by "+who, criteria, endpoint, more))
	if a.status != 200 && a.status != 201 {
		s.t.Fatalf("%s: %d %s", who, a.status, a.body)
	}
	return a
}

// observe writes an Observation.
func (s *siege) observe(id, status, tag string) {
	s.t.Helper()
	if tag != "" {
		tag = `"meta":{"tag":[{"code":"` + tag + `"}]},`
	}
	s.mustAs("writer", 201, "PUT", "/Observation/"+id, fmt.Sprintf(`{"resourceType":"Observation","id":%q,%s"status":%q,"code":{"text":"x"},"subject":{"reference":"Patient/p"}}`, id, tag, status))
}

// got are the ids of the resources that a receiver was told of, sorted.
func got(all []notification) []string {
	var ids []string
	for _, n := range all {
		ids = append(ids, strings.Split(n.resource, "/")[1])
	}
	slices.Sort(ids)
	return ids
}

func (s *siege) total(who, path string) int {
	s.t.Helper()
	total, _ := s.mustAs(who, 200, "GET", path, "").json(s.t)["total"].(float64)
	return int(total)
}

// staff are the callers of most tests here.
func staff() []auth.Token {
	return []auth.Token{
		{Name: "admin", Admin: true},
		{Name: "writer", Scopes: []string{"system/*.cruds"}},
		{Name: "author", Scopes: []string{"system/Subscription.cruds", "system/Observation.rs?status=final"}},
		{Name: "tagged", Scopes: []string{"system/Subscription.cruds", "system/Observation.rs?_tag=x"}},
	}
}

// A Subscription sees what its author does, what its author and whoever changed it both do, nothing once the grant is
// revoked, and what whoever takes it over does.
func TestGrant_decidesWhatASubscriptionSees(t *testing.T) {
	t.Parallel()
	s := callers(t, staff()...)
	r := newReceiver(t, nil)
	made := s.subscribeAs("author", "s", "Observation", r.URL)
	if !strings.Contains(string(made.body), `{\"issuer\":\"fhirhook:configuration\",\"subject\":\"author\"`) || strings.Contains(string(made.body), s.tokens["author"]) {
		t.Fatalf("the grant isn't there, or more is: %s", made.body)
	}
	expect := func(what string, ids ...string) {
		t.Helper()
		slices.Sort(ids)
		all := got(r.await(t, what, func(all []notification) bool { return slices.Equal(got(all), ids) || len(all) > len(ids) }))
		if !slices.Equal(all, ids) {
			t.Fatalf("%s: %v, want %v", what, all, ids)
		}
	}
	s.observe("preliminary", "preliminary", "")
	s.observe("final", "final", "")
	expect("its author's", "final")

	s.subscribeAs("tagged", "s", "Observation", r.URL)
	s.observe("final2", "final", "")
	s.observe("amended-tagged", "amended", "x")
	s.observe("final-tagged", "final", "x")
	expect("both's", "final", "final-tagged")
	s.mustAs("tagged", 422, "PUT", "/Subscription/s", strings.Replace(string(s.mustAs("tagged", 200, "GET", "/Subscription/s", "").body), "Observation.rs", "*.rs", 1))

	for _, who := range []string{"author", "tagged", "writer"} {
		s.mustAs(who, 403, "POST", "/Subscription/s/$revoke-grant", "")
	}
	s.mustAs("admin", 200, "POST", "/Subscription/s/$revoke-grant", "")
	if a := s.mustAs("author", 200, "GET", "/Subscription/s/$status", ""); !strings.Contains(string(a.body), "the grant of author was revoked") {
		t.Errorf("$status: %s", a.body)
	}
	s.subscribeAs("author", "s", "Observation", r.URL) // writing it again doesn't bring it back
	s.observe("final-tagged2", "final", "x")
	taken := s.mustAs("tagged", 200, "POST", "/Subscription/s/$take-over", "")
	if !strings.Contains(string(taken.body), `"tagged"`) || taken.header.Get("ETag") == "" {
		t.Errorf("$take-over: %s", taken.body)
	}
	s.observe("amended-tagged2", "amended", "x")
	expect("the new owner's", "final", "final-tagged", "amended-tagged2")
	explained := s.mustAs("tagged", 200, "POST", "/Subscription/s/$explain?reference=Observation/final-tagged2", "")
	if !strings.Contains(string(explained.body), "was revoked on") {
		t.Errorf("$explain doesn't tell the grant of that time: %s", explained.body)
	}
}

// What is owed and may not be sent any more is on the record as withheld, an ordered lane goes on behind it, and it can be
// sent again once it is covered again.
func TestGrant_revokedWhileNotificationsAreOwed(t *testing.T) {
	t.Parallel()
	s := callers(t, staff()...)
	var broken atomic.Bool
	broken.Store(true)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(500)
		}
	})
	s.subscribeAs("author", "s", "Observation", r.URL,
		`{"url":"https://fhirhook.dev/StructureDefinition/subscription-order","valueCode":"subscription"}`,
		`{"url":"https://fhirhook.dev/StructureDefinition/subscription-retry","valueString":"exp:20ms,1,20ms,1h"}`)
	for i := range 3 {
		s.observe(fmt.Sprintf("o%d", i), "final", "")
	}
	r.await(t, "attempts", atLeast(2))
	s.mustAs("admin", 200, "POST", "/Subscription/s/$revoke-grant", "")
	broken.Store(false)
	eventually(t, "the end of matching", func() bool { return s.total("author", "/Subscription/s/$deliveries") == 3 })
	eventually(t, "the end of what was owed", func() bool { return s.total("author", "/Subscription/s/$deliveries?status=owed") == 0 })
	delivered := s.total("author", "/Subscription/s/$deliveries?status=delivered") // an attempt that was under way may end well
	withheld := s.mustAs("author", 200, "GET", "/Subscription/s/$deliveries?status=withheld", "")
	if n, _ := withheld.json(t)["total"].(float64); int(n)+delivered != 3 || n < 2 || !strings.Contains(string(withheld.body), "the grant of author was revoked") {
		t.Fatalf("%d delivered, and %s", delivered, withheld.body)
	}
	before := len(r.all())
	s.mustAs("author", 200, "POST", "/Subscription/s/$take-over", "")
	s.observe("o3", "final", "")
	last := r.await(t, "the next", atLeast(before+1))[before]
	if last.sequence != 4 {
		t.Fatalf("number %d, want 4: what was withheld has its own", last.sequence)
	}
	s.mustAs("author", 202, "POST", "/Subscription/s/$redeliver?status=withheld", "")
	eventually(t, "what was withheld, again", func() bool { return s.total("author", "/Subscription/s/$deliveries?status=withheld") == 0 })
}

// The token expires, and the Subscription goes on.
func TestGrant_outlivesItsToken(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	subscription := `{"resourceType":"Subscription","id":"s","status":"active","reason":"r","criteria":"Observation","channel":{"type":"rest-hook","endpoint":"` + r.URL + `"}}`
	var s *siege
	for life := 4 * time.Second; ; life *= 3 { // longer if the server wasn't there in time
		s = callers(t, append(staff(), auth.Token{Name: "brief", Scopes: []string{"system/Subscription.cruds", "system/Observation.rs"}, Expires: time.Now().Add(life)})...)
		a := s.as("brief", "PUT", "/Subscription/s", subscription)
		if a.status == http.StatusCreated {
			break
		}
		if a.status != http.StatusUnauthorized || life > patient {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	eventually(t, "the token's end", func() bool { return s.as("brief", "GET", "/Subscription/s", "").status == 401 })
	s.observe("o", "final", "")
	r.await(t, "the notification", atLeast(1))
}

// Operations tell a caller nothing that the caller may not see, whatever the Subscription sees.
func TestGrant_operationsAnswerWhatTheCallerMaySee(t *testing.T) {
	t.Parallel()
	s := callers(t, append(staff(),
		auth.Token{Name: "limited", Scopes: []string{"system/Subscription.crus?_tag=mine", "system/Observation.rs?status=final"}})...)
	r := newReceiver(t, nil)
	s.mustAs("writer", 201, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p","gender":"female"}`)
	s.subscribeAs("writer", "secret", "Observation", r.URL)
	s.mustAs("writer", 201, "PUT", "/Subscription/mine", `{"resourceType":"Subscription","id":"mine","meta":{"tag":[{"code":"mine"}]},"status":"active","reason":"x",
		"criteria":"Observation?patient.gender=female","channel":{"type":"rest-hook","endpoint":"`+r.URL+`"}}`)
	s.observe("final", "final", "")
	s.observe("preliminary", "preliminary", "")
	r.await(t, "what both are owed", atLeast(4))

	eventually(t, "the attempts' record", func() bool { return s.total("writer", "/Subscription/$deliveries?status=owed") == 0 })

	// $deliveries, $status and $plan of all Subscriptions, and of a resource
	for _, path := range []string{"/Subscription/$deliveries", "/Observation/final/$deliveries", "/Subscription/$status", "/Subscription/$plan"} {
		a := s.mustAs("limited", 200, "GET", path, "")
		if strings.Contains(string(a.body), "secret") || !strings.Contains(string(a.body), "mine") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"l":"secret","n":100}`))
	if a := s.mustAs("limited", 200, "GET", "/Subscription/$deliveries?_cursor="+forged, ""); strings.Contains(string(a.body), `Subscription/secret"`) {
		t.Errorf("a forged cursor opens a lane: %s", a.body)
	}
	for _, path := range []string{"/Subscription/secret/$deliveries", "/Subscription/secret/$status", "/Subscription/secret/$plan", "/Observation/preliminary/$deliveries"} {
		s.mustAs("limited", 404, "GET", path, "")
	}

	// $explain: of what isn't seen nothing, and links to it don't hold
	s.mustAs("limited", 404, "POST", "/Subscription/mine/$explain?reference=Observation/preliminary", "")
	s.mustAs("limited", 404, "POST", "/Subscription/mine/$explain?reference=Observation/nowhere", "")
	s.mustAs("limited", 404, "POST", "/Subscription/mine/$explain?reference=Patient/p", "")
	if a := s.mustAs("writer", 200, "POST", "/Subscription/mine/$explain?reference=Observation/final", ""); !strings.Contains(string(a.body), `{"name":"matches","valueBoolean":true}`) {
		t.Errorf("for the writer: %s", a.body)
	}
	if a := s.mustAs("limited", 200, "POST", "/Subscription/mine/$explain?reference=Observation/final", ""); !strings.Contains(string(a.body), `{"name":"matches","valueBoolean":false}`) {
		t.Errorf("$explain tells of a Patient that the caller doesn't see: %s", a.body)
	}
	inline := `{"resourceType":"Observation","id":"preliminary","status":"final","subject":{"reference":"Patient/p"}}`
	if a := s.mustAs("limited", 200, "POST", "/Subscription/mine/$explain", inline); !strings.Contains(string(a.body), `"valueCode":"create"`) {
		t.Errorf("$explain tells that there is something under that id: %s", a.body)
	}

	// $backfill: a search doesn't find what its author doesn't see
	count := func(who, search string) string {
		t.Helper()
		return string(s.mustAs(who, 200, "POST", "/Subscription/mine/$backfill?dry-run=true&force=true"+search, "").body)
	}
	if a, b := count("writer", "&search=Observation?subject:Patient.gender=female"), count("limited", "&search=Observation?subject:Patient.gender=female"); !strings.Contains(a, `"valueInteger":2`) || !strings.Contains(b, `"valueInteger":0`) {
		t.Errorf("by the writer: %s, by the limited: %s", a, b)
	}
	if b := count("limited", "&search=Observation"); !strings.Contains(b, `"valueInteger":1`) {
		t.Errorf("by the limited: %s", b)
	}
	s.mustAs("limited", 403, "POST", "/Observation/final/$resend", "")
}

// Two tenants with the same ids, criteria and links: each is told of its own.
func TestGrant_tenantsNeverMeet(t *testing.T) {
	t.Parallel()
	s := callers(t, auth.Token{Name: "a", Tenant: "a", Scopes: []string{"system/*.cruds"}}, auth.Token{Name: "b", Tenant: "b", Scopes: []string{"system/*.cruds"}})
	receivers := map[string]*receiver{}
	for _, who := range []string{"a", "b"} {
		r := newReceiver(t, nil)
		receivers[who] = r
		s.subscribeAs(who, "s", "Observation?patient.gender=female", r.URL)
		s.subscribeAs(who, "enters", "Observation?patient.gender=female", r.URL, `{"url":"https://fhirhook.dev/StructureDefinition/subscription-trigger","valueCode":"enters"}`)
	}
	s.mustAs("a", 201, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p","gender":"female"}`)
	for _, who := range []string{"a", "b"} {
		s.mustAs(who, 201, "PUT", "/Observation/o", `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"of `+who+`"},"subject":{"reference":"Patient/p"}}`)
	}
	s.mustAs("b", 201, "PUT", "/Observation/o2", `{"resourceType":"Observation","id":"o2","status":"final","code":{"text":"of b"},"subject":{"reference":"Patient/p"}}`)
	s.mustAs("b", 201, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p","gender":"female"}`) // both Observations of b enter
	for who, want := range map[string][]string{"a": {"o", "o"}, "b": {"o", "o2"}} {
		all := receivers[who].await(t, "what "+who+" is owed", atLeast(2))
		if !slices.Equal(got(all), want) {
			t.Errorf("%s got %v", who, got(all))
		}
		for _, n := range all {
			if !strings.Contains(string(n.body), "of "+who) {
				t.Errorf("%s got %s", who, n.body)
			}
		}
		eventually(t, "the attempts' record", func() bool { return s.total(who, "/Subscription/$deliveries?status=owed") == 0 })
		if n, audited := s.total(who, "/Subscription/$deliveries"), s.total(who, "/AuditEvent?type=transmit&entity=Subscription/s,Subscription/enters"); n != 2 || audited != 2 {
			t.Errorf("%s sees %d deliveries and %d AuditEvents", who, n, audited)
		}
	}
}

// Whether a Subscription's key is this or that can't be found out by searching for it, nor by being notified.
func TestGrant_criteriaAreNoOracleForSecrets(t *testing.T) {
	t.Parallel()
	s := callers(t, staff()...)
	r := newReceiver(t, nil)
	const key, guess = "zanzibar-quagga-oxbow", "zanzibar" // a part of it, for the whole must not even stand in a URL
	s.mustAs("writer", 201, "PUT", "/SearchParameter/key", `{"resourceType":"SearchParameter","id":"key","url":"https://clinic.example/key","name":"key","status":"active","description":"x",
		"code":"key","base":["Subscription"],"type":"string","expression":"Subscription.extension.where(url='https://fhirhook.dev/StructureDefinition/subscription-secret').value"}`)
	fhirPath := func(x string) string {
		return `{"url":"https://medplum.com/fhir/StructureDefinition/fhir-path-criteria-expression","valueString":"` + x + `"}`
	}
	s.subscribeAs("writer", "content", "Subscription?_content="+guess, r.URL)
	s.subscribeAs("writer", "own", "Subscription?key="+guess, r.URL)
	s.subscribeAs("writer", "path", "Subscription?_id=victim", r.URL, fhirPath("%current.extension.value.where(startsWith('"+guess+"')).exists()"))
	s.subscribeAs("writer", "sentinel", "Subscription?_id=victim", r.URL, fhirPath("%current.extension.value.where($this = '********').exists()"))
	s.subscribeAs("author", "victim", "Observation", r.URL, `{"url":"https://fhirhook.dev/StructureDefinition/subscription-secret","valueString":"`+key+`"}`)
	r.await(t, "the sentinel", func(got []notification) bool { // others are told of each other, whose criteria hold the word
		return slices.ContainsFunc(got, func(n notification) bool { return n.subscription == "sentinel" })
	})
	eventually(t, "what was matched", func() bool { return s.total("writer", "/Subscription/$deliveries?status=owed") == 0 })
	if n := s.total("writer", "/Subscription/$deliveries?resource=Subscription/victim"); n != 1 {
		t.Errorf("%d notifications: %s", n, s.mustAs("writer", 200, "GET", "/Subscription/$deliveries?resource=Subscription/victim", "").body)
	}
	for path, want := range map[string]int{"_content=" + guess: 0, "key=" + guess: 0, "key=********": 1} {
		if n := s.total("writer", "/Subscription?_id=victim&"+path); n != want {
			t.Errorf("%s finds %d, want %d", path, n, want)
		}
	}
	for _, id := range []string{"content", "own", "path"} {
		a := s.mustAs("writer", 200, "POST", "/Subscription/"+id+"/$explain?reference=Subscription/victim", "")
		if !strings.Contains(string(a.body), `{"name":"would-notify","valueBoolean":false}`) {
			t.Errorf("$explain of %s: %s", id, a.body)
		}
		a = s.mustAs("writer", 200, "POST", "/Subscription/"+id+"/$backfill?dry-run=true&search=Subscription?_id=victim", "")
		if !strings.Contains(string(a.body), `{"name":"total","valueInteger":0}`) {
			t.Errorf("$backfill of %s: %s", id, a.body)
		}
	}
}

// A webhook is a Subscription with a grant like any other, through all of its own interface and by patches of it.
func TestGrant_webhooksAndPatchesKeepIt(t *testing.T) {
	t.Parallel()
	s := callers(t, staff()...)
	r := newReceiver(t, nil)
	id, _ := s.mustAs("author", 201, "POST", "^/webhooks", `{"url":"`+r.URL+`","events":["observation.*"]}`).json(t)["id"].(string)
	s.mustAs("author", 200, "PATCH", "^/webhooks/"+id, `{"active":false}`)
	s.mustAs("author", 200, "PATCH", "^/webhooks/"+id, `{"active":true}`)
	s.mustAs("author", 200, "PATCH", "/Subscription/"+id, `[{"op":"add","path":"/reason","value":"patched"}]`, "Content-Type: application/json-patch+json")
	s.mustAs("author", 422, "PATCH", "/Subscription/"+id, `[{"op":"add","path":"/extension/-","value":{"url":"https://fhirhook.dev/StructureDefinition/subscription-grant","valueString":"{}"}}]`, "Content-Type: application/json-patch+json")
	bundle := `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + string(s.mustAs("author", 200, "GET", "/Subscription/"+id, "").body) + `,"request":{"method":"PUT","url":"Subscription/` + id + `"}}]}`
	s.mustAs("author", 200, "POST", "/", bundle)
	s.mustAs("tagged", 422, "POST", "/", strings.Replace(bundle, `\"subject\":\"author\"`, `\"subject\":\"tagged\"`, 1))
	if a := s.mustAs("author", 200, "GET", "/Subscription/"+id, ""); strings.Count(string(a.body), "subscription-grant") != 1 || !strings.Contains(string(a.body), `\"subject\":\"author\"`) {
		t.Errorf("the grant is another: %s", a.body)
	}
	s.observe("preliminary", "preliminary", "")
	s.observe("final", "final", "")
	if all := r.await(t, "what the author sees", atLeast(1)); !slices.Equal(got(all), []string{"final"}) {
		t.Errorf("%v", got(all))
	}
}
