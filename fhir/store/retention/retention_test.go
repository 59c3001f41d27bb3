package retention

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
	"fhirhook/fhir/tape"
)

var start = time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC)

const keep = 24 * time.Hour

// world is a store with a clock, and what was ever written to it.
type world struct {
	ctx    context.Context
	db     store.DB
	keeper *Keeper
	now    time.Time
	need   store.Seq                        // of one follower
	all    map[store.Version]*fhir.Resource // as they were written
	rows   []store.Version                  // in order
	owed   map[uint64]store.Version         // by number, of one lane
	next   uint64
	given  map[numbered]bool
	lane   store.Lane
	fatal  func(format string, args ...any)
}

// numbered is what a lane gives one number, once.
type numbered struct {
	version store.Version
	cause   string
}

func newWorld(ctx context.Context, fatal func(string, ...any)) *world {
	w := &world{
		ctx: ctx, now: start, all: map[store.Version]*fhir.Resource{}, owed: map[uint64]store.Version{}, next: 1, given: map[numbered]bool{},
		lane: store.Lane{Tenant: "t", Subscription: "s"}, fatal: fatal,
	}
	w.db = storetest.NewModelAt(func() time.Time { return w.now })
	w.keeper = w.restarted()
	return w
}

func (w *world) restarted() *Keeper {
	return New(Options{
		DB: w.db, Keep: keep, Exempt: func(t fhir.Type) bool { return t == fhir.Subscription },
		Needs: func(context.Context) ([]Need, error) {
			return []Need{{"another", store.Seq(len(w.rows))}, {"follower", w.need}}, nil
		},
	})
}

