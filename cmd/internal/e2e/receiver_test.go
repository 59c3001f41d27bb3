package e2e_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// notification is what a receiver got, as far as the tests look.
type notification struct {
	id, subscription, resource, interaction string
	sequence                                int
	header                                  http.Header
	path, method                            string
	body                                    []byte
	at                                      time.Time
}

// receiver is a real HTTP server that keeps what it gets, and answers 200 unless told otherwise.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex // guards got and open
	got    []notification
	open   map[net.Conn]bool
	change chan struct{}
}

// hello is a path of which nothing is kept.
const hello = "/hello"

func newReceiver(t testing.TB, respond http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{open: map[net.Conn]bool{}, change: make(chan struct{}, 1)}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == hello {
			return
		}
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return // the server was killed while it sent
		}
		sequence, _ := strconv.Atoi(q.Header.Get("X-Fhirhook-Sequence"))
		r.mu.Lock()
		r.got = append(r.got, notification{
			id: q.Header.Get("webhook-id"), subscription: q.Header.Get("X-Fhirhook-Subscription"),
			resource: q.Header.Get("X-Fhirhook-Resource"), interaction: q.Header.Get("X-Fhirhook-Interaction"),
			sequence: sequence, header: q.Header, path: q.URL.Path, method: q.Method, body: body, at: time.Now(),
		})
		r.mu.Unlock()
		select {
		case r.change <- struct{}{}:
		default:
		}
		if respond != nil {
			respond(w, q)
		}
	}))
	r.Config.ConnState = func(c net.Conn, to http.ConnState) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.open[c] = true; to == http.StateClosed || to == http.StateHijacked {
			delete(r.open, c)
		}
	}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

// settle returns when everything has been read that the servers sent before they were killed: it may lie in a connection when
// its sender is long gone. None may run meanwhile.
func (r *receiver) settle(t testing.TB) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+hello, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAnswer(client.Do(q)); err != nil { // connections are accepted in order: those of the servers were, by now
		t.Fatal(err)
	}
	eventually(t, "the end of the connections of who is gone", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.open) == 0
	})
}

func (r *receiver) all() []notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]notification(nil), r.got...)
}

// patient is how long tests wait for what has to happen. It says nothing of how fast the server is: it is what a machine that
// is busy with everything else at once never takes, so that only what doesn't happen at all fails.
const patient = 3 * time.Minute

// await waits until what the receiver has got satisfies done.
func (r *receiver) await(t testing.TB, what string, done func([]notification) bool) []notification {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	for {
		got := r.all()
		if done(got) {
			return got
		}
		select {
		case <-r.change:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s; got %d notifications", what, patient, len(got))
		}
	}
}

// atLeast is a condition of await.
func atLeast(n int) func([]notification) bool {
	return func(got []notification) bool { return len(got) >= n }
}

// signature is seed 0's: hex HMAC-SHA256 of the raw body.
func signature(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
