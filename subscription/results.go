package subscription

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"fhirhook/fhir/store"
)

// How outcomes share transactions. A transaction costs as much as dozens of outcomes do, so they wait for those of
// requests that are about to end; nothing waits for them but a place among mostUnstored, except in ordered lanes.
const (
	mostResults  = 1024                  // in one transaction
	mostGathered = 25 * time.Millisecond // for which the first of them waits
)

// outcome is a decided result on its way to the store: the notification as it stands after it, the line for
// the attempt log, and what the lane's record becomes.
type outcome struct {
	lane    *lane
	decided time.Time
	urgent  bool // another notification waits until this is stored
	plain   bool // nothing of the lane's record changes but for how much it owes
	n       store.Notification
	attempt store.Attempt
	health  Health
	breaker Breaker
	head    uint64
	moved   bool // head is set
}

// push hands an outcome on. Outcomes of a lane are stored in the order in which they were decided.
func (d *Deliverer) push(o outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = append(d.pending, o)
	awaited := o.lane.decided(o.n.Number)
	d.urgent = d.urgent || o.urgent || awaited
	d.ripen()
}

// ripen has what is pending stored once that is worth it. No timer is needed to find out: while a request is
// young, its end or its aging is a reason to look again. d.mu is held.
func (d *Deliverer) ripen() {
	if d.ripe() {
		d.store.Signal()
	}
}

func (d *Deliverer) ripe() bool {
	if len(d.pending) == 0 {
		return d.finished
	}
	return d.urgent || d.stopping || len(d.young) == 0 || len(d.pending) >= mostResults || time.Since(d.pending[0].decided) >= mostGathered
}

// runResults stores outcomes until the Deliverer is finished: all that came during one commit go into the
// next, so that a healthy lane never waits for a commit of its own. What is pending is bounded by what lanes
// may have unstored (mostUnstored), and while nothing can be stored nothing is sent.
func (d *Deliverer) runResults(ctx context.Context) {
	var spare []outcome
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if !d.ripe() {
			d.store.Wait()
			continue
		}
		if len(d.pending) == 0 {
			return
		}
		batch := d.pending[:min(len(d.pending), mostResults)]
		rest := d.pending[len(batch):]
		if d.pending = append(spare, rest...); len(rest) == 0 {
			d.urgent = false
		}
		d.writing = len(batch)
		d.mu.Unlock()
		d.commit(ctx, batch)
		clear(batch)
		spare = batch[:0] // it has grown as far as it is needed, and takes what comes during the next commit
		d.mu.Lock()
		d.writing = 0
		d.settle()
	}
}

// commit stores a batch, trying for as long as it takes, or until the Deliverer is stopping.
func (d *Deliverer) commit(ctx context.Context, batch []outcome) {
	for {
		began := time.Now()
		acks, err := d.storeResults(ctx, batch)
		if err == nil {
			d.o.Observe(Observation{Kind: ResultsStored, Duration: time.Since(began), Count: len(batch)})
			d.acknowledge(acks)
			return
		}
		if !d.stall(ctx, err, len(batch)) {
			return
		}
	}
}

// storeResults writes a batch in one transaction. A notification that is no longer owed, for it was
// cancelled while its last attempt was under way, is not owed again, and an attempt that failed leaves its state as it is.
func (d *Deliverer) storeResults(ctx context.Context, batch []outcome) (acks []stored, err error) {
	err = d.o.DB.Queue().Update(ctx, d.lease, func(w store.QueueWriter) error {
		acks = make([]stored, 0, len(batch))
		last := map[*lane]outcome{}
		for i := range batch {
			o := &batch[i]
			a, again := o.attempt, o.attempt.State == store.Owed
			var err error
			if again {
				if again, err = oweAgain(w, o.n); err == nil && !again {
					a.Next = time.Time{}
					a.State, err = endedAs(w, o.n)
				}
			} else {
				err = w.Settle(o.n.Lane, o.n.Number)
			}
			if err != nil {
				return err
			}
			if err := w.Record(a); err != nil {
				return err
			}
			acks = append(acks, stored{o.lane, o.n, again})
			before, ok := last[o.lane]
			if !ok && o.plain {
				continue
			}
			now := *o
			if !now.moved {
				now.head, now.moved = before.head, before.moved
			}
			last[o.lane] = now
		}
		for l, o := range last {
			if err := putOutcome(w, l.id, o); err != nil {
				return err
			}
		}
		return nil
	})
	return acks, err
}

// oweAgain owes a notification as it stands after an attempt that failed, unless it is no longer owed.
func oweAgain(w store.QueueWriter, n store.Notification) (bool, error) {
	owed, err := owes(w, n)
	if err != nil || !owed {
		return false, err
	}
	return true, w.Owe(n)
}

// endedAs is the state of a notification that is no longer owed: what is cancelled of a redelivery, for one, goes back
// to the state that it had.
func endedAs(r store.QueueReader, n store.Notification) (store.State, error) {
	state := store.Cancelled
	for a, err := range r.Attempts(store.AttemptScope{Lane: n.Lane, From: n.Number, Below: n.Number + 1}) {
		if err != nil {
			return 0, err
		}
		if a.State != store.Owed {
			state = a.State
		}
	}
	return state, nil
}

// putOutcome writes the deliverer's part of a lane's record; the rest of it belongs to the matcher, and is
// read in the same transaction.
func putOutcome(w store.QueueWriter, id store.Lane, o outcome) error {
	rec, err := w.Lane(id)
	if err != nil {
		return err
	}
	if o.moved {
		rec.Head = o.head
	}
	rec.Failures, rec.FailingSince = o.health.Failures, o.health.Since
	b := o.breaker
	rec.BreakerOpen, rec.BreakerStep, rec.ProbeAt, rec.OpenedAt, rec.ClosedAt = b.Open, b.Step, b.ProbeAt, b.OpenedAt, b.ClosedAt
	return w.PutLane(rec)
}

// owes tells whether a notification is still owed.
func owes(r store.QueueReader, n store.Notification) (bool, error) {
	for first, err := range r.Owed(n.Lane, n.Number) {
		return err == nil && first.Number == n.Number, err
	}
	return false, nil
}

// acknowledge tells the lanes what is durable.
func (d *Deliverer) acknowledge(acks []stored) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range acks {
		l := acks[i].lane
		l.inbox = append(l.inbox, message{stored: &acks[i]})
		d.schedule(l)
	}
	d.ripen()
	if d.stuck {
		d.stuck = false
		d.o.Log.Info("results.resumed")
		for _, l := range d.lanes {
			d.schedule(l)
		}
	}
}

// stall holds all lanes while results can't be stored, and waits before another try. It returns false when
// there is no sense in one: the lease is lost, or the Deliverer is stopping.
func (d *Deliverer) stall(ctx context.Context, err error, results int) bool {
	d.mu.Lock()
	first := !d.stuck
	d.stuck = true
	stopping := d.stopping
	d.mu.Unlock()
	if first {
		d.o.Log.LogAttrs(ctx, slog.LevelError, "results.stuck", slog.Any("error", err), slog.Int("results", results))
	}
	d.o.Observe(Observation{Kind: ResultsStuck, Count: results})
	if stopping || errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrClosed) {
		d.fail(fmt.Errorf("%d results of attempts were not stored, so these notifications will be sent again: %w", results, err))
		return false
	}
	timer := time.NewTimer(localRetry)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.halt:
	}
	return true
}
