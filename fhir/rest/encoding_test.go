package rest

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func squeezed(t testing.TB, coding, body string) string {
	t.Helper()
	out, err := compressed(coding, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func unsqueezed(t testing.TB, coding string, body []byte) string {
	t.Helper()
	var r io.Reader
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "zstd":
		r, err = zstd.NewReader(bytes.NewReader(body))
	default:
		r = bytes.NewReader(body)
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestServer_compressesWhatIsWorthIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	long := `{"resourceType":"Patient","id":"1","text":{"status":"generated","div":"` + strings.Repeat("<p>text</p>", 500) + `"}}`
	for _, coding := range []string{"gzip", "zstd", "identity", "x-gzip", "GZIP"} {
		h.do("PUT", "/Patient/1", squeezedAs(t, coding, long), "Content-Encoding: "+coding)
		h.contains(h.stored("Patient", "1"), "<p>text</p>")
		h.must(204, "DELETE", "/Patient/1", "")
	}
	h.must(201, "PUT", "/Patient/1", long)
	h.must(201, "PUT", "/Patient/2", `{"resourceType":"Patient","id":"2"}`)
	plain := h.must(200, "GET", "/Patient/1", "")
	for _, tt := range []struct{ accept, coding string }{
		{"gzip", "gzip"},
		{"gzip, deflate, br", "gzip"},
		{"gzip, deflate, br, zstd", "zstd"},
		{"zstd;q=0.5, gzip;q=0.8", "gzip"},
		{"*", "zstd"},
		{"zstd;q=0, *", "gzip"},
		{"gzip;q=0", ""},
		{"identity;q=1, gzip;q=0.5", ""},
		{"br", ""},
		{"gzip;q=x", ""},
	} {
		r := h.must(200, "GET", "/Patient/1", "", "Accept-Encoding: "+tt.accept)
		h.equal(tt.coding, r.header.Get("Content-Encoding"))
		h.equal(string(plain.body), unsqueezed(t, tt.coding, r.body))
		h.equal(`W/"11"`, r.header.Get("ETag"))
		if !strings.Contains(strings.Join(r.header.Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("Vary %v", r.header.Values("Vary"))
		}
		h.equal(r.header.Get("Content-Length"), h.must(200, "HEAD", "/Patient/1", "", "Accept-Encoding: "+tt.accept).header.Get("Content-Length"))
		h.equal("", h.must(200, "GET", "/Patient/2", "", "Accept-Encoding: "+tt.accept).header.Get("Content-Encoding"))
	}
	h.equal("", string(h.must(304, "GET", "/Patient/1", "", "Accept-Encoding: gzip", `If-None-Match: W/"11"`).body))
}

func squeezedAs(t testing.TB, coding, body string) string {
	t.Helper()
	switch strings.ToLower(coding) {
	case "gzip", "x-gzip":
		return squeezed(t, "gzip", body)
	case "zstd":
		return squeezed(t, "zstd", body)
	default:
		return body
	}
}
