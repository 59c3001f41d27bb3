package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// planted stands in what bob has, and nowhere else: no answer that alice gets may hold it.
const planted = "PLANTEDinBsTenant"

// ownerOf answers what bob has stored: in tenant b.
type bobs struct {
	*siege
	receiver *receiver // of alice
	job      string    // of bob's, below the base
	delivery string    // id
	audit    string    // id of an AuditEvent about bob's Subscription
	webhook  string    // id
	cursor   string    // query of a second page of bob's $deliveries
	page     string    // query of a second page of bob's Observations
	before   string    // query of a second page of bob's history
}

// bobStores fills tenant b, and waits until its notifications are delivered.
func bobStores(t *testing.T, s *siege) *bobs {
	t.Helper()
	b := &bobs{siege: s, receiver: newReceiver(t, nil)}
	own := newReceiver(t, nil)
	put := func(body string) {
		t.Helper()
		var r struct{ ResourceType, ID string }
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		s.mustAs("bob", 201, "PUT", "/"+r.ResourceType+"/"+r.ID, body)
	}
	put(`{"resourceType":"Subscription","id":"bobs","status":"active","reason":"` + planted + `","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"` + own.URL + `/` + planted + `","header":["X-Key: ` + planted + `-header-value"]},
		"extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"` + planted + `-signing-key"}]}`)
	put(`{"resourceType":"SearchParameter","id":"bobs","url":"http://b.example/planted","name":"` + planted + `","status":"active","description":"x","code":"bobs-` + planted + `","base":["Patient"],"type":"string","expression":"Patient.name.family"}`)
	put(`{"resourceType":"ValueSet","id":"bobs","url":"http://b.example/vs","status":"active","title":"` + planted + `","compose":{"include":[{"system":"urn:b","concept":[{"code":"` + planted + `"}]}]},"expansion":{"timestamp":"2026-01-01","contains":[{"system":"urn:b","code":"` + planted + `"}]}}`)
	put(`{"resourceType":"Practitioner","id":"bobs","name":[{"family":"` + planted + `"}]}`)
	put(`{"resourceType":"Patient","id":"bobs","name":[{"family":"` + planted + `"}],"identifier":[{"system":"urn:b","value":"1"}],"generalPractitioner":[{"reference":"Practitioner/bobs"}]}`)
	for i := range 3 {
		put(fmt.Sprintf(`{"resourceType":"Patient","id":"bobs%d","name":[{"family":"%s"}]}`, i, planted))
		put(fmt.Sprintf(`{"resourceType":"Observation","id":"bobs%d","status":"final","code":{"coding":[{"system":"urn:b","code":"%s"}]},"subject":{"reference":"Patient/bobs"}}`, i, planted))
	}
	put(`{"resourceType":"List","id":"bobs","status":"current","mode":"working","title":"` + planted + `","entry":[{"item":{"reference":"Observation/bobs0"}},{"item":{"reference":"Patient/bobs"}}]}`)
	put(`{"resourceType":"Binary","id":"bobs","contentType":"text/plain","data":"UExBTlRFRGluQnNUZW5hbnQ="}`)
	put(`{"resourceType":"Basic","id":"bobs","code":{"text":"` + planted + `"}}`)
	s.mustAs("bob", 204, "DELETE", "/Basic/bobs", "")
	webhook := s.mustAs("bob", 201, "POST", "^/webhooks", `{"url":"`+own.URL+`/`+planted+`","events":["encounter.*"],"description":"`+planted+`","secret":"generate"}`).json(t)
	b.webhook, _ = webhook["id"].(string)

	own.await(t, "bob's notifications", atLeast(4))
	eventually(t, "the end of bob's deliveries", func() bool {
		return strings.Contains(string(s.mustAs("bob", 200, "GET", "/Subscription/bobs/$deliveries?status=owed", "").body), `"total":0`)
	})
	b.delivery = own.all()[0].id
	found := s.mustAs("bob", 200, "GET", "/AuditEvent?type=transmit&entity=Subscription/bobs&_count=1", "")
	b.audit = regexp.MustCompile(`"id":"(at-[^"]*)"`).FindStringSubmatch(string(found.body))[1]
	b.job = strings.SplitN(s.mustAs("bob", 202, "POST", "/Subscription/bobs/$redeliver?sequence=1-&rate=0.001", "").header.Get("Content-Location"), "/fhir/R4", 2)[1]
	next := func(path, parameter string) string {
		t.Helper()
		m := regexp.MustCompile(`"relation":"next","url":"[^"?]*\?([^"]*)"`).FindStringSubmatch(string(s.mustAs("bob", 200, "GET", path, "").body))
		if m == nil || !strings.Contains(m[1], parameter) {
			t.Fatalf("%s has no next page: %v", path, m)
		}
		return m[1]
	}
	b.cursor = next("/Subscription/bobs/$deliveries?_count=1", "_cursor")
	b.page = next("/Observation?_count=1", "-page")
	b.before = next("/Observation/_history?_count=1", "-before")
	return b
}

