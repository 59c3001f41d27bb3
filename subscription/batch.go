package subscription

import (
	"fmt"
	"maps"
	"slices"

	"fhirhook/fhir/store"
)

// batch is what one step of the Matcher decided: written in one transaction, or not at all.
type batch struct {
	from, to store.Cursor
	turns    []turnAt
	owed     []store.Notification // without numbers, in order of the log
	entered  entries              // those of owed that came through links
	news     []*News              // what write made of the lanes
}

// turnAt is a turn of the batch, with how many verdicts came before it.
type turnAt struct {
	turn
	after int
	place store.Seq // of its row
}

func (b *batch) empty() bool { return len(b.turns) == 0 && len(b.owed) == 0 }

func (b *batch) turn(t turn, c store.Change) {
	b.turns = append(b.turns, turnAt{t, len(b.owed), c.Seq})
}

func (b *batch) owe(c store.Change, ids []string) {
	for _, id := range ids {
		b.owed = append(b.owed, notification(store.Lane{Tenant: c.Resource.Key.Tenant, Subscription: id}, c))
	}
}

func notification(lane store.Lane, c store.Change) store.Notification {
	return store.Notification{
		Lane: lane, Focus: c.Resource.Key, Version: c.Resource.Version, Interaction: c.Interaction, Updated: c.Resource.Updated,
	}
}

// write gives the numbers and stores them with the cursor. It may run more than once.
func (b *batch) write(w store.QueueWriter) error {
	switch have, err := w.Cursor(MatcherName); {
	case err != nil:
		return err
	case have != b.from:
		return fmt.Errorf("the matcher's place is %v and not %v: %w", have, b.from, store.ErrFenced)
	}
	l := newLedger(w)
	turns := b.turns
	for i := range b.owed {
		for len(turns) > 0 && turns[0].after <= i {
			if err := l.turn(turns[0]); err != nil {
				return err
			}
			turns = turns[1:]
		}
		if err := l.owe(b.owed[i]); err != nil {
			return err
		}
	}
	for _, t := range turns {
		if err := l.turn(t); err != nil {
			return err
		}
	}
	news, err := l.close()
	if err != nil {
		return err
	}
	b.news = news
	return w.SetCursor(MatcherName, b.to)
}

// ledger holds what a transaction makes of lanes.
type ledger struct {
	w     store.QueueWriter
	lanes map[store.Lane]*News
}

func newLedger(w store.QueueWriter) *ledger { return &ledger{w: w, lanes: map[store.Lane]*News{}} }

func (l *ledger) lane(lane store.Lane) (*News, error) {
	if n := l.lanes[lane]; n != nil {
		return n, nil
	}
	r, err := l.w.Lane(lane)
	if err != nil {
		return nil, err
	}
	n := &News{Lane: lane, Record: r}
	l.lanes[lane] = n
	return n, nil
}

// owe gives the next number.
func (l *ledger) owe(n store.Notification) error {
	at, err := l.lane(n.Lane)
	if err != nil {
		return err
	}
	n.Number = at.Record.Next
	at.Record.Next++
	at.Record.Owed++ // the engine counts for itself
	at.Owed = append(at.Owed, n)
	return l.w.Owe(n)
}

// turn makes the lane follow its Subscription. Every Subscription that ever passed has a record, which is how
// the next start finds all tenants.
func (l *ledger) turn(t turnAt) error {
	at, err := l.lane(t.lane)
	if err != nil {
		return err
	}
	if t.to == gone && at.Record.Owed > 0 {
		at.Record.Cancelling = true
	}
	if t.to == broken {
		return hold(l.w, t.lane, t.place-1)
	}
	if t.from == broken {
		return l.w.SetCursor(holdName(t.lane), store.Cursor{})
	}
	return nil
}

// hold remembers how far a Subscription that can't be compiled was matched, unless that is known already.
func hold(w store.QueueWriter, lane store.Lane, done store.Seq) error {
	have, err := w.Cursor(holdName(lane))
	if err != nil || have != (store.Cursor{}) {
		return err
	}
	return w.SetCursor(holdName(lane), store.Cursor{Seq: done, Step: held})
}

// close writes the records, and returns what has become of the lanes.
func (l *ledger) close() ([]*News, error) {
	news := slices.SortedFunc(maps.Values(l.lanes), func(a, b *News) int { return compareLanes(a.Lane, b.Lane) })
	for _, n := range news { // neighbours in the file are written together
		if err := l.w.PutLane(n.Record); err != nil {
			return nil, err
		}
	}
	return news, nil
}
