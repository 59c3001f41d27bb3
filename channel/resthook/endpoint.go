package resthook

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// endpoint is an endpoint's URL, taken apart.
type endpoint struct {
	secure bool
	host   string     // lower case, without a final dot
	addr   netip.Addr // valid if the host is a literal
	port   uint16
}

// CheckURL judges an endpoint when a Subscription is written: its form, its scheme, and its host as far as that
// can be known without asking a name server. The error is for the client: what is wrong and what to do. It never
// quotes a query or credentials.
func (p Policy) CheckURL(raw string) error {
	e, err := parseEndpoint(raw)
	if err != nil {
		return err
	}
	return p.endpoint(e)
}

// endpoint is CheckURL behind the form.
func (p Policy) endpoint(e endpoint) error {
	if e.addr.IsValid() {
		return p.reached(e.host, e.port, e.addr, e.secure)
	}
	if !e.secure {
		if err := p.scheme(e.host, e.port, netip.Addr{}); err != nil {
			return err
		}
	}
	if err := p.port(e.host, e.port, netip.Addr{}); err != nil {
		return err
	}
	return p.name(e.host, e.port)
}

// name refuses the names that are known to stand for what isn't open. All other names are judged when they are
// dialled.
func (p Policy) name(host string, port uint16) error {
	if p.denies(host, port, netip.Addr{}) {
		return denied(host, netip.Addr{})
	}
	if metadataNames[host] {
		for _, r := range p.Endpoints {
			if r.prefix.IsValid() && r.prefix.IsSingleIP() && metadataAddresses[r.prefix.Addr()] {
				return nil
			}
		}
		return blocked("%s is the name of a cloud metadata service; ask the operator to allow its address with --allow-endpoint", host)
	}
	if !localName(host) || p.Dev {
		return nil
	}
	for _, r := range p.Endpoints {
		if r.port != 0 && r.port != port {
			continue
		}
		if r.host == host || r.prefix.IsValid() && (r.prefix.Overlaps(localhost4) || r.prefix.Overlaps(localhost6)) {
			return nil
		}
	}
	return blocked("%s is this server itself; ask the operator to allow it with --allow-endpoint %s", host, host)
}

// localName tells of the names that stand for the machine itself (RFC 6761 6.3).
func localName(host string) bool { return host == "localhost" || strings.HasSuffix(host, ".localhost") }

var (
	localhost4 = netip.MustParsePrefix("127.0.0.0/8")
	localhost6 = netip.MustParsePrefix("::1/128")
)

// parseEndpoint wants an absolute http or https URL that means the same to every reader.
func parseEndpoint(raw string) (endpoint, error) {
	var e endpoint
	if raw == "" {
		return e, errors.New("the endpoint is empty; name an https URL")
	}
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c == 0x7f || c == '\\' {
			return e, errors.New("the endpoint holds a blank, a backslash or a control character; percent-encode it")
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return e, errors.New("the endpoint is not a URL; it should look like https://host.example/path")
	}
	switch u.Scheme {
	case "https":
		e.secure, e.port = true, 443
	case "http":
		e.port = 80
	default:
		return e, errors.New("the endpoint must be an absolute URL that begins with https://")
	}
	switch {
	case u.User != nil || strings.Contains(u.Host, "@"):
		return e, errors.New("the endpoint holds credentials; send them as a line of channel.header instead")
	case strings.Contains(raw, "#"):
		return e, errors.New("the endpoint has a fragment, which is never sent; remove it")
	case u.Opaque != "" || u.Hostname() == "":
		return e, errors.New("the endpoint names no host; it should look like https://host.example/path")
	case strings.HasSuffix(u.Host, ":"):
		return e, errors.New("the endpoint has a colon but no port after its host")
	}
	if s := u.Port(); s != "" {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || s[0] == '0' {
			return e, errors.New("the endpoint's port must be a number from 1 to 65535, without zeros before it")
		}
		e.port = uint16(n)
	}
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		a, err := netip.ParseAddr(host)
		if err != nil || !a.Is6() {
			return e, errors.New("the endpoint's host is not an IPv6 address")
		}
		if a.Zone() != "" {
			return e, errors.New("the endpoint's address has a zone, which only addresses of the local link have")
		}
		e.addr, e.host = a, a.Unmap().String()
		return e, nil
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		e.addr, e.host = a, a.String()
		return e, nil
	}
	if err := checkHostname(host); err != nil {
		return e, err
	}
	e.host = foldHost(host)
	return e, nil
}

// foldHost writes a name as names are compared.
func foldHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// checkHostname wants a name that no reader takes for an address: some read 2130706433, 0x7f.1, 0177.0.0.1 and
// 127.1 as one, and letters of other scripts as digits and dots.
func checkHostname(host string) error {
	name := strings.TrimSuffix(host, ".")
	if name == "" || len(name) > 253 {
		return errors.New("the host is not a name or an address")
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return errors.New("the host is not a name: between its dots stand 1 to 63 characters")
		}
		for i := range len(label) {
			switch c := label[i]; {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			case c >= 0x80 || c == '%':
				return errors.New("the host holds letters beyond ASCII; write it in its xn-- form")
			default:
				return errors.New("the host holds a character that no host name has")
			}
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return errors.New("the host looks like an address in an unusual form; write it as four decimal numbers, as in 192.0.2.1")
	}
	return nil
}
