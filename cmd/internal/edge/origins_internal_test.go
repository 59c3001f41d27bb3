package edge

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestShared_letsNamedOriginsRead(t *testing.T) {
	reached := false
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })
	named := secured(shared([]string{"https://app.example.org", "http://localhost:3000"}, next))
	all := secured(shared([]string{AnyOrigin}, next))
	for _, c := range []struct {
		name, origin string
		h            http.Handler
		allowed      string
	}{
		{"named", "https://app.example.org", named, "https://app.example.org"},
		{"named, with a port", "http://localhost:3000", named, "http://localhost:3000"},
		{"another port", "http://localhost:3001", named, ""},
		{"another scheme", "http://app.example.org", named, ""},
		{"a name that ends so", "https://evilapp.example.org", named, ""},
		{"a name that begins so", "https://app.example.org.evil.example", named, ""},
		{"null", "null", named, ""},
		{"none", "", named, ""},
		{"any", "https://anywhere.example", all, "*"},
	} {
		header := []string{"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization,content-type,if-match"}
		if c.origin != "" {
			header = append(header, "Origin", c.origin)
		}
		reached = false
		w := do(c.h, request(t, http.MethodOptions, "/fhir/R4/Patient/1", header...))
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != c.allowed || reached == (c.allowed != "") {
			t.Errorf("%s: preflight allows %q and is passed on: %t; want %q", c.name, got, reached, c.allowed)
		}
		if c.allowed != "" {
			for _, want := range []string{"Authorization", "Content-Type", "If-Match", "If-None-Exist", "Prefer"} {
				if !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), want) {
					t.Errorf("%s: preflight does not allow %s", c.name, want)
				}
			}
			if w.Code != http.StatusNoContent || !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "PATCH") {
				t.Errorf("%s: preflight: %d %v", c.name, w.Code, w.Header())
			}
		}
		r := request(t, http.MethodGet, "/fhir/R4/Patient/1")
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w = do(c.h, r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != c.allowed {
			t.Errorf("%s: the answer allows %q, want %q", c.name, got, c.allowed)
		}
		if exposed := w.Header().Get("Access-Control-Expose-Headers"); (c.allowed != "") != strings.Contains(exposed, "ETag") {
			t.Errorf("%s: the answer exposes %q", c.name, exposed)
		}
		if w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are allowed", c.name)
		}
		if vary := strings.Join(w.Header().Values("Vary"), ", "); (c.allowed != AnyOrigin) != strings.Contains(vary, "Origin") {
			t.Errorf("%s: Vary: %s", c.name, vary)
		}
	}
}

func TestCheckOrigin_takesWhatBrowsersSend(t *testing.T) {
	for origin, good := range map[string]bool{
		"*": true, "https://app.example.org": true, "http://localhost:3000": true, "http://[::1]:80": true,
		"": false, "null": false, "app.example.org": false, "https://app.example.org/": false, "https://App.example.org": false,
		"https://*.example.org/x": false, "https://*.example.org": false, "https://u@app.example.org": false, "ftp://app.example.org": false, "https://app.example.org?x": false,
	} {
		if err := CheckOrigin(origin); (err == nil) != good {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

// TestSameSite_keepsPagesOfStrangersOut is about a server that anybody on the machine may use.
func TestSameSite_keepsPagesOfStrangersOut(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.8/32")}
	h := sameSite([]string{"fhir.clinic.net"}, []string{"https://app.example.org"}, proxies, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		name, method, url string
		header            []string
		want              int
	}{
		{"a client", http.MethodPost, "http://127.0.0.1:8080/", nil, 200},
		{"by name", http.MethodPost, "http://localhost:8080/", nil, 200},
		{"by IPv6", http.MethodGet, "http://[::1]:8080/", nil, 200},
		{"by a service's name", http.MethodGet, "http://fhirhook:8080/", nil, 200},
		{"by its own name", http.MethodGet, "http://fhir.clinic.net/", nil, 200},
		{"by a reserved name", http.MethodGet, "http://fhir.example.org/", nil, 200},
		{"by a stranger's name", http.MethodGet, "http://rebound.attacker.com:8080/", nil, 421},
		{"by a stranger's name with a dot", http.MethodGet, "http://attacker.com.:8080/", nil, 421},
		{"by a name that ends so", http.MethodGet, "http://notexample.org/", nil, 421},
		{"a page of another site", http.MethodPost, "http://127.0.0.1:8080/", []string{"Origin", "https://evil.com"}, 403},
		{"a page of another site, newer browser", http.MethodDelete, "http://localhost:8080/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a page of another port", http.MethodPost, "http://localhost:8080/", []string{"Origin", "http://localhost:3000"}, 403},
		{"a sandboxed page", http.MethodPost, "http://localhost:8080/", []string{"Origin", "null"}, 403},
		{"a page that was named", http.MethodPost, "http://localhost:8080/", []string{"Origin", "https://app.example.org"}, 200},
		{"its own page", http.MethodPost, "http://localhost:8080/", []string{"Origin", "http://localhost:8080"}, 200},
	} {
		if w := do(h, request(t, c.method, c.url, c.header...)); w.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, w.Code, c.want, w.Body)
		}
	}
	r := request(t, http.MethodGet, "http://fhir.hospital.com/")
	r.RemoteAddr = "192.0.2.8:1"
	if w := do(h, r); w.Code != http.StatusOK {
		t.Errorf("by a proxy: %d", w.Code)
	}
}

func TestSecured_setsHeadersOnEveryAnswer(t *testing.T) {
	h := secured(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/binary" {
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Content-Security-Policy", "sandbox")
		}
	}))
	w := do(h, request(t, http.MethodGet, "/"))
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
		"Strict-Transport-Security": "", "Server": "",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := do(h, request(t, http.MethodGet, "/binary")).Header(); got.Get("Cache-Control") != "no-cache" || got.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("what a handler knows better: %v", got)
	}
	if got := do(h, request(t, http.MethodGet, "/")).Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("what one answer says reaches the next: %q", got)
	}
	r := request(t, http.MethodGet, "/")
	for range maxFields + 1 {
		r.Header.Add("X-A", "b")
	}
	if w := do(h, r); w.Code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("too many fields: %d", w.Code)
	}
}
