// Package trail shows the attempt log as AuditEvents: one for each attempt, and for each change of a notification's
// state that came without one. They are a view (search.Virtual): nothing is stored, what is made of a row is made
// when someone looks, and what the attempt log drops is gone here, too. So none of them triggers anything.
//
// The idea: a row has a place (lane, number, time, ordinal), the id of its AuditEvent is that place in writing, and
// a row never changes. So an AuditEvent is found by its id alone, has one version, and looks the same each time.
//
// The trap: a walk reads the queue in pieces, each in a state of its own, while rows are added. It goes on by place,
// and a day's rows stand in order of numbers first, so a piece is always finished within its day.
package trail

import (
	"context"
	"iter"

	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// Options are what a Trail is made of. Queue must be set.
type Options struct {
	Queue store.Queue
	// Site is the server's name in AuditEvent.source; "" leaves it out.
	Site string
	// Shown tells whether the attempts of a lane are shown: a Subscription may ask for none. nil: all are.
	Shown func(context.Context, store.Lane) (bool, error)
}

// Trail is the view. It implements search.Virtual and is safe for concurrent use.
type Trail struct{ o Options }

var _ search.Virtual = (*Trail)(nil)

// New returns a Trail.
func New(o Options) *Trail {
	if o.Shown == nil {
		o.Shown = func(context.Context, store.Lane) (bool, error) { return true, nil }
	}
	return &Trail{o}
}

// Type implements search.Virtual.
func (t *Trail) Type() fhir.Type { return fhir.AuditEvent }

// ReadOnly implements search.Virtual.
func (t *Trail) ReadOnly() string { return "a view of a line in the log of delivery attempts" }

// Moments implements search.Virtual: AuditEvent.recorded is when the attempt began, and so is meta.lastUpdated.
func (t *Trail) Moments() []string { return []string{"_lastUpdated", "date"} }

// Owns implements search.Virtual.
func (t *Trail) Owns(id string) bool {
	_, ok := parseID(id)
	return ok
}

// Read implements search.Virtual.
func (t *Trail) Read(ctx context.Context, key fhir.Key) (*fhir.Resource, error) {
	p, ok := parseID(key.ID)
	if !ok || key.Type != fhir.AuditEvent {
		return nil, store.ErrNotFound
	}
	lane := store.Lane{Tenant: key.Tenant, Subscription: p.subscription}
	if p.hashed {
		var err error
		if lane, err = t.unhash(ctx, key, p); err != nil {
			return nil, err
		}
	}
	found, err := t.row(ctx, lane, p)
	if err != nil {
		return nil, err
	}
	switch shown, err := t.o.Shown(ctx, lane); {
	case err != nil:
		return nil, err
	case !shown:
		return nil, store.ErrNotFound
	}
	return event(key, found, t.o.Site), nil
}

// row reads the row at a place.
func (t *Trail) row(ctx context.Context, lane store.Lane, p place) (found store.Attempt, err error) {
	scope := store.AttemptScope{Lane: lane, Since: p.time, Until: p.time.Add(1), From: p.number, Below: p.number + 1}
	err = t.o.Queue.View(ctx, func(q store.QueueReader) error {
		left := p.ordinal
		for a, err := range q.Attempts(scope) {
			if err != nil || left == 0 {
				found = a
				return err
			}
			left--
		}
		return store.ErrNotFound
	})
	return found, err
}

// unhash finds the lane whose Subscription has an id that is too long to stand in another.
func (t *Trail) unhash(ctx context.Context, key fhir.Key, p place) (store.Lane, error) {
	for lane, err := range t.lanes(ctx, key.Tenant) {
		if err != nil {
			return lane, err
		}
		p.subscription, p.hashed = lane.Subscription, false
		if p.id() == key.ID {
			return lane, nil
		}
	}
	return store.Lane{}, store.ErrNotFound
}

// lanes yields the lanes of a tenant, in order. Each that ever had something to do with a notification has a record.
func (t *Trail) lanes(ctx context.Context, tenant string) iter.Seq2[store.Lane, error] {
	return func(yield func(store.Lane, error) bool) {
		after := store.Lane{Tenant: tenant}
		for {
			var some []store.Lane
			err := t.o.Queue.View(ctx, func(q store.QueueReader) error {
				some = some[:0]
				for r, err := range q.Lanes(after) {
					if err != nil || r.Lane.Tenant != tenant || len(some) == pieceRows {
						return err
					}
					some = append(some, r.Lane)
				}
				return nil
			})
			if err != nil {
				yield(store.Lane{}, err)
				return
			}
			for _, lane := range some {
				if !yield(lane, nil) {
					return
				}
				after = lane
			}
			if len(some) < pieceRows {
				return
			}
		}
	}
}
