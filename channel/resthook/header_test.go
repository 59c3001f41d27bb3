package resthook_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
	"fhirhook/channel/channeltest"
	"fhirhook/channel/resthook"
)

func dialect(t testing.TB, name string) resthook.Dialect {
	t.Helper()
	d, ok := resthook.Lookup(name)
	if !ok {
		t.Fatalf("no dialect %s", name)
	}
	return d
}

func TestParseHeader(t *testing.T) {
	kit := dialect(t, "kit")
	fhir := dialect(t, "fhir")
	signed := fhir.For(channel.Target{Payload: "application/fhir+json", Signature: resthook.FormBody})
	tests := []struct {
		name string
		line string
		d    resthook.Dialect
		want channel.Header
		bad  string // part of the refusal
	}{
		{"seed 0", "Authorization: Bearer secret-token-abc-123", kit, channel.Header{Name: "Authorization", Value: "Bearer secret-token-abc-123"}, ""},
		{"colons in the value", "X-Url: http://h:1/z", kit, channel.Header{Name: "X-Url", Value: "http://h:1/z"}, ""},
		{"no blank", "X-A:b", kit, channel.Header{Name: "X-A", Value: "b"}, ""},
		{"blanks around", "X-A: \t b c \t", kit, channel.Header{Name: "X-A", Value: "b c"}, ""},
		{"empty value", "X-A:", kit, channel.Header{Name: "X-A", Value: ""}, ""},
		{"spelling is kept", "x-aPI-key: 1", kit, channel.Header{Name: "x-aPI-key", Value: "1"}, ""},
		{"beyond ASCII", "X-Name: Žofie", kit, channel.Header{Name: "X-Name", Value: "Žofie"}, ""},
		{"referer", "Referer: https://a.example/", kit, channel.Header{Name: "Referer", Value: "https://a.example/"}, ""},
		{"user agent", "User-Agent: ours", kit, channel.Header{Name: "User-Agent", Value: "ours"}, ""},
		{"same content type", "Content-Type: application/fhir+json", kit, channel.Header{Name: "Content-Type", Value: "application/fhir+json"}, ""},
		{"same content type, other case", "content-type: Application/FHIR+json; charset=UTF-8", kit, channel.Header{Name: "content-type", Value: "Application/FHIR+json; charset=UTF-8"}, ""},
		{"same content type, version", "Content-Type: application/fhir+json; fhirVersion=4.0", kit, channel.Header{Name: "Content-Type", Value: "application/fhir+json; fhirVersion=4.0"}, ""},
		{"no payload, any content type", "Content-Type: application/json", fhir, channel.Header{Name: "Content-Type", Value: "application/json"}, ""},
		{"signature header where nothing signs", "X-Signature: mine", fhir, channel.Header{Name: "X-Signature", Value: "mine"}, ""},

		{"no colon", "Authorization Bearer t", kit, channel.Header{}, "no colon"},
		{"empty", "", kit, channel.Header{}, "no colon"},
		{"nothing before the colon", ": x", kit, channel.Header{}, "nothing before its colon"},
		{"blank before the colon", "X-A : x", kit, channel.Header{}, "header name"},
		{"leading blank", " X-A: x", kit, channel.Header{}, "header name"},
		{"name beyond ASCII", "X-Ä: x", kit, channel.Header{}, "header name"},
		{"line feed", "X-A: x\nX-B: y", kit, channel.Header{}, "control character"},
		{"carriage return", "X-A: x\rX-B: y", kit, channel.Header{}, "control character"},
		{"line break at the end", "X-A: x\r\n", kit, channel.Header{}, "control character"},
		{"null", "X-A: x\x00", kit, channel.Header{}, "control character"},
		{"delete", "X-A: x\x7f", kit, channel.Header{}, "control character"},
		{"tab inside", "X-A: x\ty", kit, channel.Header{}, "control character"},
		{"control beyond ASCII", "X-A: x\u0085y", kit, channel.Header{}, "control character"},
		{"line feed in the name", "X-A\n: x", kit, channel.Header{}, "header name"},
		{"host", "Host: a", kit, channel.Header{}, "can't be set"},
		{"content length", "content-length: 3", kit, channel.Header{}, "can't be set"},
		{"transfer encoding", "Transfer-Encoding: chunked", kit, channel.Header{}, "can't be set"},
		{"connection", "Connection: close", kit, channel.Header{}, "can't be set"},
		{"te", "TE: trailers", kit, channel.Header{}, "can't be set"},
		{"trailer", "Trailer: X", kit, channel.Header{}, "can't be set"},
		{"upgrade", "Upgrade: h2c", kit, channel.Header{}, "can't be set"},
		{"expect", "Expect: 100-continue", kit, channel.Header{}, "can't be set"},
		{"proxy", "Proxy-Authorization: Basic x", kit, channel.Header{}, "reserved"},
		{"webhook", "Webhook-Id: x", kit, channel.Header{}, "reserved"},
		{"ours", "x-fhirhook-event: x", kit, channel.Header{}, "reserved"},
		{"dialect's signature", "x-signature: x", kit, channel.Header{}, "the dialect kit"},
		{"dialect's signature by extension", "X-Signature: x", signed, channel.Header{}, "the dialect fhir"},
		{"dialect's own", "X-Medplum-Interaction: x", dialect(t, "medplum"), channel.Header{}, "the dialect medplum"},
		{"other content type", "Content-Type: application/json", kit, channel.Header{}, "application/fhir+json"},
		{"other content type than the payload", "Content-Type: application/json", signed, channel.Header{}, "application/fhir+json"},
		{"other version", "Content-Type: application/fhir+json; fhirVersion=5.0", kit, channel.Header{}, "can't differ"},
		{"no content type at all", "Content-Type: ", kit, channel.Header{}, "can't differ"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := resthook.ParseHeader(tt.line, tt.d)
			if tt.bad == "" && err != nil {
				t.Fatal(err)
			}
			if tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)) {
				t.Fatalf("error %v, want one with %q", err, tt.bad)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever line is accepted adds exactly one header to a request, and changes nothing else of it.
func FuzzParseHeader(f *testing.F) {
	for _, s := range []string{
		"Authorization: Bearer secret-token-abc-123", "X-Url: http://h:1/z", "X-A: x\r\nHost: b", ": x", "Content-Type: text/plain",
		"webhook-id: 1", "A:\t", "X: \u0085", "User-Agent:", "accept-encoding: gzip", "Idempotency-Key: 1",
	} {
		f.Add(s)
	}
	d := dialect(f, "kit")
	at := time.Unix(1700000000, 0)
	f.Fuzz(func(t *testing.T, line string) {
		h, err := resthook.ParseHeader(line, d)
		if err != nil {
			if _, value, ok := strings.Cut(line, ":"); ok && len(strings.TrimSpace(value)) > 20 && strings.Contains(err.Error(), strings.TrimSpace(value)) {
				t.Errorf("the refusal tells the value: %v", err)
			}
			return
		}
		m := channeltest.Message("https://receiver.example/hook")
		plain := wire(t, m, d, at)
		m.Target.Headers = []channel.Header{h}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire(t, m, d, at))))
		if err != nil {
			t.Fatalf("the request can't be read any more: %v", err)
		}
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(plain)))
		if err != nil {
			t.Fatal(err)
		}
		name := http.CanonicalHeaderKey(h.Name)
		if got := req.Header.Values(name); len(got) != 1 && h.Value != "" || len(got) == 1 && strings.Trim(got[0], " \t") != h.Value {
			t.Errorf("%q became %q", h, got)
		}
		req.Header.Del(name)
		want.Header.Del(name)
		if diff := cmp.Diff(want.Header, req.Header); diff != "" {
			t.Error(diff)
		}
		if req.Host != want.Host || req.ContentLength != want.ContentLength || req.Method != want.Method {
			t.Errorf("the frame changed: %+v", req)
		}
	})
}