// write writes the next versions of some patients in one transaction; those whose id is in upper case are deleted.
func (w *world) write(t fhir.Type, ids ...string) {
	_, err := w.db.Update(w.ctx, store.Origin{}, func(tx store.Writer) error {
		for _, id := range ids {
			r := &fhir.Resource{Key: fhir.Key{Tenant: "t", Type: t, ID: id}, Version: 1, Updated: tx.Now()}
			i := fhir.Create
			if prev, err := tx.Read(r.Key, tx.Last()); err == nil {
				r.Version, i = prev.Version+1, fhir.Update
				if prev.Deleted {
					i = fhir.Create
				} else if id == "deleted" && prev.Version%3 == 2 {
					r.Deleted, i = true, fhir.Delete
				}
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if !r.Deleted {
				doc, err := tape.Parse(fmt.Appendf(nil, `{"resourceType":%q}`, t), 0)
				if err != nil {
					return err
				}
				r.JSON = fhir.Stamp(doc, id, r.Version, r.Updated)
			}
			if err := tx.Append(r, i); err != nil {
				return err
			}
			v := store.Version{Key: r.Key, Number: r.Version}
			w.all[v], w.rows = r, append(w.rows, v)
		}
		return nil
	})
	if err != nil {
		w.fatal("write: %v", err)
	}
}

// owe owes a version, because of its own change or another's.
func (w *world) owe(v store.Version, cause string) {
	n := store.Notification{
		Lane: w.lane, Number: w.next, Focus: v.Key, Version: v.Number, Interaction: fhir.Update, Cause: cause, Updated: w.all[v].Updated,
	}
	if cause != "" {
		n.Updated = w.now // of the change that caused it
	}
	w.queue(func(q store.QueueWriter) error {
		r, err := q.Lane(w.lane)
		r.Next = w.next + 1
		return errors.Join(err, q.PutLane(r), q.Owe(n))
	})
	w.owed[w.next] = v
	w.next++
}

func (w *world) settle(number uint64) {
	w.queue(func(q store.QueueWriter) error { return q.Settle(w.lane, number) })
	delete(w.owed, number)
}

func (w *world) queue(fn func(store.QueueWriter) error) {
	if err := w.db.Queue().Update(w.ctx, store.Lease{}, fn); err != nil {
		w.fatal("queue: %v", err)
	}
}

func (w *world) purge() {
	if err := errors.Join(w.keeper.pass(w.ctx, w.now), w.keeper.review(w.ctx)); err != nil {
		w.fatal("purge: %v", err)
	}
}

func (w *world) view(fn func(store.Reader)) {
	if err := w.db.View(w.ctx, func(r store.Reader) error { fn(r); return nil }); err != nil {
		w.fatal("view: %v", err)
	}
}

// kept lists the versions of a patient that have their content.
func (w *world) kept(id string) (kept []uint64) {
	w.view(func(r store.Reader) {
		for c, err := range r.History(store.Scope{Tenant: "t", Type: "Patient", ID: id}, 0) {
			if err != nil {
				w.fatal("history: %v", err)
			}
			kept = append(kept, c.Resource.Version)
		}
	})
	return kept
}

func TestKeeper_takesWhatWasReplacedLongEnoughAgo(t *testing.T) {
	w := newWorld(t.Context(), t.Fatalf)
	w.write("Patient", "a", "b")
	w.now = start.Add(time.Hour)
	w.write("Patient", "a")
	w.now = start.Add(2 * time.Hour)
	w.write("Patient", "a")
	w.need = 4
	w.now = start.Add(time.Hour + keep)
	w.purge()
	if diff := cmp.Diff([]uint64{3, 2, 1}, w.kept("a")); diff != "" {
		t.Errorf("exactly as long as they are kept: %s", diff)
	}
	w.now = w.now.Add(time.Millisecond)
	w.purge()
	if diff := cmp.Diff([]uint64{3, 2}, w.kept("a")); diff != "" {
		t.Errorf("one was replaced longer ago: %s", diff)
	}
	w.now = w.now.Add(1000 * keep)
	w.purge()
	if a, b := w.kept("a"), w.kept("b"); !cmp.Equal(a, []uint64{3}) || !cmp.Equal(b, []uint64{1}) {
		t.Errorf("what is current went: %v, %v", a, b)
	}
	if got := w.keeper.Stats(); got.Versions != 2 || got.Held != 0 || !got.Since.Equal(start.Add(2*time.Hour)) {
		t.Errorf("%+v", got)
	}
}

func TestKeeper_holdsWhatIsOwedUntilItIsNot(t *testing.T) {
	w := newWorld(t.Context(), t.Fatalf)
	w.write("Patient", "a", "a", "a", "a", "a")
	w.need = 5
	a := func(n uint64) store.Version {
		return store.Version{Key: fhir.Key{Tenant: "t", Type: "Patient", ID: "a"}, Number: n}
	}
	w.owe(a(3), "")
	w.owe(a(1), "Practitioner/p/_history/1")
	w.now = start.Add(2 * keep)
	w.purge()
	if diff := cmp.Diff([]uint64{5, 3, 2, 1}, w.kept("a")); diff != "" {
		t.Errorf("version 3 is owed, and so is 1, by a link: %s", diff)
	}
	w.keeper = w.restarted() // it remembers
	w.settle(1)
	w.purge()
	if diff := cmp.Diff([]uint64{5, 1}, w.kept("a")); diff != "" {
		t.Error(diff)
	}
	if held := w.keeper.Stats().Held; held != 1 {
		t.Errorf("%d held", held)
	}
	w.settle(2)
	w.purge()
	if diff := cmp.Diff([]uint64{5}, w.kept("a")); diff != "" {
		t.Error(diff)
	}
}

func TestKeeper_takesNothingAboveTheLowestPlaceThatIsNeeded(t *testing.T) {
	w := newWorld(t.Context(), t.Fatalf)
	w.write("Patient", "a")
	w.write("Patient", "a")                     // 2
	w.write("Patient", "a", "b", "a", "b", "a") // 3 to 7
	w.need = 5                                  // inside the transaction
	w.now = start.Add(2 * keep)
	w.purge()
	if diff := cmp.Diff([]uint64{5, 4, 3, 2}, w.kept("a")); diff != "" {
		t.Errorf("the state before the transaction is needed: %s", diff)
	}
	w.need = 7
	w.purge()
	if diff := cmp.Diff([]uint64{5}, w.kept("a")); diff != "" {
		t.Error(diff)
	}
}

func TestKeeper_leavesExemptTypesAlone(t *testing.T) {
	w := newWorld(t.Context(), t.Fatalf)
	w.write(fhir.Subscription, "s")
	w.write(fhir.Subscription, "s")
	w.need, w.now = 2, start.Add(2*keep)
	w.purge()
	w.view(func(r store.Reader) {
		if _, err := r.Version(fhir.Key{Tenant: "t", Type: fhir.Subscription, ID: "s"}, 1); err != nil {
			t.Error(err)
		}
	})
}

func TestKeeper_runsUntilItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t.Context(), t.Fatalf)
		w.db = storetest.NewModel()
		w.keeper = w.restarted()
		for range 600 {
			w.write("Patient", "a")
		}
		w.need = 600
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.keeper.Run(ctx) }()
		time.Sleep(keep - time.Hour)
		if n := len(w.kept("a")); n != 600 {
			t.Errorf("%d versions are left before their time", n)
		}
		time.Sleep(2 * time.Hour)
		if n := len(w.kept("a")); n != 1 {
			t.Errorf("%d versions are left", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Whatever is written, owed and settled, however far followers have come and whenever the Keeper looks: what is owed
// can be read, and so can every state that somebody needs; and when nobody needs anything, nothing old is left.
func TestKeeper_neverTakesWhatIsNeeded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t.Context(), rt.Fatalf)
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				w.write("Patient", rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "deleted"}), 1, 4).Draw(rt, "ids")...)
			},
			"wait": func(rt *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "hours")) * time.Hour)
			},
			"follow": func(rt *rapid.T) {
				w.need = store.Seq(rapid.IntRange(int(w.need), len(w.rows)).Draw(rt, "place"))
			},
			"owe": func(rt *rapid.T) { // as a follower does, once: what a row wrote that it has not come to
				if int(w.need) == len(w.rows) {
					return
				}
				v := w.rows[rapid.IntRange(int(w.need)+1, len(w.rows)).Draw(rt, "place")-1]
				given := numbered{v, rapid.SampledFrom([]string{"", "Practitioner/p/_history/1"}).Draw(rt, "cause")}
				if !w.given[given] {
					w.given[given] = true
					w.owe(v, given.cause)
				}
			},
			"settle":  func(rt *rapid.T) { w.settle(rapid.Uint64Range(1, w.next).Draw(rt, "number")) },
			"purge":   func(*rapid.T) { w.purge() },
			"restart": func(*rapid.T) { w.keeper = w.restarted() },
			"":        func(*rapid.T) { w.proveKept() },
		})
		for number := range w.owed {
			w.settle(number)
		}
		w.need = store.Seq(len(w.rows))
		w.now = w.now.Add(2 * keep)
		w.purge()
		w.purge()
		w.proveAllGone()
	})
}

