package edge

import (
	"io"
	"net/http"
	"time"
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
		if r.Body != nil && r.Body != http.NoBody {
			b := &pacedBody{ReadCloser: r.Body, pace: p, control: control, began: time.Now()}
			b.extend()
			r.Body = b
		}
		next.ServeHTTP(&pacedAnswer{ResponseWriter: w, pace: p, control: control}, r)
	})
}

// pacedBody is a body that must come as fast as its pace, or else reading it fails with os.ErrDeadlineExceeded.
type pacedBody struct {
	io.ReadCloser
	pace    pace
	control *http.ResponseController
	began   time.Time
	got     int64 // bytes
	counted int64 // of got, when the deadline was last put off
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
	case err == io.EOF: //nolint:errorlint // io.Reader's own
		_ = b.control.SetReadDeadline(time.Time{}) // or it would cancel the handler
	case err == nil:
		b.extend()
	}
	return n, err
}

// pacedAnswer is an answer that must be taken piece by piece, each within pace.stall.
type pacedAnswer struct {
	http.ResponseWriter
	pace    pace
	control *http.ResponseController
	begun   bool
}

// Unwrap lets http.ResponseController through.
func (a *pacedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *pacedAnswer) extend() {
	_ = a.control.SetWriteDeadline(time.Now().Add(a.pace.stall)) // as above
}

func (a *pacedAnswer) WriteHeader(status int) {
	a.extend()
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *pacedAnswer) Write(p []byte) (n int, err error) {
	if !a.begun {
		a.extend()
		a.begun = true
	}
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