// sameAsNobody fails unless alice is told of bob's path what she is told of one that never was.
func (b *bobs) sameAsNobody(t *testing.T, method, path, body string, headers ...string) {
	t.Helper()
	s := b.in(t)
	stranger := strings.NewReplacer(b.webhook, "01a00000-0000-7000-8000-00000000none", "bobs", "none", b.delivery, "nonenonenone").Replace
	got, want := s.as("alice", method, path, body, headers...), s.as("alice", method, stranger(path), stranger(body), headers...)
	if strings.Contains(string(got.body), planted) {
		t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
	}
	if got.status != want.status || stranger(string(got.body)) != stranger(string(want.body)) || got.header.Get("ETag") != want.header.Get("ETag") {
		t.Errorf("%s %s can be told from %s:\n%d %s %s\n%d %s %s", method, path, stranger(path), got.status, got.header.Get("ETag"), got.body, want.status, want.header.Get("ETag"), want.body)
	}
}

// finds fails unless a search of alice's finds so many.
func (b *bobs) finds(t *testing.T, want float64, path string) {
	t.Helper()
	r := b.in(t).mustAs("alice", 200, "GET", path, "")
	if got := r.json(t)["total"]; got != want || strings.Contains(strings.ReplaceAll(string(r.body), "="+planted, ""), planted) {
		t.Errorf("%s finds %v, want %v: %s", path, got, want, r.body)
	}
}

