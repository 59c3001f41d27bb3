package subscription

import (
	"context"
	"sync"
	"sync/atomic"

	"fhirhook/fhir/store"
)

// Loading is how far a Matcher is with the Subscriptions that it reads before it matches anything.
type Loading struct {
	Read int64
	Of   int64 // about how many there are; 0: that isn't known
	Done bool
}

// Loading tells it.
func (m *Matcher) Loading() Loading { return m.loading.now() }

// Loaded is closed when the Matcher has read all Subscriptions for the first time.
func (m *Matcher) Loaded() <-chan struct{} { return m.loading.done }

// loading is kept while a Matcher starts, and read by whoever asks.
type loading struct {
	read, of atomic.Int64
	once     sync.Once
	done     chan struct{}
}

// begin finds out how many Subscriptions there are. Those that are off don't count, so there may be more.
func (l *loading) begin(ctx context.Context, db store.DB, tenants []string) error {
	l.read.Store(0)
	l.of.Store(0)
	return db.View(ctx, func(r store.Reader) error {
		var of int64
		for _, tenant := range tenants {
			u, err := r.Usage(tenant)
			if err != nil {
				return nil //nolint:nilerr // nothing depends on it
			}
			of += u.Subscriptions
		}
		l.of.Store(of)
		return nil
	})
}

func (l *loading) add(n int) { l.read.Add(int64(n)) }

func (l *loading) end() { l.once.Do(func() { close(l.done) }) }

func (l *loading) now() Loading {
	now := Loading{Read: l.read.Load(), Of: l.of.Load()}
	if now.Of > 0 {
		now.Of = max(now.Of, now.Read)
	}
	select {
	case <-l.done:
		now.Done = true
	default:
	}
	return now
}
