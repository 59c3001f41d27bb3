package resthook

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Policy says where requests may go. The zero Policy lets them go to https endpoints at public addresses.
//
// Dev opens http and loopback addresses. An Endpoints rule opens what it names to any scheme that is open
// there, an HTTP rule opens http to what it names: a private host over http needs both. A metadata address is
// opened only by an Endpoints rule of its own, a port of another protocol by one that names the port. What a Deny
// rule names stays closed, whatever else is open.
type Policy struct {
	Dev       bool
	Endpoints []Rule
	HTTP      []Rule
	Deny      []Rule
}

// Rule names addresses, or a host by its name. A host's rule holds for whatever the name resolves to.
type Rule struct {
	prefix netip.Prefix // valid: addresses
	host   string       // else: a name
	port   uint16       // 0: any
}

// PolicyOptions are the flags that make a Policy, as they were given.
type PolicyOptions struct {
	Dev       bool
	Endpoints []string // --allow-endpoint CIDR|HOST[:PORT]
	HTTP      []string // --allow-http CIDR|HOST
	Deny      []string // --deny-endpoint CIDR|HOST[:PORT]
}

// NewPolicy is PolicyOptions.Policy without a deny list.
func NewPolicy(dev bool, endpoints, http []string) (Policy, error) {
	return PolicyOptions{Dev: dev, Endpoints: endpoints, HTTP: http}.Policy()
}

// Policy reads the flags. The error names every value that can't be used, and every pair that contradicts itself.
func (o PolicyOptions) Policy() (Policy, error) {
	p := Policy{Dev: o.Dev}
	var errs []error
	read := func(flag string, values []string, check func(Rule) error) (rules []Rule) {
		for _, s := range values {
			r, err := parseRule(s)
			if err == nil && check != nil {
				err = check(r)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", flag, s, err))
				continue
			}
			rules = append(rules, r)
		}
		return rules
	}
	p.Endpoints = read("--allow-endpoint", o.Endpoints, nil)
	p.HTTP = read("--allow-http", o.HTTP, checkHTTP)
	p.Deny = read("--deny-endpoint", o.Deny, func(r Rule) error {
		if slices.Contains(p.Endpoints, r) || slices.Contains(p.HTTP, r) {
			return errors.New("it is allowed as well, and what is denied stays closed: drop one of the two")
		}
		return nil
	})
	if len(errs) > 0 {
		return Policy{}, errors.Join(errs...)
	}
	return p, nil
}

func checkHTTP(r Rule) error {
	switch {
	case r.port != 0:
		return errors.New("a port can't be named here")
	case r.prefix.IsValid() && r.prefix.Bits() == 0:
		return errors.New("this would send health data unencrypted to any address; name the ranges or hosts that have no TLS")
	default:
		return nil
	}
}

func parseRule(s string) (Rule, error) {
	if strings.Contains(s, "/") {
		prefix, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			return Rule{}, errors.New("not a CIDR such as 10.0.0.0/8, nor a host: a scheme or path can't be named")
		case prefix.Addr().Is4In6():
			return Rule{}, errors.New("write IPv4 ranges as IPv4, such as 10.0.0.0/8")
		case prefix != prefix.Masked():
			return Rule{}, fmt.Errorf("has bits beyond its length; did you mean %s or %s/%d?", prefix.Masked(), prefix.Addr(), prefix.Addr().BitLen())
		}
		return Rule{prefix: prefix}, nil
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return addressRule(a, 0)
	}
	host, port := s, uint16(0)
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		n, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || n == 0 {
			return Rule{}, errors.New("the port must be a number from 1 to 65535")
		}
		host, port = s[:i], uint16(n)
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil {
		return addressRule(a, port)
	}
	if err := checkHostname(host); err != nil {
		return Rule{}, err
	}
	return Rule{host: foldHost(host), port: port}, nil
}

func addressRule(a netip.Addr, port uint16) (Rule, error) {
	if a.Zone() != "" {
		return Rule{}, errors.New("an address can't have a zone")
	}
	a = a.Unmap()
	return Rule{prefix: netip.PrefixFrom(a, a.BitLen()), port: port}, nil
}

