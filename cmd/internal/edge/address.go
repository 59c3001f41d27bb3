package edge

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// addressOf is the address of a peer; the zero Addr if it has none.
func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	return parsePeer(a.String())
}

func parsePeer(text string) netip.Addr {
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// clientOf is who is counted as one: an IPv4 address, and of IPv6 a network of 64 bits, which one customer has.
func clientOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // all whose address isn't known are one
	}
	return p
}

// within tells whether one of the networks holds the address.
func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// clientAddress is who sent a request: the peer, or whom trusted proxies name. Of X-Forwarded-For the last address counts that
// isn't a trusted proxy's, for what stands before it anybody may have written.
func clientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	addr := parsePeer(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !within(proxies, addr) {
			break
		}
		before, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(hop), "[]"))
		if err != nil {
			break
		}
		addr = before.Unmap().WithZone("")
	}
	return addr
}
