package rest

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rule is one row of the conformance table: a clause of R4's RESTful API and a story that shows it.
type rule struct {
	clause string // section of R4's http.html or bundle.html
	says   string
	show   func(h *harness)
}

// rules are grouped as R4's page is.
var rules = []rule{
	{"http.html#read", "200 with id, ETag and Last-Modified", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		r := h.must(200, "GET", "/Patient/1", "")
		h.equal("1", r.at("id"))
		h.equal(`W/"1"`, r.header.Get("ETag"))
		h.equal("1", r.at("meta", "versionId"))
		updated, err := time.Parse("2006-01-02T15:04:05.000Z", r.at("meta", "lastUpdated"))
		if err != nil {
			h.t.Error(err)
		}
		h.equal(updated.Format(http.TimeFormat), r.header.Get("Last-Modified"))
		h.equal("application/fhir+json; charset=utf-8", r.header.Get("Content-Type"))
	}},
	{"http.html#read", "410 once deleted, and the history stays", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		h.must(204, "DELETE", "/Patient/1", "")
		h.must(410, "GET", "/Patient/1", "")
		h.must(200, "GET", "/Patient/1/_history/1", "")
		h.must(410, "GET", "/Patient/1/_history/2", "")
		h.must(200, "GET", "/Patient/1/_history", "")
	}},
	{"http.html#vread", "each version as it was", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true}`)
		h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":false}`)
		r := h.must(200, "GET", "/Patient/1/_history/1", "")
		h.equal("true", r.at("active"))
		h.equal(`W/"1"`, r.header.Get("ETag"))
		h.equal("false", h.must(200, "GET", "/Patient/1/_history/2", "").at("active"))
	}},
	{"http.html#update", "200 with the next version", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		r := h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true}`)
		h.equal(`W/"2"`, r.header.Get("ETag"))
		h.equal("2", r.at("meta", "versionId"))
	}},
	{"http.html#upsert", "a new id is created, with Location", func(h *harness) {
		r := h.must(201, "PUT", "/Patient/new", `{"resourceType":"Patient","id":"new"}`)
		h.equal(h.http.URL+"/fhir/R4/Patient/new/_history/1", r.header.Get("Location"))
	}},
	{"http.html#delete", "brought back by PUT with 201, and the numbers go on", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		h.must(204, "DELETE", "/Patient/1", "")
		r := h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		h.equal(`W/"3"`, r.header.Get("ETag"))
	}},
	{"http.html#update", "one that changes nothing makes no version", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true}`)
		before := h.rows()
		r := h.must(200, "PUT", "/Patient/1", "{ \"resourceType\":\"Patient\",\"id\":\"1\",\n\"meta\":{\"versionId\":\"7\",\"lastUpdated\":\"2001-01-01T00:00:00Z\"},\"active\":true}")
		h.equal(`W/"1"`, r.header.Get("ETag"))
		h.equal(before, h.rows())
		h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","meta":{"tag":[{"code":"x"}]},"active":true}`)
		h.equal(`W/"2"`, h.must(200, "GET", "/Patient/1", "").header.Get("ETag"))
	}},
	{"http.html#concurrency", "If-Match lets through the current version, with and without W/", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true}`, `If-Match: W/"1"`)
		h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":false}`, `If-Match: "2"`)
		h.must(412, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true}`, `If-Match: W/"2"`)
		h.must(204, "DELETE", "/Patient/1", "", `If-Match: W/"3"`)
	}},
	{"http.html#create", "201, Location, and the server's id", func(h *harness) {
		r := h.must(201, "POST", "/Patient", `{"resourceType":"Patient","id":"mine","meta":{"versionId":"9","lastUpdated":"2001-01-01T00:00:00Z"},"active":true}`)
		if !regexp.MustCompile(`/fhir/R4/Patient/[A-Za-z0-9.-]{1,64}/_history/1$`).MatchString(r.header.Get("Location")) {
			h.t.Errorf("Location %q", r.header.Get("Location"))
		}
		if r.at("id") == "mine" || !strings.Contains(r.header.Get("Location"), r.at("id")) {
			h.t.Errorf("id %q", r.at("id"))
		}
		h.equal("1", r.at("meta", "versionId"))
		h.equal(string(r.body), string(h.must(200, "GET", "/Patient/"+r.at("id"), "").body))
	}},
	{"http.html#delete", "204, also when it is gone or never was", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		h.must(204, "DELETE", "/Patient/1", "")
		before := h.rows()
		h.must(204, "DELETE", "/Patient/1", "")
		h.must(204, "DELETE", "/Patient/never", "")
		h.equal(before, h.rows())
	}},
	{"http.html#cread", "304 without a body, by tag and by time", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		r := h.must(304, "GET", "/Patient/1", "", `If-None-Match: W/"1"`)
		h.equal("", string(r.body))
		h.equal(`W/"1"`, r.header.Get("ETag"))
		h.must(304, "GET", "/Patient/1", "", `If-None-Match: "7", "1"`)
		h.must(200, "GET", "/Patient/1", "", `If-None-Match: W/"2"`)
		modified := h.must(200, "GET", "/Patient/1", "").header.Get("Last-Modified")
		h.must(304, "GET", "/Patient/1", "", "If-Modified-Since: "+modified)
		h.must(200, "GET", "/Patient/1", "", "If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT")
		h.must(200, "GET", "/Patient/1", "", "If-Modified-Since: "+modified, `If-None-Match: W/"2"`)
	}},
	{"http.html#ccreate", "no match creates, one match answers 200 with its Location and leaves it", func(h *harness) {
		body := `{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"7"}]}`
		made := h.must(201, "POST", "/Patient", body, "If-None-Exist: identifier=urn:x|7")
		before := h.rows()
		found := h.must(200, "POST", "/Patient", body, "If-None-Exist: identifier=urn:x|7")
		h.equal(made.header.Get("Location"), found.header.Get("Location"))
		h.equal(made.at("id"), found.at("id"))
		h.must(200, "POST", "/Patient", body, "If-None-Exist: ?identifier=urn%3Ax%7C7")
		h.equal(before, h.rows())
	}},
	{"http.html#cond-update", "creates, updates, and keeps the id it is given", func(h *harness) {
		body := `{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"7"}]}`
		made := h.must(201, "PUT", "/Patient?identifier=urn:x|7", body)
		again := h.must(200, "PUT", "/Patient?identifier=urn:x|7", strings.Replace(body, `"identifier"`, `"active":true,"identifier"`, 1))
		h.equal(made.at("id"), again.at("id"))
		h.equal("2", again.at("meta", "versionId"))
		chosen := h.must(201, "PUT", "/Patient?identifier=urn:x|8", `{"resourceType":"Patient","id":"chosen","identifier":[{"system":"urn:x","value":"8"}]}`)
		h.equal("chosen", chosen.at("id"))
	}},
	{"http.html#3.1.0.7.1", "conditional delete of none, of one", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","gender":"male"}`)
		h.must(204, "DELETE", "/Patient?gender=female", "")
		h.must(200, "GET", "/Patient/1", "")
		h.must(204, "DELETE", "/Patient?gender=male", "")
		h.must(410, "GET", "/Patient/1", "")
	}},
	{"http.html#ops", "Prefer: return=minimal, representation, OperationOutcome", func(h *harness) {
		r := h.must(201, "POST", "/Patient", `{"resourceType":"Patient"}`, "Prefer: return=minimal")
		h.equal("", string(r.body))
		h.equal("return=minimal", r.header.Get("Preference-Applied"))
		if r.header.Get("Location") == "" || r.header.Get("ETag") == "" {
			h.t.Error("no Location or ETag")
		}
		h.equal("Patient", h.must(201, "POST", "/Patient", `{"resourceType":"Patient"}`, "Prefer: return=representation").at("resourceType"))
		h.equal("return=representation", h.must(201, "POST", "/Patient", `{"resourceType":"Patient"}`, "Prefer: return=presentation").header.Get("Preference-Applied"))
		h.equal("OperationOutcome", h.must(201, "POST", "/Patient", `{"resourceType":"Patient"}`, "Prefer: return=OperationOutcome").at("resourceType"))
		h.equal("OperationOutcome", h.must(200, "DELETE", "/Patient/x", "", "Prefer: return=OperationOutcome").at("resourceType"))
		h.equal("OperationOutcome", h.must(400, "POST", "/Patient", `{}`, "Prefer: return=minimal").at("resourceType"))
	}},
	{"http.html#head", "HEAD answers what GET does, without a body", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		for _, path := range []string{"/Patient/1", "/Patient/1/_history/1", "/Patient/1/_history", "/Patient", "/metadata", "/_history", "/Patient/none", "/Patient/_search"} {
			get, head := h.do("GET", path, ""), h.do("HEAD", path, "")
			h.equal("", string(head.body))
			for _, name := range []string{"ETag", "Last-Modified", "Content-Type", "Content-Length", "Allow"} {
				h.equal(get.header.Get(name), head.header.Get(name))
			}
			if get.status != head.status {
				h.t.Errorf("%s: GET %d, HEAD %d", path, get.status, head.status)
			}
		}
	}},
	{"http.html#general", "a trailing slash makes no difference", func(h *harness) {
		h.must(201, "POST", "/Patient/", `{"resourceType":"Patient"}`)
		h.must(201, "PUT", "/Patient/1/", `{"resourceType":"Patient","id":"1"}`)
		for _, path := range []string{"/Patient/", "/Patient/1/", "/Patient/1/_history/", "/metadata/", "/_history/", "/?_type=Patient", "/Patient/1/_history/1/"} {
			h.must(200, "GET", path, "")
		}
		h.must(200, "POST", "/", `{"resourceType":"Bundle","type":"batch"}`)
		h.must(200, "POST", "", `{"resourceType":"Bundle","type":"batch"}`)
	}},
	{"http.html#general", "a slash too many and characters that are escaped without need make no difference", func(h *harness) {
		h.must(201, "POST", "//Patient", `{"resourceType":"Patient"}`)
		h.must(201, "PUT", "//Patient//1//", `{"resourceType":"Patient","id":"1"}`)
		for _, path := range []string{"//Patient/1", "/Patient//1/_history//1", "/Patient/%31", "/%50atient/1", "/Patient/1/%24meta", "/%24versions", "/Patient/1/%5Fhistory", "/Patient/1/%5Fhistory/%31"} {
			h.must(200, "GET", path, "")
		}
		h.equal("2", h.must(200, "GET", "//Patient", "").at("total"))
	}},
	{"http.html#cread", "If-Modified-Since that is no HTTP date is ignored", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		for _, since := range []string{"yesterday", "2999-01-01T00:00:00Z", ""} {
			h.must(200, "GET", "/Patient/1", "", "If-Modified-Since: "+since)
		}
	}},
	{"patient-operation-everything.html", "of one patient, and of all on Patient/$everything", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		h.must(201, "PUT", "/Patient/2", `{"resourceType":"Patient","id":"2"}`)
		h.must(201, "PUT", "/Observation/a", `{"resourceType":"Observation","id":"a","subject":{"reference":"Patient/1"}}`)
		h.must(201, "PUT", "/Observation/b", `{"resourceType":"Observation","id":"b","subject":{"reference":"Group/1"}}`)
		h.equal("Patient/1 Observation/a", h.must(200, "GET", "/Patient/1/$everything", "").names())
		h.equal("Observation/a Patient/1 Patient/2", h.must(200, "GET", "/Patient/$everything", "").names())
	}},
	{"resource-operation-meta.html", "of a resource, and all that is in use on a type and in the system", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"urn:t","code":"a"}]}}`)
		h.must(201, "PUT", "/Group/1", `{"resourceType":"Group","id":"1","meta":{"tag":[{"system":"urn:t","code":"b"}]}}`)
		h.equal("1", h.must(200, "GET", "/Patient/1/$meta", "").at("parameter", 0, "valueMeta", "versionId"))
		h.equal(`[{"system":"urn:t","code":"a"}]`, h.must(200, "GET", "/Patient/$meta", "").at("parameter", 0, "valueMeta", "tag"))
		h.equal(`[{"system":"urn:t","code":"a"},{"system":"urn:t","code":"b"}]`, h.must(200, "GET", "/$meta", "").at("parameter", 0, "valueMeta", "tag"))
	}},
	{"http.html#mime-type", "JSON by each of its names, and in the form asked for", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		for _, tt := range []struct{ path, accept, want string }{
			{"/Patient/1", "application/fhir+json", "application/fhir+json"},
			{"/Patient/1", "application/fhir+json; fhirVersion=4.0", "application/fhir+json"},
			{"/Patient/1", "application/json", "application/json"},
			{"/Patient/1", "text/json", "text/json"},
			{"/Patient/1", "text/*", "text/json"},
			{"/Patient/1", "application/*", "application/fhir+json"},
			{"/Patient/1", "APPLICATION/JSON ; charset=utf-8", "application/json"},
			{"/Patient/1", "application/json+fhir", "application/json+fhir"},
			{"/Patient/1", "application/json, text/plain, */*", "application/json"},
			{"/Patient/1", "application/json;q=0.5, text/json;q=0.7, */*;q=0.1", "text/json"},
			{"/Patient/1", "application/json;q=0, */*;q=0.5", "application/fhir+json"},
			{"/Patient/1", "application/fhir+json;q=0, application/*", "application/json"},
			{"/Patient/1", "application/fhir+json;q=0.1, */*;q=0.9", "application/json"},
			{"/Patient/1", "application/fhir+json;fhirVersion=3.0, application/json", "application/json"},
			{"/Patient/1?_format=text/json", "application/fhir+json", "text/json"},
			{"/Patient?_format=application/json%2Bfhir", "", "application/json+fhir"},
			{"/Patient/1?_format=json;fhirVersion=4.0", "", "application/fhir+json"},
			{"/Patient/1", "", "application/fhir+json"},
			{"/Patient/1", "*/*", "application/fhir+json"},
			{"/Patient/1", "text/html,application/xml;q=0.9,*/*;q=0.8", "application/fhir+json"},
			{"/Patient/1", "application/fhir+xml, application/json;q=0.1", "application/json"},
			{"/Patient/1", "application/json;q=0.5, application/fhir+json", "application/fhir+json"},
			{"/Patient/1?_format=json", "application/fhir+xml", "application/fhir+json"},
			{"/Patient/1?_format=application/fhir+json", "text/html", "application/fhir+json"},
			{"/Patient/1?_format=application/fhir%2Bjson", "", "application/fhir+json"},
			{"/Patient/1?_format=application/json", "", "application/json"},
		} {
			r := h.must(200, "GET", tt.path, "", "Accept: "+tt.accept)
			h.equal(tt.want+"; charset=utf-8", r.header.Get("Content-Type"))
		}
		for _, sent := range []string{"application/fhir+json", "application/fhir+json; charset=UTF-8", "application/json", "text/json", "application/fhir+json;fhirVersion=4.0", "-"} {
			h.must(201, "POST", "/Patient", `{"resourceType":"Patient"}`, "Content-Type: "+sent)
		}
	}},
	{"http.html#pretty", "_pretty is only white space", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","x":1.50,"y":"<\u003c"}`)
		r := h.must(200, "GET", "/Patient/1?_pretty=true", "")
		if !strings.Contains(string(r.body), "\n  \"x\": 1.50,") || !strings.Contains(string(r.body), `"<\u003c"`) {
			h.t.Errorf("%s", r.body)
		}
		h.must(200, "GET", "/Patient/1?_pretty=false", "")
	}},
	{"http.html#custom", "X-Request-Id comes back, or is made", func(h *harness) {
		h.equal("abc", h.do("GET", "/metadata", "", "X-Request-Id: abc").header.Get("X-Request-Id"))
		h.equal("abc", h.do("GET", "/nonsense/x/y/z/w", "", "X-Request-Id: abc").header.Get("X-Request-Id"))
		if h.do("GET", "/metadata", "").header.Get("X-Request-Id") == "" {
			h.t.Error("none made")
		}
		long := strings.Repeat("x", 200)
		r := h.do("GET", "/metadata", "", "X-Request-Id: "+long)
		h.equal(long, r.header.Get("X-Correlation-Id"))
		if r.header.Get("X-Request-Id") == long {
			h.t.Error("an overlong id was taken")
		}
	}},
	{"http.html#options", "OPTIONS and 405 tell the methods", func(h *harness) {
		r := h.do("OPTIONS", "/Patient/1", "")
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			if !strings.Contains(r.header.Get("Allow"), method) {
				h.t.Errorf("Allow %q lacks %s", r.header.Get("Allow"), method)
			}
		}
		if r.status != 204 || strings.Contains(r.header.Get("Allow"), "POST") {
			h.t.Errorf("%d, Allow %q", r.status, r.header.Get("Allow"))
		}
		h.equal("OPTIONS, GET, HEAD", h.must(204, "OPTIONS", "/metadata", "").header.Get("Allow"))
		h.equal("OPTIONS, GET, HEAD", h.must(405, "DELETE", "/metadata", "").header.Get("Allow"))
		h.equal("OPTIONS, POST", h.must(204, "OPTIONS", "/Patient/_search", "").header.Get("Allow"))
	}},
	{"http.html#history", "newest first, with request and response, deletions without a resource", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true}`)
		h.must(204, "DELETE", "/Patient/1", "")
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		h.must(201, "PUT", "/Observation/1", `{"resourceType":"Observation","id":"1"}`)
		r := h.must(200, "GET", "/Patient/1/_history", "")
		h.equal("history", r.at("type"))
		h.equal("4", r.at("total"))
		for i, want := range []struct{ method, url, status, etag, version string }{
			{"PUT", "Patient/1", "201 Created", `W/"4"`, "4"},
			{"DELETE", "Patient/1", "204 No Content", `W/"3"`, ""},
			{"PUT", "Patient/1", "200 OK", `W/"2"`, "2"},
			{"PUT", "Patient/1", "201 Created", `W/"1"`, "1"},
		} {
			h.equal(want.method, r.at("entry", i, "request", "method"))
			h.equal(want.url, r.at("entry", i, "request", "url"))
			h.equal(want.status, r.at("entry", i, "response", "status"))
			h.equal(want.etag, r.at("entry", i, "response", "etag"))
			h.equal(want.version, r.at("entry", i, "resource", "meta", "versionId"))
			h.equal("", r.at("entry", i, "search"))
			h.equal(h.http.URL+"/fhir/R4/Patient/1", r.at("entry", i, "fullUrl"))
			if r.at("entry", i, "response", "lastModified") == "" {
				h.t.Error("no lastModified")
			}
		}
		h.equal("4", h.must(200, "GET", "/Patient/_history", "").at("total"))
		h.equal("5", h.must(200, "GET", "/_history", "").at("total"))
		h.equal("0", h.must(200, "GET", "/Encounter/_history", "").at("total"))
		h.must(201, "POST", "/Encounter", `{"resourceType":"Encounter"}`)
		r = h.must(200, "GET", "/Encounter/_history", "")
		h.equal("POST Encounter", r.at("entry", 0, "request", "method")+" "+r.at("entry", 0, "request", "url"))
	}},
	{"http.html#history", "pages by _count lose and repeat nothing while others write; _since includes its instant", func(h *harness) {
		for i := range 7 {
			h.do("PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","x":`+string(rune('0'+i))+`}`)
		}
		var versions []string
		next := "/Patient/1/_history?_count=3"
		for next != "" {
			r := h.must(200, "GET", next, "")
			if r.count("entry") > 3 {
				h.t.Error("more than asked for")
			}
			for i := range r.count("entry") {
				versions = append(versions, r.at("entry", i, "resource", "meta", "versionId"))
			}
			next = strings.TrimPrefix(r.link("next"), h.http.URL+Prefix)
			h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","y":"`+next+`"}`)
		}
		h.equal("7 6 5 4 3 2 1", strings.Join(versions, " "))
		at := h.must(200, "GET", "/Patient/1/_history/5", "").at("meta", "lastUpdated")
		r := h.must(200, "GET", "/Patient/1/_history?_since="+at, "")
		if n := r.count("entry"); n < 6 {
			h.t.Errorf("%d entries since %s", n, at)
		}
		h.equal("0", h.must(200, "GET", "/_history?_since=2999-01-01T00:00:00%2B01:00", "").at("total"))
	}},
	{"http.html#history", "the total is that of all pages, the same on each; with _count=0 it comes alone", func(h *harness) {
		for _, tt := range []struct{ path, want string }{
			{"/Patient/1/_history?", "5"},
			{"/Patient/_history?", "5"},
			{"/_history?", "10"},
			{"/Encounter/_history?", "0"},
			{"/_history?_at=2999&", "2"},
			{"/Patient/1/_history?_at=2999&", "1"},
			{"/Patient/_history?_since=2999-01-01T00:00:00Z&", "0"},
			{"/Patient/1/_history?_since=1999-01-01T00:00:00Z&", "5"},
		} {
			h := newHarness(h.t)
			for i := range 5 {
				h.do("PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","x":`+string(rune('0'+i))+`}`)
				h.do("PUT", "/Group/g", `{"resourceType":"Group","id":"g","x":`+string(rune('0'+i))+`}`)
			}
			alone := h.must(200, "GET", tt.path+"_count=0", "")
			h.equal("", alone.at("entry")+alone.link("next"))
			h.equal(tt.want, alone.at("total"))
			entries := 0
			for next := tt.path + "_count=2"; next != ""; {
				r := h.must(200, "GET", next, "")
				h.equal(tt.want, r.at("total"))
				h.equal(h.http.URL+Prefix+next, r.link("self"))
				entries += r.count("entry")
				next = strings.TrimPrefix(r.link("next"), h.http.URL+Prefix)
				h.do("PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","x":"`+next+`"}`)
			}
			h.equal(tt.want, strconv.Itoa(entries))
		}
	}},
	{"http.html#history", "_at shows what was current in that time, and the deletion of what was not", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		h.must(200, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true}`)
		h.must(201, "PUT", "/Patient/2", `{"resourceType":"Patient","id":"2"}`)
		h.must(204, "DELETE", "/Patient/2", "")
		for _, path := range []string{"/Patient/_history", "/_history"} {
			h.equal("0", h.must(200, "GET", path+"?_at=1999", "").at("total"))
			r := h.must(200, "GET", path+"?_at=2999-12", "")
			h.equal("2", r.at("total"))
			h.equal("DELETE", r.at("entry", 0, "request", "method"))
			h.equal("2", r.at("entry", 1, "resource", "meta", "versionId"))
			first := h.must(200, "GET", "/Patient/1/_history/1", "").at("meta", "lastUpdated")
			h.equal("4", h.must(200, "GET", path+"?_at="+first[:4], "").at("total"))
		}
		h.equal("1", h.must(200, "GET", "/Patient/1/_history?_at=2999-01-01T00:00:00%2B01:00", "").at("total"))
		h.equal("2", h.must(200, "GET", "/Patient/1/_history?_count=1", "").at("total"))
	}},
	{"http.html#search", "GET, POST, and both at once", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","gender":"male","active":true}`)
		h.must(201, "PUT", "/Patient/2", `{"resourceType":"Patient","id":"2","gender":"male","active":false}`)
		form := "Content-Type: application/x-www-form-urlencoded"
		for _, r := range []reply{
			h.must(200, "GET", "/Patient?gender=male&active=true", ""),
			h.must(200, "POST", "/Patient/_search", "gender=male&active=true", form),
			h.must(200, "POST", "/Patient/_search?gender=male", "active=true", form),
			h.must(200, "POST", "/Patient/_search?gender=male&active=true", ""),
			h.must(200, "GET", "?_type=Patient&_id=1", ""),
			h.must(200, "POST", "/_search", "_type=Patient&_id=1", form),
		} {
			h.equal("searchset", r.at("type"))
			h.equal("1", r.at("total"))
			h.equal("match", r.at("entry", 0, "search", "mode"))
			h.equal(h.http.URL+"/fhir/R4/Patient/1", r.at("entry", 0, "fullUrl"))
			if !strings.HasPrefix(r.link("self"), h.http.URL+"/fhir/R4") || r.link("next") != "" {
				h.t.Errorf("links of %s", r.body)
			}
		}
	}},
	{"http.html#patch", "JSON Patch, merge patch and FHIRPath Patch make the next version; If-Match holds", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","x":1.50}`)
		h.equal("1.50", h.must(200, "PATCH", "/Patient/1", `[{"op":"add","path":"/active","value":true}]`, asJSONPatch, `If-Match: W/"1"`).at("x"))
		h.equal("male", h.must(200, "PATCH", "/Patient/1", `{"gender":"male"}`, asMergePatch).at("gender"))
		h.equal("", h.must(200, "PATCH", "/Patient/1", operation("delete", "Patient.gender")).at("gender"))
		h.equal(`W/"4"`, h.must(200, "GET", "/Patient/1", "").header.Get("ETag"))
		h.must(412, "PATCH", "/Patient/1", `{"gender":"male"}`, asMergePatch, `If-Match: W/"1"`)
		h.must(200, "PATCH", "/Patient?active=true", `{"gender":"female"}`, asMergePatch)
		h.must(404, "PATCH", "/Patient?active=false", `{"gender":"female"}`, asMergePatch)
	}},
	{"http.html#transaction", "all or nothing, in R4's order, with references between entries resolved", func(h *harness) {
		h.must(201, "PUT", "/Patient/old", `{"resourceType":"Patient","id":"old"}`)
		r := h.must(200, "POST", "", bundleOf("transaction", ask("GET", "Patient?gender=other"),
			post("urn:uuid:o", `{"resourceType":"Observation","subject":{"reference":"urn:uuid:p"}}`),
			post("urn:uuid:p", `{"resourceType":"Patient","gender":"other"}`), ask("DELETE", "Patient/old")))
		h.equal("1", r.at("entry", 0, "resource", "total"))
		h.equal("Patient/"+r.at("entry", 2, "resource", "id"), r.at("entry", 1, "resource", "subject", "reference"))
		before := h.rows()
		h.equal("OperationOutcome", h.must(404, "POST", "", bundleOf("transaction", post("urn:uuid:p", `{"resourceType":"Patient"}`), ask("GET", "Patient/none"))).at("resourceType"))
		h.equal(before, h.rows())
	}},
	{"http.html#transaction", "the entries of a batch stand alone", func(h *harness) {
		r := h.must(200, "POST", "", bundleOf("batch", post("urn:uuid:p", `{"resourceType":"Patient"}`), ask("GET", "Patient/none")))
		h.equal("batch-response", r.at("type"))
		h.equal("201 Created", r.at("entry", 0, "response", "status"))
		h.equal("404 Not Found", r.at("entry", 1, "response", "status"))
		h.equal("OperationOutcome", r.at("entry", 1, "response", "outcome", "resourceType"))
	}},
	{"binary.html#rest", "a Binary is taken and given as its content, and as FHIR to whoever asks for that", func(h *harness) {
		h.must(201, "PUT", "/Binary/1", "content", "Content-Type: text/plain")
		h.equal("content", string(h.must(200, "GET", "/Binary/1", "").body))
		h.equal("content", string(h.must(200, "GET", "/Binary/1", "", "Accept: text/plain").body))
		h.equal("Y29udGVudA==", h.must(200, "GET", "/Binary/1", "", "Accept: application/fhir+json").at("data"))
	}},
	{"http.html#compression", "bodies in gzip and zstd, both ways", func(h *harness) {
		body := `{"resourceType":"Patient","id":"1","text":{"status":"empty","div":"` + strings.Repeat("x", 2000) + `"}}`
		h.must(201, "PUT", "/Patient/1", squeezed(h.t, "gzip", body), "Content-Encoding: gzip")
		h.must(200, "PUT", "/Patient/1", squeezed(h.t, "zstd", strings.Replace(body, ":\"xx", ":\"yx", 1)), "Content-Encoding: zstd")
		for _, coding := range []string{"gzip", "zstd"} {
			r := h.must(200, "GET", "/Patient/1", "", "Accept-Encoding: "+coding)
			h.equal(coding, r.header.Get("Content-Encoding"))
			h.contains(unsqueezed(h.t, coding, r.body), "yxxx")
		}
	}},
	{"http.html#vsearch", "a search around one resource, of one type and of all", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		for _, id := range []string{"a", "b", "c"} {
			h.must(201, "PUT", "/Observation/"+id, `{"resourceType":"Observation","id":"`+id+`","status":"final","subject":{"reference":"Patient/1"}}`)
		}
		h.must(201, "PUT", "/Observation/d", `{"resourceType":"Observation","id":"d","subject":{"reference":"Patient/2"}}`)
		h.equal("3", h.must(200, "GET", "/Patient/1/Observation", "").at("total"))
		h.equal("0", h.must(200, "GET", "/Patient/1/Observation?status=amended", "").at("total"))
		h.equal("4", h.must(200, "GET", "/Patient/1/*", "").at("total"))
		h.equal("3", h.must(200, "POST", "/Patient/1/Observation/_search", "status=final", "Content-Type: application/x-www-form-urlencoded").at("total"))
		r := h.must(200, "GET", "/Patient/1/Observation?_count=2", "")
		h.equal("1", fmt.Sprint(h.must(200, "GET", strings.TrimPrefix(r.link("next"), h.http.URL+Prefix), "").count("entry")))
		h.equal("3", h.must(200, "POST", "", bundleOf("batch", ask("GET", "Patient/1/Observation"))).at("entry", 0, "resource", "total"))
	}},
	{"search.html#summary", "_summary and _elements cut down what a read shows", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","text":{"status":"empty"},"active":true,"gender":"male","photo":[{"title":"x"}]}`)
		r := h.must(200, "GET", "/Patient/1?_elements=gender", "")
		h.equal("male", r.at("gender"))
		h.equal("", r.at("active"))
		h.equal("SUBSETTED", r.at("meta", "tag", 0, "code"))
		h.equal("", h.must(200, "GET", "/Patient/1?_summary=true", "").at("photo"))
		h.equal("", h.must(200, "GET", "/Patient/1/_history/1?_summary=text", "").at("gender"))
		h.equal("", h.must(200, "GET", "/Patient/1?_summary=data", "").at("text"))
		h.equal("x", h.must(200, "GET", "/Patient/1?_summary=false", "").at("photo", 0, "title"))
	}},
	{"search.html#summary", "_summary and _elements cut down what a history shows", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true,"gender":"male","photo":[{"title":"x"}]}`)
		h.must(204, "DELETE", "/Patient/1", "")
		for _, path := range []string{"/Patient/1/_history", "/Patient/_history", "/_history"} {
			r := h.must(200, "GET", path+"?_elements=gender&_count=2", "")
			h.equal("", r.at("entry", 0, "resource"))
			h.equal("male", r.at("entry", 1, "resource", "gender"))
			h.equal("", r.at("entry", 1, "resource", "active"))
			h.equal("SUBSETTED", r.at("entry", 1, "resource", "meta", "tag", 0, "code"))
			h.contains(r.link("self"), "_elements=gender")
			r = h.must(200, "GET", path+"?_summary=true&_count=1", "")
			h.contains(r.link("next"), "_summary=true")
			r = h.must(200, "GET", strings.TrimPrefix(r.link("next"), h.http.URL+Prefix), "")
			h.equal("male", r.at("entry", 0, "resource", "gender"))
			h.equal("", r.at("entry", 0, "resource", "photo"))
		}
	}},
	{"search.html#errors", "an unknown parameter is told, not followed; the self link leaves it out", func(h *harness) {
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
		r := h.must(200, "GET", "/Patient?nonsense=1&_id=1", "")
		h.equal("1", r.at("total"))
		h.equal("outcome", r.at("entry", 1, "search", "mode"))
		h.equal("OperationOutcome", r.at("entry", 1, "resource", "resourceType"))
		h.equal("warning", r.at("entry", 1, "resource", "issue", 0, "severity"))
		if self := r.link("self"); strings.Contains(self, "nonsense") || !strings.Contains(self, "_id=1") {
			h.t.Errorf("self %s", self)
		}
	}},
	{"http.html#paging", "pages of a search are followed by GET, and meet", func(h *harness) {
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			h.must(201, "PUT", "/Patient/"+id, `{"resourceType":"Patient","id":"`+id+`","gender":"male"}`)
		}
		var ids []string
		r := h.must(200, "POST", "/Patient/_search", "gender=male&_count=2", "Content-Type: application/x-www-form-urlencoded")
		for {
			for i := range r.count("entry") {
				ids = append(ids, r.at("entry", i, "resource", "id"))
			}
			next := r.link("next")
			if next == "" {
				break
			}
			r = h.must(200, "GET", strings.TrimPrefix(next, h.http.URL+Prefix), "")
		}
		h.equal("a b c d e", strings.Join(ids, " "))
	}},
	{"http.html#capabilities", "200 with an ETag that answers 304", func(h *harness) {
		r := h.must(200, "GET", "/metadata", "")
		h.equal("CapabilityStatement", r.at("resourceType"))
		h.must(304, "GET", "/metadata", "", "If-None-Match: "+r.header.Get("ETag"))
		h.must(200, "GET", "/metadata?mode=full", "")
	}},
}

func TestServer_keepsR4sRules(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		t.Run(r.clause+" "+r.says, func(t *testing.T) {
			t.Parallel()
			r.show(newHarness(t))
		})
	}
}

func (h *harness) equal(want, got string) {
	h.t.Helper()
	if got != want {
		h.t.Errorf("got %q, want %q", got, want)
	}
}
