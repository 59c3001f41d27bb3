// Package peer tells who is at the other end of a connection, and for whom proxies speak that the operator trusts. Everything that
// is decided by a client's address (limits, audit, whether X-Forwarded headers count) asks here, so that all mean the same client.
package peer

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Address reads the address of an address and port, as http.Request.RemoteAddr is one: without a zone, and IPv4 as such. It is the
// zero Addr if the text is something else.
func Address(text string) netip.Addr {
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return plain(ap.Addr())
}

// Within tells whether one of the networks holds the address, which must be plain as those of this package are.
func Within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Client is the address of whoever sent a request: the peer, or whom trusted proxies name; the zero Addr if it isn't known. Of
// X-Forwarded-For the last address counts that isn't a trusted proxy's, for what stands before it anybody may have written.
func Client(r *http.Request, proxies []netip.Prefix) netip.Addr {
	addr := Address(r.RemoteAddr)
	if !Within(proxies, addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		before, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(hop), "[]"))
		if err != nil {
			break
		}
		if addr = plain(before); !Within(proxies, addr) {
			break
		}
	}
	return addr
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
