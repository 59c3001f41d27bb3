package subscription

import (
	"context"
	"math"
	"time"

	"fhirhook/fhir/store"
)

// page is a piece of what a lane owes, without what is in flight.
type page struct {
	rows []store.Notification
	next uint64 // where to read on
	end  bool   // there was nothing behind it
}

// owedPage reads a piece of what a lane owes, from a number on and below another.
func (d *Deliverer) owedPage(ctx context.Context, l *lane, from, below uint64) (page, error) {
	var p page
	err := d.o.DB.Queue().View(ctx, func(r store.QueueReader) error {
		p = page{next: from}
		for n, err := range r.Owed(l.id, from) {
			if err != nil {
				return err
			}
			if n.Number >= below {
				break
			}
			if len(p.rows) == pageRows {
				return nil
			}
			p.next = n.Number + 1
			if l.busy[n.Number] == nil {
				p.rows = append(p.rows, n)
			}
		}
		p.end = true
		return nil
	})
	return p, err
}

// finish settles notifications without an attempt, as far as they are still owed, and records that.
func finish(w store.QueueWriter, rows []store.Notification, as store.Attempt, id func(store.Notification) string) error {
	for _, n := range rows {
		owed, err := owes(w, n)
		if err != nil {
			return err
		}
		if !owed {
			continue
		}
		if err := w.Settle(n.Lane, n.Number); err != nil {
			return err
		}
		a := as
		a.Lane, a.Number, a.ID = n.Lane, n.Number, id(n)
		a.Focus, a.Version, a.Interaction, a.Cause = n.Focus, n.Version, n.Interaction, n.Cause
		if err := w.Record(a); err != nil {
			return err
		}
	}
	return nil
}

const whyDeleted = "the Subscription was deleted"

// cancelStep cancels a piece of what is owed, after the end of a Subscription or its deletion. Attempts
// under way may finish.
//
// What the record counted up to Next when the Subscription was found gone stems from before. The Matcher
// owes to the lane of a revived Subscription only once it has taken Cancelling back (afterCancelling).
func (d *Deliverer) cancelStep(ctx context.Context, l *lane, sub *Subscription, now time.Time) (rest, error) {
	why := whyDeleted
	if sub != nil && sub.Ended(now) {
		why = "the Subscription ended at " + instant(sub.End)
		if sub.Status != Off {
			if _, err := writeStatus(ctx, d.o.DB, d.o.WithStatus, sub, Off, ""); err != nil {
				return rest{}, err
			}
		}
	}
	p, err := d.owedPage(ctx, l, 1, l.record.Next)
	if err != nil {
		return rest{}, err
	}
	l.source = nil
	err = d.o.DB.Queue().Update(ctx, d.lease, func(w store.QueueWriter) error {
		if err := finish(w, p.rows, store.Attempt{Time: now, State: store.Cancelled, Reply: why}, d.id); err != nil {
			return err
		}
		rec, err := w.Lane(l.id)
		if err != nil || !rec.Cancelling || rec.Owed > 0 {
			return err
		}
		rec.Cancelling = false
		return w.PutLane(rec)
	})
	if err != nil {
		return rest{}, err
	}
	if p.end && len(l.busy) > 0 {
		l.loaded = false
		return rest{}, nil // attempts under way first
	}
	return d.reloaded(l), nil // ends when nothing is owed (advance)
}

// rearmStep prepares a piece of what was owed while the Subscription was off: clock, attempt count and ladder
// start anew, or it is skipped if the Subscription says so. With the last piece the lane itself starts anew.
// Notifications of changes since the re-arming are left alone, so that it may be repeated after a crash.
func (d *Deliverer) rearmStep(ctx context.Context, l *lane, current Current, now time.Time) (rest, error) {
	p, err := d.owedPage(ctx, l, max(l.cursor, 1), math.MaxUint64)
	if err != nil {
		return rest{}, err
	}
	var skip, reset []store.Notification
	for _, n := range p.rows {
		switch {
		case current.SkipBacklog && n.Updated.Before(current.Armed) && n.Began.Before(current.Armed): // not what was asked for since
			skip = append(skip, n)
		case !n.Began.IsZero() && n.Began.Before(current.Armed):
			n.Tries, n.Spared, n.Began, n.Next = 0, 0, time.Time{}, time.Time{}
			reset = append(reset, n)
		}
	}
	record := l.record
	err = d.o.DB.Queue().Update(ctx, d.lease, func(w store.QueueWriter) error {
		as := store.Attempt{Time: now, State: store.Skipped, Reply: "the Subscription was switched on again with subscription-backlog skip"}
		if err := finish(w, skip, as, d.id); err != nil {
			return err
		}
		for _, n := range reset {
			if owed, err := owes(w, n); err != nil {
				return err
			} else if !owed {
				continue
			}
			if err := w.Owe(n); err != nil {
				return err
			}
		}
		if !p.end {
			return nil
		}
		rec, err := w.Lane(l.id)
		if err != nil {
			return err
		}
		rec = store.LaneRecord{
			Lane: rec.Lane, Next: rec.Next, Head: 1, Owed: rec.Owed, Cancelling: rec.Cancelling, Armed: current.Armed,
		}
		record = rec
		return w.PutLane(rec)
	})
	if err != nil {
		return rest{}, err
	}
	l.source, l.cursor = nil, p.next
	if p.end {
		l.record, l.cursor = record, 0
		l.health, l.breaker, l.gone, l.trouble = Health{}, Breaker{Limit: 1}, nil, ""
	}
	return rest{again: true}, nil
}

// sweepStep gives up a piece of what an open breaker held back until its time was over: what was due when the
// last probe went, and was not it. What falls due later is tried once more, and ends by that. It looks once
// for each probe.
func (d *Deliverer) sweepStep(ctx context.Context, l *lane, sub *Subscription, now time.Time) (again bool, err error) {
	probing, _ := l.breaker.Admits(now, l.inFlight)
	if !l.breaker.Open || !probing || l.probed.IsZero() || l.sweptAt.Equal(l.breaker.ProbeAt) || sub.Ladder.GiveUp == 0 {
		return false, nil
	}
	p, err := d.owedPage(ctx, l, max(l.swept, 1), math.MaxUint64)
	if err != nil {
		return false, err
	}
	var expired []store.Notification
	over := p.end
	for _, n := range p.rows {
		began, since := n.Began, n.Next
		if began.IsZero() {
			began = l.breaker.Deferred(n.Updated)
			since = began
		}
		if sub.Ladder.Expired(began, now) && since.Before(l.probed) {
			expired = append(expired, n)
		} else if n.Next.IsZero() {
			over = true // those behind it were owed later
			break
		}
	}
	l.swept = p.next
	if over {
		l.swept, l.sweptAt = 1, l.breaker.ProbeAt
	}
	if len(expired) == 0 {
		return !over, nil
	}
	err = d.o.DB.Queue().Update(ctx, d.lease, func(w store.QueueWriter) error {
		as := store.Attempt{Time: now, State: store.Failed, Class: classGivenUp, Reply: "the endpoint failed until its time ran out"}
		return finish(w, expired, as, d.id)
	})
	if err != nil {
		l.sweptAt = time.Time{}
		return false, err
	}
	l.source = nil
	for range expired {
		d.o.Observe(Observation{Kind: UntriedGivenUp, Lane: l.id, State: store.Failed, Class: classGivenUp})
	}
	return true, nil
}
