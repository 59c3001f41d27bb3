package resthook

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
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
	Network  *Network                     // how requests leave; nil: by Policy and RootCAs alone
	Policy   Policy                       // of Channels without a Network
	RootCAs  *x509.CertPool               // the same; nil: the machine's authorities
	Dialect  string                       // of Targets that name none; "": Default
	Dialects func(string) (Dialect, bool) // by name; nil: Lookup
}

// Channel sends over HTTP/2 where the endpoint speaks it by TLS, and over HTTP/1.1. It is safe for concurrent use.
type Channel struct {
	network  *Network
	dialect  string
	dialects func(string) (Dialect, bool)
}

var _ channel.Channel = (*Channel)(nil)

// New returns a Channel.
func New(o Options) *Channel {
	c := &Channel{network: o.Network, dialect: o.Dialect, dialects: o.Dialects}
	if c.network == nil {
		var err error
		if c.network, err = NewNetwork(NetworkOptions{Policy: o.Policy, RootCAs: o.RootCAs}); err != nil {
			panic(err) // it has no file to read
		}
	}
	if c.dialect == "" {
		c.dialect = Default
	}
	if c.dialects == nil {
		c.dialects = Lookup
	}
	return c
}

// Close ends idle connections. Sends that are under way end by their own context.
func (c *Channel) Close() { c.network.close() }

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
		err = c.network.policy.endpoint(to) // again: the policy may have changed since the Subscription was written
	}
	if err != nil {
		class := ClassMessage
		if _, ok := errors.AsType[*BlockedError](err); ok {
			class = ClassBlocked
		}
		return reply, &channel.SendError{Class: class, Unbuilt: class == ClassMessage, Hint: err.Error()}
	}
	if _, err := c.network.CheckTarget(m.Target); err != nil {
		return reply, &channel.SendError{Class: ClassMessage, Unbuilt: true, Hint: err.Error()}
	}
	answered, err := c.exchange(ctx, m, d, r, to, start)
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

// exchange sends a request, with a token if the endpoint's origin needs one. A token that is refused is replaced once:
// it may have been revoked before its time.
func (c *Channel) exchange(ctx context.Context, m channel.Message, d Dialect, r Request, to endpoint, start time.Time) (channel.Reply, error) {
	limited, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	transport, tokens := c.network.to(to, start)
	x := exchange{ctx: ctx, limited: limited, network: c.network, to: to, transport: transport, dialect: d, start: start}
	if tokens == nil {
		return x.send(m, r)
	}
	token, err := tokens.get(limited, "")
	if err != nil {
		return channel.Reply{Duration: time.Since(start)}, x.unauthorized(err)
	}
	reply, err := x.send(bearing(m, r, token))
	if err == nil || reply.Status != http.StatusUnauthorized {
		return reply, err
	}
	fresh, err := tokens.get(limited, token)
	if err != nil {
		return reply, x.unauthorized(err)
	}
	reply, err = x.send(bearing(m, r, fresh))
	if e, ok := errors.AsType[*channel.SendError](err); ok && reply.Status == http.StatusUnauthorized {
		e.Class, e.Hint = ClassAuth, "the endpoint answered 401, also to a token that was just fetched; the operator should check scopes and audience"
	}
	return reply, err
}

// bearing gives a request its token, and the message as well, so that the token goes from what is kept of the reply.
func bearing(m channel.Message, r Request, token string) (channel.Message, Request) {
	h := channel.Header{Name: "Authorization", Value: "Bearer " + token}
	m.Target.Headers = append(slices.Clip(m.Target.Headers), h)
	m.Target.Secrets = append(slices.Clip(m.Target.Secrets), token)
	r.Headers = append(slices.Clip(r.Headers), h)
	return m, r
}

// exchange is what the requests of one attempt have in common.
type exchange struct {
	ctx, limited context.Context //nolint:containedctx // one attempt's, and no longer
	network      *Network
	to           endpoint
	transport    *http.Transport
	dialect      Dialect
	start        time.Time
}

// unauthorized is the end of an attempt that got no token.
func (x exchange) unauthorized(err error) error {
	if _, ok := errors.AsType[*channel.SendError](err); ok && x.ctx.Err() == nil {
		return err
	}
	return stopped(x.ctx, failure{ClassAuth, "no token for the endpoint in time; the operator should look at the token endpoint"})
}

func (x exchange) send(m channel.Message, r Request) (channel.Reply, error) {
	ctx, limited, d, start := x.ctx, x.limited, x.dialect, x.start
	var at progress
	req, err := r.HTTP(httptrace.WithClientTrace(limited, at.trace()))
	if err != nil {
		return channel.Reply{}, &channel.SendError{Class: ClassMessage, Unbuilt: true, Hint: "the request can't be made", Err: err}
	}
	at.bound(req)
	resp, err := x.transport.RoundTrip(req) //nolint:bodyclose // readBody closes it
	if err != nil {
		f := classify(err, at.phase())
		if at.shared() && (wantsOld(err) || f.class == ClassMalformed || timeout(err) && at.phase() == connected) && ctx.Err() == nil {
			x.network.avoided.add(x.to.name(), start)
			if wantsOld(err) { // which means that it did nothing with the request
				x.transport, _ = x.network.to(x.to, start)
				return x.send(m, r)
			}
		}
		return channel.Reply{Duration: time.Since(start)}, stopped(ctx, f)
	}
	body, err := readBody(resp.Body)
	reply := channel.Reply{Status: resp.StatusCode, Duration: time.Since(start), Body: kept(body, m.Target)}
	switch {
	case d.Success.Has(resp.StatusCode) && err != nil && limited.Err() != nil && ctx.Err() == nil:
		return reply, stopped(ctx, classify(context.DeadlineExceeded, sent)) // the body dripped past the timeout
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
	if _, upgraded := body.(io.Writer); upgraded || body == http.NoBody {
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
