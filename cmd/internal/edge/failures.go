package edge

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"fhirhook/fhir/rest/peer"
)

// What a client may get wrong before it has to wait: so many at once, then one in each interval.
const (
	failuresAtOnce = 30
	failureEvery   = 2 * time.Second
	knownClients   = 16 << 10 // of which failures, or tokens that were good, are remembered
)

// failures slows down who tries tokens: a client whose requests were 401 too often gets 429 until it has waited. Clients behind
// one address aren't locked out by a neighbour, if they were let in with the same Authorization before.
type failures struct {
	seed maphash.Seed
	now  func() time.Time

	mu     sync.Mutex // guards what follows
	failed *lru.Cache[netip.Prefix, debt]
	good   *lru.Cache[uint64, struct{}] // hashes of client and Authorization
}

// debt is how much a client has to wait: until full, less failuresAtOnce intervals.
type debt struct{ full time.Time }

func newFailures() *failures {
	failed, err := lru.New[netip.Prefix, debt](knownClients)
	if err != nil {
		panic(err) // a constant size
	}
	good, err := lru.New[uint64, struct{}](knownClients)
	if err != nil {
		panic(err)
	}
	return &failures{seed: maphash.MakeSeed(), now: time.Now, failed: failed, good: good}
}

// wait is how long a client has to wait before its next try; 0: not at all.
func (f *failures) wait(client netip.Prefix, authorization []string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.failed.Get(client)
	if !ok {
		return 0
	}
	wait := d.full.Sub(f.now()) - failuresAtOnce*failureEvery
	if wait <= 0 || len(authorization) > 0 && f.good.Contains(f.hash(client, authorization)) {
		return 0
	}
	return wait
}

// saw remembers how a request ended.
func (f *failures) saw(client netip.Prefix, authorization []string, status int) {
	if status != http.StatusUnauthorized && len(authorization) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if status != http.StatusUnauthorized {
		f.good.Add(f.hash(client, authorization), struct{}{})
		return
	}
	f.good.Remove(f.hash(client, authorization)) // it was revoked, or expired
	now := f.now()
	d, _ := f.failed.Get(client)
	if d.full.Before(now) {
		d.full = now
	}
	d.full = d.full.Add(failureEvery)
	f.failed.Add(client, d)
}

func (f *failures) hash(client netip.Prefix, authorization []string) uint64 {
	var h maphash.Hash
	h.SetSeed(f.seed)
	_, _ = h.WriteString(client.String()) // it never fails
	for _, value := range authorization {
		_, _ = h.WriteString("\x00" + value)
	}
	return h.Sum64()
}

// around lets a request through if its client need not wait.
func (f *failures) around(proxies []netip.Prefix, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, authorization := clientOf(peer.Client(r, proxies)), r.Header.Values("Authorization")
		if wait := f.wait(client, authorization); wait > 0 {
			refusal{http.StatusTooManyRequests, "throttled", "too many requests from this address were not authenticated: wait, and send a valid token", wait}.write(w)
			return
		}
		out := &answer{ResponseWriter: w}
		next.ServeHTTP(out, r)
		f.saw(client, authorization, out.status)
	})
}

// answer remembers the status of an answer.
type answer struct {
	http.ResponseWriter
	status int
}

// Unwrap lets http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}
