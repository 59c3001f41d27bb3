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
	policy  Policy
	secure  bool
	timeout time.Duration
}

// dial is http.Transport's DialContext. target is host:port as the URL has it.
func (d dialer) dial(ctx context.Context, network, target string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, blocked("the endpoint's port must be a number from 1 to 65535")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		host = a.Unmap().String()
	}
	host = foldHost(host)
	nd := net.Dialer{
		Timeout:   d.timeout,
		KeepAlive: 15 * time.Second,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return d.control(host, uint16(port), network, address)
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
	if !d.secure {
		if err := d.policy.scheme(host, port, ap.Addr()); err != nil {
			return err
		}
	}
	return d.policy.address(host, port, ap.Addr())
}
