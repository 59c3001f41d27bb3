package subscription

import (
	"fmt"
	"slices"

	"fhirhook/fhir/store"
)

// batch is what one step of the Matcher decided: written in one transaction, or not at all.
type batch struct {
	from, to store.Cursor
	turns    []turnAt
	owed     []store.Notification // without numbers, in order of the log
	entered  entries              // those of owed that came through links
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

// lanes lists the lanes that the batch touched, each once.
func (b *batch) lanes() []store.Lane {
	var lanes []store.Lane
	seen := map[store.Lane]bool{}
	add := func(lane store.Lane) {
		if !seen[lane] {
			seen[lane] = true
			lanes = append(lanes, lane)
		}
	}
	for _, t := range b.turns {
		add(t.lane)
	}
	for _, n := range b.owed {
		add(n.Lane)
	}
	return lanes
}

// write gives the numbers and stores them with the cursor. It may run more than once.
func (b *batch) write(w store.QueueWriter) error {
	switch have, err := w.Cursor(MatcherName); {
	case err != nil:
		return err
	case have != b.from:
		return fmt.Errorf("the matcher's place is %v and not %v: %w", have, b.from, store.ErrFenced)
	}
	l := &ledger{w: w, records: map[store.Lane]*store.LaneRecord{}}
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
	if err := l.close(); err != nil {
		return err
	}
	return w.SetCursor(MatcherName, b.to)
}

// ledger holds the lane records of a transaction while it changes them.
type ledger struct {
	w       store.QueueWriter
	records map[store.Lane]*store.LaneRecord
}

func (l *ledger) record(lane store.Lane) (*store.LaneRecord, error) {
	if r := l.records[lane]; r != nil {
		return r, nil
	}
	r, err := l.w.Lane(lane)
	if err != nil {
		return nil, err
	}
	l.records[lane] = &r
	return &r, nil
}

// owe gives the next number.
func (l *ledger) owe(n store.Notification) error {
	r, err := l.record(n.Lane)
	if err != nil {
		return err
	}
	n.Number = r.Next
	r.Next++
	r.Owed++ // for turn, in this transaction; the engine counts for itself
	return l.w.Owe(n)
}

// turn makes the lane follow its Subscription. Every Subscription that ever passed has a record, which is how
// the next start finds all tenants.
func (l *ledger) turn(t turnAt) error {
	r, err := l.record(t.lane)
	if err != nil {
		return err
	}
	if t.to == gone && r.Owed > 0 {
		r.Cancelling = true
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

func (l *ledger) close() error {
	lanes := make([]store.Lane, 0, len(l.records))
	for lane := range l.records {
		lanes = append(lanes, lane)
	}
	slices.SortFunc(lanes, compareLanes) // neighbours in the file are written together
	for _, lane := range lanes {
		if err := l.w.PutLane(*l.records[lane]); err != nil {
			return err
		}
	}
	return nil
}
