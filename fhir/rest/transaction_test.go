package rest

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"fhirhook/fhir"
)

func bundleOf(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

func post(fullURL, resource string) string {
	typ := regexp.MustCompile(`"resourceType":"(\w+)"`).FindStringSubmatch(resource)[1]
	return fmt.Sprintf(`{"fullUrl":%q,"resource":%s,"request":{"method":"POST","url":%q}}`, fullURL, resource, typ)
}

func ask(method, url string) string {
	return fmt.Sprintf(`{"request":{"method":%q,"url":%q}}`, method, url)
}

// TestTransaction_order gives the same whatever the order of entries: deletes, creates, updates, reads (R4
// http.html#trules).
func TestTransaction_order(t *testing.T) {
	t.Parallel()
	entries := []string{
		ask("GET", "Patient/put"),
		`{"resource":{"resourceType":"Patient","id":"put","link":[{"other":{"reference":"urn:uuid:made"}}]},"request":{"method":"PUT","url":"Patient/put"}}`,
		post("urn:uuid:made", `{"resourceType":"Patient","gender":"other"}`),
		ask("DELETE", "Patient/old"),
		ask("GET", "Patient?gender=other"),
		ask("HEAD", "Patient/put"),
	}
	want := []string{"200 OK", "201 Created", "201 Created", "204 No Content", "200 OK", "200 OK"}
	for _, order := range [][]int{{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, {2, 4, 0, 3, 5, 1}} {
		h := newHarness(t)
		h.must(201, "PUT", "/Patient/old", `{"resourceType":"Patient","id":"old"}`)
		var sent []string
		for _, i := range order {
			sent = append(sent, entries[i])
		}
		r := h.must(200, "POST", "", bundleOf("transaction", sent...))
		h.equal("transaction-response", r.at("type"))
		for at, i := range order {
			h.equal(want[i], r.at("entry", at, "response", "status"))
			switch i {
			case 0:
				h.equal("1", r.at("entry", at, "resource", "meta", "versionId"))
			case 2:
				location := r.at("entry", at, "response", "location")
				reference := strings.TrimPrefix(strings.TrimSuffix(location, "/_history/1"), h.http.URL+Prefix+"/")
				h.contains(h.stored("Patient", "put"), `"other":{"reference":"`+reference+`"}`)
				h.equal(`W/"1"`, r.at("entry", at, "response", "etag"))
				h.equal(r.at("entry", at, "resource", "meta", "lastUpdated"), r.at("entry", at, "response", "lastModified"))
			case 4:
				h.equal("1", r.at("entry", at, "resource", "total"))
			case 5:
				h.equal("", r.at("entry", at, "resource"))
			}
		}
		h.must(410, "GET", "/Patient/old", "")
	}
}

func (h *harness) contains(s, part string) {
	h.t.Helper()
	if !strings.Contains(s, part) {
		h.t.Errorf("%s\nlacks %s", s, part)
	}
}

// TestTransaction_rewritesReferences walks through each kind of element that may name an entry (R4
// http.html#trules), and those that may not.
func TestTransaction_rewritesReferences(t *testing.T) {
	t.Parallel()
	const self = "urn:uuid:0d3b7a4e-2f0c-4a53-9a55-000000000001"
	tests := []struct {
		name, resource string
		want           string // %s is the target's Type/id
	}{
		{"Reference.reference", `{"resourceType":"Observation","subject":{"reference":"` + self + `"}}`, `"subject":{"reference":"%s"}`},
		{"nested and repeated", `{"resourceType":"List","entry":[{"item":{"reference":"` + self + `"}},{"item":{"reference":"` + self + `"}}]}`, `{"item":{"reference":"%s"}},{"item":{"reference":"%[1]s"}}`},
		{"in contained", `{"resourceType":"Observation","contained":[{"resourceType":"Observation","id":"a","subject":{"reference":"` + self + `"}}]}`, `"subject":{"reference":"%s"}`},
		{"in an extension", `{"resourceType":"Observation","extension":[{"url":"http://x.example","valueReference":{"reference":"` + self + `"}}]}`, `"valueReference":{"reference":"%s"}`},
		{"in the extension of a primitive", `{"resourceType":"Patient","_gender":{"extension":[{"url":"http://x.example","valueReference":{"reference":"` + self + `"}}]}}`, `"valueReference":{"reference":"%s"}`},
		{"in Parameters", `{"resourceType":"Parameters","parameter":[{"name":"x","valueReference":{"reference":"` + self + `"}},{"name":"y","resource":{"resourceType":"Observation","subject":{"reference":"` + self + `"}}}]}`, `"subject":{"reference":"%s"}`},
		{"uri", `{"resourceType":"Observation","meta":{"source":"` + self + `"}}`, `"source":"%s"`},
		{"uri in a choice", `{"resourceType":"Observation","extension":[{"url":"http://x.example","valueUri":"` + self + `"}]}`, `"valueUri":"%s"`},
		{"url", `{"resourceType":"Observation","extension":[{"url":"http://x.example","valueUrl":"` + self + `"}]}`, `"valueUrl":"%s"`},
		{"oid", `{"resourceType":"Observation","extension":[{"url":"http://x.example","valueOid":"` + self + `"}]}`, `"valueOid":"%s"`},
		{"uuid", `{"resourceType":"Observation","extension":[{"url":"http://x.example","valueUuid":"` + self + `"}]}`, `"valueUuid":"%s"`},
		{"url of an attachment", `{"resourceType":"DocumentReference","content":[{"attachment":{"url":"` + self + `"}}]}`, `"url":"%s"`},
		{"escaped", `{"resourceType":"Observation","subject":{"reference":"urn\u003auuid:0d3b7a4e-2f0c-4a53-9a55-000000000001"}}`, `"reference":"%s"`},
		{"link in a narrative", `{"resourceType":"Observation","text":{"status":"generated","div":"<div>\u00e9\ud83d\ude00 <a class=\"x\" href=\"` + self + `\">he\u003c<\/a> <img src='` + self + `#p'/></div>"}}`, `<div>\u00e9\ud83d\ude00 <a class=\"x\" href=\"%s\">he\u003c<\/a> <img src='%[1]s#p'/></div>`},
		{"canonical stays", `{"resourceType":"Observation","meta":{"profile":["` + self + `"]}}`, `"profile":["` + self + `"]`},
		{"canonical in a choice stays", `{"resourceType":"Observation","extension":[{"url":"http://x.example","valueCanonical":"` + self + `"}]}`, `"valueCanonical":"` + self + `"`},
		{"string stays", `{"resourceType":"Observation","identifier":[{"value":"` + self + `"}]}`, `"value":"` + self + `"`},
		{"text in a narrative stays", `{"resourceType":"Observation","text":{"status":"generated","div":"<div>` + self + `</div>"}}`, `<div>` + self + `</div>`},
		{"display stays", `{"resourceType":"Observation","subject":{"display":"` + self + `"}}`, `"display":"` + self + `"`},
		{"unknown element stays", `{"resourceType":"Observation","nonsense":{"reference":"` + self + `"}}`, `"nonsense":{"reference":"` + self + `"}`},
		{"unknown urn stays", `{"resourceType":"Observation","subject":{"reference":"urn:uuid:0d3b7a4e-2f0c-4a53-9a55-000000000009"}}`, `"reference":"urn:uuid:0d3b7a4e-2f0c-4a53-9a55-000000000009"`},
		{"fragment stays", `{"resourceType":"Observation","subject":{"reference":"#a"}}`, `"reference":"#a"`},
		{"inside a stored Bundle stays", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"` + self + `","resource":{"resourceType":"Observation","subject":{"reference":"` + self + `"}}}]}`, `"subject":{"reference":"` + self + `"}`},
	}
	h := newHarness(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &harness{t: t, db: h.db, http: h.http}
			r := h.must(200, "POST", "", bundleOf("transaction", post("urn:uuid:from", tt.resource), post(self, `{"resourceType":"Patient"}`)))
			want := tt.want
			if strings.Contains(want, "%") {
				want = fmt.Sprintf(want, "Patient/"+r.at("entry", 1, "resource", "id"))
			}
			h.contains(r.at("entry", 0, "resource"), want)
			if strings.Contains(tt.want, "%") && strings.Contains(r.at("entry", 0, "resource"), self) {
				t.Errorf("%s is left in %s", self, r.at("entry", 0, "resource"))
			}
		})
	}
}

// TestTransaction_resolvesByFullURL covers references that are no URNs (R4 bundle.html#references).
func TestTransaction_resolvesByFullURL(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.must(200, "POST", "", bundleOf("transaction",
		post("https://a.example/fhir/Patient/1", `{"resourceType":"Patient","id":"1"}`),
		post("https://b.example/fhir/Patient/1", `{"resourceType":"Patient","id":"1"}`),
		post("https://a.example/fhir/Observation/1", `{"resourceType":"Observation","subject":{"reference":"Patient/1"},"focus":[{"reference":"https://b.example/fhir/Patient/1"},{"reference":"Patient/1/_history/4"},{"reference":"Patient/2"}]}`),
		`{"fullUrl":"https://a.example/fhir/Group/9","resource":{"resourceType":"Group","id":"9","member":[{"entity":{"reference":"Patient/1"}}]},"request":{"method":"PUT","url":"Group/9"}}`,
		post("urn:uuid:5", `{"resourceType":"List","subject":{"reference":"https://a.example/fhir/Group/9"},"source":{"reference":"Patient/1"},"entry":[{"item":{"reference":"https://a.example/fhir/Group/9/_history/3"}}]}`)))
	a, b := "Patient/"+r.at("entry", 0, "resource", "id"), "Patient/"+r.at("entry", 1, "resource", "id")
	h.equal(a, r.at("entry", 2, "resource", "subject", "reference"))
	h.equal(b, r.at("entry", 2, "resource", "focus", 0, "reference"))
	h.equal(a+"/_history/1", r.at("entry", 2, "resource", "focus", 1, "reference"))
	h.equal("Patient/2", r.at("entry", 2, "resource", "focus", 2, "reference"))
	h.equal(a, r.at("entry", 3, "resource", "member", 0, "entity", "reference"))
	h.equal("Group/9", r.at("entry", 4, "resource", "subject", "reference"))
	h.equal("Patient/1", r.at("entry", 4, "resource", "source", "reference"))
	h.equal("Group/9/_history/3", r.at("entry", 4, "resource", "entry", 0, "item", "reference"))
}

// TestTransaction_circularReferences may point to each other.
func TestTransaction_circularReferences(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.must(200, "POST", "", bundleOf("transaction",
		post("urn:uuid:a", `{"resourceType":"Patient","link":[{"other":{"reference":"urn:uuid:b"}}]}`),
		post("urn:uuid:b", `{"resourceType":"Patient","link":[{"other":{"reference":"urn:uuid:a"}}]}`)))
	h.equal("Patient/"+r.at("entry", 1, "resource", "id"), r.at("entry", 0, "resource", "link", 0, "other", "reference"))
	h.equal("Patient/"+r.at("entry", 0, "resource", "id"), r.at("entry", 1, "resource", "link", 0, "other", "reference"))
}

// TestTransaction_conditionalReferences select what is stored, or what the transaction itself makes, and
// never what it deletes.
func TestTransaction_conditionalReferences(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(201, "PUT", "/Practitioner/stored", `{"resourceType":"Practitioner","id":"stored","identifier":[{"system":"urn:npi","value":"1"}]}`)
	h.must(201, "PUT", "/Practitioner/old", `{"resourceType":"Practitioner","id":"old","identifier":[{"system":"urn:npi","value":"2"}]}`)
	r := h.must(200, "POST", "", bundleOf("transaction",
		post("urn:uuid:e", `{"resourceType":"Encounter","identifier":[{"value":"e"}],"participant":[{"individual":{"reference":"Practitioner?identifier=urn:npi|1"}},{"individual":{"reference":"Practitioner?identifier=urn:npi%7C2"}}]}`),
		post("urn:uuid:o", `{"resourceType":"Observation","encounter":{"reference":"Encounter?identifier=e"}}`),
		post("urn:uuid:p", `{"resourceType":"Practitioner","identifier":[{"system":"urn:npi","value":"2"}]}`),
		ask("DELETE", "Practitioner/old")))
	h.equal("Practitioner/stored", r.at("entry", 0, "resource", "participant", 0, "individual", "reference"))
	h.equal("Practitioner/"+r.at("entry", 2, "resource", "id"), r.at("entry", 0, "resource", "participant", 1, "individual", "reference"))
	h.equal("Encounter/"+r.at("entry", 0, "resource", "id"), r.at("entry", 1, "resource", "encounter", "reference"))

	// A resource that is updated to match, or no longer to match, counts as it will be.
	r = h.must(200, "POST", "", bundleOf("transaction",
		`{"resource":{"resourceType":"Practitioner","id":"stored","identifier":[{"system":"urn:npi","value":"3"}]},"request":{"method":"PUT","url":"Practitioner/stored"}}`,
		post("urn:uuid:o", `{"resourceType":"Observation","performer":[{"reference":"Practitioner?identifier=urn:npi|3"}]}`)))
	h.equal("Practitioner/stored", r.at("entry", 1, "resource", "performer", 0, "reference"))
	h.must(412, "POST", "", bundleOf("transaction",
		`{"resource":{"resourceType":"Practitioner","id":"stored"},"request":{"method":"PUT","url":"Practitioner/stored"}}`,
		post("urn:uuid:o", `{"resourceType":"Observation","performer":[{"reference":"Practitioner?identifier=urn:npi|3"}]}`)))
}

// TestTransaction_conditions inside entries act as the headers do.
func TestTransaction_conditions(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","identifier":[{"value":"a"}]}`)
	r := h.must(200, "POST", "", bundleOf("transaction",
		`{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient","identifier":[{"value":"a"}]},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=a"}}`,
		`{"fullUrl":"urn:uuid:q","resource":{"resourceType":"Patient","identifier":[{"value":"b"}]},"request":{"method":"PUT","url":"Patient?identifier=b"}}`,
		`{"request":{"method":"DELETE","url":"Patient?identifier=none"}}`,
		`{"request":{"method":"GET","url":"Patient/1","ifNoneMatch":"W/\"1\""}}`,
		post("urn:uuid:o", `{"resourceType":"Observation","subject":{"reference":"urn:uuid:p"},"focus":[{"reference":"urn:uuid:q"}]}`)))
	for i, want := range []string{"200 OK", "201 Created", "204 No Content", "304 Not Modified", "201 Created"} {
		h.equal(want, r.at("entry", i, "response", "status"))
	}
	h.equal("Patient/1", r.at("entry", 4, "resource", "subject", "reference"))
	h.equal("Patient/"+r.at("entry", 1, "resource", "id"), r.at("entry", 4, "resource", "focus", 0, "reference"))
	h.equal(h.http.URL+Prefix+"/Patient/1/_history/1", r.at("entry", 0, "response", "location"))
	h.equal("", r.at("entry", 3, "resource"))
}

