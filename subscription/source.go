package subscription

import (
	"time"

	"fhirhook/fhir/store"
)

// source hands out what a lane owes, in the lane's order, holding no more of it than a window. It belongs to
// the worker that runs the lane. busy is the lane's; what is in it is neither read nor handed out.
type source interface {
	// hungry tells whether fill would find more to hand out.
	hungry(now time.Time) bool
	// fill reads on, a bounded piece.
	fill(r store.QueueReader, now time.Time) error
	// take hands out a notification that is due.
	take(now time.Time) (store.Notification, bool)
	// settled takes in that n, handed out before, has a durable result: owed until n.Next, or final.
	settled(n store.Notification, owed bool)
	// holds tells whether another one is known that may only go once n's result is durable.
	holds(n store.Notification) bool
	// returned takes back n, which was handed out and not tried.
	returned(n store.Notification)
	// woken says that more may be owed.
	woken()
	// heard takes in what is owed more, as far as it follows on what is known and there is room; the rest is read.
	heard(news *News, now time.Time)
	// next is when the next one falls due of those that wait; zero: none waits.
	next() time.Time
	// fit makes it hold no more than one at a time, or as many as usual; false: it holds more already.
	fit(narrow bool) bool
	// head is LaneRecord.Head, once all results decided so far are stored; false: as it is.
	head() (uint64, bool)
	// drained tells that nothing is left untried.
	drained() bool
	// oldest is since when the next one to be handed out could have gone; zero: none is ready.
	oldest() time.Time
}

// wantsLittle tells whether the lane can send one at a time only, or none.
func (l *lane) wantsLittle() bool { return l.breaker.Open || l.crowded }

// begin makes the lane's source. If all that it owes is news, that need not be read; nil: it is.
func (l *lane) begin(sub *Subscription, all *News, now time.Time) {
	l.order = sub.Order
	upto := l.record.Next
	if all != nil {
		upto = all.Owed[0].Number
	}
	if l.order == Unordered {
		w := newWindow(l.id, l.record.Head, sizeOf(l.wantsLittle()), l.busy, sub.Ladder.Longest())
		w.more, w.unread, w.upto = all == nil, all == nil, upto
		l.source = w
	} else {
		s := newSequence(l.id, sub.Order, l.busy, sub.Ladder.Longest())
		s.more, s.upto = all == nil, upto
		l.source = s
	}
	if all != nil {
		l.source.heard(all, now)
	}
}

// listen takes in what the lane was told.
func (l *lane) listen(c call, now time.Time) {
	if c.news != nil && l.loaded {
		l.record.Next = c.news.Record.Next
	}
	switch {
	case l.source == nil:
	case c.news != nil:
		l.source.heard(c.news, now)
	case c.woken:
		l.source.woken()
	}
}

// setAside lets go of what was read ahead. The next step reads it again, which costs less than what many lanes
// behind open breakers would hold meanwhile.
func (l *lane) setAside() {
	if head, ok := l.source.head(); ok {
		l.record.Head = head
	}
	l.source = nil
}
