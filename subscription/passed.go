package subscription

import (
	"context"
	"sync/atomic"

	"fhirhook/fhir/store"
)

// Passed waits until every row up to a place is decided, and the lanes that owe something of it have been told. It
// fails with what ended ctx, which has to bound it: a Matcher may stand at a row for long.
func (m *Matcher) Passed(ctx context.Context, at store.Seq) error {
	for {
		moved := m.moves.next()
		if m.Place() >= at {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// moves wakes those who wait for a Matcher to move. While nobody does, a move costs one load.
type moves struct{ waited atomic.Pointer[chan struct{}] }

// next is closed by the next move. Whoever waits for a place takes it first and looks at the place then.
func (m *moves) next() <-chan struct{} {
	for {
		if c := m.waited.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		if m.waited.CompareAndSwap(nil, &c) {
			return c
		}
	}
}

// made says that there was a move. Only one at a time may say so.
func (m *moves) made() {
	if c := m.waited.Load(); c != nil {
		m.waited.Store(nil)
		close(*c)
	}
}
