package edge

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"fhirhook/fhir/rest/peer"
)

// Options say how a Server meets its clients. Every zero value works.
type Options struct {
	TLS TLS
	// Peers, if there are any, are the only ones who may connect, beside loopback: proxies that have ended TLS.
	Peers []netip.Prefix
	// Proxies are those whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	// Anonymous says that nobody authenticates: pages of other sites are kept out, and names that aren't in Hosts.
	Anonymous bool
	Hosts     []string // that the server is called by, in lower case and without ports
	Origins   []string // whose pages may read answers (CheckOrigin); none: no CORS

	Limits
	// Exempt names requests that are answered however many there are.
	Exempt func(*http.Request) bool
	Log    *slog.Logger // nil: nothing is logged
}

// Limits bound what clients can make the server hold. 0 is the default.
type Limits struct {
	MaxConnections int           // at a time; one client may have a quarter. Default 10,000
	MaxRequests    int           // at a time. Default 1,000
	HeaderTimeout  time.Duration // for the TLS handshake, and again for the head of a request. Default 10 s
	IdleTimeout    time.Duration // between requests. Default 2 min
	StallTimeout   time.Duration // how long a client may stand still, while it sends a body or takes an answer. Default 30 s
	BodyTimeout    time.Duration // for the whole body. Default 5 min
	MinRate        int64         // bytes a second that a body comes in at, beyond StallTimeout. Default 1,024
}

// The limits of HTTP itself, which no operator needs to change.
const (
	maxHead       = 64 << 10
	maxStreams    = 100 // requests at a time on one HTTP/2 connection
	answerTimeout = 10 * time.Minute
)

// Check names everything that is wrong.
func (l Limits) Check() error {
	var wrong []error
	for _, v := range []struct {
		flag  string
		value int64
	}{
		{"--max-connections", int64(l.MaxConnections)},
		{"--max-requests", int64(l.MaxRequests)},
		{"--header-timeout", int64(l.HeaderTimeout)},
		{"--idle-timeout", int64(l.IdleTimeout)},
		{"--stall-timeout", int64(l.StallTimeout)},
		{"--body-timeout", int64(l.BodyTimeout)},
		{"--min-rate", l.MinRate},
	} {
		if v.value < 0 {
			wrong = append(wrong, fmt.Errorf("%s must not be below zero", v.flag))
		}
	}
	return errors.Join(wrong...)
}

func (l Limits) orDefaults() Limits {
	return Limits{
		MaxConnections: cmp.Or(l.MaxConnections, 10_000),
		MaxRequests:    cmp.Or(l.MaxRequests, 1_000),
		HeaderTimeout:  cmp.Or(l.HeaderTimeout, 10*time.Second),
		IdleTimeout:    cmp.Or(l.IdleTimeout, 2*time.Minute),
		StallTimeout:   cmp.Or(l.StallTimeout, 30*time.Second),
		BodyTimeout:    cmp.Or(l.BodyTimeout, 5*time.Minute),
		MinRate:        cmp.Or(l.MinRate, 1_024),
	}
}

// CheckOrigin tells what is wrong with an origin for Options.Origins, which is scheme://host[:port] in lower case, or "*".
func CheckOrigin(origin string) error {
	if origin == AnyOrigin {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != origin || origin != strings.ToLower(origin) || strings.Contains(u.Host, "*") {
		return errors.New("write an origin as browsers send it, as in https://app.example.org, without a path, a slash at the end or a wildcard; or *")
	}
	return nil
}

// Server serves a handler. It is made by New.
type Server struct {
	o         Options
	http      *http.Server
	tls       *tls.Config // nil: in the clear
	authority *authority  // nil: certificates come from files
}

// New makes a Server for a handler. Options have to be checked (TLS.Check, Limits.Check, CheckOrigin); what has changed since is an error.
func New(o Options, handler http.Handler) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Limits = o.orDefaults()
	s := &Server{o: o}
	if o.TLS.On() {
		var err error
		if s.tls, s.authority, err = o.TLS.config(o.Log); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
	}
	s.http = &http.Server{
		Handler:           s.around(handler),
		ReadHeaderTimeout: o.HeaderTimeout,
		WriteTimeout:      answerTimeout, // of handlers that never write; pace is stricter with the others. ReadTimeout is pace's alone
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: o.StallTimeout, SendPingTimeout: o.IdleTimeout, PingTimeout: o.StallTimeout},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	return s, nil
}

// connKey finds the connection of a request in its context.
type connKey struct{}

// around is the way in (package comment).
func (s *Server) around(h http.Handler) http.Handler {
	h = pace{stall: s.o.StallTimeout, rate: s.o.MinRate, body: s.o.BodyTimeout}.around(h)
	h = crowd(s.o.MaxRequests, s.o.Exempt, h)
	if !s.o.Anonymous {
		h = newFailures().around(s.o.Proxies, h)
	}
	h = shared(s.o.Origins, h)
	if s.o.Anonymous {
		h = sameSite(s.o.Hosts, s.o.Origins, s.o.Proxies, h)
	}
	return secured(h)
}

// Serve answers the listener's clients until Shutdown or Close, and returns http.ErrServerClosed then. The listener is closed.
func (s *Server) Serve(l net.Listener) error {
	admit := func(a netip.Addr) bool {
		return len(s.o.Peers) == 0 || a.IsLoopback() || peer.Within(s.o.Peers, a)
	}
	many := func(a netip.Addr) bool { return a.IsLoopback() || peer.Within(s.o.Proxies, a) }
	l = newConnections(l, s.o.MaxConnections, admit, many)
	if s.tls == nil {
		return s.http.Serve(inTheClear{l, maxHead})
	}
	h := newHandshakes(l, s.tls, maxHead, s.o.HeaderTimeout)
	defer func() { _ = h.Close() }() // net/http has closed it already, unless it never came to that
	if s.authority != nil {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go s.authority.fetch(ctx) // stops when each name was tried, within minutes; nothing depends on its end
	}
	return s.http.Serve(h)
}

// Shutdown takes no more requests and waits for those under way, until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// Close ends all connections.
func (s *Server) Close() error { return s.http.Close() }