// TestTransaction_isOneCommit: its rows share an end, and so a matcher sees all or none.
func TestTransaction_isOneCommit(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(200, "POST", "", bundleOf("transaction", post("urn:uuid:1", `{"resourceType":"Patient"}`), post("urn:uuid:2", `{"resourceType":"Patient"}`), post("urn:uuid:3", `{"resourceType":"Patient"}`)), "X-Request-Id: r1")
	for i, c := range h.changes() {
		if c.End != 3 || c.Origin.RequestID != "r1" {
			t.Errorf("row %d ends at %d, request %q", i+1, c.End, c.Origin.RequestID)
		}
	}
}

// TestTransaction_empty is fine (R4 http.html#transaction).
func TestTransaction_empty(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, kind := range []string{"transaction", "batch"} {
		r := h.must(200, "POST", "", `{"resourceType":"Bundle","type":"`+kind+`"}`)
		h.equal(`{"resourceType":"Bundle","type":"`+kind+`-response"}`, string(r.body))
	}
}

// TestTransaction_prefer decides whether entries carry resources.
func TestTransaction_prefer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, kind := range []string{"transaction", "batch"} {
		body := bundleOf(kind, post("urn:uuid:1", `{"resourceType":"Patient"}`), ask("GET", "Patient?_id=x"))
		r := h.must(200, "POST", "", body, "Prefer: return=minimal")
		h.equal("", r.at("entry", 0, "resource"))
		h.equal("Bundle", r.at("entry", 1, "resource", "resourceType"))
		h.equal("Patient", h.must(200, "POST", "", body, "Prefer: return=representation").at("entry", 0, "resource", "resourceType"))
		r = h.must(200, "POST", "", body, "Prefer: return=OperationOutcome")
		h.equal("", r.at("entry", 0, "resource"))
		h.equal("OperationOutcome", r.at("entry", 0, "response", "outcome", "resourceType"))
	}
}

