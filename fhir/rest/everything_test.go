package rest

import (
	"strings"
	"testing"
)

// names lists the resources of a Bundle.
func (r reply) names() string {
	var all []string
	for i := range r.count("entry") {
		all = append(all, r.at("entry", i, "resource", "resourceType")+"/"+r.at("entry", i, "resource", "id"))
	}
	return strings.Join(all, " ")
}

func TestEverything_isTheCompartmentAndWhatItRefersTo(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, body := range []string{
		`{"resourceType":"Patient","id":"1","generalPractitioner":[{"reference":"Practitioner/p"}]}`,
		`{"resourceType":"Patient","id":"2"}`,
		`{"resourceType":"Practitioner","id":"p"}`,
		`{"resourceType":"Observation","id":"a","subject":{"reference":"Patient/1"},"effectiveDateTime":"2020-01-01"}`,
		`{"resourceType":"Observation","id":"b","subject":{"reference":"Patient/1"},"effectiveDateTime":"2021-01-01"}`,
		`{"resourceType":"Observation","id":"c","subject":{"reference":"Patient/2"}}`,
		`{"resourceType":"Medication","id":"m"}`,
	} {
		typ, id, _ := strings.Cut(strings.NewReplacer(`{"resourceType":"`, "", `","id":"`, "/").Replace(body), "/")
		id, _, _ = strings.Cut(id, `"`)
		h.must(201, "PUT", "/"+typ+"/"+id, body)
	}
	for _, tt := range []struct{ query, want string }{
		{"", "Observation/a Observation/b Patient/1 Practitioner/p"},
		{"?_type=Observation", "Observation/a Observation/b"},
		{"?start=2020-06-01", "Observation/b Patient/1 Practitioner/p"},
		{"?start=2019&end=2020-06", "Observation/a Patient/1 Practitioner/p"},
		{"?_since=2999-01-01T00:00:00Z", ""},
		{"?_since=2000-01-01T00:00:00%2B01:00&_type=Patient", "Patient/1"},
	} {
		h.equal(tt.want, h.must(200, "GET", "/Patient/1/$everything"+tt.query, "").names())
	}
	h.equal("Observation/a Patient/1 Practitioner/p", h.must(200, "POST", "/Patient/1/$everything",
		`{"resourceType":"Parameters","parameter":[{"name":"end","valueDate":"2020-06-01"}]}`).names())

	var seen []string
	next := "/Patient/1/$everything?_count=1&start=2019"
	for next != "" {
		r := h.must(200, "GET", next, "")
		h.equal("3", r.at("total"))
		seen = append(seen, r.names())
		next = strings.TrimPrefix(r.link("next"), h.http.URL+Prefix)
	}
	h.equal("Observation/a Patient/1|Observation/b Patient/1|Patient/1 Practitioner/p", strings.Join(seen, "|"))
}

func TestMeta_addsAndDeletes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	meta := func(m string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":` + m + `}]}`
	}
	h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"urn:x","code":"a","display":"A"}]},"x":1.50}`)
	h.equal("a", h.must(200, "GET", "/Patient/1/$meta", "").at("parameter", 0, "valueMeta", "tag", 0, "code"))

	r := h.must(200, "POST", "/Patient/1/$meta-add", meta(`{"tag":[{"system":"urn:x","code":"a"},{"system":"urn:y","code":"a"}],"profile":["http://x.example/p"]}`))
	h.equal("2", r.at("parameter", 0, "valueMeta", "versionId"))
	h.equal(`W/"2"`, r.header.Get("ETag"))
	stored := h.stored("Patient", "1")
	h.contains(stored, `"tag":[{"system":"urn:x","code":"a","display":"A"},{"system":"urn:y","code":"a"}],"profile":["http://x.example/p"]}`)
	h.contains(stored, `"x":1.50`)

	before := h.rows()
	h.must(200, "POST", "/Patient/1/$meta-add", meta(`{"profile":["http://x.example/p"]}`))
	h.must(200, "POST", "/Patient/1/$meta-delete", meta(`{"security":[{"code":"R"}]}`))
	h.equal(before, h.rows())

	r = h.must(200, "POST", "/Patient/1/$meta-delete", meta(`{"tag":[{"system":"urn:x","code":"a"}],"profile":["http://x.example/p"]}`))
	h.equal(`[{"system":"urn:y","code":"a"}]`, r.at("parameter", 0, "valueMeta", "tag"))
	h.equal("", r.at("parameter", 0, "valueMeta", "profile"))
}

func TestVersions_namesR4(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, method := range []string{"GET", "POST"} {
		r := h.must(200, method, "/$versions", "")
		h.equal("4.0", r.at("parameter", 1, "valueCode"))
	}
}

func TestValidate_tellsWhatACreateWouldSay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.equal("information", h.must(200, "POST", "/Patient/$validate", `{"resourceType":"Patient"}`).at("issue", 0, "severity"))
	h.equal("error", h.must(200, "POST", "/Patient/$validate", `{"resourceType":"Group"}`).at("issue", 0, "severity"))
	h.equal("error", h.must(200, "POST", "/Patient/7/$validate", `{"resourceType":"Patient","id":"8"}`).at("issue", 0, "severity"))
	h.equal("information", h.must(200, "POST", "/Patient/$validate",
		`{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"create"},{"name":"resource","resource":{"resourceType":"Patient"}}]}`).at("issue", 0, "severity"))
	h.equal("", h.rows())
}
