package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

func attempt(l store.Lane, number uint64, at time.Time) store.Attempt {
	return store.Attempt{
		Lane: l, Number: number, ID: fmt.Sprint("id-", number), Focus: fhir.Key{Tenant: l.Tenant, Type: "Patient", ID: "p"},
		Version: 3, Interaction: fhir.Delete, Try: 2, Time: at, Duration: 12345678 * time.Nanosecond, Status: 503,
		Class: "status", Reply: "no\x00 room\xff", State: store.Owed, Next: at.Add(time.Minute),
	}
}

func (f *fixture) record(t *testing.T, attempts ...store.Attempt) {
	t.Helper()
	f.update(t, func(w store.QueueWriter) error {
		for _, a := range attempts {
			if err := w.Record(a); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *fixture) attempts(t *testing.T, scope store.AttemptScope) []store.Attempt {
	t.Helper()
	var all []store.Attempt
	err := f.db.Queue().View(f.ctx, func(r store.QueueReader) (err error) {
		all, err = collect(r.Attempts(scope))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var attemptTests = []promise{
	{"byDayThenNumberThenTime", func(t *testing.T, f *fixture) {
		a := lane("a")
		midnight := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
		want := []store.Attempt{
			attempt(a, 0, noon), // a ping has no number
			attempt(a, 1, noon.Add(time.Hour)), attempt(a, 2, noon), attempt(a, 2, noon.Add(time.Second)),
			attempt(a, 2, midnight.Add(-1)),
			attempt(a, 1, midnight), attempt(a, 2, midnight), attempt(a, 300, midnight),
		}
		f.record(t, want[7], want[2], want[5], want[0], want[4])
		f.record(t, attempt(lane("a.b"), 1, noon), attempt(store.Lane{Tenant: "other", Subscription: "a"}, 1, noon))
		f.record(t, want[6], want[1], want[3])
		if diff := cmp.Diff(want, f.attempts(t, store.AttemptScope{Lane: a})); diff != "" {
			t.Error(diff)
		}
		for name, tt := range map[string]struct {
			since, until time.Time
			want         []store.Attempt
		}{
			"since":   {midnight, time.Time{}, want[5:]},
			"until":   {time.Time{}, midnight, want[:5]},
			"between": {noon.Add(time.Second), midnight.Add(-1), []store.Attempt{want[1], want[3]}},
			"zone":    {midnight.In(time.FixedZone("", 3600*5)), midnight.Add(1).In(time.FixedZone("", -3600*5)), want[5:]},
			"nothing": {midnight.Add(1), time.Time{}, nil},
		} {
			got := f.attempts(t, store.AttemptScope{Lane: a, Since: tt.since, Until: tt.until})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(name, diff)
			}
		}
	}},
	{"twoOfTheSameInstantAreBothKept", func(t *testing.T, f *fixture) {
		first, second, third := attempt(lane("a"), 1, noon), attempt(lane("a"), 1, noon), attempt(lane("a"), 1, noon)
		second.State, third.Reply = store.Delivered, "third"
		f.record(t, first, second)
		f.record(t, third)
		if diff := cmp.Diff([]store.Attempt{first, second, third}, f.attempts(t, store.AttemptScope{Lane: lane("a")})); diff != "" {
			t.Error(diff)
		}
	}},
	{"aLineKeepsTheCauseOfItsNotification", func(t *testing.T, f *fixture) {
		own, linked := attempt(lane("a"), 1, noon), attempt(lane("a"), 2, noon)
		linked.Cause = "Patient/p/_history/4"
		f.record(t, own, linked)
		f.again(t)
		if diff := cmp.Diff([]store.Attempt{own, linked}, f.attempts(t, store.AttemptScope{Lane: lane("a")})); diff != "" {
			t.Error(diff)
		}
	}},
	{"aLineMayBeNearlyEmpty", func(t *testing.T, f *fixture) {
		bare := store.Attempt{Lane: lane("a"), Time: noon}
		f.record(t, bare)
		if diff := cmp.Diff([]store.Attempt{bare}, f.attempts(t, store.AttemptScope{Lane: lane("a")})); diff != "" {
			t.Error(diff)
		}
	}},
	{"expireDropsWholeDays", func(t *testing.T, f *fixture) {
		a := lane("a")
		days := make([]store.Attempt, 4)
		for i := range days {
			days[i] = attempt(a, uint64(i), noon.AddDate(0, 0, i))
			f.record(t, days[i])
		}
		expire := func(before time.Time, want int) {
			t.Helper()
			f.update(t, func(w store.QueueWriter) error {
				n, err := w.Expire(before)
				if n != want {
					t.Errorf("Expire(%s) = %d, want %d", before, n, want)
				}
				return err
			})
		}
		end := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) // of the first day
		expire(end.Add(-1), 0)
		expire(end, 1)
		expire(end, 0)
		if diff := cmp.Diff(days[1:], f.attempts(t, store.AttemptScope{Lane: a})); diff != "" {
			t.Error(diff)
		}
		again := attempt(a, 9, noon.AddDate(0, 0, 1))
		f.update(t, func(w store.QueueWriter) error { // the day is dropped and begun anew in one transaction
			if n, err := w.Expire(end.AddDate(0, 0, 2)); err != nil || n != 2 {
				return fmt.Errorf("expire %d: %w", n, err)
			}
			return w.Record(again)
		})
		f.again(t)
		if diff := cmp.Diff([]store.Attempt{again, days[3]}, f.attempts(t, store.AttemptScope{Lane: a})); diff != "" {
			t.Error(diff)
		}
	}},
}
