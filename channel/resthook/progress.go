package resthook

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// progress follows a request. Its callbacks may come from the transport's goroutines, and late.
type progress struct {
	at    atomic.Int32
	conn  atomic.Pointer[tls.Conn] // the last that it was given
	given atomic.Int32             // how often it was given one
}

func (p *progress) phase() phase { return phase(p.at.Load()) }

func (p *progress) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		TLSHandshakeStart: func() { p.at.CompareAndSwap(int32(connecting), int32(handshaking)) },
		GotConn: func(got httptrace.GotConnInfo) {
			if c, ok := got.Conn.(*tls.Conn); ok {
				p.conn.Store(c)
			}
			p.given.Add(1)
			p.at.Store(int32(connected))
		},
		WroteRequest: func(wrote httptrace.WroteRequestInfo) {
			if wrote.Err == nil {
				p.at.CompareAndSwap(int32(connected), int32(sent))
			}
		},
	}
}

// shared tells whether the request went by a connection of HTTP/2.
func (p *progress) shared() bool {
	c := p.conn.Load()
	return c != nil && c.ConnectionState().NegotiatedProtocol == "h2"
}

// bound bounds how often net/http sends a request anew that an endpoint refused unseen by HTTP/2.
func (p *progress) bound(r *http.Request) {
	again := r.GetBody
	if again == nil {
		return
	}
	r.GetBody = func() (io.ReadCloser, error) {
		if p.shared() && p.given.Load() > sentAnew {
			return nil, errRefused
		}
		return again()
	}
}
