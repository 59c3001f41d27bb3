package app

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"fhirhook/cmd/internal/edge"
	"fhirhook/fhir/auth"
)

// Inbound says how the server meets its clients; the zero value is the default.
type Inbound struct {
	TLS         edge.TLS
	Limits      edge.Limits
	CORSOrigins []string // whose pages may read answers; none: no CORS
	AdminListen string   // address of metrics and health alone, without authentication; "": they are at Listen
}

// exposure is what decides whether settings are safe together.
type exposure struct {
	public        bool // others than this machine can connect
	authenticated bool // somebody may call, and others not
}

// readInbound refuses what would let in whom nobody meant to, each with the flag that makes it safe.
func (o Options) readInbound(s *settings, p *problems) {
	var e exposure
	e.public = o.readListen(p)
	e.authenticated = o.authenticates(p)
	o.readData(p)
	if err := o.TLS.Check(); err != nil {
		p.add("%w", err)
	}
	if err := o.Limits.Check(); err != nil {
		p.add("%w", err)
	}
	if e.public {
		o.readPublic(e, p)
	}
	o.readBase(e, p)
	o.readOrigins(e, p)
	o.readAdmin(p)
	o.readEndpoints(p)
	s.anonymous = !e.authenticated
	if e.public && !o.TLS.On() {
		s.peers = s.proxies
	}
}

// readPublic says what a server needs that others can reach.
func (o Options) readPublic(e exposure, p *problems) {
	if !e.authenticated {
		p.add("--listen %s is reachable from outside, and anybody could read and write everything: make a token by fhirhook token create --data %s, or say who may call in the section auth of --config; or listen on 127.0.0.1 or [::1]", o.Listen, o.Data)
	}
	if !o.TLS.On() && len(o.TrustedProxies) == 0 {
		p.add("--listen %s is reachable from outside, and tokens and patient data would travel in the clear: name --tls-cert and --tls-key, or --acme-domain, or by --trusted-proxy the address of the proxy that ends TLS; or listen on 127.0.0.1 or [::1]", o.Listen)
	}
	if o.Dev {
		p.add("--dev lets Subscriptions reach this machine without TLS, which is for development: leave it out, or listen on 127.0.0.1 or [::1]")
	}
}

// readListen tells whether the address is reachable from outside.
func (o Options) readListen(p *problems) (public bool) {
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil || !listens(port) {
		p.add("--listen %s: name host and port, as in 127.0.0.1:8080", o.Listen)
	}
	return err == nil && !onLoopback(host)
}

// listens tells whether something can listen on a port: a number, of which 0 is any that is free, or the name of a service.
func listens(port string) bool {
	_, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port) // in a file, if it isn't a number
	return err == nil
}

