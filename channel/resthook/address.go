package resthook

import (
	"encoding/binary"
	"net/netip"
)

// kind is what sort of address an address is, as far as it matters for reaching it.
type kind uint8

const (
	public kind = iota
	private
	loopback
	linkLocal
	shared // carrier-grade NAT
	documentation
	benchmarking
	reserved
	metadata
	multicast   // never an endpoint
	unspecified // nor this
)

// words completes "10.0.0.5 is …".
func (k kind) words() string {
	switch k {
	case private:
		return "a private address"
	case loopback:
		return "a loopback address"
	case linkLocal:
		return "a link-local address"
	case shared:
		return "an address of a carrier's own network"
	case documentation:
		return "an address for documentation"
	case benchmarking:
		return "an address for benchmarks"
	case reserved:
		return "a reserved address"
	case metadata:
		return "a cloud metadata address"
	case multicast:
		return "a multicast or broadcast address"
	case unspecified:
		return "an unspecified address"
	default:
		return "a public address"
	}
}

// never tells of kinds that no rule can open.
func (k kind) never() bool { return k == multicast || k == unspecified }

// special4 and special6 follow IANA's special-purpose address registries; the first prefix that holds decides.
var special4 = table(
	row{"0.0.0.0/32", unspecified}, row{"0.0.0.0/8", reserved}, row{"10.0.0.0/8", private}, row{"100.64.0.0/10", shared},
	row{"127.0.0.0/8", loopback}, row{"169.254.0.0/16", linkLocal}, row{"172.16.0.0/12", private}, row{"192.0.0.0/24", reserved},
	row{"192.0.2.0/24", documentation}, row{"192.88.99.0/24", reserved}, row{"192.168.0.0/16", private},
	row{"198.18.0.0/15", benchmarking}, row{"198.51.100.0/24", documentation}, row{"203.0.113.0/24", documentation},
	row{"224.0.0.0/4", multicast}, row{"255.255.255.255/32", multicast}, row{"240.0.0.0/4", reserved},
)

var special6 = table(
	row{"::/128", unspecified}, row{"::1/128", loopback}, row{"fc00::/7", private}, row{"fec0::/10", private},
	row{"fe80::/10", linkLocal}, row{"ff00::/8", multicast},
	row{"2001:2::/48", benchmarking}, row{"2001:db8::/32", documentation}, row{"2001::/23", reserved}, row{"3fff::/20", documentation},
	row{"2000::/3", public}, row{"::/0", reserved},
)

// metadataAddresses answer any process on a cloud machine with its credentials. Some lie in public ranges.
var metadataAddresses = map[netip.Addr]bool{
	netip.MustParseAddr("169.254.169.254"):    true, // AWS, Azure, Google, OpenStack and most others
	netip.MustParseAddr("169.254.169.253"):    true, // AWS resolver
	netip.MustParseAddr("169.254.170.2"):      true, // AWS container credentials
	netip.MustParseAddr("169.254.170.23"):     true, // AWS pod identity
	netip.MustParseAddr("169.254.0.23"):       true, // Tencent
	netip.MustParseAddr("169.254.42.42"):      true, // Scaleway
	netip.MustParseAddr("100.100.100.200"):    true, // Alibaba
	netip.MustParseAddr("168.63.129.16"):      true, // Azure's host
	netip.MustParseAddr("192.0.0.192"):        true, // Oracle
	netip.MustParseAddr("fd00:ec2::254"):      true, // AWS
	netip.MustParseAddr("fd00:ec2::23"):       true, // AWS pod identity
	netip.MustParseAddr("fd20:ce::254"):       true, // Google
	netip.MustParseAddr("fe80::a9fe:a9fe"):    true, // OpenStack
	netip.MustParseAddr("fd00:c1::a9fe:a9fe"): true, // Oracle
	netip.MustParseAddr("fd00:42::42"):        true, // Scaleway
}

// metadataNames are names that resolve to them inside a cloud.
var metadataNames = map[string]bool{
	"metadata": true, "metadata.google.internal": true, "metadata.goog": true, "instance-data": true,
	"instance-data.ec2.internal": true, "metadata.tencentyun.com": true, "metadata.packet.net": true,
}

type row struct {
	prefix string
	kind   kind
}

type class struct {
	prefix netip.Prefix
	kind   kind
}

func table(rows ...row) []class {
	t := make([]class, len(rows))
	for i, r := range rows {
		t[i] = class{netip.MustParsePrefix(r.prefix), r.kind}
	}
	return t
}

// judge returns an address's kind, and the IPv4 address that it stands for if that is what decided. An
// IPv6 address that carries an IPv4 one is no better than what it carries.
func judge(a netip.Addr) (k kind, inner netip.Addr) {
	a = a.Unmap().WithZone("")
	if metadataAddresses[a] {
		return metadata, netip.Addr{}
	}
	if a.Is4() {
		return lookup(special4, a), netip.Addr{}
	}
	for _, v4 := range embedded(a) {
		if k, _ := judge(v4); k != public {
			return k, v4
		}
	}
	if nat64.Contains(a) || localNAT64.Contains(a) {
		return public, netip.Addr{} // outside 2000::/3, but it leads to the public IPv4 address just judged
	}
	return lookup(special6, a), netip.Addr{}
}

func lookup(t []class, a netip.Addr) kind {
	for _, c := range t {
		if c.prefix.Contains(a) {
			return c.kind
		}
	}
	return public
}

var (
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")
	compatible = netip.MustParsePrefix("::/96")
	siit       = netip.MustParsePrefix("::ffff:0:0:0/96")
)

// embedded returns the IPv4 addresses that an IPv6 address may lead to.
func embedded(a netip.Addr) []netip.Addr {
	b := a.As16()
	at := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	found := translated(a, b, at)
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		found = append(found, at(12, 13, 14, 15)) // ISATAP (RFC 5214 6.1), whatever the prefix
	}
	return found
}

// translated returns those that its prefix tells of.
func translated(a netip.Addr, b [16]byte, at func(i, j, k, l int) netip.Addr) []netip.Addr {
	switch {
	case a == netip.IPv6Unspecified(), a == netip.IPv6Loopback():
		return nil
	case sixToFour.Contains(a):
		return []netip.Addr{at(2, 3, 4, 5)}
	case teredo.Contains(a):
		var client [4]byte
		binary.BigEndian.PutUint32(client[:], ^binary.BigEndian.Uint32(b[12:]))
		return []netip.Addr{netip.AddrFrom4(client), at(4, 5, 6, 7)}
	case nat64.Contains(a), compatible.Contains(a), siit.Contains(a):
		return []netip.Addr{at(12, 13, 14, 15)}
	case localNAT64.Contains(a):
		// RFC 8215 leaves the length of the translator's prefix open, and with it where the IPv4 address sits
		// (RFC 6052 2.2): every place is judged, but for zeros, which another length leaves behind.
		var found []netip.Addr
		for _, v4 := range []netip.Addr{at(12, 13, 14, 15), at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)} {
			if v4.As4()[0] != 0 {
				found = append(found, v4)
			}
		}
		if found == nil {
			return []netip.Addr{at(12, 13, 14, 15)}
		}
		return found
	default:
		return nil
	}
}
