package resthook

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"fhirhook/channel"
)

// NetworkOptions say how requests leave. The zero value works: public https endpoints, the machine's authorities.
type NetworkOptions struct {
	Policy   Policy
	CAFiles  []string       // PEM files with authorities beside the machine's
	RootCAs  *x509.CertPool // stands for the machine's authorities; nil: those
	Proxy    *Proxy         // nil: straight. The environment's is never asked.
	Origins  []Origin
	Resolver *net.Resolver // nil: the machine's
	Log      *slog.Logger  // nil: nowhere

	admitted func(netip.AddrPort) error // of tests: see dialer
}

// Network is how requests leave: where they may go, by which way, and with which credentials of the server. It is safe
// for concurrent use.
type Network struct {
	policy       Policy
	names        *names
	plain, https *way
	avoided      *avoided
	origins      map[string]*origin // by host:port of their https endpoints
}

// origin is an Origin in use.
type origin struct {
	way    *way
	tokens *tokens // nil: none are needed
}

// NewNetwork reads the files that the options name. The error names every problem.
func NewNetwork(o NetworkOptions) (*Network, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	n := &Network{policy: o.Policy, names: newNames(o.Resolver), avoided: newAvoided(), origins: map[string]*origin{}}
	var problems []error
	for _, name := range o.CAFiles {
		if _, err := authorities(x509.NewCertPool(), []string{name}); err != nil {
			problems = append(problems, fmt.Errorf("--ca-file: %w", err))
		}
	}
	if len(problems) > 0 {
		o.CAFiles = nil // told; what follows has problems of its own
	}
	var err error
	if n.plain, err = o.way(false, Origin{}); err != nil {
		problems = append(problems, err)
	}
	if n.https, err = o.way(true, Origin{}); err != nil {
		problems = append(problems, err)
	}
	for i, each := range o.Origins {
		for _, err := range n.add(each, o) {
			problems = append(problems, fmt.Errorf("endpoints, entry %d (%s): %w", i+1, shown(each.Origin), err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return n, nil
}

// shown is an origin as it may be shown, though it should have been one and may be a URL with credentials.
func shown(raw string) string {
	e, err := parseEndpoint(raw)
	switch {
	case raw == "":
		return "no origin"
	case err != nil:
		return "not a URL"
	default:
		return e.name()
	}
}

// add takes an Origin in.
func (n *Network) add(of Origin, o NetworkOptions) []error {
	e, problems := of.check(n.policy)
	if n.origins[e.name()] != nil {
		problems = append(problems, errors.New("origin: there is an entry for it already; put both into one"))
	}
	if len(problems) > 0 {
		return problems
	}
	w, err := o.way(true, of)
	if err != nil {
		return []error{err}
	}
	added := &origin{way: w}
	if of.OAuth2 != nil {
		added.tokens = newTokens(*of.OAuth2, n)
	}
	n.origins[e.name()] = added
	return nil
}

// way makes a way to the endpoints of an origin, to all that have none of their own if that is empty.
func (o NetworkOptions) way(secure bool, of Origin) (*way, error) {
	files := append(of.files(), o.CAFiles...)
	if !secure && (o.Proxy == nil || !o.Proxy.secure) {
		files = nil
	}
	return newWay(files, o.Log, func() (lines, error) {
		all, err := authorities(o.RootCAs, o.CAFiles)
		if err != nil {
			return lines{}, err
		}
		d := dialer{policy: o.Policy, secure: secure, timeout: connectTimeout, resolver: o.Resolver, admitted: o.admitted}
		if o.Proxy != nil {
			d.proxy = &tunnel{Proxy: o.Proxy, roots: all}
		}
		if of.CAFile != "" {
			if all, err = authorities(x509.NewCertPool(), []string{of.CAFile}); err != nil {
				return lines{}, fmt.Errorf("ca-file: %w", err)
			}
		}
		certificates, err := of.certificates()
		if err != nil {
			return lines{}, err
		}
		settings := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: all, Certificates: certificates}
		old := transport(d, settings.Clone(), false)
		if !secure {
			return lines{both: old, old: old}, nil
		}
		return lines{both: transport(d, settings, true), old: old}, nil
	})
}

// transport never asks the environment for a proxy: what is judged must be what is dialled. Settings are its own. HTTP/2 is
// spoken by TLS alone, where an endpoint picks it in the handshake.
func transport(d dialer, settings *tls.Config, http2 bool) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(http2)
	return &http.Transport{
		DialContext:            d.dial,
		TLSClientConfig:        settings,
		TLSHandshakeTimeout:    connectTimeout,
		Protocols:              &protocols,
		HTTP2:                  limits(),
		DisableCompression:     true,
		MaxIdleConns:           idleConns,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: headerBytes,
	}
}

// to returns the transport to an endpoint, and where tokens for it come from, nil if it needs none.
func (n *Network) to(e endpoint, now time.Time) (*http.Transport, *tokens) {
	if !e.secure {
		return n.plain.current(now).both, nil
	}
	w, name := n.https, e.name()
	var t *tokens
	if own := n.origins[name]; own != nil {
		w, t = own.way, own.tokens
	}
	if n.avoided.has(name, now) {
		return w.current(now).old, t
	}
	return w.current(now).both, t
}

// CheckTarget tells which of a Target's headers contradicts the operator's settings for its endpoint, in words for the
// Subscription's owner. What is no endpoint contradicts nothing.
func (n *Network) CheckTarget(t channel.Target) (header int, err error) {
	e, err := parseEndpoint(t.Endpoint)
	if err != nil {
		return 0, nil //nolint:nilerr // CheckURL tells that
	}
	own := n.origins[e.name()]
	if own == nil || own.tokens == nil || !e.secure {
		return 0, nil
	}
	for i, h := range t.Headers {
		if strings.EqualFold(h.Name, "Authorization") {
			return i, errors.New("the operator has set up OAuth2 for this endpoint's origin, so the server sends Authorization itself: remove that line from channel.header")
		}
	}
	return 0, nil
}

// close ends idle connections.
func (n *Network) close() {
	n.plain.close()
	n.https.close()
	for _, o := range n.origins {
		o.way.close()
	}
}
