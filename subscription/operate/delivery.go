package operate

import (
	"cmp"
	"slices"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// delivery is a notification with all that is known of it.
type delivery struct {
	lane        store.Lane
	number      uint64 // 0: a test
	id          string
	focus       fhir.Key
	version     uint64
	interaction fhir.Interaction
	cause       string // "": the version's own change
	event       string // what the change is called; "" if nobody knows
	state       store.State
	next        time.Time // of what is owed: not before; zero: as soon as it is its turn
	changed     time.Time // when it came to its state, as far as that is known
	attempts    []store.Attempt
	owed        *store.Notification // nil: it is finished
}

// mostRows is how many rows of the queue are read for one piece.
const mostRows = 4096

// piece reads what a lane owes or has finished, of numbers from one on and below another, in ascending order.
// It returns false if that is too much to be read at once.
func piece(q store.QueueReader, epoch string, lane store.Lane, from, below uint64) (found []delivery, rows int, fits bool, err error) {
	byNumber := map[uint64]*delivery{}
	of := func(number uint64) *delivery {
		d := byNumber[number]
		if d == nil {
			d = &delivery{lane: lane, number: number}
			byNumber[number] = d
		}
		return d
	}
	full := func() bool {
		rows++
		return rows > mostRows && below-from > 1
	}
	for n, err := range q.Owed(lane, from) {
		if err != nil {
			return nil, rows, false, err
		}
		if n.Number >= below {
			break
		}
		if full() {
			return nil, rows, false, nil
		}
		d := of(n.Number)
		d.owed, d.id, d.state, d.next = &n, subscription.ID(epoch, n), store.Owed, n.Next
		d.focus, d.version, d.interaction, d.changed = n.Focus, n.Version, n.Interaction, n.Updated
		d.cause = n.Cause
	}
	for a, err := range q.Attempts(store.AttemptScope{Lane: lane, From: from, Below: below}) {
		if err != nil {
			return nil, rows, false, err
		}
		if full() {
			return nil, rows, false, nil
		}
		d := of(a.Number)
		d.attempts = append(d.attempts, a)
		d.changed = a.Time
		if d.owed == nil {
			d.id, d.state = a.ID, a.State
			d.focus, d.version, d.interaction = a.Focus, a.Version, a.Interaction
			d.cause = a.Cause
		}
	}
	for _, d := range byNumber {
		found = append(found, *d)
	}
	slices.SortFunc(found, func(a, b delivery) int { return cmp.Compare(a.number, b.number) })
	return found, rows, true, nil
}

// single reads one notification; false if nothing is known of it any more.
func single(q store.QueueReader, epoch string, lane store.Lane, number uint64) (delivery, bool, error) {
	found, _, _, err := piece(q, epoch, lane, number, number+1)
	if err != nil || len(found) == 0 {
		return delivery{}, false, err
	}
	return found[0], true, nil
}

// walk goes through a lane in pieces that fit, up from one number on and below another, or down. Where nothing is
// left of the numbers, it takes ever bigger steps.
type walk struct {
	lane        store.Lane
	from, below uint64
	down        bool
	size        uint64
}

const firstSize = 64

func (w *walk) over() bool { return w.from >= w.below }

// next reads a piece, in the walk's order.
func (w *walk) next(q store.QueueReader, epoch string) (found []delivery, rows int, err error) {
	for !w.over() {
		w.size = max(w.size, 1)
		from, below := w.from, w.below
		if w.down && below-from > w.size {
			from = below - w.size
		} else if below-from > w.size {
			below = from + w.size
		}
		some, read, fits, err := piece(q, epoch, w.lane, from, below)
		if err != nil {
			return nil, rows, err
		}
		rows += read
		if !fits {
			w.size = min(w.size/4, mostRows/4)
			continue
		}
		if w.down {
			slices.Reverse(some)
			w.below = from
		} else {
			w.from = below
		}
		if len(some) == 0 && w.size < 1<<40 {
			w.size *= 4
			continue
		}
		w.size = firstSize
		return some, rows, nil
	}
	return nil, rows, nil
}

// parameters is the delivery as $deliveries shows it.
func (d delivery) parameters() []byte {
	var o output
	o.text("id", "valueId", d.id)
	o.reference("subscription", "Subscription/"+d.lane.Subscription)
	if d.number > 0 {
		o.number("sequence", d.number)
	}
	if d.focus != (fhir.Key{}) {
		r := fhir.Resource{Key: d.focus, Version: d.version}
		o.reference("resource", r.VersionedReference())
		o.code("interaction", d.interaction.String())
		if d.cause != "" {
			o.reference("cause", d.cause)
		}
	}
	o.string("event", d.event)
	o.code("state", d.state.String())
	if d.state == store.Owed {
		o.instant("next-try", d.next)
	}
	for _, a := range d.attempts {
		name := "attempt"
		if a.Try == 0 && a.Status == 0 { // no request was made
			name = "note"
		}
		o.part(name, func(p *output) {
			writeAttempt(p, a)
			p.string("hint", subscription.Hint(a.Class, a.Status))
		})
	}
	return o.parameters(d.id)
}

func writeAttempt(p *output, a store.Attempt) {
	if a.Try > 0 {
		p.number("try", uint64(a.Try))
	}
	p.instant("time", a.Time)
	if a.Status > 0 {
		p.number("status", uint64(a.Status))
	}
	if a.Try > 0 {
		p.number("duration-ms", uint64(max(a.Duration, 0).Milliseconds()))
	}
	p.code("error-class", a.Class)
	p.string("reply", a.Reply)
	p.code("state", a.State.String())
	p.instant("next-try", a.Next)
}
