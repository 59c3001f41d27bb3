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
		{"", "Patient/1 Observation/a Observation/b Practitioner/p"},
		{"?_type=Observation", "Observation/a Observation/b"},
		{"?start=2020-06-01", "Patient/1 Observation/b Practitioner/p"},
		{"?start=2019&end=2020-06", "Patient/1 Observation/a Practitioner/p"},
		{"?_since=2999-01-01T00:00:00Z", ""},
		{"?_since=2000-01-01T00:00:00%2B01:00&_type=Patient", "Patient/1"},
	} {
		h.equal(tt.want, h.must(200, "GET", "/Patient/1/$everything"+tt.query, "").names())
	}
	h.equal("Patient/1 Observation/a Practitioner/p", h.must(200, "POST", "/Patient/1/$everything",
		`{"resourceType":"Parameters","parameter":[{"name":"end","valueDate":"2020-06-01"}]}`).names())

	var seen []string
	next := "/Patient/1/$everything?_count=1&start=2019"
	for next != "" {
		r := h.must(200, "GET", next, "")
		h.equal("3", r.at("total"))
		seen = append(seen, r.names())
		next = strings.TrimPrefix(r.link("next"), h.http.URL+Prefix)
		h.do("PUT", "/Observation/a", `{"resourceType":"Observation","id":"a","status":"final"}`) // the pages are of one state
		h.do("PUT", "/Observation/a0", `{"resourceType":"Observation","id":"a0","subject":{"reference":"Patient/1"}}`)
	}
	h.equal("Patient/1 Practitioner/p|Observation/a|Observation/b", strings.Join(seen, "|"))
	h.equal("3", h.must(200, "GET", "/Patient/1/$everything?_count=0", "").at("total"))

	// What is included was changed as late as what it is included for, and has no place of its own on another page.
	since := h.must(200, "GET", "/Observation/a0", "").at("meta", "lastUpdated")
	h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","generalPractitioner":[{"reference":"Practitioner/p"}],"managingOrganization":{"reference":"Organization/o"}}`)
	h.must(201, "PUT", "/Organization/o", `{"resourceType":"Organization","id":"o"}`)
	h.must(200, "PUT", "/Observation/b", `{"resourceType":"Observation","id":"b","subject":{"reference":"Patient/1"},"hasMember":[{"reference":"Observation/a0"}]}`)
	h.equal("Patient/1 Observation/a0 Observation/b Organization/o", h.must(200, "GET", "/Patient/1/$everything?_since="+since, "").names())
}

// TestEverything_ofAllIsEveryCompartment: what tells of any patient, those of elsewhere not among them.
func TestEverything_ofAllIsEveryCompartment(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	put := func(typ, id, members string) {
		h.must(201, "PUT", "/"+typ+"/"+id, `{"resourceType":"`+typ+`","id":"`+id+`"`+members+`}`)
	}
	put("Patient", "1", `,"generalPractitioner":[{"reference":"Practitioner/p"}]`)
	put("Patient", "2", "")
	put("Practitioner", "p", "")
	put("Practitioner", "q", "")
	put("Observation", "dated", `,"subject":{"reference":"Patient/1"},"effectiveDateTime":"2020-01-01"`)
	put("Observation", "own", `,"subject":{"reference":"`+h.http.URL+Prefix+`/Patient/2"},"effectiveDateTime":"2021-01-01"`)
	put("Observation", "far", `,"subject":{"reference":"https://elsewhere.example/fhir/Patient/2"}`)
	put("Observation", "group", `,"subject":{"reference":"Group/1"}`)
	put("Observation", "performed", `,"subject":{"reference":"Group/1"},"performer":[{"reference":"Patient/never/_history/3"}]`)
	put("Observation", "named", `,"subject":{"display":"somebody"}`)
	put("Appointment", "a", `,"participant":[{"actor":{"reference":"Practitioner/p"}},{"actor":{"reference":"Patient/2"}}]`)
	put("Medication", "m", "")
	const members = "Appointment/a Observation/dated Observation/own Observation/performed Patient/1 Patient/2"
	for _, tt := range []struct{ query, want string }{
		{"", members + " Practitioner/p"},
		{"?_type=Observation,Appointment", "Appointment/a Observation/dated Observation/own Observation/performed"},
		{"?_type=Practitioner", ""},
		{"?start=2020-06-01&_type=Observation,Patient", "Observation/own Patient/1 Patient/2"},
		{"?_since=2999-01-01T00:00:00Z", ""},
	} {
		h.equal(tt.want, h.must(200, "GET", "/Patient/$everything"+tt.query, "").names())
	}
	h.equal("Appointment/a", h.must(200, "POST", "/Patient/$everything",
		`{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Appointment"}]}`).names())

	var seen []string
	next := "/Patient/$everything?_count=1&_type=Appointment,Observation,Patient"
	for next != "" {
		r := h.must(200, "GET", next, "")
		h.equal("6", r.at("total"))
		seen = append(seen, r.names())
		next = r.link("next")
		if next != "" && !strings.HasPrefix(next, h.http.URL+Prefix+"/Patient/$everything?") {
			t.Fatalf("the next page is %s", next)
		}
		next = strings.TrimPrefix(next, h.http.URL+Prefix)
	}
	h.equal(members, strings.Join(seen, " "))
	// A page of one patient's is none of all patients'.
	one := strings.TrimPrefix(h.must(200, "GET", "/Patient/2/$everything?_count=1", "").link("next"), h.http.URL+Prefix+"/Patient/2/$everything")
	h.must(400, "GET", "/Patient/$everything"+one, "")
}

