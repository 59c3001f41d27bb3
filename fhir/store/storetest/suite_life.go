package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// waitTests need no clock: each Wait ends by what the test does.
var waitTests = []promise{
	{"returnsAtOnceIfThereIsARow", func(t *testing.T, f *fixture) {
		f.put(t, "a", "b")
		for after := range store.Seq(2) {
			if err := f.db.Wait(f.ctx, after); err != nil {
				t.Errorf("Wait(%d) = %v", after, err)
			}
		}
	}},
	{"isWokenByTheCommit", func(t *testing.T, f *fixture) {
		last := f.put(t, "a")
		woken := make(chan error, 3) // one for each waiter
		for range 3 {
			go func() { woken <- f.db.Wait(f.ctx, last) }()
		}
		f.put(t, "b")
		for range 3 {
			if err := <-woken; err != nil {
				t.Errorf("Wait = %v", err)
			}
		}
		f.view(t, func(r store.Reader) error {
			if r.Last() <= last {
				t.Error("the row is not to be seen")
			}
			return nil
		})
	}},
	{"endsWithItsContext", func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithTimeout(f.ctx, time.Millisecond)
		defer cancel()
		if err := f.db.Wait(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v", err)
		}
	}},
	{"endsWhenTheStoreCloses", func(t *testing.T, f *fixture) {
		woken := make(chan error, 1)
		go func() { woken <- f.db.Wait(f.ctx, 0) }()
		if err := f.db.Close(); err != nil {
			t.Error(err)
		}
		if err := <-woken; !errors.Is(err, store.ErrClosed) {
			t.Errorf("Wait = %v", err)
		}
	}},
}

