package bench

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ReceiversOptions say how receivers behave.
type ReceiversOptions struct {
	Delay    time.Duration // before each answer
	Failures float64       // share of requests that are answered with 500
	Hanging  int           // how many more receivers there are that never answer, each at an address of its own
	Counting bool          // only count: what came isn't kept, and messages aren't told apart
}

// Receivers take notifications, and keep what has come.
type Receivers struct {
	URL     string
	Hanging []string // URLs
	o       ReceiversOptions
	seed    maphash.Seed
	servers []*http.Server
	serving sync.WaitGroup

	mu   sync.Mutex // guards what follows
	seen map[uint64]struct{}
	came receipts
}

// OpenReceivers listens and serves until Close.
func OpenReceivers(ctx context.Context, addr string, o ReceiversOptions) (*Receivers, error) {
	r := &Receivers{o: o, seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
	var err error
	if r.URL, err = r.serve(ctx, addr, r.take); err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(addr)
	for range o.Hanging {
		url, err := r.serve(ctx, net.JoinHostPort(host, "0"), func(_ http.ResponseWriter, q *http.Request) {
			_, _ = io.Copy(io.Discard, q.Body) // what broke off shows at the sender
			<-q.Context().Done()
		})
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.Hanging = append(r.Hanging, url)
	}
	return r, nil
}

func (r *Receivers) serve(ctx context.Context, addr string, take http.HandlerFunc) (url string, err error) {
	l, err := listen(ctx, addr)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: take} //nolint:gosec // it is measured with, and talks to nobody else
	r.servers = append(r.servers, server)
	r.serving.Go(func() { _ = server.Serve(l) }) // ends with Close
	return "http://" + l.Addr().String(), nil
}

// take is one request.
func (r *Receivers) take(w http.ResponseWriter, q *http.Request) {
	if _, err := io.Copy(io.Discard, q.Body); err != nil {
		return // the sender was killed
	}
	at := time.Now().UnixNano()
	failing := r.o.Failures > 0 && rand.Float64() < r.o.Failures
	r.keep(q.Header, at, failing)
	if r.o.Delay > 0 {
		select {
		case <-time.After(r.o.Delay):
		case <-q.Context().Done():
		}
	}
	if failing {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (r *Receivers) keep(h http.Header, at int64, failing bool) {
	if r.o.Counting {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.came.Messages++
		return
	}
	message := maphash.String(r.seed, h.Get("Webhook-Id"))
	_, about, _ := strings.Cut(h.Get(resourceHeader), "/")
	id, _, _ := strings.Cut(about, "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	if failing {
		r.came.Refused++
		return
	}
	if _, again := r.seen[message]; again {
		r.came.Again++
		return
	}
	r.seen[message] = struct{}{}
	r.came.Messages++
	r.came.First = append(r.came.First, receipt{id, at})
}

// count is how many came since the last collect.
func (r *Receivers) count() receipts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.came
	c.First = nil
	return c
}

// collect returns what came since the last time. Messages are known for longer: one that comes again is told even then.
func (r *Receivers) collect() receipts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.came
	r.came = receipts{}
	return c
}

// Close ends all of them.
func (r *Receivers) Close() error {
	var errs []error
	for _, s := range r.servers {
		errs = append(errs, s.Close())
	}
	r.serving.Wait()
	return errors.Join(errs...)
}
