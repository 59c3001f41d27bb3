package rest

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestServer_knowsItsBase: --base-url first, then what a trusted proxy says, then the Host header; nobody
// else's X-Forwarded-* counts.
func TestServer_knowsItsBase(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	tests := []struct {
		name, configured, remote string
		header                   http.Header
		want                     string
	}{
		{"Host", "", "192.0.2.1:5", nil, "http://fhir.example/fhir/R4"},
		{"from outside", "", "192.0.2.1:5", forwarded("https", "evil.example"), "http://fhir.example/fhir/R4"},
		{"from a proxy", "", "10.1.2.3:5", forwarded("https", "public.example"), "https://public.example/fhir/R4"},
		{"from a proxy, mapped", "", "[::ffff:10.1.2.3]:5", forwarded("https", "public.example"), "https://public.example/fhir/R4"},
		{"from a chain of proxies", "", "[::1]:5", forwarded("https, http", "public.example, inner"), "https://public.example/fhir/R4"},
		{"nonsense from a proxy", "", "10.1.2.3:5", forwarded("gopher", ""), "http://fhir.example/fhir/R4"},
		{"no host from a proxy", "", "10.1.2.3:5", forwarded("https", `evil"<x> /y`), "https://fhir.example/fhir/R4"},
		{"configured", "https://public.example/r4/", "10.1.2.3:5", forwarded("https", "other.example"), "https://public.example/r4"},
		{"configured root", "https://public.example", "192.0.2.1:5", nil, "https://public.example/fhir/R4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, func(o *Options) { o.BaseURL, o.TrustedProxies = tt.configured, proxies })
			r := httptest.NewRequest(http.MethodPut, "http://fhir.example"+Prefix+"/Patient/1", strings.NewReader(`{"resourceType":"Patient","id":"1"}`))
			r.RemoteAddr = tt.remote
			for name, v := range tt.header {
				r.Header[name] = v
			}
			w := httptest.NewRecorder()
			h.server.ServeHTTP(w, r)
			if got := w.Header().Get("Location"); got != tt.want+"/Patient/1/_history/1" {
				t.Errorf("Location %q, want below %q", got, tt.want)
			}
		})
	}
}

func forwarded(proto, host string) http.Header {
	return http.Header{"X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}}
}

func TestNew_namesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := New(Options{BaseURL: "ftp://x"})
	for _, part := range []string{"DB", "Search", "BaseURL"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v lacks %s", err, part)
		}
	}
}

// TestServer_tellsWhatItAnswered is what the metrics are made of.
func TestServer_tellsWhatItAnswered(t *testing.T) {
	t.Parallel()
	type seen struct {
		code   string
		status int
	}
	told := make(chan seen, 8) // as many as there are requests
	h := newHarness(t, func(o *Options) {
		o.Observe = func(code string, status int, took time.Duration) {
			if took < 0 {
				t.Error("time runs backwards")
			}
			told <- seen{code, status}
		}
	})
	for _, want := range []seen{{"read", 404}, {"search-type", 200}, {"", 404}, {"batch", 400}} {
		path := map[string]string{"read": "/Patient/1", "search-type": "/Patient", "": "/a/b/c/d/e", "batch": ""}[want.code]
		method := "GET"
		if want.code == "batch" {
			method = "POST"
		}
		h.do(method, path, "")
		if got := <-told; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