var lifeTests = []promise{
	{"lastOfRisesWithItsTypeOnly", func(t *testing.T, f *fixture) {
		lastOf := func(typ fhir.Type) store.Seq {
			t.Helper()
			seq, err := f.db.LastOf(f.ctx, typ)
			if err != nil {
				t.Fatal(err)
			}
			return seq
		}
		other := func(id string) fhir.Key { return fhir.Key{Tenant: "other", Type: "Group", ID: id} }
		for range 2 {
			was := lastOf("Group")
			patients := f.put(t, "a", "b")
			if got := lastOf("Group"); got != was {
				t.Errorf("%d became %d though only Patients were written", was, got)
			}
			if got := lastOf("Patient"); got < patients {
				t.Errorf("Patient is at %d, and its newest row is %d", got, patients)
			}
			group := f.commit(t, store.Origin{}, write{key: other("g")}, write{key: patient("c")}).Seq - 1
			if got := lastOf("Group"); got < group || got <= was {
				t.Errorf("%d became %d with row %d", was, got, group)
			}
			failed := errors.New("no")
			was = lastOf("Patient")
			_, err := f.db.Update(f.ctx, store.Origin{}, func(w store.Writer) error {
				r := &fhir.Resource{Key: patient("never"), Version: 1, Updated: w.Now(), JSON: []byte(`{"resourceType":"Patient"}`)}
				return errors.Join(w.Append(r, fhir.Create), failed)
			})
			if !errors.Is(err, failed) || lastOf("Patient") != was {
				t.Errorf("%d became %d by a transaction that failed with %v", was, lastOf("Patient"), err)
			}
			f.again(t)
			if got := lastOf("Group"); got < group {
				t.Errorf("Group is at %d after reopening, and its newest row is %d", got, group)
			}
		}
		if err := f.db.Close(); err != nil {
			t.Error(err)
		}
		if _, err := f.db.LastOf(f.ctx, "Group"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("LastOf = %v", err)
		}
	}},
	{"everythingIsThereAfterReopening", func(t *testing.T, f *fixture) {
		epoch := f.db.Epoch()
		f.commit(t, store.Origin{RequestKey: "k"}, write{key: patient("a"), text: "one"}, write{key: patient("b")})
		f.commit(t, store.Origin{}, write{key: patient("a"), delete: true})
		f.fillQueue(t)
		rows, queue := f.rows(t), f.queue(t)
		for range 2 {
			f.again(t)
			if diff := cmp.Diff(rows, f.rows(t)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(queue, f.queue(t)); diff != "" {
				t.Error(diff)
			}
			if f.db.Epoch() != epoch || epoch == "" {
				t.Errorf("epoch %q became %q", epoch, f.db.Epoch())
			}
			f.view(t, func(r store.Reader) error {
				if seq, err := r.Request("k"); seq != 2 || err != nil {
					t.Errorf("Request = %d, %v", seq, err)
				}
				return nil
			})
		}
		if err := f.db.Wait(f.ctx, 2); err != nil {
			t.Errorf("Wait = %v", err)
		}
		if seq := f.put(t, "c"); seq != 4 {
			t.Errorf("the next row is %d", seq)
		}
	}},
	{"leaseTokensRise", func(t *testing.T, f *fixture) {
		var last uint64
		for range 3 {
			for _, name := range []string{"matcher", "lane", "lane"} {
				lease, err := f.db.Lease(f.ctx, name)
				if err != nil || lease.Name != name || lease.Token <= last {
					t.Fatalf("Lease(%q) = %v, %v; the last token was %d", name, lease, err, last)
				}
				last = lease.Token
				err = f.db.Queue().Update(f.ctx, lease, func(w store.QueueWriter) error {
					return w.SetCursor(name, store.Cursor{})
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			f.again(t)
		}
	}},
	{"aClosedStoreSaysSo", func(t *testing.T, f *fixture) {
		f.put(t, "a")
		for range 2 {
			if err := f.db.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		}
		_, updateErr := f.db.Update(f.ctx, store.Origin{}, appendAll())
		_, leaseErr := f.db.Lease(f.ctx, "matcher")
		for what, err := range map[string]error{
			"update":       updateErr,
			"lease":        leaseErr,
			"view":         f.db.View(f.ctx, func(store.Reader) error { return nil }),
			"wait":         f.db.Wait(f.ctx, 0),
			"queue view":   f.db.Queue().View(f.ctx, func(store.QueueReader) error { return nil }),
			"queue update": f.db.Queue().Update(f.ctx, store.Lease{}, func(store.QueueWriter) error { return nil }),
			"index view":   f.db.Index().View(f.ctx, func(store.IndexReader) error { return nil }),
			"index update": f.db.Index().Update(f.ctx, store.Lease{}, func(store.IndexWriter) error { return nil }),
			"check":        f.db.Check(f.ctx, nil),
		} {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}},
	{"closeWaitsForWhatIsUnderWay", func(t *testing.T, f *fixture) {
		inside, leave := make(chan struct{}), make(chan struct{})
		got := make(chan error, 1)
		runs := 0
		go func() {
			_, err := f.db.Update(f.ctx, store.Origin{}, func(w store.Writer) error {
				if runs++; runs == f.runs() {
					close(inside)
					<-leave
				}
				return (write{key: patient("a")}).append(w)
			})
			got <- err
		}()
		<-inside
		closed := make(chan error, 1)
		go func() { closed <- f.db.Close() }()
		close(leave)
		if err := <-got; err != nil {
			t.Errorf("the update under way: %v", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("close: %v", err)
		}
		f.again(t)
		if len(f.rows(t)) != 1 {
			t.Error("its row is lost")
		}
	}},
	{"checkReportsProgress", func(t *testing.T, f *fixture) {
		f.put(t, "a", "b", "c")
		var last, of uint64
		err := f.db.Check(f.ctx, func(done, total uint64) {
			if done < last || done > total {
				t.Errorf("%d of %d behind %d", done, total, last)
			}
			last, of = done, total
		})
		if err != nil || last == 0 || last != of {
			t.Errorf("Check = %v; %d of %d", err, last, of)
		}
	}},
	{"checkFindsABodyThatIsNotItsRow", func(t *testing.T, f *fixture) {
		_, err := f.db.Update(f.ctx, store.Origin{}, func(w store.Writer) error {
			body := []byte(`{"resourceType":"Patient","id":"b"}`)
			return w.Append(&fhir.Resource{Key: patient("a"), Version: 1, Updated: w.Now(), JSON: body}, fhir.Create)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.db.Check(f.ctx, nil); err == nil {
			t.Error("Check found nothing")
		}
		if err := f.db.Close(); err != nil { // or the suite's own Check would find it
			t.Error(err)
		}
	}},
}
