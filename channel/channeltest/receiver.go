package channeltest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fhirhook/channel"
)

// Request is one that arrived.
type Request struct {
	Time    time.Time
	Method  string
	Target  string           // path and query as sent
	Headers []channel.Header // in order and spelling as sent
	Body    []byte
	Head    string // request line and headers, the raw bytes
}

// Header returns the first value of a header, "" if it isn't there.
func (r Request) Header(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Values returns all values of a header, in order.
func (r Request) Values(name string) []string {
	var all []string
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			all = append(all, h.Value)
		}
	}
	return all
}

// patience is how long a Receiver waits for what has to happen: what a busy machine never takes.
const patience = 3 * time.Minute

// Receiver is an HTTP server on loopback. Its methods may be used from any goroutine.
type Receiver struct {
	tb      testing.TB
	address string
	done    chan struct{}  // closed when the test ends: whatever hangs, hangs until then
	running sync.WaitGroup // the accept loop and the connections

	mu        sync.Mutex // guards what follows
	listener  net.Listener
	conns     map[net.Conn]bool
	requests  []Request
	arrived   chan struct{} // closed and replaced at each arrival
	steps     []Step
	otherwise Step
}

// New starts a Receiver that answers 200 to everything; it ends with the test.
func New(tb testing.TB) *Receiver {
	tb.Helper()
	r := &Receiver{tb: tb, done: make(chan struct{}), conns: map[net.Conn]bool{}, arrived: make(chan struct{}), otherwise: Status(http.StatusOK)}
	r.address = "127.0.0.1:0"
	r.Accept()
	tb.Cleanup(r.stop)
	return r
}

// Addr is host:port.
func (r *Receiver) Addr() string { return r.address }

// URL is the Receiver's URL with a path.
func (r *Receiver) URL(path string) string { return "http://" + r.address + path }

// Then queues steps: each answers one request, in the order of arrival.
func (r *Receiver) Then(steps ...Step) *Receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, steps...)
	return r
}

// Otherwise sets the step for requests that find no step queued.
func (r *Receiver) Otherwise(s Step) *Receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.otherwise = s
	return r
}

// Refuse closes the port and every connection: the next request finds nothing listening.
func (r *Receiver) Refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		r.listener.Close()
		r.listener = nil
	}
	for c := range r.conns {
		c.Close()
	}
}

// Accept opens the port again after Refuse.
func (r *Receiver) Accept() {
	r.tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		return
	}
	l, err := net.Listen("tcp", r.address)
	for began := time.Now(); errors.Is(err, syscall.EADDRINUSE) && time.Since(began) < patience; l, err = net.Listen("tcp", r.address) {
		<-time.After(50 * time.Millisecond) // somebody's connection may have taken the port that was closed
	}
	if err != nil {
		r.tb.Fatalf("listen on %s: %v", r.address, err)
	}
	r.listener, r.address = l, l.Addr().String()
	r.running.Go(func() { r.accept(l) })
}

// Requests returns what has arrived so far.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Request(nil), r.requests...)
}

// Await returns the requests once there are at least n, and fails the test if they don't come within minutes.
func (r *Receiver) Await(n int) []Request {
	r.tb.Helper()
	late := time.After(patience)
	for {
		r.mu.Lock()
		all, arrived := append([]Request(nil), r.requests...), r.arrived
		r.mu.Unlock()
		if len(all) >= n {
			return all
		}
		select {
		case <-arrived:
		case <-late:
			r.tb.Fatalf("%d of %d requests arrived within %s", len(all), n, patience)
		}
	}
}

// Connections is how many connections are open.
func (r *Receiver) Connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

func (r *Receiver) stop() {
	close(r.done)
	r.Refuse()
	r.running.Wait()
}

// accept stops when its listener is closed.
func (r *Receiver) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		if r.listener != l {
			r.mu.Unlock()
			c.Close()
			return
		}
		r.conns[c] = true
		r.mu.Unlock()
		r.running.Go(func() { r.serve(c) })
	}
}

// serve stops when the connection ends, from either side.
func (r *Receiver) serve(c net.Conn) {
	defer func() {
		c.Close()
		r.mu.Lock()
		delete(r.conns, c)
		r.mu.Unlock()
	}()
	var raw bytes.Buffer
	br := bufio.NewReader(io.TeeReader(c, &raw))
	for {
		// One request at a time: a client that waits for its answer leaves nothing of the next one in br.
		raw.Reset()
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		step := r.record(raw.Bytes(), req, body)
		if !step(&Exchange{Conn: c, Request: req, Done: r.done}) {
			return
		}
	}
}

// record notes a request and returns the step that answers it.
func (r *Receiver) record(raw []byte, req *http.Request, body []byte) Step {
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	got := Request{Time: time.Now(), Method: req.Method, Target: req.RequestURI, Body: body, Head: head}
	for i, line := range strings.Split(head, "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && i > 0 {
			got.Headers = append(got.Headers, channel.Header{Name: name, Value: strings.TrimSpace(value)})
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, got)
	close(r.arrived)
	r.arrived = make(chan struct{})
	if len(r.steps) == 0 {
		return r.otherwise
	}
	step := r.steps[0]
	r.steps = r.steps[1:]
	return step
}
