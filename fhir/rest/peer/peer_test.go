package peer_test

import (
	"net/http"
	"net/netip"
	"testing"

	"fhirhook/fhir/rest/peer"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/10")}

func TestClient_believesProxiesAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"198.51.100.1:1", nil, "198.51.100.1"},
		{"198.51.100.1:1", []string{"203.0.113.9"}, "198.51.100.1"},
		{"192.0.2.7:1", nil, "192.0.2.7"},
		{"192.0.2.7:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"192.0.2.7:1", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		{"192.0.2.7:1", []string{"127.0.0.1", "203.0.113.9"}, "203.0.113.9"},
		{"192.0.2.7:1", []string{"203.0.113.9, 192.0.2.8"}, "203.0.113.9"},
		{"192.0.2.7:1", []string{"203.0.113.5, 198.51.100.7, 192.0.2.8"}, "198.51.100.7"},
		{"192.0.2.7:1", []string{"192.0.2.9, 192.0.2.8"}, "192.0.2.9"},
		{"192.0.2.7:1", []string{"203.0.113.9, nonsense"}, "192.0.2.7"},
		{"192.0.2.7:1", []string{"203.0.113.9,"}, "192.0.2.7"},
		{"192.0.2.7:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"[::ffff:192.0.2.7]:1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"[fe80::1%eth0]:1", nil, "fe80::1"},
		{"[fe80::1%eth0]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"pipe", []string{"203.0.113.9"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
		if got := peer.Client(r, proxies).String(); got != tt.want {
			t.Errorf("%s for %q is %s, want %s", tt.peer, tt.forwarded, got, tt.want)
		}
	}
}

// FuzzClient: whatever a client writes into X-Forwarded-For, a peer that is no proxy is who it is.
func FuzzClient(f *testing.F) {
	f.Add("192.0.2.7:1", "203.0.113.9, 192.0.2.8")
	f.Add("[2001:db8::1]:1", "[::1], ::ffff:192.0.2.7")
	f.Add("198.51.100.1:1", "192.0.2.7")
	f.Fuzz(func(t *testing.T, from, forwarded string) {
		r := &http.Request{RemoteAddr: from, Header: http.Header{"X-Forwarded-For": {forwarded}}}
		got := peer.Client(r, proxies)
		if direct := peer.Address(from); !peer.Within(proxies, direct) && got != direct {
			t.Errorf("%q with %q is %v", from, forwarded, got)
		}
		if got.Zone() != "" || got.Is4In6() {
			t.Errorf("%q with %q is %v", from, forwarded, got)
		}
	})
}
