package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"fhirhook/fhir"
)

// pace says how slow a client may be.
type pace struct {
	stall time.Duration // how long it may send or take nothing, once
	rate  int64         // bytes a second beyond that
	body  time.Duration // for the whole body
}

// piece is how much of an answer a client has to take within pace.stall.
const piece = 64 << 10

// around gives each request's body and answer deadlines that move with the bytes.
func (p pace) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		out := &pacedAnswer{ResponseWriter: w, pace: p, control: control}
		if r.Body != nil && r.Body != http.NoBody {
			out.body = &pacedBody{ReadCloser: r.Body, pace: p, control: control, ctx: r.Context(), header: w.Header(), began: time.Now()}
			out.body.extend()
			r.Body = out.body
		}
		next.ServeHTTP(out, r)
	})
}

// pacedBody is a body that must come as fast as its pace, or else reading it fails with os.ErrDeadlineExceeded.
type pacedBody struct {
	io.ReadCloser
	pace    pace
	control *http.ResponseController
	ctx     context.Context //nolint:containedctx // the request's, as the body is
	header  http.Header     // of the answer
	began   time.Time
	got     int64 // bytes
	counted int64 // of got, when the deadline was last put off
	ended   bool
}

// extend puts the deadline off by what has come. What is read before a second's worth is not worth the call.
func (b *pacedBody) extend() {
	if b.got > 0 && b.got-b.counted < b.pace.rate {
		return
	}
	b.counted = b.got
	allowed := b.pace.stall + time.Duration(float64(b.got)/float64(b.pace.rate)*float64(time.Second))
	_ = b.control.SetReadDeadline(b.began.Add(min(allowed, b.pace.body))) // what has no deadlines isn't a connection
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.got += int64(n)
	switch {
	case err == nil:
		b.extend()
	case err == io.EOF: //nolint:errorlint // io.Reader's own
		b.ended = true
		_ = b.control.SetReadDeadline(time.Time{}) // or it would cancel the handler
	default:
		err = b.explain(err)
	}
	return n, err
}

// explain tells the handler what net/http doesn't: whether it is the client's doing, and which.
func (b *pacedBody) explain(err error) error {
	if c, ok := b.ctx.Value(connKey{}).(*strict); ok && c.problem != nil { // net/http keeps some of them to itself
		b.ended = true
		b.header.Set("Connection", "close") // nothing behind it can be read
		return fhir.Errorf(fhir.Structure, "", "the body is not framed as HTTP says: %v", c.problem)
	}
	if b.ctx.Err() != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", context.Canceled, err) // the client is gone
	}
	return err
}

// pacedAnswer is an answer that must be taken piece by piece, each within pace.stall.
type pacedAnswer struct {
	http.ResponseWriter
	pace    pace
	control *http.ResponseController
	body    *pacedBody // nil if the request has none
	begun   bool
}

// Unwrap lets http.ResponseController through.
func (a *pacedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *pacedAnswer) extend() {
	_ = a.control.SetWriteDeadline(time.Now().Add(a.pace.stall)) // as above
}

// begin sets the first deadline. If the handler has left some of the body, net/http reads that before it sends anything,
// within a time of its own.
func (a *pacedAnswer) begin() {
	if a.begun {
		return
	}
	a.begun = true
	if a.body == nil || a.body.ended {
		a.extend()
		return
	}
	now := time.Now()
	_ = a.control.SetReadDeadline(now.Add(a.pace.stall)) // as above
	_ = a.control.SetWriteDeadline(now.Add(2 * a.pace.stall))
}

func (a *pacedAnswer) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

func (a *pacedAnswer) Write(p []byte) (n int, err error) {
	a.begin()
	for len(p) > piece {
		m, err := a.ResponseWriter.Write(p[:piece])
		if n += m; err != nil {
			return n, err
		}
		p = p[piece:]
		a.extend()
	}
	m, err := a.ResponseWriter.Write(p)
	return n + m, err
}
