package bench

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// resourceHeader names the version that a notification is about, as in Type/id/_history/1.
const resourceHeader = "X-Fhirhook-Resource"

// Receiver is a healthy receiver that remembers when each resource's notification came.
type Receiver struct {
	URL    string
	server *httptest.Server

	mu     sync.Mutex // guards what follows
	got    map[string]time.Time
	change chan struct{} // closed and replaced with each notification
}

// NewReceiver starts one.
func NewReceiver() *Receiver {
	r := &Receiver{got: map[string]time.Time{}, change: make(chan struct{})}
	r.server = httptest.NewServer(r)
	r.URL = r.server.URL
	return r
}

// ServeHTTP takes a notification.
func (r *Receiver) ServeHTTP(_ http.ResponseWriter, q *http.Request) {
	if _, err := io.Copy(io.Discard, q.Body); err != nil {
		return // the sender was killed
	}
	_, about, _ := strings.Cut(q.Header.Get(resourceHeader), "/")
	id, _, _ := strings.Cut(about, "/")
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, again := r.got[id]; !again {
		r.got[id] = now
	}
	close(r.change)
	r.change = make(chan struct{})
}

// Await waits for the notifications of all acknowledged writes, returns when each came, in the same order, and
// forgets everything.
func (r *Receiver) Await(ctx context.Context, acks []Ack) ([]time.Time, error) {
	times := make([]time.Time, len(acks))
	for i, ack := range acks {
		for {
			r.mu.Lock()
			at, ok := r.got[ack.ID]
			change := r.change
			r.mu.Unlock()
			if ok {
				times[i] = at
				break
			}
			select {
			case <-change:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.got)
	return times, nil
}

// Close ends it.
func (r *Receiver) Close() { r.server.Close() }

// Bad starts receivers that misbehave until ctx ends: one hangs, one answers 500, one refuses connections and
// one drips a byte a second. It returns their URLs.
func Bad(ctx context.Context) ([]string, error) {
	var urls []string
	for _, handler := range []http.HandlerFunc{
		func(_ http.ResponseWriter, q *http.Request) { await(ctx, q, nil) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		drip(ctx),
	} {
		s := httptest.NewServer(handler)
		context.AfterFunc(ctx, s.Close)
		urls = append(urls, s.URL)
	}
	refusing, err := Refusing(ctx)
	return append(urls, refusing), err
}

func drip(ctx context.Context) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Length", "100000")
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			if !await(ctx, q, second.C) {
				return
			}
		}
	}
}

// await waits for a tick; false: the request or everything is over.
func await(ctx context.Context, q *http.Request, tick <-chan time.Time) bool {
	select {
	case <-tick:
		return true
	case <-ctx.Done():
	case <-q.Context().Done():
	}
	return false
}

// Refusing returns a URL where connections are refused: its port was just given back.
func Refusing(ctx context.Context) (string, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return "http://" + l.Addr().String(), l.Close()
}