// fits tells whether a rule names a host (as the URL has it) or the address that it stands for. An address that
// isn't known yet is the zero Addr.
func (r Rule) fits(host string, port uint16, a netip.Addr) bool {
	if r.port != 0 && r.port != port {
		return false
	}
	if r.prefix.IsValid() {
		return a.IsValid() && r.prefix.Contains(a)
	}
	return r.host == host
}

// single tells whether the rule is this one address.
func (r Rule) single(port uint16, a netip.Addr) bool {
	return r.prefix.IsValid() && r.prefix.IsSingleIP() && r.fits("", port, a)
}

// BlockedError is a verdict against an endpoint, in words for the person who named it.
type BlockedError struct{ Words string }

func (b *BlockedError) Error() string { return b.Words }

func blocked(format string, args ...any) error {
	return &BlockedError{Words: fmt.Sprintf(format, args...)}
}

// reached judges everything about a host once the address is known that a connection would go to.
func (p Policy) reached(host string, port uint16, a netip.Addr, secure bool) error {
	if !secure {
		if err := p.scheme(host, port, a); err != nil {
			return err
		}
	}
	if err := p.port(host, port, a); err != nil {
		return err
	}
	return p.address(host, port, a)
}

// address judges the address that a host stands for, at a port. A host that is an address literal is that
// address in text.
func (p Policy) address(host string, port uint16, a netip.Addr) error {
	if a.Zone() != "" {
		return blocked("%s has a zone, which only addresses of the local link have", a)
	}
	a = a.Unmap()
	if p.denies(host, port, a) {
		return denied(host, a)
	}
	k, inner := judge(a)
	if k == public {
		return nil
	}
	if !k.never() {
		if k == loopback && p.Dev && !inner.IsValid() {
			return nil
		}
		if slices.ContainsFunc(p.Endpoints, func(r Rule) bool {
			if k == metadata {
				return r.single(port, a)
			}
			return r.fits(host, port, a)
		}) {
			return nil
		}
	}
	subject := a.String()
	if host != subject && host != "" {
		subject = host + " resolves to " + subject + ", which"
	}
	if inner.IsValid() {
		subject += " stands for " + inner.String() + ", which"
	}
	if k.never() {
		return blocked("%s is %s, where no endpoint can be", subject, k.words())
	}
	return blocked("%s is %s; ask the operator to allow it with --allow-endpoint %s/%d", subject, k.words(), a, a.BitLen())
}

// denies tells whether a Deny rule names a host, its address, or the address that this one leads to. An address
// that isn't known yet is the zero Addr.
func (p Policy) denies(host string, port uint16, a netip.Addr) bool {
	return slices.ContainsFunc(p.Deny, func(r Rule) bool {
		return r.fits(host, port, a) || a.Is6() && slices.ContainsFunc(embedded(a), func(inner netip.Addr) bool { return r.fits(host, port, inner) })
	})
}

func denied(host string, a netip.Addr) error {
	subject := host
	if text := a.String(); a.IsValid() && host != text {
		subject = host + " resolves to " + text + ", which"
	}
	return blocked("%s is closed by the operator (--deny-endpoint)", subject)
}

// port judges the port of a host; the zero Addr if it isn't known yet what the host stands for.
func (p Policy) port(host string, port uint16, a netip.Addr) error {
	service, other := otherServices[port]
	if !other {
		return nil
	}
	a = a.Unmap()
	if p.Dev && (a.IsLoopback() || !a.IsValid() && localName(host)) {
		return nil
	}
	if slices.ContainsFunc(p.Endpoints, func(r Rule) bool {
		return r.port == port && (r.fits(host, port, a) || !a.IsValid() && r.prefix.IsValid())
	}) {
		return nil
	}
	name := host
	if a.Is6() && a.String() == host {
		name = "[" + host + "]"
	}
	return blocked("port %d is that of %s, which is no HTTP; ask the operator to allow it with --allow-endpoint %s:%d", port, service, name, port)
}

// scheme judges http to a host; the zero Addr if it isn't known yet what the host stands for, in which case the
// dial decides where a rule for addresses might fit.
func (p Policy) scheme(host string, port uint16, a netip.Addr) error {
	if p.Dev {
		return nil
	}
	a = a.Unmap()
	for _, r := range p.HTTP {
		if r.fits(host, port, a) || !a.IsValid() && r.prefix.IsValid() {
			return nil
		}
	}
	return blocked("http is not encrypted: use https, or ask the operator to allow http with --allow-http %s", host)
}