func onLoopback(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// authenticates tells whether requests are authenticated.
func (o Options) authenticates(p *problems) bool {
	if !o.Auth.Empty() {
		return true
	}
	_, err := os.Stat(filepath.Join(o.Data, auth.TokenFileName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.add("%w", err)
	}
	return err == nil
}

// readData refuses a folder in which anybody on this machine could put tokens of their own.
func (o Options) readData(p *problems) {
	info, err := os.Stat(o.Data)
	if err == nil && info.Mode().Perm()&0o002 != 0 {
		p.add("--data %s can be changed by everybody on this machine (mode %04o): chmod o-w it, or name a folder of its own", o.Data, info.Mode().Perm())
	}
}

// readBase refuses a base URL that would send clients, and their tokens, somewhere without TLS.
func (o Options) readBase(e exposure, p *problems) {
	u, err := url.Parse(o.BaseURL)
	if err != nil || u.Scheme != "http" {
		return // options.read names what is wrong
	}
	switch {
	case o.TLS.On():
		p.add("--base-url %s is without TLS, and the server speaks nothing else: write https://", o.BaseURL)
	case (e.public || e.authenticated) && !onLoopback(u.Hostname()):
		p.add("--base-url %s sends clients, with their tokens and patient data, over the network in the clear: write https://, and name --tls-cert and --tls-key or a --trusted-proxy that ends TLS", o.BaseURL)
	}
}

func (o Options) readOrigins(e exposure, p *problems) {
	for _, origin := range o.CORSOrigins {
		if err := edge.CheckOrigin(origin); err != nil {
			p.add("--cors-origin %s: %w", origin, err)
		}
		if origin == edge.AnyOrigin && !e.authenticated {
			p.add("--cors-origin * lets every web page that is opened on this machine read and write everything, as nobody has to authenticate: make a token by fhirhook token create, or name the origins")
		}
	}
}

// readAdmin keeps metrics, which need no token at their own address, in the networks of a site.
func (o Options) readAdmin(p *problems) {
	if o.AdminListen == "" {
		return
	}
	host, port, err := net.SplitHostPort(o.AdminListen)
	if err != nil || !listens(port) {
		p.add("--admin-listen %s: name host and port, as in 127.0.0.1:9090", o.AdminListen)
		return
	}
	addr, err := netip.ParseAddr(host)
	if !onLoopback(host) && (err != nil || !addr.IsPrivate() && !addr.IsLinkLocalUnicast()) {
		p.add("--admin-listen %s asks nobody who they are: name an address of this machine, or of a private network such as 10.1.2.3:9090; or leave it out, and read /metrics with an administrator's token", o.AdminListen)
	}
	if o.AdminListen == o.Listen && !strings.HasSuffix(o.Listen, ":0") {
		p.add("--admin-listen %s is --listen: name another port", o.AdminListen)
	}
}

// readEndpoints refuses to open everything behind the firewall to whoever may write a Subscription, by one range or by several.
func (o Options) readEndpoints(p *problems) {
	for _, text := range o.AllowEndpoints {
		if prefix, err := netip.ParsePrefix(text); err == nil && tooWide(prefix) {
			p.add("--allow-endpoint %s lets Subscriptions reach every machine there that this one can, and is wider than any private network: name the networks or hosts that receivers are in, as in 10.20.0.0/16", text)
		}
	}
}

// tooWide tells whether a range is wider than the largest private networks, 10.0.0.0/8 and fc00::/7.
func tooWide(prefix netip.Prefix) bool {
	if prefix.Addr().Is4() {
		return prefix.Bits() < 8
	}
	return prefix.Bits() < 7
}

// readProxies refuses to believe whole parts of the internet.
func (o Options) readProxies(s *settings, p *problems) {
	for _, text := range o.TrustedProxies {
		prefix, err := parsePrefix(text)
		if err != nil {
			p.add("--trusted-proxy %s: %v: name an address or a CIDR such as 10.0.0.0/8", text, err)
			continue
		}
		if tooWide(prefix) {
			p.add("--trusted-proxy %s lets anybody say who they are and how they came: name the proxies' addresses, or their network", text)
		}
		s.proxies = append(s.proxies, prefix)
	}
}

// parsePrefix reads an address or a CIDR; of IPv4, however it is written, it is one of IPv4.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err == nil && prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix, err
}

// edge makes the server's way in. Without a listener there is none.
func (o Options) edge(set settings, h http.Handler) (*edge.Server, error) {
	var hosts []string
	if u, err := url.Parse(set.baseURL); err == nil && u.Hostname() != "" {
		hosts = append(hosts, strings.ToLower(u.Hostname()))
	}
	return edge.New(edge.Options{
		TLS: o.TLS, Limits: o.Limits, Peers: set.peers, Proxies: set.proxies,
		Anonymous: set.anonymous, Hosts: hosts, Origins: o.CORSOrigins, Exempt: isOperators, Log: o.Log,
	}, h)
}

// listenAdmin opens the operator's own address.
func (o Options) listenAdmin(ctx context.Context, h http.Handler) (net.Listener, *edge.Server, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", o.AdminListen)
	if err != nil {
		return nil, nil, err
	}
	s, err := edge.New(edge.Options{Limits: edge.Limits{MaxConnections: 100, MaxRequests: 20}, Log: o.Log}, h)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, s, nil
}

// isOperators tells the requests that have to be answered also when the server has more to do than it can.
func isOperators(r *http.Request) bool {
	switch r.URL.Path {
	case "/healthz", "/readyz", "/metrics":
		return true
	}
	return false
}
