package edge

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"fhirhook/fhir/rest/peer"
)

// What FHIR clients in browsers send and read (R4 http.html, SMART on FHIR), beside what CORS always lets pass.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	corsHeaders = "Accept, Authorization, Content-Type, Content-Encoding, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, " +
		"X-Correlation-Id, X-Fhirhook-Notify, X-Fhirhook-Tenant, X-Request-Id, X-Security-Context"
	corsExposed = "Content-Location, Content-Encoding, Date, ETag, Last-Modified, Location, Preference-Applied, Retry-After, WWW-Authenticate, " +
		"X-Correlation-Id, X-Request-Id, X-Security-Context"
	corsMaxAge = "7200" // the most that browsers take
)

// AnyOrigin lets pages of all origins read answers.
const AnyOrigin = "*"

// shared lets pages of other origins read answers (CORS): of those that are named, or of all. Credentials that browsers
// send by themselves are never allowed.
func shared(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	all := slices.Contains(origins, AnyOrigin)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header, origin := w.Header(), r.Header.Get("Origin")
		if !all {
			header.Add("Vary", "Origin")
		}
		if origin == "" || !all && !slices.Contains(origins, strings.ToLower(origin)) {
			next.ServeHTTP(w, r)
			return
		}
		if all {
			origin = AnyOrigin
		}
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Cross-Origin-Resource-Policy", "cross-origin")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			header.Set("Access-Control-Allow-Methods", corsMethods)
			header.Set("Access-Control-Allow-Headers", corsHeaders)
			header.Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		header.Set("Access-Control-Expose-Headers", corsExposed)
		next.ServeHTTP(w, r)
	})
}

// sameSite keeps pages of other sites out of a server that anybody on this machine may use, as nobody authenticates: they may
// neither send it something, nor read it under a name of their own that they let mean this machine (DNS rebinding).
func sameSite(hosts, origins []string, proxies []netip.Prefix, next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if origin != AnyOrigin {
			_ = guard.AddTrustedOrigin(origin) // Options were checked
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch err := guard.Check(r); {
		case err != nil:
			refusal{http.StatusForbidden, "forbidden", "a page of another site may not do this: name its origin by --cors-origin", 0}.write(w)
		case !knownHost(r.Host, hosts) && !peer.Within(proxies, peer.Address(r.RemoteAddr)):
			refusal{http.StatusMisdirectedRequest, "forbidden", "this server does not know itself by that name: start it with --base-url", 0}.write(w)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// reserved are domains that nobody can register (RFC 2606, RFC 6761, RFC 6762, RFC 9476; internal by ICANN), so that no
// page can be under them.
var reserved = []string{"localhost", "test", "invalid", "example", "example.com", "example.net", "example.org", "local", "internal", "alt", "home.arpa"}

// knownHost tells whether a Host is one that a page of a stranger can't have: an address, a name without dots, one of a
// reserved domain, or one of the server's own.
func knownHost(host string, own []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || slices.Contains(own, host) {
		return true
	}
	return slices.ContainsFunc(reserved, func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) })
}
