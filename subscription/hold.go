package subscription

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// A Subscription that was admitted and can't be compiled any more (a new binary, another configuration, a
// definition that went) is neither skipped nor allowed to stop the others: a cursor of its own remembers how
// far it was matched, it shows status error with the reason, and once it compiles again, by itself or by a
// client's new version, that one is held against everything since (DESIGN: matching waits at that place).
// The main cursor waits for the catching up, so that numbers keep the order of the log.

// held marks the cursor of a hold, for one at place 0 would look like none.
const held = 1

func holdName(lane store.Lane) string {
	return MatcherName + "/hold/" + lane.Tenant + "/" + lane.Subscription
}

func compareLanes(a, b store.Lane) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Subscription, b.Subscription))
}

// prepare does what must be durable before a Subscription's version may take its turn, and returns false if
// the rows before it have to be stored first.
func (m *Matcher) prepare(ctx context.Context, b *batch, t *turn, row row) (ready bool, err error) {
	switch {
	case t.to == broken:
		if err := m.blame(ctx, *t, row.Resource, row.End); err != nil {
			return false, err
		}
		m.complain(*t)
		return true, nil
	case t.from == gone && t.to != gone && row.Resource.Version > 1:
		return m.afterCancelling(ctx, b, t.lane)
	case t.from == broken && t.to == live:
		if ready, err := m.settle(ctx, b); err != nil || !ready {
			return false, err
		}
		_, problem, err := m.catchUp(ctx, t.lane, t.sub, row.Seq-1, row.Seq-1)
		if problem != nil {
			t.breaks(problem)
			m.complain(*t)
		}
		t.redefined = row.Origin.Server // it was not mended: what it needs is there again
		return true, err
	default:
		return true, nil
	}
}

// afterCancelling lets a Subscription come back only when everything that it owed before its end is
// cancelled, for the flag on its lane would take the new notifications along.
func (m *Matcher) afterCancelling(ctx context.Context, b *batch, lane store.Lane) (ready bool, err error) {
	if !b.empty() {
		return false, nil
	}
	for {
		var r store.LaneRecord
		err := m.db.Queue().View(ctx, func(q store.QueueReader) error {
			r, err = q.Lane(lane)
			return err
		})
		if err != nil || !r.Cancelling {
			return err == nil, err
		}
		err = m.db.Queue().Update(ctx, m.lease, func(w store.QueueWriter) error {
			return cancelSome(w, m.db.Epoch(), lane, m.bounds.verdicts, time.Now())
		})
		if err != nil {
			return false, fmt.Errorf("cancel what Subscription/%s owed: %w", lane.Subscription, err)
		}
	}
}

// cancelSome cancels what a lane owes, at most so many, and takes the lane's flag away when nothing is left.
func cancelSome(w store.QueueWriter, epoch string, lane store.Lane, most int, now time.Time) error {
	record, err := w.Lane(lane)
	if err != nil {
		return err
	}
	var some []store.Notification
	for n, err := range w.Owed(lane, 0) {
		if err != nil {
			return err
		}
		if some = append(some, n); len(some) == most {
			break
		}
	}
	as := store.Attempt{Time: now, State: store.Cancelled, Reply: "the Subscription had ended or was deleted"}
	if err := finish(w, some, as, func(n store.Notification) string { return ID(epoch, n) }); err != nil {
		return err
	}
	if len(some) == most {
		return nil
	}
	record.Cancelling = false
	return w.PutLane(record)
}

// catchUp holds one Subscription against the rows behind its hold up to a place, and ends the hold. It
// returns false if there was none. Terminology is as of the place terms. A problem is a row that can't be
// decided still: the hold stays before it.
func (m *Matcher) catchUp(ctx context.Context, lane store.Lane, sub *Subscription, to, terms store.Seq) (caught bool, problem *fhir.Error, err error) {
	var at store.Cursor
	err = m.db.Queue().View(ctx, func(q store.QueueReader) (err error) {
		at, err = q.Cursor(holdName(lane))
		return err
	})
	if err != nil || at == (store.Cursor{}) {
		return false, nil, err
	}
	m.asked.forget(lane)
	asks := termsOf(sub, "") // whatever stopped it is over: it was written again, or the server is another
	for at.Seq < to && problem == nil {
		rows, err := m.read(ctx, at.Seq)
		if err != nil {
			return false, nil, err
		}
		var owed []store.Notification
		var since entries
		for _, row := range rows {
			if row.Seq > to {
				break
			}
			owes, err := m.set.owesAlone(lane, asks, sub.Query, m.cross(ctx, row, terms))
			if problem, err = evaluation(err); err != nil {
				return false, nil, err
			}
			if problem != nil {
				break
			}
			if owes {
				owed = append(owed, notification(lane, row.Change))
			}
			if owed, problem, err = m.catchUpLinked(ctx, row, lane, asks, terms, owed, &since, at); err != nil {
				return false, nil, err
			}
			if problem != nil {
				break
			}
			at.Seq = row.Seq
		}
		if err := m.advance(ctx, lane, owed, at); err != nil {
			return false, nil, err
		}
	}
	if problem != nil {
		return true, problem, nil
	}
	return true, nil, m.advance(ctx, lane, nil, store.Cursor{})
}