// proveKept reads all that has to be there.
func (w *world) proveKept() {
	w.view(func(r store.Reader) {
		for number, v := range w.owed {
			for _, n := range []uint64{v.Number, v.Number - 1} {
				if n > 0 {
					w.there(r, store.Version{Key: v.Key, Number: n}, fmt.Sprintf("number %d is owed", number))
				}
			}
		}
		from := w.need
		if begin, err := beginning(r, w.need); err == nil {
			from = begin
		}
		for i := len(w.rows); i > 0 && w.now.Sub(w.all[w.rows[i-1]].Updated) < keep; i-- {
			from = min(from, store.Seq(i))
		}
		for at := from; at <= r.Last(); at++ {
			current := map[fhir.Key]store.Version{}
			for _, v := range w.rows[:at] {
				current[v.Key] = v
			}
			for key, v := range current {
				got, err := r.Read(key, at)
				if err != nil || got.Version != v.Number || !bytes.Equal(got.JSON, w.all[v].JSON) {
					w.fatal("place %d is needed, and %v of %s there is %v: %v", at, v.Number, key, got, err)
				}
			}
		}
	})
}

func (w *world) there(r store.Reader, v store.Version, why string) {
	got, err := r.Version(v.Key, v.Number)
	if err != nil || !bytes.Equal(got.JSON, w.all[v].JSON) {
		w.fatal("%s, and version %d of %s can't be read: %v", why, v.Number, v.Key, err)
	}
}

func (w *world) proveAllGone() {
	w.view(func(r store.Reader) {
		var left int64
		for v, written := range w.all {
			newest, err := r.Read(v.Key, r.Last())
			if err != nil {
				w.fatal("read %s: %v", v.Key, err)
			}
			_, err = r.Version(v.Key, v.Number)
			if keeps := newest.Version == v.Number || written.Deleted; keeps != (err == nil) {
				w.fatal("version %d of %s, of which %d is the newest: %v", v.Number, v.Key, newest.Version, err)
			}
			if err == nil {
				left += int64(len(written.JSON))
			}
		}
		if u, err := r.Usage("t"); err != nil || u.Bytes != left {
			w.fatal("%d bytes are counted, and %d are left: %v", u.Bytes, left, err)
		}
	})
}