// TestBatch_entriesAreIndependent: what fails fails alone, in place.
func TestBatch_entriesAreIndependent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.must(200, "POST", "", bundleOf("batch",
		post("urn:uuid:1", `{"resourceType":"Patient","active":true}`),
		ask("GET", "Patient/none"),
		`7`,
		`{"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"PUT","url":"Patient/b"}}`,
		`{"resource":{"resourceType":"Patient","id":"b"},"request":{"method":"PUT","url":"Patient/b"}}`,
		ask("GET", "/Patient/b"),
		ask("GET", h.http.URL+Prefix+"/Patient/b/_history/1"),
		ask("GET", "metadata"),
		ask("GET", "Patient/b/_history"),
		ask("DELETE", "Patient/b"),
		ask("GET", "Patient/b"),
		ask("GET", "Nonsense/b")))
	h.equal("batch-response", r.at("type"))
	for i, want := range []string{
		"201 Created", "404 Not Found", "400 Bad Request", "400 Bad Request", "201 Created", "200 OK", "200 OK",
		"200 OK", "200 OK", "204 No Content", "410 Gone", "404 Not Found",
	} {
		h.equal(want, r.at("entry", i, "response", "status"))
		failed := want[0] == '4'
		if got := r.at("entry", i, "response", "outcome", "resourceType") == "OperationOutcome"; got != failed {
			t.Errorf("entry %d: outcome %v, want %v", i, got, failed)
		}
	}
	h.contains(r.at("entry", 3, "response", "outcome", "issue", 0, "expression", 0), "Bundle.entry[3].resource.id")
}

