package resthook

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// dialer opens connections for one scheme, each judged at the last moment by the address that is really dialled:
// what a name resolved to a moment ago proves nothing.
type dialer struct {
	policy   Policy
	secure   bool
	timeout  time.Duration
	resolver *net.Resolver // nil: the machine's
	proxy    *tunnel       // nil: straight
	// admitted is asked behind the judgement, and its error ends the dial; tests look at it. nil: nothing.
	admitted func(netip.AddrPort) error
}

// dial is http.Transport's DialContext. target is host:port as the URL has it.
func (d dialer) dial(ctx context.Context, network, target string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, blocked("the endpoint's port must be a number from 1 to 65535")
	}
	port := uint16(n)
	if a, err := netip.ParseAddr(host); err == nil {
		host = a.Unmap().String()
	}
	host = foldHost(host)
	if d.proxy != nil {
		ctx, cancel := context.WithTimeout(ctx, d.timeout)
		defer cancel()
		return d.through(ctx, host, port)
	}
	nd := net.Dialer{
		Timeout:   d.timeout,
		KeepAlive: 15 * time.Second,
		Resolver:  d.resolver,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return d.control(host, port, network, address)
		},
	}
	return nd.DialContext(ctx, network, target)
}

// control is asked between the making of a socket and its connecting.
func (d dialer) control(host string, port uint16, network, address string) error {
	if network != "tcp4" && network != "tcp6" {
		return blocked("%s is not TCP", network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return blocked("the address of %s can't be judged", host)
	}
	return d.judge(host, port, ap)
}

// judge is the policy's word on an address that is about to be connected to.
func (d dialer) judge(host string, port uint16, to netip.AddrPort) error {
	if err := d.policy.reached(host, port, to.Addr(), d.secure); err != nil {
		return err
	}
	if d.admitted != nil {
		return d.admitted(to)
	}
	return nil
}

// through asks the proxy for a connection. The name is resolved and judged here and the proxy is told the address,
// so that it can't come to another verdict, or to another address.
func (d dialer) through(ctx context.Context, host string, port uint16) (net.Conn, error) {
	addrs, err := resolve(ctx, d.resolver, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		to := netip.AddrPortFrom(a.Unmap(), port)
		if e := d.judge(host, port, to); e != nil {
			err = firstOf(err, e)
			continue
		}
		conn, e := d.proxy.connect(ctx, to)
		if e == nil {
			return conn, nil
		}
		if err = firstOf(err, e); ctx.Err() != nil || !e.another() {
			return nil, err
		}
	}
	return nil, err
}

// firstOf keeps the first error: what follows it is often its consequence.
func firstOf(had, now error) error {
	if had != nil {
		return had
	}
	return now
}

// resolve asks the name server. IPv4 comes first: nothing here knows whether a proxy has IPv6.
func resolve(ctx context.Context, r *net.Resolver, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if r == nil {
		r = net.DefaultResolver
	}
	addrs, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var sorted []netip.Addr
	for _, four := range []bool{true, false} {
		for _, a := range addrs {
			if a.Unmap().Is4() == four {
				sorted = append(sorted, a)
			}
		}
	}
	if len(sorted) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	return sorted, nil
}