func TestMeta_inUseIsTheUnionInOrder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	put := func(key, meta string) {
		typ, id, _ := strings.Cut(key, "/")
		h.do("PUT", "/"+key, `{"resourceType":"`+typ+`","id":"`+id+`"`+meta+`,"text":{"status":"empty","div":"\"tag\""}}`)
	}
	r := h.must(200, "GET", "/$meta", "")
	h.equal("", r.at("parameter", 0, "valueMeta", "tag"))
	if r.at("parameter", 0, "valueMeta", "lastUpdated") == "" || r.header.Get("ETag") != "" {
		t.Errorf("nothing in use: %s", r.body)
	}
	put("Patient/1", `,"meta":{"tag":[{"system":"urn:t","code":"b","display":"B"},{"code":"b"}],"profile":["http://x.example/2","http://x.example/1"]}`)
	put("Patient/2", `,"meta":{"tag":[{"system":"urn:t","code":"b","display":"other"},{"system":"urn:t","code":"a"}],"security":[{"system":"urn:s","code":"R"}]}`)
	put("Patient/3", `,"meta":{"tag":[{"system":"urn:t","code":"old"}]}`)
	put("Patient/3", ``)
	put("Patient/4", `,"meta":{"tag":[{"system":"urn:t","code":"gone"}]}`)
	h.must(204, "DELETE", "/Patient/4", "")
	put("Group/1", `,"meta":{"tag":[{"system":"urn:t","code":"c"}]}`)
	for path, want := range map[string]string{
		"/Patient/$meta":     `[{"code":"b"},{"system":"urn:t","code":"a"},{"system":"urn:t","code":"b","display":"B"}]`,
		"/$meta":             `[{"code":"b"},{"system":"urn:t","code":"a"},{"system":"urn:t","code":"b","display":"B"},{"system":"urn:t","code":"c"}]`,
		"/Group/$meta":       `[{"system":"urn:t","code":"c"}]`,
		"/Observation/$meta": "",
	} {
		r := h.must(200, "GET", path, "")
		h.equal("return", r.at("parameter", 0, "name"))
		h.equal(want, r.at("parameter", 0, "valueMeta", "tag"))
		h.equal("", r.at("parameter", 0, "valueMeta", "versionId"))
	}
	h.equal(`["http://x.example/1","http://x.example/2"]`, h.must(200, "POST", "/$meta", "").at("parameter", 0, "valueMeta", "profile"))
	h.equal(`[{"system":"urn:s","code":"R"}]`, h.must(200, "GET", "/Patient/$meta", "").at("parameter", 0, "valueMeta", "security"))
	for i := range 3 * metaPage / 2 {
		put("Basic/b"+strings.Repeat("x", i%60)+string(rune('a'+i%26)), `,"meta":{"tag":[{"code":"`+string(rune('a'+i%26))+`"}]}`)
	}
	h.equal(`a`, h.must(200, "GET", "/Basic/$meta", "").at("parameter", 0, "valueMeta", "tag", 0, "code"))
	h.equal(`z`, h.must(200, "GET", "/Basic/$meta", "").at("parameter", 0, "valueMeta", "tag", 25, "code"))
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
