package rest

import (
	"encoding/base64"
	"strings"
	"testing"

	"fhirhook/fhir"
)

const (
	asJSONPatch  = "Content-Type: application/json-patch+json"
	asMergePatch = "Content-Type: application/merge-patch+json"
)

func operation(kind, path string, parts ...string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"` + kind +
		`"},{"name":"path","valueString":"` + path + `"}` + strings.Join(append([]string{""}, parts...), ",") + `]}]}`
}

// TestPatch_touchesNothingElse sends a change in each of the three forms; all other bytes stay as they were sent.
func TestPatch_touchesNothingElse(t *testing.T) {
	t.Parallel()
	body := `{"resourceType":"Observation","id":"1","status":"final","\u0063ode":{"text":"\u003ca\/é"},"valueQuantity":{"value":1.500,"unit":"mg"},"component":[{"valueQuantity":{"value":1E+2}}]}`
	for _, tt := range []struct{ header, patch string }{
		{asJSONPatch, `[{"op":"test","path":"/valueQuantity/value","value":1.5},{"op":"replace","path":"/status","value":"amended"}]`},
		{asMergePatch, `{"status":"amended"}`},
		{"Content-Type: application/fhir+json", operation("replace", "Observation.status", `{"name":"value","valueCode":"amended"}`)},
	} {
		h := newHarness(t)
		h.must(201, "PUT", "/Observation/1", body)
		r := h.must(200, "PATCH", "/Observation/1", tt.patch, tt.header)
		stamp := func(s, version string) string {
			return strings.Replace(s, `"id":"1"`, `"id":"1","meta":{"versionId":"`+version+`","lastUpdated":"`+r.at("meta", "lastUpdated")+`"}`, 1)
		}
		h.equal(stamp(strings.Replace(body, "final", "amended", 1), "2"), string(r.body))
		h.equal(string(r.body), h.stored("Observation", "1"))
		h.equal(`W/"2"`, r.header.Get("ETag"))
		if r.header.Get("Last-Modified") == "" || !strings.Contains(r.header.Get("Accept-Patch"), "json-patch") {
			t.Errorf("%v", r.header)
		}
		h.equal("PUT", h.must(200, "GET", "/Observation/1/_history", "").at("entry", 0, "request", "method"))

		before := h.rows() // the same again changes nothing, so it makes no version
		if !strings.Contains(tt.patch, "test") {
			h.equal(`W/"2"`, h.must(200, "PATCH", "/Observation/1", tt.patch, tt.header).header.Get("ETag"))
		}
		h.must(200, "PATCH", "/Observation/1", `[{"op":"replace","path":"/meta/lastUpdated","value":"2001-01-01T00:00:00Z"}]`, asJSONPatch)
		h.equal(before, h.rows())
	}
}

// TestPatch_isAnUpdate: conditions, preferences and searches are those of an update.
func TestPatch_isAnUpdate(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","gender":"male"}`)
	h.must(200, "PATCH", "/Patient/1", `{"active":true}`, asMergePatch, `If-Match: W/"1"`)
	h.must(412, "PATCH", "/Patient/1", `{"active":false}`, asMergePatch, `If-Match: W/"1"`)
	h.must(412, "PATCH", "/Patient/1", `[{"op":"test","path":"/active","value":false}]`, asJSONPatch, `If-Match: W/"1"`) // the condition comes first
	h.equal("", string(h.must(200, "PATCH", "/Patient/1", `{"active":false}`, asMergePatch, "Prefer: return=minimal").body))
	r := h.must(200, "PATCH", "/Patient?gender=male", `{"gender":"female"}`, asMergePatch, "Prefer: return=OperationOutcome", `If-Match: W/"3"`)
	h.equal("OperationOutcome", r.at("resourceType"))
	h.equal("return=OperationOutcome", r.header.Get("Preference-Applied"))
	h.equal(`W/"4"`, r.header.Get("ETag"))
}

func patchEntry(url, contentType, patch string) string {
	return `{"resource":{"resourceType":"Binary","contentType":"` + contentType + `","data":"` +
		base64.StdEncoding.EncodeToString([]byte(patch)) + `"},"request":{"method":"PATCH","url":"` + url + `"}}`
}

// TestPatch_inBundles patches by Binary and by Parameters, behind creates, with references resolved.
func TestPatch_inBundles(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"batch", "transaction"} {
		h := newHarness(t)
		h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","gender":"male"}`)
		h.must(201, "PUT", "/Patient/2", `{"resourceType":"Patient","id":"2","gender":"female"}`)
		r := h.must(200, "POST", "", bundleOf(kind,
			patchEntry("Patient/1", "application/json-patch+json", `[{"op":"add","path":"/active","value":true}]`),
			`{"resource":`+operation("add", "Patient", `{"name":"name","valueString":"active"}`, `{"name":"value","valueBoolean":false}`)+`,"request":{"method":"PATCH","url":"Patient?gender=female","ifMatch":"W/\"1\""}}`))
		for i, want := range []string{"true", "false"} {
			h.equal("200 OK", r.at("entry", i, "response", "status"))
			h.equal(`W/"2"`, r.at("entry", i, "response", "etag"))
			h.equal(want, r.at("entry", i, "resource", "active"))
		}
	}
	h := newHarness(t)
	h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`)
	h.must(201, "PUT", "/Organization/o", `{"resourceType":"Organization","id":"o","name":"O"}`)
	h.must(200, "POST", "", bundleOf("transaction",
		`{"resource":`+operation("add", "Patient", `{"name":"name","valueString":"generalPractitioner"}`, `{"name":"value","valueReference":{"reference":"urn:uuid:gp"}}`)+`,"request":{"method":"PATCH","url":"Patient/1"}}`,
		post("urn:uuid:gp", `{"resourceType":"Practitioner"}`)))
	h.contains(h.stored("Patient", "1"), `"generalPractitioner":[{"reference":"Practitioner/`)
}

// TestPatch_keepsSecrets is invariant 8: a masked secret stays by being left alone, and can't be read, moved or asked for.
func TestPatch_keepsSecrets(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.Gate = maskingGate{} })
	h.must(201, "PUT", "/Subscription/s", `{"resourceType":"Subscription","id":"s","status":"active","reason":"r","channel":{"type":"rest-hook","header":["hunter2"]}}`)
	r := h.must(200, "PATCH", "/Subscription/s", `[{"op":"replace","path":"/reason","value":"q"}]`, asJSONPatch)
	h.equal("********", r.at("channel", "header", 0))
	h.contains(h.stored(fhir.Subscription, "s"), "hunter2")
	before := h.rows()
	for _, patch := range []string{
		`[{"op":"test","path":"/channel/header/0","value":"hunter2"}]`,
		`[{"op":"copy","from":"/channel/header/0","path":"/reason"}]`,
		`[{"op":"move","from":"/channel/header/0","path":"/reason"}]`,
		`[{"op":"copy","from":"/channel","path":"/contact"}]`,
		`[{"op":"test","path":"","value":{}}]`,
	} {
		r := h.must(422, "PATCH", "/Subscription/s", patch, asJSONPatch)
		h.must(422, "POST", "", bundleOf("transaction", patchEntry("Subscription/s", "application/json-patch+json", patch)))
		if strings.Contains(string(r.body), "hunter2") {
			t.Errorf("%s: %s", patch, r.body)
		}
	}
	h.equal(before, h.rows())
}