// catchUpLinked adds what a row causes through links. What gets too much for memory is stored with the place
// before the row.
func (m *Matcher) catchUpLinked(ctx context.Context, row row, lane store.Lane, asks *terms, vocabulary store.Seq, owed []store.Notification, since *entries, at store.Cursor) ([]store.Notification, *fhir.Error, error) {
	for n, err := range m.enteringAlone(ctx, row, lane, asks, vocabulary) {
		if problem, err := evaluation(err); problem != nil || err != nil {
			return owed, problem, err
		}
		if since.has(row, owed, n) {
			continue
		}
		if owed = append(owed, n); len(owed) < m.bounds.verdicts {
			continue
		}
		if err := m.advance(ctx, lane, owed, at); err != nil {
			return nil, nil, err
		}
		owed, since.from = owed[:0], 0
	}
	return owed, nil, nil
}

// advance stores verdicts of a lane with the place of its hold. One that has its number already is left out:
// a row may have been part done when the hold began, or when this ended in it.
func (m *Matcher) advance(ctx context.Context, lane store.Lane, owed []store.Notification, at store.Cursor) error {
	err := m.db.Queue().Update(ctx, m.lease, func(w store.QueueWriter) error {
		l := newLedger(w)
		for _, n := range owed {
			has, err := hasNumber(w, n)
			if err == nil && !has {
				err = l.owe(n)
			}
			if err != nil {
				return err
			}
		}
		if _, err := l.close(); err != nil {
			return err
		}
		return w.SetCursor(holdName(lane), at)
	})
	if err == nil && len(owed) > 0 {
		m.notify(&News{Lane: lane})
	}
	return err
}

// hasNumber tells whether a notification has its number already.
func hasNumber(q store.QueueReader, n store.Notification) (bool, error) {
	for other, err := range q.Numbers(n.Focus, n.Version, n.Updated) {
		if err != nil {
			return false, err
		}
		if other.Lane == n.Lane && other.Cause == n.Cause {
			return true, nil
		}
	}
	return false, nil
}

func (m *Matcher) complain(t turn) {
	m.o.Log.Error("a Subscription can't be compiled any more; matching waits for it alone",
		"tenant", t.lane.Tenant, "subscription", t.lane.Subscription, "version", t.entry.version, "reason", t.entry.trouble.problem)
}

// matchingTrouble opens the error text of a Subscription that can't be compiled.
const matchingTrouble = "Matching waits"

// troubled is that text.
func troubled(problem error) string {
	return matchingTrouble + ", because the server can't evaluate this Subscription any more. " + problem.Error() +
		". Nothing is lost: correct the Subscription, or bring back what it needs."
}

// show writes a version that says that the Subscription is broken, or (Active) that it isn't any more, if
// the version that this is about is still the newest.
func (m *Matcher) show(ctx context.Context, lane store.Lane, version uint64, status Status, text string) error {
	return m.write(ctx, lane, func(now *fhir.Resource, _ time.Time) []byte {
		root := now.Doc().Root()
		switch trouble := root.Get("error").Text(); {
		case now.Version != version, status == statusOf(now) && trouble == text:
			return nil
		case status == Active && !strings.HasPrefix(trouble, matchingTrouble):
			return nil // an error of its deliveries is not ours to clear
		}
		return WithStatus(now.Doc(), status, text)
	})
}

// expire switches off the Subscriptions whose end has come. The version that says so, when the Matcher comes
// to it, cancels what they owe.
func (m *Matcher) expire(ctx context.Context, now time.Time) error {
	for lane, end := range m.set.ends {
		if now.Before(end) {
			continue
		}
		err := m.write(ctx, lane, func(r *fhir.Resource, now time.Time) []byte {
			end, err := fhir.ParseInstant(r.Doc().Root().Get("end").Text())
			if err != nil || now.Before(end) || statusOf(r) == Off {
				return nil
			}
			return WithStatus(r.Doc(), Off, "")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// write writes the next version of a Subscription as the server's own, unless with returns nil for the
// version that is current.
func (m *Matcher) write(ctx context.Context, lane store.Lane, with func(r *fhir.Resource, now time.Time) []byte) error {
	key := fhir.Key{Tenant: lane.Tenant, Type: fhir.Subscription, ID: lane.Subscription}
	_, err := m.db.Update(ctx, store.Origin{Server: true, Cause: MatcherName}, func(w store.Writer) error {
		now, err := w.Read(key, w.Last())
		if err != nil || now.Deleted {
			return err
		}
		next := with(now, w.Now())
		if next == nil {
			return nil
		}
		_, err = store.Update(w, key, fhir.Incoming{Type: key.Type, ID: key.ID, Doc: reparsed(next)}, "", nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("set the status of %s: %w", key, err)
	}
	return nil
}
