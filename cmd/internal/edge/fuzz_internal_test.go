package edge

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// FuzzClientAddress: whatever a client writes into X-Forwarded-For, a peer that is no proxy is who it is, and behind a proxy nobody is
// one of the proxies unless all hops are.
func FuzzClientAddress(f *testing.F) {
	f.Add("192.0.2.7:1", "203.0.113.9, 192.0.2.8")
	f.Add("[2001:db8::1]:1", "[::1], ::ffff:192.0.2.7")
	f.Add("198.51.100.1:1", "192.0.2.7")
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {forwarded}}}
		got := clientAddress(r, proxies)
		if direct := parsePeer(peer); !within(proxies, direct) && got != direct {
			t.Errorf("%q with %q is %v", peer, forwarded, got)
		}
		_ = clientOf(got)
	})
}

// FuzzOrigin: an origin that is accepted is one that browsers send, letter for letter, and no host that is taken for known holds one
// that is not.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://app.example.org", "http://[::1]:3000", "https://a.example@evil.com", "https://a.example:443#x", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := CheckOrigin(s); err == nil && s != AnyOrigin {
			u, err := url.Parse(s)
			if err != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || !strings.HasSuffix(s, "//"+u.Host) {
				t.Errorf("%q is accepted: %+v, %v", s, u, err)
			}
		}
		if knownHost(s, nil) && strings.HasSuffix(strings.ToLower(s), ".attacker.com") {
			t.Errorf("%q is taken for a name that nobody can register", s)
		}
	})
}
