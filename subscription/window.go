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
	launched time.Time // its request
	began    time.Time // its give-up clock
	probe    bool      // let through by an open breaker
	judged   bool      // its result is decided, and waits to be stored
	fresh    bool      // it was never tried before
	focus    fhir.Key
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
	upto  uint64               // what was told so far has numbers below it

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

func (w *window) heard(news *News, _ time.Time) {
	follows := !w.more && news.follows(w.upto)
	w.upto, w.more = news.Record.Next, !follows || !news.complete()
	if !follows {
		return
	}
	for _, n := range news.Owed {
		if len(w.fresh) >= w.size {
			w.more = true
			return
		}
		if n.Number >= w.scan {
			w.fresh, w.scan = append(w.fresh, n), n.Number+1
		}
	}
}

func (w *window) fit(narrow bool) bool {
	w.size = sizeOf(narrow)
	return len(w.fresh) <= w.size && len(w.retries) <= w.size
}

// sizeOf is how much a window reads ahead.
func sizeOf(narrow bool) int {
	if narrow {
		return 1
	}
	return windowSize
}

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
