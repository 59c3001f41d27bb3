package rest

import (
	"strings"
	"testing"
)

// TestBinary_travelsAsItsContent: raw bytes go in and out as they are, and FHIR is what asks for FHIR.
func TestBinary_travelsAsItsContent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	content := "\x00\xffbytes\r\n\x01"
	made := h.must(201, "POST", "/Binary", content, "Content-Type: image/x-test; a=b", "X-Security-Context: Patient/1")
	h.equal("image/x-test; a=b", made.at("contentType"))
	h.equal("AP9ieXRlcw0KAQ==", made.at("data"))
	h.equal("Patient/1", made.at("securityContext", "reference"))
	path := "/Binary/" + made.at("id")

	h.equal(content, string(h.must(200, "GET", path, "").body)) // nothing named: R4 binary.html#rest gives the content
	for _, accept := range []string{"image/x-test", "image/*", "*/*", "text/html, image/x-test;q=0.5", "image/png, */*;q=0.1", "image/x-test, application/fhir+json;q=0"} {
		r := h.must(200, "GET", path, "", "Accept: "+accept)
		h.equal(content, string(r.body))
		h.equal("image/x-test; a=b", r.header.Get("Content-Type"))
		h.equal(`W/"1"`, r.header.Get("ETag"))
		h.equal("Patient/1", r.header.Get("X-Security-Context"))
		h.equal("nosniff", r.header.Get("X-Content-Type-Options"))
		if !strings.Contains(r.header.Get("Content-Security-Policy"), "sandbox") {
			t.Error("a page that was stored could run as ours")
		}
	}
	h.equal(content, string(h.must(200, "GET", path+"/_history/1", "", "Accept: image/x-test").body))
	h.equal("", string(h.must(200, "HEAD", path, "", "Accept: image/x-test").body))
	h.equal("", string(h.must(304, "GET", path, "", "Accept: image/x-test", `If-None-Match: W/"1"`).body))
	for _, accept := range []string{"application/fhir+json", "application/json", "image/x-test, application/fhir+json", "application/*"} {
		h.equal("Binary", h.must(200, "GET", path, "", "Accept: "+accept).at("resourceType"))
	}
	h.equal("Binary", h.must(200, "GET", path+"?_format=json", "", "Accept: image/x-test").at("resourceType"))
	h.equal("Binary", h.must(200, "GET", path+"?_elements=contentType", "").at("resourceType"))
	h.must(406, "GET", path, "", "Accept: image/x-test;q=0")

	h.must(201, "PUT", "/Binary/b", "one", "Content-Type: text/plain")
	h.must(200, "PUT", "/Binary/b", "two", "Content-Type: text/plain", `If-Match: W/"1"`)
	h.must(200, "PUT", "/Binary/b", "two", "Content-Type: text/plain")
	h.equal(`W/"2"`, h.must(200, "GET", "/Binary/b", "", "Accept: text/plain").header.Get("ETag"))
	h.equal("two", string(h.must(200, "GET", "/Binary/b", "", "Accept: text/plain").body))
	h.must(201, "PUT", "/Binary/c", `{"resourceType":"Binary","id":"c","contentType":"text/plain","data":"?"}`)
	h.must(406, "GET", "/Binary/c", "", "Accept: text/plain")
	h.equal("Binary", h.must(200, "GET", "/Binary/c", "").at("resourceType")) // it has no content that could be given
}
