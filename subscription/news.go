package subscription

import (
	"context"

	"fhirhook/fhir/store"
)

// News is what a commit of the Matcher made of a lane. What it tells stands in the queue as well, so that it may be
// forgotten at any time; whoever keeps it need not read that.
type News struct {
	Lane   store.Lane
	Owed   []store.Notification // what the lane owes more, in order of numbers; none: only its Subscription changed
	Record store.LaneRecord     // as it was behind the commit; only if something is owed
}

// whole tells whether the news is all that the lane owed behind the commit.
func (n *News) whole() bool {
	return n != nil && len(n.Owed) > 0 && n.Record.Owed == uint64(len(n.Owed))
}

// follows tells whether the news begins at a number.
func (n *News) follows(next uint64) bool { return n.Owed[0].Number == next }

// complete tells whether all numbers up to the record's next are there.
func (n *News) complete() bool { return n.Owed[len(n.Owed)-1].Number+1 == n.Record.Next }

// hear keeps news until the lane is worked on: no more than a window takes, for the queue has the rest. d.mu is held.
func (l *lane) hear(n *News) {
	switch had := l.news; {
	case len(n.Owed) == 0:
		l.news = nil // there is no telling what is behind it
	case had == nil:
		n.Owed = n.Owed[:min(len(n.Owed), windowSize)]
		l.news = n
	case had.complete() && n.follows(had.Record.Next) && len(had.Owed)+len(n.Owed) <= windowSize:
		had.Owed, had.Record = append(had.Owed, n.Owed...), n.Record
	default:
		l.news = nil
	}
}

// Notify says that lanes owe more or that their Subscriptions changed: they were edited, re-armed, switched off
// or deleted. The Matcher calls it after its commit. It never blocks, and keeps the news.
func (d *Deliverer) Notify(news []*News) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range news {
		if d.read.may(n.Lane) {
			n = &News{Lane: n.Lane}
		}
		d.tell(n)
	}
	d.read.forget()
}

// Wake says that there may be something to do on a lane. It never blocks.
func (d *Deliverer) Wake(id store.Lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tell(&News{Lane: id})
}

// tell gives a lane news. d.mu is held.
func (d *Deliverer) tell(n *News) {
	l := d.lane(n.Lane)
	l.hear(n)
	l.woken = true
	d.schedule(l)
}

// Refresh says that another has changed what a lane already owed, as an operation does that cancels or sends
// again: what was read ahead is read anew. It never blocks.
func (d *Deliverer) Refresh(id store.Lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lane(id)
	l.reload = true
	d.schedule(l)
}

// mostReads is how many lanes are remembered at most.
const mostReads = 4096

// reads are the lanes that were read from the queue since the Matcher last told something. What it tells next may have
// been among what they read, and be sent and settled by now, so that they read again instead.
type reads struct {
	lanes map[store.Lane]bool
	many  bool // too many to be remembered: it may be any
}

func (r *reads) add(lane store.Lane) {
	if len(r.lanes) == mostReads {
		r.many = true
		return
	}
	if r.lanes == nil {
		r.lanes = map[store.Lane]bool{}
	}
	r.lanes[lane] = true
}

func (r *reads) may(lane store.Lane) bool { return r.many || r.lanes[lane] }

func (r *reads) forget() {
	if len(r.lanes) > 0 {
		r.lanes, r.many = nil, false
	}
}

// view reads of the queue what a lane needs. That it reads is noted when the state that it reads is fixed: noted before, the
// Matcher could commit and tell something else in between. What it tells from then on, the lane hears while it still runs.
func (d *Deliverer) view(ctx context.Context, l *lane, fn func(store.QueueReader) error) error {
	return d.o.DB.Queue().View(ctx, func(r store.QueueReader) error {
		d.mu.Lock()
		d.read.add(l.id)
		d.mu.Unlock()
		return fn(r)
	})
}
