package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// handshakes is a listener whose connections have TLS behind them: those of HTTP/2 are *tls.Conn, which net/http takes
// for what they are, and those of HTTP/1 are strict. It shakes hands itself, for only then is it known which of the two it is.
type handshakes struct {
	net.Listener
	config  *tls.Config
	maxHead int
	timeout time.Duration

	ready chan net.Conn
	ended chan error // of accepting: one error
	done  chan struct{}
	shut  sync.Once
}

func newHandshakes(l net.Listener, config *tls.Config, maxHead int, timeout time.Duration) *handshakes {
	h := &handshakes{
		Listener: l, config: config, maxHead: maxHead, timeout: timeout,
		ready: make(chan net.Conn), ended: make(chan error, 1), done: make(chan struct{}),
	}
	go h.accept() // stops when the listener is closed, or fails
	return h
}

// accept takes connections. A failure that passes is net/http's to judge: it calls Accept again.
func (h *handshakes) accept() {
	for {
		conn, err := h.Listener.Accept()
		if err != nil {
			select {
			case h.ended <- err:
			case <-h.done:
			}
			if _, network := errors.AsType[net.Error](err); network && !errors.Is(err, net.ErrClosed) {
				continue // the channel holds one, so that the next waits until that was seen
			}
			return
		}
		go h.shake(conn) // stops after the handshake, which has a deadline, or at Close
	}
}

// shake makes a connection ready.
func (h *handshakes) shake(raw net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	conn := tls.Server(raw, h.config)
	if err := conn.HandshakeContext(ctx); err != nil {
		if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil && looksLikeHTTP(plain.RecordHeader) {
			_ = plain.Conn.SetWriteDeadline(time.Now().Add(time.Second)) // it is only advice
			_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis is an https server: write https:// instead of http://\n")
		}
		_ = raw.Close()
		return
	}
	state := conn.ConnectionState()
	var out net.Conn = conn
	switch state.NegotiatedProtocol {
	case acme.ALPNProto:
		_ = conn.Close() // the handshake was the whole answer
		return
	case "h2":
	default:
		out = newStrict(conn, &state, h.maxHead)
	}
	select {
	case h.ready <- out:
	case <-h.done:
		_ = conn.Close()
	}
}

func looksLikeHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PATCH", "DELET":
		return true
	}
	return false
}

// Accept implements net.Listener.
func (h *handshakes) Accept() (net.Conn, error) {
	select {
	case c := <-h.ready:
		return c, nil
	case err := <-h.ended:
		return nil, err
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handshakes) Close() error {
	h.shut.Do(func() { close(h.done) })
	return h.Listener.Close()
}