// TestAttack_tenants: alice, who may do everything in her tenant, goes every way there is to what bob has in his.
func TestAttack_tenants(t *testing.T) {
	t.Parallel()
	s := besiege(t, t.TempDir())
	b := bobStores(t, s)
	// What alice has of her own, to lead from.
	s.mustAs("alice", 201, "PUT", "/Observation/alices", `{"resourceType":"Observation","id":"alices","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/bobs"},"performer":[{"reference":"`+s.base+`/Practitioner/bobs"}],"hasMember":[{"reference":"Observation/bobs0/_history/1"}]}`)
	s.mustAs("alice", 201, "PUT", "/List/alices", `{"resourceType":"List","id":"alices","status":"current","mode":"working","entry":[{"item":{"reference":"Patient/bobs"}},{"item":{"reference":"Observation/bobs1"}}]}`)
	s.mustAs("alice", 201, "PUT", "/Subscription/alices", `{"resourceType":"Subscription","id":"alices","status":"active","reason":"attack","criteria":"[*]","channel":{"type":"rest-hook","endpoint":"`+b.receiver.URL+`","payload":"application/fhir+json"}}`)

	same := func(name, method, path, body string, headers ...string) {
		t.Run(name, func(t *testing.T) { b.sameAsNobody(t, method, path, body, headers...) })
	}
	finds := func(name string, want float64, path string) {
		t.Run(name, func(t *testing.T) { b.finds(t, want, path) })
	}

	same("read", "GET", "/Patient/bobs", "")
	same("read of a Subscription", "GET", "/Subscription/bobs", "")
	same("read of what was deleted", "GET", "/Basic/bobs", "")
	same("read of a Binary", "GET", "/Binary/bobs", "", "Accept: */*")
	same("head", "HEAD", "/Patient/bobs", "")
	same("conditional read", "GET", "/Patient/bobs", "", `If-None-Match: W/"1"`)
	same("vread", "GET", "/Patient/bobs/_history/1", "")
	same("vread of what was deleted", "GET", "/Basic/bobs/_history/1", "")
	same("history of a resource", "GET", "/Patient/bobs/_history", "")
	same("summary", "GET", "/Patient/bobs?_summary=true", "")

	finds("history of a type", 0, "/Patient/_history")
	finds("history of everything", 3, "/_history")
	finds("search of a type", 0, "/Patient?_total=accurate")
	finds("search of all types", 1, "?_type=Observation,Patient,Practitioner")
	finds("search by id", 0, "/Patient?_id=bobs,bobs0,bobs1,bobs2")
	finds("search by text", 0, "/Patient?_content="+planted)
	finds("search by identifier", 0, "/Patient?identifier=urn:b|1")
	finds("search by filter", 0, "/Patient?_filter=family%20co%20PLANTED")
	finds("search for the missing", 0, "/Patient?family:missing=false")
	finds("search newest first", 0, "/Patient?_sort=-_lastUpdated&_total=accurate")
	finds("search of Subscriptions", 1, "/Subscription")
	finds("search by a list of one's own", 0, "/Patient?_list=alices")
	finds("search by a list of another's", 0, "/Patient?_list=bobs")
	finds("counting", 0, "/Patient?_summary=count")
	finds("chain", 0, "/Observation?subject:Patient.family="+planted)
	finds("chain of two", 0, "/Observation?subject:Patient.general-practitioner.family="+planted)
	finds("chain over an absolute reference", 0, "/Observation?performer:Practitioner.family="+planted)
	finds("reverse chain", 0, "/Patient?_has:Observation:patient:_id=alices")
	finds("compartment", 1, "/Patient/bobs/Observation")
	finds("include", 1, "/Observation?_include=*&_include:iterate=Patient:general-practitioner&_revinclude=*")
	finds("reverse include", 0, "/Patient?_revinclude=Observation:patient")
	finds("AuditEvents of attempts", 0, "/AuditEvent?type=transmit&entity=Subscription/bobs")
	finds("AuditEvents of requests", 0, "/AuditEvent?altid=bob") // alice finds her own, about what is not there for her
	same("everything of a patient", "GET", "/Patient/bobs/$everything", "")
	finds("everything of all patients", 1, "/Patient/$everything")
	t.Run("meta in use", func(t *testing.T) {
		for _, path := range []string{"/$meta", "/Patient/$meta"} {
			if r := b.in(t).mustAs("alice", 200, "GET", path, ""); strings.Contains(string(r.body), planted) {
				t.Errorf("%s", r.body)
			}
		}
	})
	same("meta of a resource", "GET", "/Patient/bobs/$meta", "")
	same("AuditEvent by id", "GET", "/AuditEvent/"+b.audit, "")

	t.Run("update makes one's own", func(t *testing.T) {
		s := b.in(t)
		s.mustAs("alice", 201, "PUT", "/Patient/bobs", `{"resourceType":"Patient","id":"bobs","active":false}`)
		s.mustAs("alice", 204, "DELETE", "/Patient/bobs", "")
		if r := s.mustAs("bob", 200, "GET", "/Patient/bobs", ""); !strings.Contains(string(r.body), planted) || r.header.Get("ETag") != `W/"1"` {
			t.Errorf("bob's is %s", r.body)
		}
	})
	same("patch", "PATCH", "/Observation/bobs0", `[{"op":"test","path":"/status","value":"final"}]`, "Content-Type: application/json-patch+json")
	same("delete", "DELETE", "/Observation/bobs0", "")
	same("meta-add", "POST", "/Observation/bobs0/$meta-add", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"x"}]}}]}`)
	same("conditional patch", "PATCH", "/Patient?identifier=urn:b|1", `{"active":true}`, "Content-Type: application/merge-patch+json")
	t.Run("conditional writes find nothing", func(t *testing.T) {
		s := b.in(t)
		s.mustAs("alice", 204, "DELETE", "/Patient?identifier=urn:b|1", "")
		s.mustAs("alice", 201, "POST", "/Patient", `{"resourceType":"Patient"}`, "If-None-Exist: identifier=urn:b|1")
		s.mustAs("alice", 201, "PUT", "/Patient?identifier=urn:b|1", `{"resourceType":"Patient"}`)
	})
	t.Run("transaction", func(t *testing.T) {
		s := b.in(t)
		for name, tt := range map[string]struct {
			status int
			entry  string
		}{
			"read":                    {404, `{"request":{"method":"GET","url":"Patient/bobs0"}}`},
			"read by absolute URL":    {404, `{"request":{"method":"GET","url":"` + s.base + `/Patient/bobs0"}}`},
			"read by another's URL":   {400, `{"request":{"method":"GET","url":"http://b.example/fhir/R4/Patient/bobs0"}}`},
			"history":                 {404, `{"request":{"method":"GET","url":"Patient/bobs0/_history"}}`},
			"patch":                   {404, `{"request":{"method":"PATCH","url":"Patient/bobs0"},"resource":{"resourceType":"Binary","contentType":"application/merge-patch+json","data":"e30="}}`},
			"conditional reference":   {412, `{"request":{"method":"POST","url":"Observation"},"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Practitioner?family=` + planted + `"}}}`},
			"condition of a create":   {200, `{"request":{"method":"POST","url":"Basic","ifNoneExist":"_id=bobs"},"resource":{"resourceType":"Basic","code":{"text":"x"}}}`},
			"search of a transaction": {200, `{"request":{"method":"GET","url":"Patient?_id=bobs0&_include=*"}}`},
		} {
			r := s.as("alice", "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+tt.entry+`]}`)
			if r.status != tt.status || strings.Contains(strings.ReplaceAll(string(r.body), "="+planted, ""), planted) {
				t.Errorf("%s: status %d, want %d: %s", name, r.status, tt.status, r.body)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		s := b.in(t)
		for path, status := range map[string]int{
			"/Observation?" + b.page: 400, "/Observation/_history?" + b.before: 200, "/Subscription/bobs/$deliveries?" + b.cursor: 404, "/Subscription/alices/$deliveries?" + b.cursor: 200, "/Subscription/$deliveries?" + b.cursor: 200,
		} {
			if r := s.as("alice", "GET", path, ""); r.status != status || strings.Contains(string(r.body), planted) || strings.Contains(string(r.body), "bobs0") {
				t.Errorf("%s: status %d, want %d: %s", path, r.status, status, r.body)
			}
		}
	})

	for _, operation := range []struct{ method, name string }{
		{"GET", "$deliveries"},
		{"GET", "$deliveries?resource=Patient/bobs0"},
		{"GET", "$deliveries?delivery=" + b.delivery},
		{"GET", "$status"},
		{"GET", "$plan"},
		{"POST", "$ping"},
		{"POST", "$redeliver?sequence=1-"},
		{"POST", "$redeliver?delivery=" + b.delivery},
		{"POST", "$backfill?since=2020-01-01"},
		{"POST", "$rotate-secret"},
		{"POST", "$explain?reference=Patient/bobs0"},
	} {
		same("operation "+operation.name, operation.method, "/Subscription/bobs/"+operation.name, "")
	}
	same("deliveries of a resource", "GET", "/Patient/bobs0/$deliveries", "")
	t.Run("deliveries of all", func(t *testing.T) {
		for _, query := range []string{"", "?delivery=" + b.delivery, "?resource=Patient/bobs0", "?status=delivered&_count=500"} {
			r := b.in(t).mustAs("alice", 200, "GET", "/Subscription/$deliveries"+query, "")
			if text := string(r.body); strings.Contains(text, planted) || strings.Contains(text, "Subscription/bobs") || strings.Contains(text, "Patient/bobs0/") {
				t.Errorf("%s: %s", query, text)
			}
		}
	})
	t.Run("states and plans of all", func(t *testing.T) {
		for _, path := range []string{"/Subscription/$status", "/Subscription/$status?id=bobs", "/Subscription/$plan"} {
			if r := b.in(t).as("alice", "GET", path, ""); strings.Contains(string(r.body), planted) || strings.Contains(string(r.body), "Subscription/bobs") {
				t.Errorf("%s: %s", path, r.body)
			}
		}
	})
	t.Run("jobs", func(t *testing.T) {
		s := b.in(t)
		for _, method := range []string{"GET", "DELETE"} {
			for _, path := range []string{b.job, strings.Replace(b.job, "/bobs/", "/alices/", 1)} {
				if r := s.as("alice", method, path, ""); r.status != 404 {
					t.Errorf("%s %s: %d %s", method, path, r.status, r.body)
				}
			}
		}
		if r := s.mustAs("bob", 200, "GET", b.job, ""); strings.Contains(string(r.body), "cancelled") {
			t.Errorf("bob's job is %s", r.body)
		}
	})
	same("explaining by a Subscription of one's own", "POST", "/Subscription/alices/$explain?reference=Patient/bobs0", "")
	for _, hook := range []struct{ method, path, body string }{
		{"GET", "", ""},
		{"PUT", "", `{"url":"http://127.0.0.1:1/","events":"*"}`},
		{"PATCH", "", `{"active":false}`},
		{"DELETE", "", ""},
		{"POST", "/ping", ""},
		{"POST", "/rotate-secret", ""},
		{"GET", "/deliveries", ""},
	} {
		t.Run("webhook "+hook.method+hook.path, func(t *testing.T) {
			r := b.in(t).as("alice", hook.method, "^/webhooks/"+b.webhook+hook.path, hook.body)
			if r.status != 404 || strings.Contains(string(r.body), planted) {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	t.Run("webhooks of all", func(t *testing.T) {
		if r := b.in(t).mustAs("alice", 200, "GET", "^/webhooks", ""); strings.Contains(string(r.body), planted) {
			t.Errorf("%s", r.body)
		}
	})
	t.Run("webhook-events ping", func(t *testing.T) {
		if r := b.in(t).as("alice", "POST", "^/webhook-events", `{"webhook":"`+b.webhook+`","event":"ping"}`); r.status != 404 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("organization of another", func(t *testing.T) {
		for _, path := range []string{"^/webhook-events", "^/webhooks"} {
			if r := b.in(t).as("alice", "POST", path, `{"organization":"b","url":"`+b.receiver.URL+`","events":"*"}`); r.status != http.StatusForbidden {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
	})

	t.Run("tenant header", func(t *testing.T) {
		s := b.in(t)
		for _, tt := range []struct{ who, tenant string }{{"alice", "b"}, {"bob", "a"}, {"reader", "default"}, {"patient", "a"}, {"alice", "../b"}, {"alice", "B"}, {"alice", "a,b"}} {
			for _, q := range []struct{ method, path, body string }{
				{"GET", "/Patient/bobs", ""},
				{"GET", "/Patient", ""},
				{"PUT", "/Patient/bobs", `{"resourceType":"Patient","id":"bobs"}`},
				{"GET", "/Patient/_history", ""},
				{"POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/bobs"}}]}`},
				{"GET", "/Subscription/bobs/$deliveries", ""},
				{"GET", "/metadata", ""},
				{"GET", "^/webhooks", ""},
				{"GET", "^/webhooks/" + b.webhook, ""},
			} {
				r := s.as(tt.who, q.method, q.path, q.body, "X-Fhirhook-Tenant: "+tt.tenant)
				if r.status != http.StatusForbidden || strings.Contains(string(r.body), planted) {
					t.Errorf("%s %s as %s in %s: %d %s", q.method, q.path, tt.who, tt.tenant, r.status, r.body)
				}
			}
		}
		if r := s.mustAs("admin", 200, "GET", "/Patient/bobs", "", "X-Fhirhook-Tenant: b"); !strings.Contains(string(r.body), planted) {
			t.Errorf("the administrator reads %s", r.body)
		}
		s.mustAs("admin", 404, "GET", "/Patient/bobs1", "")
	})
	t.Run("search parameters", func(t *testing.T) {
		s := b.in(t)
		own := "bobs-" + planted
		if r := s.mustAs("bob", 200, "GET", "/Patient?"+own+"="+planted, ""); r.json(t)["total"] != 4.0 {
			t.Errorf("bob finds %s", r.body)
		}
		s.mustAs("alice", 400, "GET", "/Patient?"+own+"=x", "", "Prefer: handling=strict")
		for _, who := range []string{"alice", ""} {
			if r := s.as(who, "GET", "/metadata", ""); r.status != 200 || strings.Contains(string(r.body), planted) {
				t.Errorf("the CapabilityStatement for %q has bob's search parameter", who)
			}
		}
		r := s.as("alice", "PUT", "/Subscription/by-bobs", `{"resourceType":"Subscription","id":"by-bobs","status":"active","reason":"r","criteria":"Patient?`+own+`=x","channel":{"type":"rest-hook","endpoint":"`+b.receiver.URL+`"}}`)
		if r.status < 400 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("value sets", func(t *testing.T) {
		s := b.in(t)
		if r := s.as("bob", "GET", "/Observation?code:in=http://b.example/vs", ""); r.status != 200 || r.json(t)["total"] != 3.0 {
			t.Errorf("bob finds %s", r.body)
		}
		r := s.as("alice", "GET", "/Observation?code:in=http://b.example/vs", "")
		never := s.as("alice", "GET", "/Observation?code:in=http://b.example/none", "")
		if r.status != never.status || strings.Contains(string(r.body), planted) || r.status == 200 && r.json(t)["total"] != 0.0 {
			t.Errorf("%d %s; of one that never was %d", r.status, r.body, never.status)
		}
	})
	t.Run("metrics and figures", func(t *testing.T) {
		s := b.in(t)
		for who, status := range map[string]int{"": 401, "alice": 403, "admin": 200} {
			r := s.as(who, "GET", "^/metrics", "")
			if r.status != status || strings.Contains(string(r.body), planted) || strings.Contains(string(r.body), "bobs") {
				t.Errorf("%q: %d %s", who, r.status, r.body)
			}
		}
		for _, path := range []string{"^/readyz", "^/healthz", "^/openapi.json"} {
			if r := s.as("", "GET", path, ""); r.status != 200 || regexp.MustCompile(`\d+ changes`).Match(r.body) || strings.Contains(string(r.body), planted) {
				t.Errorf("%s: %d %.200s", path, r.status, r.body)
			}
		}
	})
	t.Run("the same ids", func(t *testing.T) {
		s := b.in(t)
		subscription := func(header string) string {
			return `{"resourceType":"Subscription","id":"bobs","status":"active","reason":"mine","criteria":"Basic","channel":{"type":"rest-hook","endpoint":"` + b.receiver.URL + `"` + header + `}}`
		}
		if r := s.as("alice", "PUT", "/Subscription/bobs", subscription(`,"header":["X-Key: ********"]`)); r.status != 422 {
			t.Errorf("bob's secret was taken over: %d %s", r.status, r.body)
		}
		s.mustAs("alice", 201, "PUT", "/Subscription/bobs", subscription(""))
		s.mustAs("alice", 404, "GET", b.job, "")
		s.mustAs("alice", 404, "GET", "/AuditEvent/"+b.audit, "")
		if r := s.mustAs("alice", 200, "GET", "/Subscription/bobs/$deliveries?delivery="+b.delivery, ""); r.json(t)["total"] != 0.0 {
			t.Errorf("%s", r.body)
		}
		before := len(b.receiver.all())
		s.mustAs("alice", 201, "PUT", "/Basic/mine", `{"resourceType":"Basic","id":"mine","code":{"text":"x"}}`)
		got := b.receiver.await(t, "alice's own", func(got []notification) bool {
			return slices.ContainsFunc(got[before:], func(n notification) bool { return n.subscription == "bobs" })
		})
		for _, n := range got[before:] {
			if n.subscription == "bobs" && n.sequence != 1 {
				t.Errorf("the numbers of bob's Subscription go on in alice's: %d", n.sequence)
			}
		}
		s.mustAs("alice", 204, "DELETE", "/Subscription/bobs", "")
		if r := s.mustAs("bob", 200, "GET", "/Subscription/bobs", ""); !strings.Contains(string(r.body), `"status":"active"`) {
			t.Errorf("bob's is %s", r.body)
		}
	})
	t.Run("notifications", func(t *testing.T) {
		s := b.in(t)
		s.mustAs("bob", 201, "PUT", "/Basic/last", `{"resourceType":"Basic","id":"last","code":{"text":"`+planted+`"}}`)
		s.mustAs("alice", 201, "PUT", "/Basic/last", `{"resourceType":"Basic","id":"last","code":{"text":"sentinel"}}`)
		got := b.receiver.await(t, "alice's sentinel", func(got []notification) bool {
			return slices.ContainsFunc(got, func(n notification) bool { return strings.Contains(string(n.body), "sentinel") })
		})
		for _, n := range got {
			if text := strings.ReplaceAll(string(n.body), "family="+planted, "") + fmt.Sprint(n.header, n.path); strings.Contains(text, planted) {
				t.Errorf("alice is notified of %s", text)
			}
		}
	})
	t.Run("guesses", func(t *testing.T) {
		s := b.in(t)
		for _, id := range []string{"b/bobs", "b%2Fbobs", "%62obs%00", "bobs%0a", "..%2f..%2fb%2fPatient%2fbobs", "bobs%20", "b\\bobs", url.PathEscape("b\x00Patient\x00bobs")} {
			r := s.as("alice", "GET", "/Practitioner/"+id, "")
			if r.status < 400 || strings.Contains(string(r.body), planted) {
				t.Errorf("%s: %d %s", id, r.status, r.body)
			}
		}
	})
}

// TestAttack_scopes: within bob's tenant, callers whose scopes cover little go the same ways.
func TestAttack_scopes(t *testing.T) {
	t.Parallel()
	s := besiege(t, t.TempDir())
	b := bobStores(t, s)
	paths := []string{
		"/Patient/bobs", "/Patient/bobs/_history", "/Patient/bobs/_history/1", "/Patient/bobs/$meta", "/Patient/bobs/$everything", "/Patient/$everything", "/Patient/bobs/*", "/Patient/bobs/Observation", "/Patient?_revinclude=*&_include=*",
		"/Observation?_include=*", "/Observation?subject:Patient.family=" + planted[:8], "/List?_include=List:item", "/_history", "/Patient/_history", "?_type=Patient,Observation,List,Practitioner", "/Patient/bobs/$deliveries", "/Binary/bobs",
		"/AuditEvent", "/AuditEvent/" + b.audit, "^/metrics",
	}
	for _, who := range []string{"patient", "subscriber"} {
		for _, path := range paths {
			if who == "subscriber" && path == "/_history" {
				continue // it has the Subscriptions, which hold the word
			}
			r := s.as(who, "GET", path, "")
			if r.status >= 500 || strings.Contains(string(r.body), planted) || strings.Contains(string(r.body), "UExBTlRFRGluQnNUZW5hbnQ=") || r.status == 200 && strings.Contains(string(r.body), `"resourceType":"Observation"`) {
				t.Errorf("%s as %s: %d %s", path, who, r.status, r.body)
			}
		}
		for _, q := range []struct{ method, path, body string }{
			{"PUT", "/Patient/bobs", `{"resourceType":"Patient","id":"bobs"}`},
			{"DELETE", "/Patient/bobs", ""},
			{"DELETE", "/Patient?_id=bobs", ""},
			{"POST", "/Patient", `{"resourceType":"Patient"}`},
			{"POST", "/Patient/bobs/$meta-add", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"x"}]}}]}`},
			{"POST", "/Patient/bobs/$resend", ""},
			{"PUT", "/SearchParameter/mine", `{"resourceType":"SearchParameter","id":"mine","url":"http://x/m","name":"M","status":"active","description":"d","code":"m","base":["Patient"],"type":"string","expression":"Patient.name.family"}`},
		} {
			if r := s.as(who, q.method, q.path, q.body); r.status != http.StatusForbidden {
				t.Errorf("%s %s as %s: %d %s", q.method, q.path, who, r.status, r.body)
			}
		}
	}
	for _, q := range []struct{ method, path, body string }{
		{"GET", "/Subscription/bobs", ""},
		{"GET", "/Subscription", ""},
		{"GET", "/Subscription/$deliveries", ""},
		{"GET", "/Subscription/bobs/$deliveries", ""},
		{"GET", "/Subscription/$status", ""},
		{"GET", "/Subscription/bobs/$status", ""},
		{"GET", b.job, ""},
		{"POST", "/Subscription/bobs/$ping", ""},
		{"POST", "/Subscription/bobs/$redeliver?sequence=1-", ""},
		{"POST", "/Subscription/bobs/$backfill?since=2020-01-01", ""},
		{"POST", "/Subscription/bobs/$rotate-secret", ""},
		{"POST", "/Subscription/bobs/$explain?reference=Patient/bobs", ""},
		{"GET", "^/webhooks", ""},
		{"GET", "^/webhooks/" + b.webhook, ""},
		{"PATCH", "^/webhooks/" + b.webhook, `{"active":false}`},
		{"DELETE", "^/webhooks/" + b.webhook, ""},
		{"GET", "^/webhooks/" + b.webhook + "/deliveries", ""},
		{"POST", "^/webhooks/" + b.webhook + "/ping", ""},
		{"POST", "^/webhook-events", `{"webhook":"` + b.webhook + `","event":"ping"}`},
		{"POST", "/Subscription", `{"resourceType":"Subscription","status":"active","reason":"r","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"` + b.receiver.URL + `"}}`},
	} {
		if r := s.as("patient", q.method, q.path, q.body); r.status != http.StatusForbidden && r.status != http.StatusNotFound {
			t.Errorf("%s %s as a patient: %d %s", q.method, q.path, r.status, r.body)
		}
		writes := q.method != http.MethodGet && !strings.Contains(q.path, "$explain")
		if r := s.as("reader", q.method, q.path, q.body); writes && r.status != http.StatusForbidden {
			t.Errorf("%s %s as one who may only read: %d %s", q.method, q.path, r.status, r.body)
		}
	}
	if r := s.as("subscriber", "POST", "/Subscription/bobs/$explain?reference=Patient/bobs", ""); strings.Contains(string(r.body), planted) || r.status == 200 && strings.Contains(string(r.body), `"name":"notifies","valueBoolean":true`) {
		t.Errorf("$explain tells the subscriber of a Patient: %d %s", r.status, r.body)
	}
	if r := s.mustAs("bob", 200, "GET", "/Patient/bobs", ""); r.header.Get("ETag") != `W/"1"` {
		t.Errorf("bob's Patient was changed: %s", r.body)
	}
}