// TestConditionalCreate_racesCreateOnce sends equal requests at the same moment.
func TestConditionalCreate_racesCreateOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			h.do("POST", "/Patient", `{"resourceType":"Patient","identifier":[{"value":"a"}]}`, "If-None-Exist: identifier=a")
		})
	}
	all.Wait()
	if n := len(h.changes()); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// TestBundle_isStoredUntouched when it goes to its own type.
func TestBundle_isStoredUntouched(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.must(201, "POST", "/Bundle", bundleOf("transaction", post("urn:uuid:1", `{"resourceType":"Patient"}`)))
	h.contains(h.stored(fhir.Bundle, r.at("id")), `"fullUrl":"urn:uuid:1"`)
	if n := len(h.changes()); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// TestTransaction_saysWhichReferenceCantBeResolved: a condition that can't be evaluated, or selects none or several, is
// named by its element.
func TestTransaction_saysWhichReferenceCantBeResolved(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(201, "PUT", "/Practitioner/a", `{"resourceType":"Practitioner","id":"a","active":true}`)
	h.must(201, "PUT", "/Practitioner/b", `{"resourceType":"Practitioner","id":"b","active":true}`)
	patient := post("urn:uuid:1", `{"resourceType":"Patient"}`)
	for _, tt := range []struct {
		reference, code string
		status          int
	}{
		{"Practitioner?foo=bar", "not-supported", 400},
		{"Practitioner?active:nonsense=true", "not-supported", 400},
		{"Practitioner?_lastUpdated=soon", "value", 400},
		{"Practitioner?active=", "required", 400},
		{"Practitioner?identifier=none", "conflict", 412},
		{"Practitioner?active=true", "multiple-matches", 412},
	} {
		o := `{"resourceType":"Observation","subject":{"reference":"urn:uuid:1"},"performer":[{"reference":"Practitioner/a"},{"reference":"` + tt.reference + `"}]}`
		r := h.must(tt.status, "POST", "", bundleOf("transaction", patient, post("urn:uuid:2", o)))
		h.equal(tt.code, r.at("issue", 0, "code"))
		h.equal("Bundle.entry[1].resource.performer[1].reference", r.at("issue", 0, "expression", 0))
	}
	o := `{"resourceType":"Observation","contained":[{"resourceType":"Group","managingEntity":{"reference":"Practitioner?foo=1"}}]}`
	r := h.must(400, "POST", "", bundleOf("transaction", post("urn:uuid:2", o)))
	h.equal("Bundle.entry[0].resource.contained[0].managingEntity.reference", r.at("issue", 0, "expression", 0))
}
