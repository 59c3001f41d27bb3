package resthook

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// notGlobal are the prefixes at which no endpoint is open by default, of IPv4, of what carries IPv4, and of 2000::/3.
// They are written down flat: no order, no nesting.
var notGlobal = func() []netip.Prefix {
	var all []netip.Prefix
	four := strings.Fields(`0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
		192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 100.100.100.200/32 168.63.129.16/32`)
	for _, s := range four {
		p := netip.MustParsePrefix(s)
		all = append(all, p)
		b := p.Addr().As4()
		six := [16]byte{0x20, 0x02}
		copy(six[2:], b[:])
		all = append(all, netip.PrefixFrom(netip.AddrFrom16(six), 16+p.Bits()))
		for _, head := range []string{"::ffff:0:0", "64:ff9b::"} {
			six = netip.MustParseAddr(head).As16()
			copy(six[12:], b[:])
			all = append(all, netip.PrefixFrom(netip.AddrFrom16(six), 96+p.Bits()))
		}
	}
	for _, s := range strings.Fields(`2001::/23 2001:db8::/32 3fff::/20`) {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}()

// globalByTable is what the flat table says. Beside IPv4, only 2000::/3 and NAT64 lead anywhere. Addresses with an interface of ISATAP and those of the local NAT64 prefix
// carry an IPv4 address where a prefix can't tell: they have tests of their own.
func globalByTable(a netip.Addr) bool {
	leads := func(s string) bool { return netip.MustParsePrefix(s).Contains(a) }
	if a.Is6() && !a.Is4In6() && !leads("2000::/3") && !leads("64:ff9b::/96") {
		return false
	}
	return !slices.ContainsFunc(notGlobal, func(p netip.Prefix) bool { return p.Contains(a) || p.Contains(a.Unmap()) })
}

// The policy says of any address what the flat table says.
func TestPolicy_isTheTable(t *testing.T) {
	global, closed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var a netip.Addr
		if rapid.Bool().Draw(t, "four") {
			a = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes")))
		} else {
			a = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")))
		}
		// Three of four lie at or beside a prefix of the table: random bytes seldom do.
		if rapid.IntRange(0, 3).Draw(t, "near") > 0 {
			p := rapid.SampledFrom(notGlobal).Draw(t, "prefix")
			b, head := a.AsSlice(), p.Addr().AsSlice()
			if len(b) != len(head) {
				b = append(make([]byte, 0, 16), netip.AddrFrom4([4]byte{1, 2, 3, 4}).AsSlice()...)
				b = append(b, a.AsSlice()...)[:len(head):len(head)]
				b = append(b, make([]byte, len(head)-len(b))...)
			}
			keep := rapid.IntRange(max(0, p.Bits()-2), p.Bits()).Draw(t, "bits")
			for i := range keep {
				bit := byte(0x80) >> (i % 8)
				b[i/8] = b[i/8]&^bit | head[i/8]&bit
			}
			a, _ = netip.AddrFromSlice(b)
		}
		b := a.As16()
		isatap := a.Is6() && b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
		if isatap || a.Is6() && localNAT64.Contains(a) {
			return
		}
		err := Policy{}.reached("victim.example", 443, a, true)
		want := globalByTable(a)
		if want {
			global++
		} else {
			closed++
		}
		if (err == nil) != want {
			t.Errorf("%s: %v, and the table says open: %t", a, err, want)
		}
		host := a.String()
		if a.Is6() {
			host = "[" + host + "]"
		}
		if byURL := (Policy{}).CheckURL("https://" + host + "/"); (byURL == nil) != (err == nil) {
			t.Errorf("%s: by URL %v, by dial %v", a, byURL, err)
		}
		everything := Policy{Deny: []Rule{{prefix: netip.MustParsePrefix("0.0.0.0/0")}, {prefix: netip.MustParsePrefix("::/0")}}}
		if everything.reached("victim.example", 443, a, true) == nil {
			t.Errorf("%s is open though all is denied", a)
		}
	})
	if global < 5 || closed < 5 {
		t.Errorf("%d addresses open, %d closed: the property was hardly tried", global, closed)
	}
}

// A Deny rule only ever closes, whatever else is open.
func TestPolicy_denyOnlyCloses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
		rule := func(name string) Rule {
			bits := rapid.IntRange(0, 32).Draw(t, name)
			return Rule{prefix: netip.PrefixFrom(a, bits).Masked(), port: uint16(rapid.SampledFrom([]int{0, 443, 8443}).Draw(t, name+" port"))}
		}
		open := Policy{Dev: rapid.Bool().Draw(t, "dev"), Endpoints: []Rule{rule("allow")}, HTTP: []Rule{{host: "victim.example"}}}
		shut := open
		shut.Deny = []Rule{rule("deny")}
		port := uint16(rapid.SampledFrom([]int{443, 8443, 25}).Draw(t, "port"))
		before, after := open.reached("victim.example", port, a, false), shut.reached("victim.example", port, a, false)
		if before != nil && after == nil {
			t.Errorf("a deny rule opened %s", a)
		}
		if shut.Deny[0].fits("", port, a) && after == nil {
			t.Errorf("%s is open though %v denies it", a, shut.Deny)
		}
	})
}

// What a URL is judged by is what its request would be dialled by; and no text is too odd to be judged.
func FuzzEndpoint(f *testing.F) {
	for _, a := range ssrfAttacks() {
		f.Add(strings.ReplaceAll(a.url, "PORT", "8443"))
	}
	errStop := errors.New("stop")
	var dialled string
	transport := &http.Transport{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = address
		return nil, errStop
	}}
	transport.DialTLSContext = transport.DialContext
	f.Fuzz(func(t *testing.T, raw string) {
		e, err := parseEndpoint(raw)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("refused without a word")
			}
			return
		}
		if err := (Policy{}).CheckURL(raw); err != nil && bytes.ContainsAny([]byte(err.Error()), "\r\n") {
			t.Errorf("a verdict of several lines: %q", err)
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatalf("judged, and no URL: %v", err)
		}
		r := &http.Request{Method: http.MethodPost, URL: u, Header: http.Header{}, Host: u.Host}
		dialled = ""
		resp, err := transport.RoundTrip(r.WithContext(t.Context()))
		if err == nil {
			resp.Body.Close()
			t.Fatal("a reply without a connection")
		}
		if dialled == "" {
			return // net/http takes fewer URLs than are judged
		}
		host, port, err := net.SplitHostPort(dialled)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := netip.ParseAddr(host); err == nil {
			host = a.Unmap().String()
			if !e.addr.IsValid() || e.addr.Unmap() != a.Unmap() {
				t.Errorf("%q is judged as %v and dialled as %s", raw, e.addr, a)
			}
		}
		if got := net.JoinHostPort(foldHost(host), port); got != e.name() {
			t.Errorf("%q is judged as %s and dialled as %s", raw, e.name(), got)
		}
	})
}
