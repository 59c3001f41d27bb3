package subscription

import (
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// How much of a lane's backlog is in memory and how much is read at a time.
const (
	windowSize = 64
	pageRows   = 256
)

// flight is a notification from the moment it is taken until its result is durable.
type flight struct {
	began  time.Time // its give-up clock
	probe  bool      // let through by an open breaker
	judged bool      // its result is decided, and waits to be stored
	fresh  bool      // it was never tried before
	focus  fhir.Key
}

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
	// next is when the next one falls due of those that wait; zero: none waits.
	next() time.Time
	// head is LaneRecord.Head, once all results decided so far are stored; false: as it is.
	head() (uint64, bool)
	// drained tells that nothing is left untried.
	drained() bool
	// oldest is since when the next one to be handed out could have gone; zero: none is ready.
	oldest() time.Time
}

// due tells whether a wait is over. A time further off than any wait was written while the clock was wrong.
func due(next, now time.Time, longest time.Duration) bool {
	return !next.After(now) || next.Sub(now) > longest
}

// window is the source of an unordered lane: the untried in order of numbers, and in turn with them the
// retries in order of falling due, so that neither starves the other.
type window struct {
	lane    store.Lane
	size    int // how many untried ones and how many retries are read ahead
	busy    map[uint64]*flight
	longest time.Duration

	fresh []store.Notification // untried, read ahead
	scan  uint64               // the untried are read up to here
	more  bool                 // there may be more behind scan

	retries []store.Notification // due, read ahead
	unread  bool                 // those that wait must be read (again)
	wake    time.Time            // when the first of the others that wait falls due
	turn    bool                 // a retry goes next, if one is due
	asked   int                  // how often for the head
}

func newWindow(lane store.Lane, head uint64, size int, busy map[uint64]*flight, longest time.Duration) *window {
	return &window{lane: lane, size: size, busy: busy, longest: longest, scan: head, more: true, unread: true}
}

func (w *window) hungry(now time.Time) bool { return w.lacksFresh() || w.lacksRetries(now) }

func (w *window) lacksFresh() bool { return w.more && len(w.fresh) == 0 }

func (w *window) lacksRetries(now time.Time) bool {
	return len(w.retries) == 0 && (w.unread || !w.wake.IsZero() && due(w.wake, now, w.longest))
}

func (w *window) fill(r store.QueueReader, now time.Time) error {
	if w.lacksFresh() {
		if err := w.fillFresh(r); err != nil {
			return err
		}
	}
	if w.lacksRetries(now) {
		return w.fillRetries(r, now)
	}
	return nil
}

func (w *window) fillFresh(r store.QueueReader) error {
	rows := 0
	for n, err := range r.Owed(w.lane, w.scan) {
		if err != nil {
			return err
		}
		if rows == pageRows || len(w.fresh) == w.size {
			return nil
		}
		rows++
		w.scan = n.Number + 1
		if w.busy[n.Number] == nil && n.Next.IsZero() {
			w.fresh = append(w.fresh, n)
		}
	}
	w.more = false
	return nil
}

func (w *window) fillRetries(r store.QueueReader, now time.Time) error {
	w.unread, w.wake = false, time.Time{}
	for n, err := range r.Waiting(w.lane) {
		switch {
		case err != nil:
			return err
		case w.busy[n.Number] != nil:
		case !due(n.Next, now, w.longest):
			w.wake = n.Next
			return nil
		case len(w.retries) == w.size:
			w.unread = true
			return nil
		default:
			w.retries = append(w.retries, n)
		}
	}
	return nil
}

func (w *window) take(time.Time) (store.Notification, bool) {
	from := &w.fresh
	if len(w.fresh) == 0 || w.turn && len(w.retries) > 0 {
		from = &w.retries
	}
	if len(*from) == 0 {
		return store.Notification{}, false
	}
	n := (*from)[0]
	*from = (*from)[1:]
	if len(*from) == 0 {
		*from = nil // a lane that only waits keeps no window
	}
	w.turn = from == &w.fresh
	return n, true
}

func (w *window) settled(n store.Notification, owed bool) {
	if owed && (w.wake.IsZero() || n.Next.Before(w.wake)) {
		w.wake = n.Next
	}
}

func (w *window) holds(store.Notification) bool { return false }

func (w *window) returned(n store.Notification) {
	if n.Next.IsZero() {
		w.fresh = append([]store.Notification{n}, w.fresh...)
	} else {
		w.retries = append([]store.Notification{n}, w.retries...)
	}
}

func (w *window) woken() { w.more = true }

func (w *window) next() time.Time { return w.wake }

func (w *window) head() (uint64, bool) {
	// It only ever rises, so that an old one stays true, and a lane with much under way need not look each time.
	if w.asked++; len(w.busy) > windowSize && w.asked%16 != 0 {
		return 0, false
	}
	head := w.scan
	for _, n := range w.fresh {
		head = min(head, n.Number)
	}
	for number, f := range w.busy {
		if f.fresh && !f.judged {
			head = min(head, number)
		}
	}
	return head, true
}

func (w *window) drained() bool {
	if w.more || len(w.fresh) > 0 {
		return false
	}
	for _, f := range w.busy {
		if f.fresh && !f.judged {
			return false
		}
	}
	return true
}

func (w *window) oldest() time.Time {
	var at time.Time
	if len(w.fresh) > 0 {
		at = w.fresh[0].Updated
	}
	if len(w.retries) > 0 && (at.IsZero() || w.retries[0].Next.Before(at)) {
		at = w.retries[0].Next
	}
	return at
}
