package edge

import (
	"net"
	"net/netip"

	"fhirhook/fhir/rest/peer"
)

// addressOf is the address of a peer; the zero Addr if it has none.
func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	return peer.Address(a.String())
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
