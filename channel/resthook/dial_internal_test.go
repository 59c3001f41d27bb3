package resthook

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is judged is the address that is dialled, whatever the name is.
func TestDialer_control(t *testing.T) {
	parse := func(dev bool, endpoints, http string) Policy {
		p, err := NewPolicy(dev, strings.Fields(endpoints), strings.Fields(http))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	tests := []struct {
		name    string
		p       Policy
		secure  bool
		host    string
		network string
		address string
		bad     string
	}{
		{"public", parse(false, "", ""), true, "a.example", "tcp4", "93.184.216.34:443", ""},
		{"public, v6", parse(false, "", ""), true, "a.example", "tcp6", "[2606:2800:220:1::1]:443", ""},
		{"rebound to private", parse(false, "", ""), true, "a.example", "tcp4", "10.0.0.5:443", "a.example resolves to 10.0.0.5, which is a private address"},
		{"rebound to loopback", parse(false, "", ""), true, "a.example", "tcp6", "[::1]:443", "loopback"},
		{"rebound to mapped loopback", parse(false, "", ""), true, "a.example", "tcp6", "[::ffff:127.0.0.1]:443", "loopback"},
		{"rebound to metadata", parse(true, "", ""), true, "a.example", "tcp4", "169.254.169.254:443", "metadata"},
		{"with a zone", parse(true, "", ""), true, "a.example", "tcp6", "[fe80::1%eth0]:443", "zone"},
		{"not TCP", parse(true, "", ""), true, "a.example", "udp4", "93.184.216.34:443", "not TCP"},
		{"nonsense", parse(true, "", ""), true, "a.example", "tcp4", "nowhere", "can't be judged"},
		{"dev, loopback", parse(true, "", ""), false, "localhost", "tcp4", "127.0.0.1:80", ""},
		{"host opened", parse(false, "ris.example", ""), true, "ris.example", "tcp4", "10.0.0.5:443", ""},
		{"host opened, rebound to metadata", parse(false, "ris.example", ""), true, "ris.example", "tcp4", "169.254.169.254:443", "metadata"},
		{"host opened, rebound to metadata in disguise", parse(false, "ris.example", ""), true, "ris.example", "tcp6", "[64:ff9b::a9fe:a9fe]:443", "metadata"},
		{"host opened, unspecified", parse(false, "ris.example", ""), true, "ris.example", "tcp4", "0.0.0.0:443", "unspecified"},
		{"host opened at another port", parse(false, "ris.example:8443", ""), true, "ris.example", "tcp4", "10.0.0.5:443", "private"},
		{"range opened", parse(false, "10.0.0.0/8", ""), true, "ris.example", "tcp4", "10.0.0.5:443", ""},
		{"http, range of another", parse(false, "10.0.0.0/8", "10.0.0.0/8"), false, "ris.example", "tcp4", "93.184.216.34:80", "--allow-http ris.example"},
		{"http, range", parse(false, "10.0.0.0/8", "10.0.0.0/8"), false, "ris.example", "tcp4", "10.0.0.5:80", ""},
		{"http, not opened", parse(false, "10.0.0.0/8", ""), false, "ris.example", "tcp4", "10.0.0.5:80", "--allow-http"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			port := uint16(80)
			if tt.secure {
				port = 443
			}
			err := dialer{policy: tt.p, secure: tt.secure}.control(tt.host, port, tt.network, tt.address)
			if tt.bad == "" && err != nil || tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad)) {
				t.Errorf("got %v, want %q", err, tt.bad)
			}
		})
	}
}

// A name that resolves to loopback is refused by the dial itself, with nothing sent.
func TestDialer_judgesTheAddressDialled(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	target := net.JoinHostPort("localhost", port)
	_, err = dialer{secure: true}.dial(t.Context(), "tcp", target)
	b, ok := errors.AsType[*BlockedError](err)
	if !ok || !strings.Contains(b.Words, "localhost resolves to ") || !strings.Contains(b.Words, "loopback") {
		t.Errorf("got %v", err)
	}
	conn, err := dialer{secure: true, policy: Policy{Dev: true}}.dial(t.Context(), "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// No way of carrying an IPv4 address in an IPv6 one makes it better than it is.
func TestJudge_disguiseNeverHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ipv4")
		v4 := netip.AddrFrom4([4]byte(b))
		plain, _ := judge(v4)
		noise := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "rest")
		wrap := func(prefix string, places ...int) netip.Addr {
			p := netip.MustParsePrefix(prefix)
			out := [16]byte(noise)
			head := p.Addr().As16()
			copy(out[:p.Bits()/8], head[:])
			for i, at := range places {
				out[at] = b[i]
			}
			return netip.AddrFrom16(out)
		}
		wrapped := []netip.Addr{
			wrap("::ffff:0:0/96", 12, 13, 14, 15), wrap("2002::/16", 2, 3, 4, 5), wrap("64:ff9b::/96", 12, 13, 14, 15),
			wrap("64:ff9b:1::/96", 12, 13, 14, 15), wrap("64:ff9b:1:0::/48", 6, 7, 9, 10), wrap("64:ff9b:1::/56", 7, 9, 10, 11),
			wrap("64:ff9b:1::/64", 9, 10, 11, 12), wrap("::/96", 12, 13, 14, 15), wrap("2001::/32", 4, 5, 6, 7),
		}
		for _, w := range wrapped {
			k, _ := judge(w)
			// The three shorter places of the local prefix can't tell zeros from absence: 0.0.0.0/8 leads nowhere.
			if plain != public && k == public && b[0] != 0 {
				t.Errorf("%s is refused, %s is not", v4, w)
			}
		}
	})
}
