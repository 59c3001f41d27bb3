package e2e_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/edge"
)

// slowly are limits that show within seconds what takes minutes otherwise. They leave time for what is done at once even on a
// machine that is busy.
var slowly = edge.Limits{
	HeaderTimeout: 6 * time.Second, IdleTimeout: 6 * time.Second, StallTimeout: 6 * time.Second,
	BodyTimeout: 7 * time.Second, MinRate: 16 << 10, MaxConnections: 64,
}

// tooLong is what no connection may last under these limits, with much room for a machine that is busy.
const tooLong = time.Minute

// drip sends first, and then one piece each interval, until the server has closed or a time is over. It returns what the server
// answered, and how long it was before it closed.
func drip(t *testing.T, w wire, first, piece string, interval time.Duration) (got string, took time.Duration) {
	t.Helper()
	c := w.dial(t)
	began := time.Now()
	closed := make(chan string)
	go func() { // stops when the server closes, or at the deadline of the connection
		text, err := io.ReadAll(c)
		if errors.Is(err, net.ErrClosed) {
			text = append(text, "(not closed)"...)
		}
		closed <- string(text)
	}()
	if _, err := io.WriteString(c, first); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	late := time.After(tooLong)
	for {
		select {
		case got := <-closed:
			return got, time.Since(began)
		case <-tick.C:
			_, _ = io.WriteString(c, piece) // the other end says when it is over
		case <-late:
			_ = c.Close()
			return <-closed, time.Since(began)
		}
	}
}

// TestAttack_slowloris sends slowly what others send at once. The server ends each such connection, and serves others meanwhile.
func TestAttack_slowloris(t *testing.T) {
	t.Parallel()
	cert, key, trust := ownCertificate(t)
	open := start(t, t.TempDir(), func(o *app.Options) { o.Limits = slowly })
	secure := start(t, t.TempDir(), func(o *app.Options) { o.Limits, o.TLS.Cert, o.TLS.Key = slowly, cert, key })
	plain, within := open.wire(nil), secure.wire(trust)
	noTLS := within
	noTLS.tls = nil
	head := "POST /fhir/R4/Patient HTTP/1.1\r\nHost: " + plain.addr + "\r\nContent-Type: application/fhir+json\r\n"
	secureHead := strings.Replace(head, plain.addr, within.addr, 1)
	for _, c := range []struct {
		name         string
		w            wire
		first, piece string
		interval     time.Duration
		want         string // how the answer begins
	}{
		{"nothing", plain, "", "", 50 * time.Millisecond, ""},
		{"a head in bytes", plain, "GET / HTTP/1.1\r\n", "X", 50 * time.Millisecond, ""},
		{"a head in lines", plain, "GET / HTTP/1.1\r\n", "X: y\r\n", 50 * time.Millisecond, ""},
		{"a body in bytes", plain, head + "Content-Length: 100000\r\n\r\n{", " ", 50 * time.Millisecond, "HTTP/1.1 408 "},
		{"a body that stops", plain, head + "Content-Length: 100000\r\n\r\n{", "", 50 * time.Millisecond, "HTTP/1.1 408 "},
		{"a body in chunks", plain, head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", 50 * time.Millisecond, "HTTP/1.1 408 "},
		{"a chunk size in bytes", plain, head + "Transfer-Encoding: chunked\r\n\r\n", "0", 50 * time.Millisecond, "HTTP/1.1 4"},
		{"a body below the rate", plain, head + "Content-Length: 100000\r\n\r\n", strings.Repeat(" ", 256), 50 * time.Millisecond, "HTTP/1.1 408 "},
		{"a body at the rate, without end", plain, head + "Transfer-Encoding: chunked\r\n\r\n", "1000\r\n" + strings.Repeat(" ", 4096) + "\r\n", 50 * time.Millisecond, "HTTP/1.1 408 "},
		{"a body that nobody reads", plain, strings.Replace(head, "POST /fhir/R4/Patient ", "POST /nowhere ", 1) + "Content-Length: 100000\r\n\r\n", " ", 50 * time.Millisecond, "HTTP/1.1 404 "},
		{"idle between requests", plain, "GET /healthz HTTP/1.1\r\nHost: " + plain.addr + "\r\n\r\n", "", 50 * time.Millisecond, "HTTP/1.1 200 "},
		{"no handshake", noTLS, "", "", 50 * time.Millisecond, ""},
		{"a handshake in bytes", noTLS, "\x16\x03\x01\x40\x00\x01", "\x00", 50 * time.Millisecond, ""},
		{"nothing within TLS", within, "", "", 50 * time.Millisecond, ""},
		{"a head within TLS", within, "GET / HTTP/1.1\r\n", "X: y\r\n", 50 * time.Millisecond, ""},
		{"a body within TLS", within, secureHead + "Content-Length: 100000\r\n\r\n{", " ", 50 * time.Millisecond, "HTTP/1.1 408 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, took := drip(t, c.w, c.first, c.piece, c.interval)
			if !strings.HasPrefix(got, c.want) || strings.HasSuffix(got, "(not closed)") {
				t.Errorf("closed after %v with %q, want %q", took, clip(got), c.want)
			}
		})
	}
	t.Run("a body within HTTP 2", func(t *testing.T) {
		t.Parallel()
		body, feed := io.Pipe()
		stop := make(chan struct{})
		defer close(stop)
		go func() { // stops with the test, or when nobody reads
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					_ = feed.Close()
					return
				case <-tick.C:
					_, _ = io.WriteString(feed, " ")
				}
			}
		}()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust.RootCAs, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, secure.base+"/Patient", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/fhir+json")
		began := time.Now()
		response, err := (&http.Client{Transport: transport, Timeout: tooLong}).Do(r)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode != http.StatusRequestTimeout || response.ProtoMajor != 2 {
				t.Errorf("%s %d", response.Proto, response.StatusCode)
			}
		}
		if took := time.Since(began); took >= tooLong {
			t.Errorf("ended after %v: %v", took, err)
		}
	})
	t.Run("others are served meanwhile", func(t *testing.T) {
		t.Parallel()
		for range 40 {
			c := plain.dial(t)
			if _, err := io.WriteString(c, head); err != nil {
				t.Fatal(err)
			}
		}
		open.must(http.StatusCreated, http.MethodPost, "/Patient", `{"resourceType":"Patient"}`)
	})
}

