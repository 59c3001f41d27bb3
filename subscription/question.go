package subscription

import (
	"context"
	"slices"
	"time"

	"fhirhook/fhir/store"
)

// promptly is how old a request may be for a question to wait for its end. A receiver that is well answers much
// sooner; one that has taken so long may take until the timeout, which nobody wants to wait for.
const promptly = 250 * time.Millisecond

// question is somebody who waits until what is under way is on the record. Deliverer.mu guards all but news.
//
// It costs nothing but for whoever asks: a lane that is asked takes one more step, behind which its worker tells what is
// under way, and only of that it says later that it ended. Whatever begins then is not waited for, so that a lane
// which is never idle answers, too.
type question struct {
	lanes    int           // that have not told yet
	open     int           // requests that were young when it was told of them, and have not ended
	unstored int           // results that are decided
	until    time.Time     // when the last of open is not young any more
	over     bool          // nobody waits any more
	news     chan struct{} // capacity 1: one of these changed
}

// Settled waits for what is under way on a lane, or on all of a tenant if the lane names no Subscription: until what is
// about to be sent was sent, young requests have ended or are not young any more, and what is known of their end is
// stored. It fails with what ended ctx, which has to bound it: the store may take long. While the Deliverer is
// stopping it doesn't wait.
func (d *Deliverer) Settled(ctx context.Context, lane store.Lane) error {
	q := d.ask(lane)
	if q == nil {
		return nil
	}
	defer d.leave(q)
	for {
		settled, again := d.look(q, time.Now())
		if settled {
			return nil
		}
		select {
		case <-q.news:
		case <-again:
		case <-d.halt:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ask asks the lanes that have something under way; nil: none has.
func (d *Deliverer) ask(of store.Lane) *question {
	q := &question{news: make(chan struct{}, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.stopping:
	case of.Subscription != "":
		d.askLane(d.lanes[of], q)
	default:
		for id, l := range d.lanes {
			if id.Tenant == of.Tenant {
				d.askLane(l, q)
			}
		}
	}
	if q.lanes == 0 {
		return nil
	}
	return q
}

// askLane asks a lane unless it only waits; nil: it has no work. d.mu is held.
func (d *Deliverer) askLane(l *lane, q *question) {
	switch {
	case l == nil:
		return
	case l.running:
	case l.queued && l.resumed && !l.woken: // in the long row behind a start
		return
	case !l.queued && len(l.busy) == 0: // no worker has it, so that busy can be looked at
		return
	}
	q.lanes++
	l.questions = append(slices.DeleteFunc(l.questions, (*question).left), q)
	d.schedule(l)
}

// answer tells questions what is under way on a lane that has just made a step. d.mu is held, by the lane's worker.
func (d *Deliverer) answer(l *lane, questions []*question, r rest) {
	if r.again { // it isn't through with what there is to do
		l.questions = append(l.questions, questions...)
		return
	}
	now := time.Now()
	for _, q := range questions {
		q.lanes--
		for number, f := range l.busy {
			aged := f.launched.Add(promptly)
			switch {
			case f.judged:
				q.unstored++
				d.urgent = d.urgent || len(d.pending) > 0
			case now.Before(aged):
				q.open++
				if q.until.Before(aged) {
					q.until = aged
				}
			default:
				continue
			}
			if l.awaited == nil {
				l.awaited = map[uint64][]*question{}
			}
			l.awaited[number] = append(slices.DeleteFunc(l.awaited[number], (*question).left), q)
		}
		q.stir()
	}
	d.ripen()
}

// decided tells whether somebody waits for an outcome, who learns that there is one. d.mu is held, by the lane's worker.
func (l *lane) decided(number uint64) bool {
	questions := l.awaited[number]
	for _, q := range questions {
		q.open--
		q.unstored++
		q.stir()
	}
	return len(questions) > 0
}

// land ends a flight: its result is stored, or nothing was tried.
func (d *Deliverer) land(l *lane, number uint64) {
	f := l.busy[number]
	delete(l.busy, number)
	if l.awaited == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range l.awaited[number] {
		if f.judged {
			q.unstored--
		} else {
			q.open--
		}
		q.stir()
	}
	if delete(l.awaited, number); len(l.awaited) == 0 {
		l.awaited = nil
	}
}

// look tells whether there is nothing left to wait for, or when to look again if nothing is said; nil: then not at all.
func (d *Deliverer) look(q *question, now time.Time) (settled bool, again <-chan time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	aged := q.open == 0 || !now.Before(q.until)
	if !aged {
		again = time.After(q.until.Sub(now))
	}
	return aged && q.lanes+q.unstored == 0, again
}

func (d *Deliverer) leave(q *question) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.over = true
}

func (q *question) left() bool { return q.over }

// stir lets whoever waits look again.
func (q *question) stir() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}
