package bolt

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

// Whichever lines come together, of however many lanes, days and instants, and wherever they lie, they are read as the
// model reads them.
func TestTray_linesAreReadAsIfFiledAtOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		db, model := mustOpen(t, t.TempDir(), Options{noSync: true, tray: 5}), storetest.NewModel()
		defer func() { _ = db.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"record": func(rt *rapid.T) {
				lines := rapid.SliceOfN(someLine, 1, 60).Draw(rt, "lines")
				same(rt, db, model, func(w store.QueueWriter) (int, error) {
					for _, a := range lines {
						if err := w.Record(a); err != nil {
							return 0, err
						}
					}
					return len(slices.Collect(attemptsOf(w, lines[0].Lane))), nil
				})
			},
			"expire": func(rt *rapid.T) {
				before := someDay.Draw(rt, "before")
				lines := rapid.SliceOfN(someLine, 0, 3).Draw(rt, "lines")
				same(rt, db, model, func(w store.QueueWriter) (int, error) {
					for _, a := range lines {
						if err := w.Record(a); err != nil {
							return 0, err
						}
					}
					return w.Expire(before)
				})
			},
			"": func(rt *rapid.T) {
				scope := store.AttemptScope{
					Lane: someLane.Draw(rt, "lane"), Since: someTimes.Draw(rt, "since"), Until: someTimes.Draw(rt, "until"),
					From: uint64(rapid.IntRange(0, 4).Draw(rt, "from")), Below: uint64(rapid.IntRange(0, 4).Draw(rt, "below")),
				}
				if diff := cmp.Diff(read(t, model, scope), read(t, db, scope)); diff != "" {
					rt.Fatal(diff)
				}
			},
		})
		for i := range 24 {
			scope := store.AttemptScope{Lane: laneNumber(i)}
			if diff := cmp.Diff(read(t, model, scope), read(t, db, scope)); diff != "" {
				rt.Fatal(diff)
			}
		}
		if err := db.Check(t.Context(), nil); err != nil {
			rt.Fatal(err)
		}
	})
}

// Lines of many lanes that come together change few pages, and stand by lane once trays are full.
func TestTray_aFanOutIsFiledTogether(t *testing.T) {
	db := mustOpen(t, t.TempDir(), Options{noSync: true, tray: 20})
	record := func(lanes, times int, number uint64) {
		t.Helper()
		err := db.Queue().Update(t.Context(), store.Lease{}, func(w store.QueueWriter) error {
			for i := range lanes * times {
				a := store.Attempt{Lane: laneNumber(i % lanes), Number: number, Time: someTime.Add(time.Duration(i))}
				if err := w.Record(a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what, want string) {
		t.Helper()
		var names []string
		err := db.queueFile.View(func(tx *bbolt.Tx) error {
			s := &committed{tx: tx}
			names = s.children(attemptBucket)
			return nil
		})
		if got := fmt.Sprint(names); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", what, got, err, want)
		}
	}
	record(1, 100, 1)
	expect("many of one lane", "[20260131]")
	record(20, 1, 2)
	expect("one of each of many lanes", "[20260131 20260131.0001]")
	record(1, 1, 3)
	expect("another while there is a tray", "[20260131 20260131.0001 20260131.0002]")
	for n := range uint64(15) {
		record(20, 1, 4+n)
	}
	expect("more than trays take", "[20260131 20260131.0001]")
	if got := len(read(t, db, store.AttemptScope{Lane: laneNumber(0)})); got != 117 {
		t.Errorf("%d lines of the lane, want 117", got)
	}
	if err := db.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

var (
	someLane  = rapid.Map(rapid.IntRange(0, 23), laneNumber)
	someDay   = rapid.Map(rapid.IntRange(0, 4), func(n int) time.Time { return someTime.Truncate(24*time.Hour).AddDate(0, 0, n-1) })
	someTimes = rapid.Map(rapid.IntRange(0, 5), func(n int) time.Time {
		return [...]time.Time{
			{},
			someTime, someTime.Add(1), someTime.Truncate(24*time.Hour).AddDate(0, 0, 1).Add(-1),
			someTime.AddDate(0, 0, 1), someTime.AddDate(0, 0, 2),
		}[n]
	})
	someLine = rapid.Custom(func(t *rapid.T) store.Attempt {
		return store.Attempt{
			Lane: someLane.Draw(t, "lane"), Number: uint64(rapid.IntRange(0, 3).Draw(t, "number")),
			Time: someTimes.Filter(func(t time.Time) bool { return !t.IsZero() }).Draw(t, "time"),
			Try:  rapid.IntRange(0, 1<<20).Draw(t, "try"),
		}
	})
)

func laneNumber(n int) store.Lane { return store.Lane{Tenant: "t", Subscription: fmt.Sprint("s", n)} }

// same does the same to both and compares what comes of it.
func same(rt *rapid.T, db *DB, model store.DB, fn func(store.QueueWriter) (int, error)) {
	var got [2]int
	for i, q := range []store.Queue{db.Queue(), model.Queue()} {
		err := q.Update(rt.Context(), store.Lease{}, func(w store.QueueWriter) (err error) {
			got[i], err = fn(w)
			return err
		})
		if err != nil {
			rt.Fatal(err)
		}
	}
	if got[0] != got[1] {
		rt.Fatalf("%d, and the model says %d", got[0], got[1])
	}
}

func attemptsOf(r store.QueueReader, l store.Lane) func(func(store.Attempt) bool) {
	return func(yield func(store.Attempt) bool) {
		for a, err := range r.Attempts(store.AttemptScope{Lane: l}) {
			if err != nil || !yield(a) {
				return
			}
		}
	}
}

func read(t *testing.T, db store.DB, scope store.AttemptScope) []store.Attempt {
	t.Helper()
	var all []store.Attempt
	err := db.Queue().View(t.Context(), func(r store.QueueReader) error {
		for a, err := range r.Attempts(scope) {
			if err != nil {
				return err
			}
			all = append(all, a)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