// TestAttack_slowReading asks for much and takes nothing of it. With room for one request, another is answered
// only once the server has given up.
func TestAttack_slowReading(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	data := strings.Repeat("A", 6<<20)
	for i := range 3 {
		p.must(http.StatusCreated, http.MethodPut, fmt.Sprintf("/Binary/%d", i), fmt.Sprintf(`{"resourceType":"Binary","id":"%d","contentType":"text/plain","data":%q}`, i, data))
	}
	p.stop()
	limits := edge.Limits{MaxRequests: 1, StallTimeout: 10 * time.Second, MinRate: 1} // long enough for the first question below
	p = start(t, dir, func(o *app.Options) { o.Limits = limits })
	w := p.wire(nil)
	var a answer
	eventually(t, "a refusal while an answer waits to be taken", func() bool { // where the question takes longer than the limit it isn't the first
		c := w.dial(t)
		if tcp, ok := c.(*net.TCPConn); !ok || tcp.SetReadBuffer(4<<10) != nil {
			t.Fatal("the receive buffer can't be made small")
		}
		if _, err := io.WriteString(c, "GET /fhir/R4/Binary?_count=10 HTTP/1.1\r\nHost: "+w.addr+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		// Nothing of the rest is read, so that it can't all have gone out before there is room again.
		if _, err := io.ReadFull(c, make([]byte, 100)); err != nil { // it has begun to answer
			t.Fatal(err)
		}
		var err error
		if a, err = p.request(http.MethodGet, "/metadata", ""); err != nil {
			t.Fatal(err)
		}
		return a.status != http.StatusOK
	})
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Fatalf("while the answer waits to be taken: %d", a.status)
	}
	deadline := time.Now().Add(tooLong)
	for a.status != http.StatusOK {
		if time.Now().After(deadline) {
			t.Fatalf("the server still waits: %d", a.status)
		}
		var err error
		if a, err = p.request(http.MethodGet, "/metadata", ""); err != nil {
			t.Fatal(err)
		}
	}
}
