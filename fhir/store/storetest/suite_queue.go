package storetest

import (
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// noon is a time that is no whole millisecond, for what the queue keeps is kept exactly.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.UTC)

func lane(subscription string) store.Lane {
	return store.Lane{Tenant: fhir.DefaultTenant, Subscription: subscription}
}

// owe makes a notification that waits for some minutes, 0 for one that was never tried.
func owe(l store.Lane, number uint64, minutes int) store.Notification {
	n := store.Notification{
		Lane: l, Number: number, Focus: fhir.Key{Tenant: l.Tenant, Type: "Patient", ID: fmt.Sprint("p", number)},
		Version: 3, Interaction: fhir.Update, Cause: "Task/7", Updated: fhir.Millis(noon),
	}
	if minutes != 0 {
		n.Tries, n.Spared, n.Began, n.Next = minutes, minutes/2, noon, noon.Add(time.Duration(minutes)*time.Minute)
	}
	return n
}

// update runs a transaction of the queue.
func (f *fixture) update(t *testing.T, fn func(store.QueueWriter) error) {
	t.Helper()
	if err := f.db.Queue().Update(f.ctx, store.Lease{}, fn); err != nil {
		t.Fatalf("queue update: %v", err)
	}
}

// oweAll writes notifications, and the lane's next number behind each.
func oweAll(notifications ...store.Notification) func(store.QueueWriter) error {
	return func(w store.QueueWriter) error {
		for _, n := range notifications {
			r, err := w.Lane(n.Lane)
			if err != nil {
				return err
			}
			r.Next = max(r.Next, n.Number+1)
			if err := errors.Join(w.PutLane(r), w.Owe(n)); err != nil {
				return err
			}
		}
		return nil
	}
}

// laneDump is all that the queue knows of a lane.
type laneDump struct {
	Record                store.LaneRecord
	Owed, Waiting         []store.Notification
	Attempts, AfternoonOf []store.Attempt
}

func dumpLane(r store.QueueReader, l store.Lane) (laneDump, error) {
	var d laneDump
	var errs [5]error
	d.Record, errs[0] = r.Lane(l)
	d.Owed, errs[1] = collect(r.Owed(l, 0))
	d.Waiting, errs[2] = collect(r.Waiting(l))
	d.Attempts, errs[3] = collect(r.Attempts(store.AttemptScope{Lane: l}))
	d.AfternoonOf, errs[4] = collect(r.Attempts(store.AttemptScope{Lane: l, Since: noon, Until: noon.Add(12 * time.Hour)}))
	return d, errors.Join(errs[:]...)
}

func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// dumpQueue reads every lane that has a record.
func dumpQueue(r store.QueueReader) (map[store.Lane]laneDump, error) {
	records, err := collect(r.Lanes(store.Lane{}))
	if err != nil {
		return nil, err
	}
	all := map[store.Lane]laneDump{}
	for _, record := range records {
		if all[record.Lane], err = dumpLane(r, record.Lane); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (f *fixture) queue(t *testing.T) map[store.Lane]laneDump {
	t.Helper()
	var all map[store.Lane]laneDump
	err := f.db.Queue().View(f.ctx, func(r store.QueueReader) (err error) {
		all, err = dumpQueue(r)
		return err
	})
	if err != nil {
		t.Fatalf("read the queue: %v", err)
	}
	return all
}

// fillQueue writes something of everything.
func (f *fixture) fillQueue(t *testing.T) {
	t.Helper()
	f.update(t, func(w store.QueueWriter) error {
		return errors.Join(
			oweAll(owe(lane("a"), 1, 0), owe(lane("a"), 2, 5), owe(lane("b"), 1, 1))(w),
			w.SetCursor("matcher", store.Cursor{Seq: 2, Step: 7}),
			w.Record(attempt(lane("a"), 2, noon)))
	})
}

var queueTests = []promise{
	{"aLaneRemembersEverything", func(t *testing.T, f *fixture) {
		record := store.LaneRecord{
			Lane: lane("a"), Next: 9, Head: 4, Failures: 3, FailingSince: noon, BreakerOpen: true, BreakerStep: 2,
			ProbeAt: noon.Add(time.Second), Cancelling: true,
		}
		f.update(t, func(w store.QueueWriter) error {
			stale := record
			stale.Owed = 99
			return errors.Join(w.PutLane(stale), w.Owe(owe(lane("a"), 8, 0)))
		})
		err := f.db.Queue().View(f.ctx, func(r store.QueueReader) error {
			record.Owed = 1
			if got, err := r.Lane(lane("a")); err != nil || !cmp.Equal(got, record) {
				t.Error(err, cmp.Diff(record, got))
			}
			fresh := store.LaneRecord{Lane: lane("new"), Next: 1, Head: 1}
			if got, err := r.Lane(lane("new")); err != nil || !cmp.Equal(got, fresh) {
				t.Error(err, cmp.Diff(fresh, got))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}},
	{"lanesComeInOrderBehindALane", func(t *testing.T, f *fixture) {
		lanes := []store.Lane{
			{Tenant: "s", Subscription: "z"},
			{Tenant: "s.", Subscription: "a"},
			{Tenant: "t", Subscription: "a"},
			{Tenant: "t", Subscription: "a.b"},
			{Tenant: "t", Subscription: "b"},
		}
		f.update(t, func(w store.QueueWriter) error {
			for _, i := range []int{3, 0, 4, 2, 1} {
				if err := w.PutLane(store.LaneRecord{Lane: lanes[i], Next: 1, Head: 1}); err != nil {
					return err
				}
			}
			return nil
		})
		after := store.Lane{}
		for i := 0; i <= len(lanes); i++ {
			var got []store.Lane
			err := f.db.Queue().View(f.ctx, func(r store.QueueReader) error {
				for record, err := range r.Lanes(after) {
					if err != nil {
						return err
					}
					got = append(got, record.Lane)
				}
				return nil
			})
			if err != nil || len(got) != len(lanes)-i || len(got) > 0 && !cmp.Equal(got, lanes[i:]) {
				t.Errorf("behind %v: %v, %v", after, got, err)
			}
			if i < len(lanes) {
				after = lanes[i]
			}
		}
	}},
	{"owedAreReadByNumberAndWaitingByTime", func(t *testing.T, f *fixture) {
		a, other := lane("a"), store.Lane{Tenant: "other", Subscription: "a"}
		all := []store.Notification{owe(a, 1, 0), owe(a, 2, 30), owe(a, 3, -10), owe(a, 4, 10), owe(a, 300, 0)}
		for i := range all {
			all[i].Tries, all[i].Spared = max(all[i].Tries, 0), max(all[i].Spared, 0)
		}
		f.update(t, oweAll(all[3], all[0], all[4], all[1], all[2], owe(other, 1, 1), owe(lane("a.b"), 1, 1)))
		want := laneDump{
			Record: store.LaneRecord{Lane: a, Next: 301, Head: 1, Owed: 5}, Owed: all,
			Waiting: []store.Notification{all[2], all[3], all[1]},
		}
		if diff := cmp.Diff(want, f.queue(t)[a]); diff != "" {
			t.Error(diff)
		}
		err := f.db.Queue().View(f.ctx, func(r store.QueueReader) error {
			got, err := collect(r.Owed(a, 4))
			if diff := cmp.Diff(all[3:], got); diff != "" {
				t.Error(diff)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}},
	{"owingAgainReplaces", func(t *testing.T, f *fixture) {
		a := lane("a")
		f.update(t, oweAll(owe(a, 1, 10), owe(a, 2, 20)))
		f.update(t, oweAll(owe(a, 1, 30)))
		f.update(t, oweAll(owe(a, 2, 0), owe(a, 2, 0)))
		want := laneDump{
			Record: store.LaneRecord{Lane: a, Next: 3, Head: 1, Owed: 2},
			Owed:   []store.Notification{owe(a, 1, 30), owe(a, 2, 0)}, Waiting: []store.Notification{owe(a, 1, 30)},
		}
		if diff := cmp.Diff(want, f.queue(t)[a]); diff != "" {
			t.Error(diff)
		}
	}},
	{"settlingTwiceDoesNothing", func(t *testing.T, f *fixture) {
		a := lane("a")
		f.update(t, oweAll(owe(a, 1, 10), owe(a, 2, 0), owe(a, 3, 0)))
		f.update(t, func(w store.QueueWriter) error {
			return errors.Join(w.Settle(a, 1), w.Settle(a, 1), w.Settle(a, 2), w.Settle(a, 9), w.Settle(lane("none"), 1))
		})
		f.update(t, func(w store.QueueWriter) error { return w.Settle(a, 1) })
		want := map[store.Lane]laneDump{a: {
			Record: store.LaneRecord{Lane: a, Next: 4, Head: 1, Owed: 1}, Owed: []store.Notification{owe(a, 3, 0)},
		}}
		if diff := cmp.Diff(want, f.queue(t)); diff != "" {
			t.Error(diff)
		}
	}},
	{"aWalkMayWrite", func(t *testing.T, f *fixture) {
		a := lane("a")
		f.update(t, oweAll(owe(a, 1, 10), owe(a, 2, 20), owe(a, 3, 30)))
		f.update(t, func(w store.QueueWriter) error {
			for n, err := range w.Waiting(a) {
				if err != nil {
					return err
				}
				n.Next = n.Next.Add(time.Hour) // later than all: a walk that saw it would not end
				if err := w.Owe(n); err != nil {
					return err
				}
			}
			for n, err := range w.Owed(a, 2) {
				if err := errors.Join(err, w.Settle(a, n.Number)); err != nil {
					return err
				}
			}
			return nil
		})
		left := owe(a, 1, 10)
		left.Next = left.Next.Add(time.Hour)
		want := []store.Notification{left}
		if got := f.queue(t)[a]; !cmp.Equal(got.Owed, want) || !cmp.Equal(got.Waiting, want) {
			t.Error(cmp.Diff(want, got.Owed), cmp.Diff(want, got.Waiting))
		}
	}},
	{"aWalkShowsWhatItsTransactionWroteBefore", func(t *testing.T, f *fixture) {
		a := lane("a")
		f.update(t, oweAll(owe(a, 2, 20)))
		var seen []uint64
		f.update(t, func(w store.QueueWriter) error {
			seen = nil
			if err := oweAll(owe(a, 1, 10), owe(a, 4, 40), owe(a, 3, 30))(w); err != nil {
				return err
			}
			for n, err := range w.Owed(a, 0) {
				if err != nil {
					return err
				}
				seen = append(seen, n.Number)
				for number := range uint64(6) { // what the walk has yet to show goes, and more comes
					if err := w.Settle(a, number); err != nil {
						return err
					}
				}
				if err := w.Owe(owe(a, 10+n.Number, 0)); err != nil {
					return err
				}
			}
			return nil
		})
		if diff := cmp.Diff([]uint64{1, 2, 3, 4}, seen); diff != "" {
			t.Error(diff)
		}
		f.update(t, oweAll(owe(a, 15, 0))) // the lane's next number is behind all
	}},
	{"failureWritesNothing", func(t *testing.T, f *fixture) {
		f.put(t, "a", "b") // the cursor that fillQueue sets must not be ahead of the log
		f.fillQueue(t)
		before := f.queue(t)
		err := f.db.Queue().Update(f.ctx, store.Lease{}, func(w store.QueueWriter) error {
			_, err := w.Expire(noon.AddDate(1, 0, 0))
			return errors.Join(errRefused, err, oweAll(owe(lane("a"), 1, 9), owe(lane("c"), 1, 9))(w), w.Settle(lane("a"), 2),
				w.Record(attempt(lane("a"), 2, noon.AddDate(0, 0, 1))), w.SetCursor("matcher", store.Cursor{}))
		})
		if !errors.Is(err, errRefused) {
			t.Errorf("Update = %v", err)
		}
		if diff := cmp.Diff(before, f.queue(t)); diff != "" {
			t.Error(diff)
		}
		err = f.db.Queue().View(f.ctx, func(r store.QueueReader) error {
			if c, err := r.Cursor("matcher"); err != nil || c != (store.Cursor{Seq: 2, Step: 7}) {
				t.Errorf("cursor = %v, %v", c, err)
			}
			c, err := r.Cursor("nobody")
			if c != (store.Cursor{}) {
				t.Errorf("cursor = %v", c)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}},
	{"concurrentWritersCountRight", func(t *testing.T, f *fixture) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 10 {
					number := uint64(10*i + j + 1)
					err := f.db.Queue().Update(f.ctx, store.Lease{}, func(w store.QueueWriter) error {
						return errors.Join(oweAll(owe(lane("a"), number, j))(w), w.Settle(lane("a"), number-1))
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := f.queue(t)[lane("a")]; got.Record.Owed != uint64(len(got.Owed)) {
			t.Errorf("the lane counts %d and owes %d", got.Record.Owed, len(got.Owed))
		}
	}},
	{"whatCantBeKeptIsRefused", func(t *testing.T, f *fixture) {
		strange := owe(lane("a"), 1, 0)
		strange.Focus.Tenant = "other"
		far := owe(lane("a"), 1, 0)
		far.Next = noon.AddDate(1000, 0, 0)
		for name, fn := range map[string]func(w store.QueueWriter) error{
			"number 0":        func(w store.QueueWriter) error { return w.Owe(owe(lane("a"), 0, 0)) },
			"another tenant":  func(w store.QueueWriter) error { return w.Owe(strange) },
			"a far future":    func(w store.QueueWriter) error { return w.Owe(far) },
			"no subscription": func(w store.QueueWriter) error { return w.PutLane(store.LaneRecord{Lane: lane("")}) },
			"no cursor":       func(w store.QueueWriter) error { return w.SetCursor("", store.Cursor{}) },
			"no time":         func(w store.QueueWriter) error { return w.Record(attempt(lane("a"), 1, time.Time{})) },
			"a tenant with a gap": func(w store.QueueWriter) error {
				return w.Owe(owe(store.Lane{Tenant: "a\x00", Subscription: "b"}, 1, 0))
			},
		} {
			if err := f.db.Queue().Update(f.ctx, store.Lease{}, fn); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	}},
}
