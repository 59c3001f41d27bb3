package resthook

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzParseOrigins: a configuration is read or refused, and what is refused does not quote secrets' values.
func FuzzParseOrigins(f *testing.F) {
	f.Add([]byte("endpoints:\n  - origin: https://ris.example\n    oauth2: {token-url: https://id.example/token, client-id: x, client-secret-file: s, scopes: [a]}\n"))
	f.Add([]byte("endpoints: [1, {origin: [x]}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("endpoints: &e [{origin: x}]\nothers: [*e, *e]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		origins, err := ParseOrigins(text)
		if err != nil {
			return
		}
		for _, o := range origins {
			_, _ = o.check(Policy{})
		}
	})
}

// FuzzParseProxy: what is accepted has a host and a port and no line break, and no refusal quotes credentials.
func FuzzParseProxy(f *testing.F) {
	f.Add("http://proxy.example:3128", "name:s3cret-s3cret")
	f.Add("https://[::1]", "name:")
	f.Add("http://u:s3cret-s3cret@proxy.example", "")
	f.Add("http://proxy.example/x", "a\r\nb:c")
	f.Fuzz(func(t *testing.T, raw, credentials string) {
		p, err := ParseProxy(raw, credentials)
		if err != nil {
			if len(credentials) > 8 && strings.Contains(err.Error(), credentials) && !strings.Contains("must be the proxy's URL, as in http://proxy.example:3128 its credentials must be one line, as in name:password", credentials) {
				t.Errorf("%v quotes the credentials", err)
			}
			return
		}
		if p.host == "" || !strings.Contains(p.address, ":") || strings.ContainsAny(p.login, "\r\n") {
			t.Errorf("%q with %q is %+v", raw, credentials, p)
		}
	})
}

// FuzzParseCodes: a set of status codes that is accepted is within those that there are, and printed as it can be read again.
func FuzzParseCodes(f *testing.F) {
	for _, s := range []string{"200", "200,201,204", "200-299,404", "2xx", "600", "299-200", ","} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		codes, err := ParseCodes(s)
		if err != nil {
			return
		}
		again, err := ParseCodes(codes.String())
		if err != nil || again.String() != codes.String() {
			t.Errorf("%q is printed as %q, and read again as %q: %v", s, codes, again, err)
		}
		if codes.Has(99) || codes.Has(601) {
			t.Errorf("%q holds codes that there are not", s)
		}
	})
}

// FuzzRetryAfter: whatever an endpoint answers, the wait is neither below zero nor longer than the longest.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"120", "-1", "99999999999999999999", "Wed, 21 Oct 2026 07:28:00 GMT", "1.5", "soon"} {
		f.Add(s, "Wed, 21 Oct 2026 07:27:00 GMT")
	}
	now := time.Date(2026, 10, 21, 7, 27, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value, date string) {
		if wait := retryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, now); wait < 0 || wait > longestWait {
			t.Errorf("%q, %q: %v", value, date, wait)
		}
	})
}
