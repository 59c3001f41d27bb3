package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// jobTests are about what operations keep in the queue, and how they find what was owed.
var jobTests = []promise{
	{"numbersAreRememberedWhenSettled", func(t *testing.T, f *fixture) {
		focus := fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "p"}
		row := func(l store.Lane, number uint64, k fhir.Key, version uint64, cause string) store.Notification {
			n := owe(l, number, 0)
			n.Focus, n.Version, n.Cause = k, version, cause
			return n
		}
		longer := fhir.Key{Tenant: focus.Tenant, Type: focus.Type, ID: "p-"}
		foreign := fhir.Key{Tenant: "other", Type: focus.Type, ID: focus.ID}
		f.update(t, oweAll(
			row(lane("b"), 7, focus, 2, ""), row(lane("a"), 300, focus, 2, ""), row(lane("a"), 4, focus, 2, "Task/1"),
			row(lane("a"), 5, focus, 3, ""), row(lane("a"), 6, longer, 2, ""),
			row(store.Lane{Tenant: "other", Subscription: "a"}, 1, foreign, 2, "")))
		retried := row(lane("b"), 7, focus, 2, "")
		retried.Tries, retried.Next = 1, noon
		f.update(t, oweAll(retried))
		f.update(t, func(w store.QueueWriter) error {
			return errors.Join(w.Settle(lane("a"), 300), w.Settle(lane("b"), 7))
		})
		f.again(t)
		at := fhir.Millis(noon)
		for _, tt := range []struct {
			name    string
			focus   fhir.Key
			version uint64
			updated time.Time
			want    []store.Numbered
		}{
			{"all lanes in order", focus, 2, at, []store.Numbered{
				{Lane: lane("a"), Number: 300}, {Lane: lane("a"), Number: 4, Cause: "Task/1"}, {Lane: lane("b"), Number: 7},
			}},
			{"another version", focus, 3, at, []store.Numbered{{Lane: lane("a"), Number: 5}}},
			{"another id", longer, 2, at, []store.Numbered{{Lane: lane("a"), Number: 6}}},
			{"another tenant", foreign, 2, at, []store.Numbered{{Lane: store.Lane{Tenant: "other", Subscription: "a"}, Number: 1}}},
			{"another time", focus, 2, at.Add(time.Millisecond), nil},
			{"other causes, whenever they were", focus, 2, time.Time{}, []store.Numbered{{Lane: lane("a"), Number: 4, Cause: "Task/1"}}},
			{"no such version", focus, 4, at, nil},
		} {
			err := f.db.Queue().View(f.ctx, func(r store.QueueReader) error {
				got, err := collect(r.Numbers(tt.focus, tt.version, tt.updated))
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(tt.name, diff)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"attemptsOfSomeNumbers", func(t *testing.T, f *fixture) {
		a := lane("a")
		var all []store.Attempt
		for day := range 3 {
			for number := range uint64(6) {
				all = append(all, attempt(a, number, noon.AddDate(0, 0, day)))
			}
		}
		f.record(t, all...)
		f.record(t, attempt(lane("a.b"), 3, noon))
		for _, tt := range []struct{ from, below uint64 }{{0, 0}, {2, 0}, {0, 2}, {2, 4}, {5, 6}, {6, 0}, {3, 3}, {4, 2}} {
			var want []store.Attempt
			for _, x := range all {
				if x.Number >= tt.from && (tt.below == 0 || x.Number < tt.below) && x.Time.Before(noon.AddDate(0, 0, 2)) {
					want = append(want, x)
				}
			}
			got := f.attempts(t, store.AttemptScope{Lane: a, Until: noon.AddDate(0, 0, 2), From: tt.from, Below: tt.below})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v: %s", tt, diff)
			}
		}
	}},
	{"jobsAreKeptUntilTheyAreDropped", func(t *testing.T, f *fixture) {
		put := func(l store.Lane, id, data string) store.Job { return store.Job{Lane: l, ID: id, Data: []byte(data)} }
		all := []store.Job{
			put(lane("a"), "1", "one"), put(lane("a"), "2", ""), put(lane("a.b"), "1", "\x00\xff"),
			put(store.Lane{Tenant: "other", Subscription: "a"}, "1", "other"),
		}
		f.update(t, func(w store.QueueWriter) error {
			return errors.Join(w.PutJob(all[2]), w.PutJob(put(lane("a"), "1", "old")), w.PutJob(all[3]), w.PutJob(all[0]), w.PutJob(all[1]))
		})
		f.again(t)
		see := func(want []store.Job) {
			t.Helper()
			err := f.db.Queue().View(f.ctx, func(r store.QueueReader) error {
				got, err := collect(r.Jobs())
				if diff := cmp.Diff(want, got, emptyIsNil); diff != "" {
					t.Error(diff)
				}
				for _, j := range want {
					if one, err := r.Job(j.Lane, j.ID); err != nil || !cmp.Equal(one, j, emptyIsNil) {
						t.Errorf("job %s: %v, %v", j.ID, one, err)
					}
				}
				if _, err := r.Job(lane("a"), "none"); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("a job that isn't there: %v", err)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		see(all)
		err := f.db.Queue().Update(f.ctx, store.Lease{}, func(w store.QueueWriter) error {
			return errors.Join(w.PutJob(put(lane("z"), "1", "never")), fmt.Errorf("undone: %w", errRefused))
		})
		if !errors.Is(err, errRefused) {
			t.Error(err)
		}
		f.update(t, func(w store.QueueWriter) error {
			return errors.Join(w.DropJob(lane("a"), "1"), w.DropJob(lane("a"), "none"))
		})
		see(all[1:])
		for _, bad := range []store.Job{put(lane("a"), "", "x"), put(store.Lane{}, "1", "x"), put(lane("a"), "1\x00", "x")} {
			if err := f.db.Queue().Update(f.ctx, store.Lease{}, func(w store.QueueWriter) error { return w.PutJob(bad) }); err == nil {
				t.Errorf("job %q of %v was taken", bad.ID, bad.Lane)
			}
		}
	}},
}

// traces is what else the queue knows of a lane: some of its attempts, and the numbers of owe's versions.
func traces(r store.QueueReader, l store.Lane) (some []store.Attempt, numbers []store.Numbered, err error) {
	if some, err = collect(r.Attempts(store.AttemptScope{Lane: l, From: 2, Below: 4})); err != nil {
		return nil, nil, err
	}
	for number := range uint64(6) {
		n := owe(l, number, 0)
		all, err := collect(r.Numbers(n.Focus, n.Version, n.Updated))
		if err != nil {
			return nil, nil, err
		}
		numbers = append(numbers, all...)
	}
	return some, numbers, nil
}

// emptyIsNil takes no data and empty data for the same.
var emptyIsNil = cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })
