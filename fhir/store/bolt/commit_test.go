package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// hold occupies the committer until release is called, so that what is queued meanwhile makes one group.
func hold(t *testing.T, db *DB) (release func()) {
	t.Helper()
	inside, leave, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_, err := db.Update(t.Context(), store.Origin{}, func(store.Writer) error {
			close(inside)
			<-leave
			return nil
		})
		if err != nil {
			t.Errorf("hold: %v", err)
		}
	}()
	<-inside
	return func() { close(leave); <-done }
}

// queued waits until n tasks stand in the queue.
func queued(db *DB, n int) {
	for len(db.logWrites.queue) < n {
		runtime.Gosched()
	}
}

func TestCommitter_oneGroupIsOneCommit(t *testing.T) {
	db := mustOpen(t, t.TempDir(), Options{noSync: true})
	pages := func() int64 {
		stats := db.resources.Stats()
		return stats.TxStats.GetWrite()
	}
	put(t, db, "a")
	before := pages()
	put(t, db, "a")
	single := pages() - before
	release := hold(t, db)
	before = pages()
	const writers = 50
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if _, err := db.Update(t.Context(), store.Origin{}, appendPatient(fmt.Sprint(i), "")); err != nil {
				t.Error(err)
			}
		})
	}
	queued(db, writers)
	release()
	wg.Wait()
	if got := pages() - before; got > 4*single {
		t.Errorf("%d writers made %d page writes, one makes %d: they were not grouped", writers, got, single)
	}
}

func TestCommitter_endedContextIsNotRunOnceQueued(t *testing.T) {
	db := mustOpen(t, t.TempDir(), Options{noSync: true})
	release := hold(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := db.Update(ctx, store.Origin{}, appendPatient("a", ""))
		got <- err
	}()
	queued(db, 1)
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v", err)
	}
	release()
	if c := put(t, db, "b"); c.Seq != 1 {
		t.Errorf("the next row is %d: the function ran", c.Seq)
	}
}

// A strange member of a group must not hurt the others.
func TestCommitter_groupSurvivesItsMembers(t *testing.T) {
	db := mustOpen(t, t.TempDir(), Options{noSync: true})
	release := hold(t, db)
	var wg sync.WaitGroup
	update := func(fn func(store.Writer) error) {
		wg.Go(func() {
			defer func() { _ = recover() }()
			_, _ = db.Update(t.Context(), store.Origin{}, fn)
		})
	}
	large := strings.Repeat("x", maxGroupBytes+1)
	for i := range 10 {
		update(appendPatient(fmt.Sprint("good", i), ""))
		update(func(w store.Writer) error { _ = appendPatient("failing", "")(w); return errors.New("no") })
		update(func(w store.Writer) error { _ = appendPatient("panicking", "")(w); panic("no") })
		update(func(w store.Writer) error { _ = appendPatient("exiting", "")(w); runtime.Goexit(); return nil })
		if i%5 == 0 {
			update(appendPatient(fmt.Sprint("large", i), large))
		}
	}
	queued(db, 42)
	release()
	wg.Wait()
	err := db.View(t.Context(), func(r store.Reader) error {
		if r.Last() != 12 {
			t.Errorf("%d rows, want 12", r.Last())
		}
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			if id := c.Resource.Key.ID; !strings.HasPrefix(id, "good") && !strings.HasPrefix(id, "large") {
				t.Errorf("row %d is of %s", c.Seq, id)
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Check(t.Context(), nil)); err != nil {
		t.Error(err)
	}
}

func TestCommitter_closeDropsWhatIsQueued(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, Options{noSync: true})
	release := hold(t, db)
	got := make(chan error, 20) // one for each writer
	for range cap(got) {
		go func() {
			_, err := db.Update(t.Context(), store.Origin{}, appendPatient("a", ""))
			got <- err
		}()
	}
	queued(db, cap(got))
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	<-db.logWrites.closing
	release()
	for range cap(got) {
		if err := <-got; !errors.Is(err, store.ErrClosed) {
			t.Errorf("Update = %v", err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if c := put(t, mustOpen(t, dir, Options{noSync: true}), "a"); c.Seq != 1 {
		t.Errorf("the next row is %d", c.Seq)
	}
}

func TestCommitter_aDiskThatRefusesMakesTheStoreReadOnly(t *testing.T) {
	dir := t.TempDir()
	const most = 1 << 20
	db := mustOpen(t, dir, Options{maxSize: most, noSync: true})
	put(t, db, "a")
	_, err := db.Update(t.Context(), store.Origin{}, appendPatient("b", strings.Repeat("x", 2*most)))
	for range 2 {
		if fhir.KindOf(err) != fhir.Unavailable || !strings.Contains(err.Error(), dir) {
			t.Errorf("Update = %v", err)
		}
		_, err = db.Update(t.Context(), store.Origin{}, appendPatient("c", ""))
	}
	err = db.View(t.Context(), func(r store.Reader) error {
		if r.Last() != 1 {
			t.Errorf("last is %d", r.Last())
		}
		return nil
	})
	if err != nil {
		t.Errorf("View = %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	db = mustOpen(t, dir, Options{noSync: true})
	if c := put(t, db, "c"); c.Seq != 2 {
		t.Errorf("after reopening the next row is %d", c.Seq)
	}
	if err := db.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
