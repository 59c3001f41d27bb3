package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

var errRefused = errors.New("refused")

var commitTests = []promise{
	{"failureIsReturnedAsItIsAndWritesNothing", func(t *testing.T, f *fixture) {
		c, err := f.db.Update(f.ctx, store.Origin{RequestKey: "k"}, func(w store.Writer) error {
			if err := (write{key: patient("a")}).append(w); err != nil {
				return err
			}
			return errRefused
		})
		if err != errRefused || c != (store.Commit{}) { //nolint:errorlint // as it is
			t.Fatalf("Update = %v, %v", c, err)
		}
		f.view(t, func(r store.Reader) error {
			if _, err := r.Read(patient("a"), r.Last()); r.Last() != 0 || !errors.Is(err, store.ErrNotFound) {
				t.Errorf("last = %d, read = %v", r.Last(), err)
			}
			if _, err := r.Request("k"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("request = %v", err)
			}
			return nil
		})
		if seq := f.put(t, "a"); seq != 1 {
			t.Errorf("the next row is %d", seq)
		}
	}},
	{"writingNothingIsTheZeroCommit", func(t *testing.T, f *fixture) {
		f.put(t, "a")
		if c := f.commit(t, store.Origin{RequestKey: "k"}); c != (store.Commit{}) {
			t.Errorf("commit = %v", c)
		}
	}},
	{"ownWritesAreRead", func(t *testing.T, f *fixture) {
		f.put(t, "a", "b")
		got := map[string]string{}
		_, err := f.db.Update(f.ctx, store.Origin{}, func(w store.Writer) error {
			err := appendAll(write{key: patient("b"), text: "new"}, write{key: patient("c")}, write{key: patient("a"), delete: true})(w)
			if err != nil {
				return err
			}
			got["last"] = fmt.Sprint(w.Last())
			got["type"] = names(w.Type(fhir.DefaultTenant, "Patient", "", w.Last()))
			got["before"] = names(w.Type(fhir.DefaultTenant, "Patient", "", 2))
			got["history"] = changes(w.History(store.Scope{Tenant: fhir.DefaultTenant}, 0))
			got["changes"] = changes(w.Changes(1))
			r, err := w.Version(patient("b"), 2)
			if err == nil {
				got["version"] = name(r)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"last": "5", "type": "b/2 c/1", "before": "a/1 b/1", "version": "b/2",
			"history": "5:5:a/2+ 4:5:c/1 3:5:b/2 2:2:b/1 1:1:a/1", "changes": "2:2:b/1 3:5:b/2 4:5:c/1 5:5:a/2+",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}},
	{"aWalkShowsWhatStoodWhenItBegan", func(t *testing.T, f *fixture) {
		f.put(t, "a", "b", "c")
		var got []string
		_, err := f.db.Update(f.ctx, store.Origin{}, func(w store.Writer) error {
			got = nil
			for c, err := range w.Changes(0) {
				if err != nil {
					return err
				}
				got = append(got, name(c.Resource))
				if err := (write{key: c.Resource.Key, text: "again"}).append(w); err != nil {
					return err
				}
			}
			return nil
		})
		if diff := cmp.Diff([]string{"a/1", "b/1", "c/1"}, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}},
	{"concurrentWritersLoseNothing", func(t *testing.T, f *fixture) {
		const writers, each = 16, 12
		var wg sync.WaitGroup
		commits := make([]map[store.Seq]string, writers)
		for n := range writers {
			commits[n] = map[store.Seq]string{}
			wg.Go(func() {
				for i := range each {
					id := fmt.Sprintf("w%d-%d", n, i)
					writes := []write{{key: patient("shared"), text: id}, {key: patient(id), text: id}}
					c, err := f.db.Update(f.ctx, store.Origin{Actor: id}, func(w store.Writer) error {
						if err := appendAll(writes...)(w); err != nil || i%3 != 0 {
							return err
						}
						return errRefused
					})
					switch {
					case i%3 == 0 && !errors.Is(err, errRefused), i%3 != 0 && err != nil:
						t.Errorf("%s: %v", id, err)
					case err == nil:
						commits[n][c.Seq] = id
					}
				}
			})
		}
		wg.Wait()
		rows := f.rows(t)
		if want := 2 * writers * each * 2 / 3; len(rows) != want {
			t.Fatalf("%d rows, want %d", len(rows), want)
		}
		for _, acknowledged := range commits {
			for seq, id := range acknowledged {
				first, last := rows[seq-2], rows[seq-1]
				if last.Resource.Key.ID != id || first.Origin.Actor != id || first.End != seq || last.End != seq {
					t.Errorf("rows %d and %d are not the transaction of %s: %v %v", seq-1, seq, id, first, last)
				}
			}
		}
	}},
	{"equalConditionalCreatesMakeOne", func(t *testing.T, f *fixture) {
		var wg sync.WaitGroup
		seen := make([]string, 12)
		for i := range seen {
			id := fhir.NewID()
			wg.Go(func() {
				_, err := f.db.Update(f.ctx, store.Origin{}, func(w store.Writer) error {
					for r, err := range w.Type(fhir.DefaultTenant, "Patient", "", w.Last()) {
						seen[i] = r.Key.ID
						return err
					}
					seen[i] = id
					return (write{key: patient(id)}).append(w)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if ids := slices.Compact(slices.Clone(seen)); len(ids) != 1 || len(f.rows(t)) != 1 {
			t.Errorf("%d rows, ids %v", len(f.rows(t)), ids)
		}
	}},
	{"endedContextRunsNothing", func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		ran := false
		_, err := f.db.Update(ctx, store.Origin{}, func(store.Writer) error { ran = true; return nil })
		qerr := f.db.Queue().Update(ctx, store.Lease{}, func(store.QueueWriter) error { ran = true; return nil })
		verr := f.db.View(ctx, func(store.Reader) error { ran = true; return nil })
		for _, err := range []error{err, qerr, verr} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("err = %v", err)
			}
		}
		if ran {
			t.Error("a function ran")
		}
	}},
	{"contextEndingInsideChangesNothing", func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		runs := 0
		c, err := f.db.Update(ctx, store.Origin{}, func(w store.Writer) error {
			err := (write{key: patient("a")}).append(w)
			if runs++; runs == f.runs() {
				cancel() // it was taken: the outcome is told as it is
			}
			return err
		})
		if err != nil || c.Seq != 1 {
			t.Errorf("Update = %v, %v", c, err)
		}
	}},
	{"panicIsRaisedInTheCaller", func(t *testing.T, f *fixture) {
		f.put(t, "a")
		got := func() (v any) {
			defer func() { v = recover() }()
			_, _ = f.db.Update(f.ctx, store.Origin{}, func(w store.Writer) error {
				_ = (write{key: patient("b")}).append(w)
				panic("at the disco")
			})
			return nil
		}()
		if got != "at the disco" {
			t.Errorf("recovered %v", got)
		}
		if seq := f.put(t, "c"); seq != 2 {
			t.Errorf("the next row is %d", seq)
		}
	}},
	{"exitEndsOnlyTheCaller", func(t *testing.T, f *fixture) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = f.db.Update(f.ctx, store.Origin{}, func(store.Writer) error { goexit(); return nil })
			t.Error("the caller went on")
		}()
		<-done
		if seq := f.put(t, "c"); seq != 1 {
			t.Errorf("the next row is %d", seq)
		}
	}},
	{"largeTransactionIsOne", func(t *testing.T, f *fixture) {
		const rows = 3000
		writes := make([]write, rows)
		for i := range writes {
			writes[i] = write{key: patient(fmt.Sprintf("p%04d", i*7919%rows)), text: string(make2k)}
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if _, err := f.db.Update(f.ctx, store.Origin{}, appendAll(write{key: patient(fmt.Sprint("small", i))})); err != nil {
					t.Error(err)
				}
			})
		}
		c := f.commit(t, store.Origin{}, writes...)
		wg.Wait()
		f.view(t, func(r store.Reader) error {
			for change, err := range r.Changes(c.Seq - rows) {
				if err != nil || change.End != c.Seq {
					t.Fatalf("row %d ends at %d, %v", change.Seq, change.End, err)
				}
				if change.Seq == c.Seq {
					break
				}
			}
			return nil
		})
	}},
}
