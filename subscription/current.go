package subscription

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Current is a Subscription as it stands now.
type Current struct {
	*Subscription           // nil: it was deleted, or never existed
	Armed         time.Time // since when it has been on again, after off or a deletion; zero: it was never off
}

// Currents finds the current versions of Subscriptions in the store. It keeps the compiled form of those
// used last, by version, so that an unchanged Subscription is parsed once. Safe for concurrent use.
type Currents struct {
	db    store.DB
	parse func(*fhir.Resource) (*Subscription, error)
	size  int

	mu   sync.Mutex // guards what follows; never held while the store is read
	used *list.List // of *compiled, the last used first
	byID map[store.Lane]*list.Element
}

type compiled struct {
	lane    store.Lane
	version uint64
	current Current
	place   store.Seq // DB.LastOf when this was found to be current: as long as it is the same, it still is
}

// NewCurrents returns Currents that compile with parse, keeping at most size of them.
func NewCurrents(db store.DB, parse func(*fhir.Resource) (*Subscription, error), size int) *Currents {
	return &Currents{db: db, parse: parse, size: size, used: list.New(), byID: map[store.Lane]*list.Element{}}
}

// Current returns the Subscription of a lane as the store has it now. An error means that it can't be told:
// the store can't be read, or what is stored no longer compiles.
func (c *Currents) Current(ctx context.Context, lane store.Lane) (Current, error) {
	key := fhir.Key{Tenant: lane.Tenant, Type: fhir.Subscription, ID: lane.Subscription}
	place, err := c.db.LastOf(ctx, fhir.Subscription)
	if err != nil {
		return Current{}, fmt.Errorf("read %s: %w", key, err)
	}
	known, cached := c.lookup(lane)
	if cached && known.place == place {
		return known.current, nil
	}
	var (
		now     *fhir.Resource
		current Current
	)
	err = c.db.View(ctx, func(r store.Reader) error {
		var err error
		now, err = r.Read(key, r.Last())
		switch {
		case errors.Is(err, store.ErrNotFound):
			now = nil
			return nil
		case err != nil:
			return err
		case now.Deleted, cached && known.version == now.Version:
			return nil
		}
		current.Armed, err = armed(r, now, known, cached)
		return err
	})
	switch {
	case err != nil:
		return Current{}, fmt.Errorf("read %s: %w", key, err)
	case now == nil || now.Deleted:
		return Current{}, nil
	case cached && known.version == now.Version:
		known.place = place
		c.keep(known)
		return known.current, nil
	}
	current.Subscription, err = c.parse(now)
	if err != nil {
		return Current{}, fmt.Errorf("compile %s version %d: %w", key, now.Version, err)
	}
	c.keep(compiled{lane, now.Version, current, place})
	return current, nil
}

// armed looks back for the last time the Subscription was off or deleted, as far as the version that is known.
func armed(r store.Reader, now *fhir.Resource, known compiled, cached bool) (time.Time, error) {
	if statusOf(now) == Off {
		return time.Time{}, nil
	}
	since := now.Updated
	scope := store.Scope{Tenant: now.Key.Tenant, Type: now.Key.Type, ID: now.Key.ID}
	for change, err := range r.History(scope, 0) {
		switch v := change.Resource; {
		case err != nil:
			return time.Time{}, err
		case v.Version >= now.Version:
		case v.Deleted || statusOf(v) == Off:
			return since, nil
		case cached && v.Version <= known.version:
			return known.current.Armed, nil
		default:
			since = v.Updated
		}
	}
	return time.Time{}, nil
}

func statusOf(r *fhir.Resource) Status { return Status(r.Doc().Root().Get("status").Text()) }

func (c *Currents) lookup(lane store.Lane) (compiled, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[lane]
	if !ok {
		return compiled{}, false
	}
	c.used.MoveToFront(e)
	return *e.Value.(*compiled), true
}

func (c *Currents) keep(s compiled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byID[s.lane]; ok {
		if have := e.Value.(*compiled); have.version < s.version || have.version == s.version && have.place < s.place {
			*have = s
		}
		return
	}
	c.byID[s.lane] = c.used.PushFront(&s)
	for c.used.Len() > max(c.size, 1) {
		oldest := c.used.Back()
		c.used.Remove(oldest)
		delete(c.byID, oldest.Value.(*compiled).lane)
	}
}
