package subscription

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// startRows is how many Subscriptions are read in one View.
const startRows = 1024

// start takes the lease and folds the Subscriptions as they were at the cursor's place.
func (m *Matcher) start(ctx context.Context) (err error) {
	if m.lease, err = m.db.Lease(ctx, MatcherName); err != nil {
		return err
	}
	var tenants []string
	err = m.db.Queue().View(ctx, func(q store.QueueReader) error {
		if m.durable, err = q.Cursor(MatcherName); err != nil {
			return err
		}
		tenants, err = tenantsOf(q)
		return err
	})
	if err != nil {
		return err
	}
	m.set, m.pending = newActive(m.o.Parse, m.o.Env, &m.asked), pending{}
	m.sights = sights{}
	m.broken.Store(0)
	m.moved(m.durable)
	if err := m.loading.begin(ctx, m.db, tenants); err != nil {
		return err
	}
	for _, tenant := range tenants {
		turns, err := m.fold(ctx, tenant)
		if err != nil {
			return fmt.Errorf("read the Subscriptions of tenant %q: %w", tenant, err)
		}
		for _, t := range turns {
			if err := m.resume(ctx, t); err != nil {
				return err
			}
		}
	}
	m.loading.end()
	return nil
}

// tenantsOf finds the tenants that have Subscriptions behind the cursor: each of those left a lane record
// (ledger.turn). It leaps from tenant to tenant, however many lanes they have.
func tenantsOf(q store.QueueReader) ([]string, error) {
	var tenants []string
	after := store.Lane{}
	for {
		found := false
		for r, err := range q.Lanes(after) {
			if err != nil {
				return nil, err
			}
			tenants, found = append(tenants, r.Lane.Tenant), true
			after = store.Lane{Tenant: r.Lane.Tenant, Subscription: "~"} // behind every id
			break
		}
		if !found {
			return tenants, nil
		}
	}
}

// fold takes in a tenant's Subscriptions and returns the turns of those that are held, or have to be.
func (m *Matcher) fold(ctx context.Context, tenant string) (turns []turn, err error) {
	defs, err := m.inForce(ctx, tenant, m.durable.Seq)
	if err != nil {
		return nil, err
	}
	m.set.define(tenant, defs)
	after := ""
	for {
		var page []*fhir.Resource
		err := m.db.View(ctx, func(r store.Reader) error {
			page = page[:0]
			for s, err := range r.Type(tenant, fhir.Subscription, after, m.durable.Seq) {
				if err != nil {
					return err
				}
				if page = append(page, s); len(page) == startRows {
					break
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		held, err := m.takeIn(ctx, page)
		if err != nil {
			return nil, err
		}
		turns = append(turns, held...)
		m.loading.add(len(page))
		if len(page) < startRows {
			return turns, nil
		}
		after = page[len(page)-1].Key.ID
	}
}

// takeIn applies the versions of a page, and returns the turns of those that are held, or have to be. What the rest says
// is let go: of very many Subscriptions hardly any is held.
func (m *Matcher) takeIn(ctx context.Context, page []*fhir.Resource) (turns []turn, err error) {
	all := m.set.lookAll(page)
	for i, t := range all {
		m.apply(t)
		if err := m.blame(ctx, t, page[i], m.durable.Seq); err != nil {
			return nil, err
		}
	}
	err = m.db.Queue().View(ctx, func(q store.QueueReader) error {
		turns = turns[:0]
		for _, t := range all {
			if t.to == live {
				if at, err := q.Cursor(holdName(t.lane)); err != nil || at == (store.Cursor{}) {
					if err != nil {
						return err
					}
					continue
				}
			}
			if t.to == live || t.to == broken {
				turns = append(turns, t)
			}
		}
		return nil
	})
	return turns, err
}

// lookAll is look for each of several Subscriptions, on all processors.
func (a *active) lookAll(page []*fhir.Resource) []turn {
	turns := make([]turn, len(page))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(page)) {
		workers.Go(func() { // stops when there are no more
			for i := next.Add(1) - 1; int(i) < len(page); i = next.Add(1) - 1 {
				turns[i] = a.look(page[i])
			}
		})
	}
	workers.Wait()
	return turns
}

// resume begins a hold for a Subscription that doesn't compile, and ends it for one that does again.
func (m *Matcher) resume(ctx context.Context, t turn) error {
	if t.to == live {
		caught, problem, err := m.catchUp(ctx, t.lane, t.sub, m.durable.Seq, m.durable.Seq)
		if err != nil || !caught {
			return err
		}
		if problem == nil {
			return m.show(ctx, t.lane, t.entry.version, Active, "")
		}
		t.from = live // as which it was taken in
		t.breaks(problem)
		m.apply(t)
	}
	m.complain(t)
	done := m.durable.Seq
	if step := m.durable.Step; step < linking && m.set.rank(t.lane.Tenant, t.lane.Subscription) < step {
		done++ // it has its verdict on the row that a step was cut in
	}
	err := m.db.Queue().Update(ctx, m.lease, func(w store.QueueWriter) error { return hold(w, t.lane, done) })
	if err != nil {
		return err
	}
	return m.show(ctx, t.lane, t.entry.version, Erroneous, troubled(t.entry.trouble.problem))
}

// apply makes a turn.
func (m *Matcher) apply(t turn) {
	if t.from == broken {
		m.broken.Add(-1)
	}
	if t.to == broken {
		m.broken.Add(1)
	}
	m.set.apply(t)
}
