package resthook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"fhirhook/channel"
)

// Limits on what a stranger may send back.
const (
	keepReply   = 16 << 10 // bytes of the reply's body that are kept
	readReply   = 64 << 10 // bytes that are read for the connection's sake; beyond them it is closed
	headerBytes = 64 << 10 // status line and headers, 1xx replies included
)

// Limits on connections.
const (
	connectTimeout = 10 * time.Second // name, TCP; and again for the TLS handshake
	idlePerHost    = 256              // many lanes may share a host, each has up to 16 in flight: fewer would be opened and closed all the time
	idleConns      = 1024
	// Common servers close idle connections from 5 s on. A request sent into such a close is lost without
	// anybody's fault, so ours close first.
	idleTimeout = 4 * time.Second
)

// Options are the settings of a Channel. The zero value works: public https endpoints, built-in dialects.
type Options struct {
	Policy   Policy
	Dialect  string                       // of Targets that name none; "": Default
	Dialects func(string) (Dialect, bool) // by name; nil: Lookup
	RootCAs  *x509.CertPool               // authorities for endpoints' certificates; nil: the machine's
}

// Channel sends over HTTP/1.1. It is safe for concurrent use.
type Channel struct {
	policy       Policy
	dialect      string
	dialects     func(string) (Dialect, bool)
	plain, https *http.Transport
}

var _ channel.Channel = (*Channel)(nil)

// New returns a Channel.
func New(o Options) *Channel {
	c := &Channel{policy: o.Policy, dialect: o.Dialect, dialects: o.Dialects}
	if c.dialect == "" {
		c.dialect = Default
	}
	if c.dialects == nil {
		c.dialects = Lookup
	}
	c.plain = transport(dialer{policy: o.Policy, timeout: connectTimeout}, nil)
	c.https = transport(dialer{policy: o.Policy, secure: true, timeout: connectTimeout}, o.RootCAs)
	return c
}

// transport never asks the environment for a proxy: a proxy would dial where the policy can't see. HTTP/1.1
// only, so that a stuck connection holds up one request and not all to its host.
func transport(d dialer, roots *x509.CertPool) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    connectTimeout,
		Protocols:              &protocols,
		DisableCompression:     true,
		MaxIdleConns:           idleConns,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: headerBytes,
	}
}

// Close ends idle connections. Sends that are under way end by their own context.
func (c *Channel) Close() {
	c.plain.CloseIdleConnections()
	c.https.CloseIdleConnections()
}

// CheckURL judges an endpoint by the Channel's policy: see Policy.CheckURL.
func (c *Channel) CheckURL(raw string) error { return c.policy.CheckURL(raw) }

// Send makes one attempt. Redirects are never followed. The timeout covers everything up to the end of the
// reply's body; the body is read as far as the limits go and never interpreted.
func (c *Channel) Send(ctx context.Context, m channel.Message) (channel.Reply, error) {
	if ctx.Err() != nil {
		return channel.Reply{}, context.Cause(ctx)
	}
	name := m.Target.Dialect
	if name == "" {
		name = c.dialect
	}
	d, ok := c.dialects(name)
	if !ok {
		return channel.Reply{}, &channel.SendError{Class: ClassMessage, Unbuilt: true, Hint: "the dialect " + name + " is not known to this server"}
	}
	d = d.For(m.Target)
	start := time.Now()
	r, err := build(m, d, start)
	if err != nil {
		return channel.Reply{}, &channel.SendError{Class: ClassMessage, Unbuilt: true, Hint: "the request can't be made", Err: err}
	}
	reply := channel.Reply{Signed: r.signed(m, d)}
	to, err := parseEndpoint(r.URL)
	if err == nil {
		err = c.policy.endpoint(to) // again: the policy may have changed since the Subscription was written
	}
	if err != nil {
		class := ClassMessage
		if _, ok := errors.AsType[*BlockedError](err); ok {
			class = ClassBlocked
		}
		return reply, &channel.SendError{Class: class, Unbuilt: class == ClassMessage, Hint: err.Error()}
	}
	answered, err := c.exchange(ctx, m, d, r, to.secure, start)
	answered.Signed = reply.Signed
	return answered, err
}

// signed picks the headers by which a test can be verified.
func (r Request) signed(m channel.Message, d Dialect) []channel.Header {
	if !m.Test {
		return nil
	}
	var picked []channel.Header
	for _, h := range r.Headers {
		if strings.HasPrefix(strings.ToLower(h.Name), "webhook-") || d.Signature.Header != "" && strings.EqualFold(h.Name, d.Signature.Header) {
			picked = append(picked, h)
		}
	}
	return picked
}

func (c *Channel) exchange(ctx context.Context, m channel.Message, d Dialect, r Request, secure bool, start time.Time) (channel.Reply, error) {
	limited, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	var at progress
	req, err := r.HTTP(httptrace.WithClientTrace(limited, at.trace()))
	if err != nil {
		return channel.Reply{}, &channel.SendError{Class: ClassMessage, Unbuilt: true, Hint: "the request can't be made", Err: err}
	}
	t := c.plain
	if secure {
		t = c.https
	}
	resp, err := t.RoundTrip(req) //nolint:bodyclose // readBody closes it
	if err != nil {
		return channel.Reply{Duration: time.Since(start)}, stopped(ctx, classify(err, at.phase()))
	}
	body, err := readBody(resp.Body)
	reply := channel.Reply{Status: resp.StatusCode, Duration: time.Since(start), Body: kept(body, m.Target)}
	switch {
	case d.Success.Has(resp.StatusCode) && err != nil && limited.Err() != nil && ctx.Err() == nil:
		return reply, stopped(ctx, classify(context.DeadlineExceeded, connected)) // the body dripped past the timeout
	case d.Success.Has(resp.StatusCode):
		if resp.StatusCode >= 300 && resp.StatusCode < 400 {
			reply.Note = fmt.Sprintf("%d counts as success here; the redirect was not followed", resp.StatusCode)
		}
		return reply, nil // a body that broke off changes nothing: the status was there, and the body isn't read
	default:
		f := statusFailure(resp.StatusCode, d.Success)
		return reply, &channel.SendError{
			Class: f.class, Hint: f.hint,
			Gone:       resp.StatusCode == http.StatusGone,
			Spared:     resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable,
			RetryAfter: retryAfter(resp.Header, time.Now()),
		}
	}
}

// stopped tells the caller's own end of ctx, which is no failure of the endpoint, from a failure.
func stopped(ctx context.Context, f failure) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &channel.SendError{Class: f.class, Hint: f.hint}
}

// readBody reads a bounded part of a body. Closing it with more to come closes the connection.
func readBody(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	if _, upgraded := body.(io.Writer); upgraded {
		return nil, nil // 101: no HTTP any more
	}
	return io.ReadAll(io.LimitReader(body, readReply))
}

// kept is what the record keeps of a body. Secrets go before it is cut, so that none is cut in half.
func kept(body []byte, t channel.Target) []byte {
	body = redact(body, t)
	if len(body) > keepReply {
		body = append([]byte(nil), body[:keepReply]...) // let go of the rest
	}
	return body
}

// progress follows an exchange. Its callbacks may come from the transport's goroutines, and late.
type progress struct{ at atomic.Int32 }

func (p *progress) phase() phase { return phase(p.at.Load()) }

func (p *progress) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		TLSHandshakeStart: func() { p.at.CompareAndSwap(int32(connecting), int32(handshaking)) },
		GotConn:           func(httptrace.GotConnInfo) { p.at.Store(int32(connected)) },
	}
}
