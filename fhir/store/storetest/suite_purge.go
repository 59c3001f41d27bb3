package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

func (f *fixture) purge(t *testing.T, p store.Purge) store.Purged {
	t.Helper()
	done, err := f.db.Purge(f.ctx, p)
	if err != nil {
		t.Fatalf("purge %v: %v", p, err)
	}
	return done
}

// versionsOf names some versions of a patient.
func versionsOf(id string, numbers ...uint64) (all []store.Version) {
	for _, n := range numbers {
		all = append(all, store.Version{Key: patient(id), Number: n})
	}
	return all
}

// held lists what is held, and the horizon.
func (f *fixture) held(t *testing.T) (held []store.Version, horizon store.Seq) {
	t.Helper()
	f.view(t, func(r store.Reader) (err error) {
		horizon = r.Horizon()
		held, err = collect(r.Held(store.Version{}))
		return err
	})
	return held, horizon
}

var purgeTests = []promise{
	{"takesTheContentAndLeavesTheRow", func(t *testing.T, f *fixture) {
		f.put(t, "a", "a", "b", "a") // 1 2 3 4
		before := f.rows(t)
		done := f.purge(t, store.Purge{Horizon: 4, Gone: versionsOf("a", 1, 2)})
		want := store.Purged{Versions: 2, Bytes: int64(len(before[0].Resource.JSON) + len(before[1].Resource.JSON))}
		if diff := cmp.Diff(want, done); diff != "" {
			t.Error(diff)
		}
		for i := range 2 {
			before[i].Purged, before[i].Resource.JSON = true, ""
		}
		for range 2 {
			if diff := cmp.Diff(before, f.rows(t)); diff != "" {
				t.Error(diff)
			}
			f.view(t, func(r store.Reader) error {
				for _, n := range []uint64{1, 2} {
					_, err := r.Version(patient("a"), n)
					gone, ok := errors.AsType[*store.PurgedError](err)
					if !ok || gone.Version != n || gone.Key != patient("a") || !gone.Updated.Equal(before[n-1].Resource.Updated) {
						t.Errorf("version %d: %v", n, err)
					}
					if !errors.Is(err, store.ErrPurged) || !errors.Is(err, store.ErrNotFound) {
						t.Errorf("version %d: %v is no ErrPurged, or no ErrNotFound", n, err)
					}
				}
				if _, err := r.Version(patient("a"), 4); errors.Is(err, store.ErrPurged) {
					t.Error("a version that never was is said to be purged")
				}
				return nil
			})
			f.again(t)
		}
	}},
	{"leavesEveryStateFromTheHorizonOn", func(t *testing.T, f *fixture) {
		f.put(t, "a", "b", "a", "b", "a") // 1 2 3 4 5
		f.purge(t, store.Purge{Horizon: 4, Gone: append(versionsOf("a", 1), versionsOf("b", 1)...)})
		f.view(t, func(r store.Reader) error {
			for at, want := range map[store.Seq]string{4: "a/2 b/2", 5: "a/3 b/2"} {
				if got := names(r.Type(fhir.DefaultTenant, "Patient", "", at)); got != want {
					t.Errorf("at %d: %s, want %s", at, got, want)
				}
			}
			if _, err := collect(r.Type(fhir.DefaultTenant, "Patient", "", 2)); !errors.Is(err, store.ErrPurged) {
				t.Errorf("a state below the horizon: %v", err)
			}
			if _, err := r.Read(patient("a"), 2); !errors.Is(err, store.ErrPurged) {
				t.Errorf("a read below the horizon: %v", err)
			}
			return nil
		})
	}},
	{"historyListsWhatIsLeft", func(t *testing.T, f *fixture) {
		f.put(t, "a", "a", "b", "a") // 1 2 3 4
		f.commit(t, store.Origin{}, write{key: patient("b"), delete: true})
		f.purge(t, store.Purge{Horizon: 5, Gone: append(versionsOf("a", 2), versionsOf("b", 1)...)})
		f.view(t, func(r store.Reader) error {
			for scope, want := range map[store.Scope]string{
				{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "a"}: "4:4:a/3 1:1:a/1",
				{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "b"}: "5:5:b/2+",
				{Tenant: fhir.DefaultTenant, Type: "Patient"}:          "5:5:b/2+ 4:4:a/3 1:1:a/1",
				{Tenant: fhir.DefaultTenant}:                           "5:5:b/2+ 4:4:a/3 1:1:a/1",
			} {
				if got := changes(r.History(scope, 0)); got != want {
					t.Errorf("%v: %s, want %s", scope, got, want)
				}
			}
			return nil
		})
	}},
	{"refusesWhatIsCurrentAtTheHorizon", func(t *testing.T, f *fixture) {
		f.put(t, "a", "a", "a") // 1 2 3
		f.purge(t, store.Purge{Horizon: 2})
		want := f.rows(t)
		for what, p := range map[string]store.Purge{
			"the newest":                  {Horizon: 3, Gone: versionsOf("a", 1, 3)},
			"replaced behind the horizon": {Horizon: 2, Gone: versionsOf("a", 1, 2)},
			"held, and the newest":        {Horizon: 3, Gone: versionsOf("a", 1), Held: versionsOf("a", 3)},
			"never there":                 {Horizon: 3, Gone: append(versionsOf("a", 1), versionsOf("z", 1)...)},
			"version 0":                   {Horizon: 3, Gone: append(versionsOf("a", 1), versionsOf("a", 0)...)},
			"a horizon that falls":        {Horizon: 1},
			"a horizon behind the log":    {Horizon: 4},
		} {
			if _, err := f.db.Purge(f.ctx, p); err == nil {
				t.Errorf("%s: done", what)
			}
			if diff := cmp.Diff(want, f.rows(t)); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
			if held, horizon := f.held(t); held != nil || horizon != 2 {
				t.Errorf("%s: held %v, horizon %d", what, held, horizon)
			}
		}
	}},
	{"remembersWhatIsHeldUntilItIsGone", func(t *testing.T, f *fixture) {
		f.put(t, "a", "a", "a", "b", "b") // 1 2 3 4 5
		f.purge(t, store.Purge{Horizon: 5, Gone: versionsOf("a", 1), Held: append(versionsOf("b", 1), versionsOf("a", 2)...)})
		f.again(t)
		held, horizon := f.held(t)
		if diff := cmp.Diff(append(versionsOf("a", 2), versionsOf("b", 1)...), held); diff != "" || horizon != 5 {
			t.Errorf("horizon %d, held %s", horizon, diff)
		}
		f.view(t, func(r store.Reader) error {
			rest, err := collect(r.Held(versionsOf("a", 2)[0]))
			if diff := cmp.Diff(versionsOf("b", 1), rest); diff != "" {
				t.Error(diff)
			}
			return err
		})
		f.purge(t, store.Purge{Horizon: 5, Gone: versionsOf("a", 2)})
		if held, _ := f.held(t); !cmp.Equal(versionsOf("b", 1), held) {
			t.Errorf("held %v", held)
		}
	}},
	{"mayBeRepeated", func(t *testing.T, f *fixture) {
		f.put(t, "a", "a", "a")
		f.commit(t, store.Origin{}, write{key: patient("a"), delete: true})
		f.put(t, "a")
		step := store.Purge{Horizon: 5, Gone: versionsOf("a", 1, 4), Held: versionsOf("a", 2, 4)}
		f.purge(t, step)
		want := f.rows(t)
		if done := f.purge(t, step); done != (store.Purged{}) {
			t.Errorf("the second time %v was done", done)
		}
		if diff := cmp.Diff(want, f.rows(t)); diff != "" {
			t.Error(diff)
		}
		f.purge(t, store.Purge{Horizon: 5, Gone: versionsOf("a", 2)})
		f.purge(t, step) // holds what is gone no more
		if held, _ := f.held(t); held != nil {
			t.Errorf("held %v: a tombstone, or what is gone", held)
		}
	}},
	{"lowersWhatIsUsed", func(t *testing.T, f *fixture) {
		f.commit(t, store.Origin{}, write{key: patient("a"), text: "long"}, write{key: patient("b"), text: "also long"})
		f.put(t, "a", "a", "b")
		for range 2 {
			f.purge(t, store.Purge{Horizon: 5, Gone: versionsOf("a", 1, 2)})
			want := store.Usage{Resources: 2, Bytes: f.bytes(t, fhir.DefaultTenant)}
			if diff := cmp.Diff(want, f.uses(t, fhir.DefaultTenant)); diff != "" {
				t.Error(diff)
			}
			f.again(t)
		}
	}},
	{"aViewKeepsWhatItSaw", func(t *testing.T, f *fixture) {
		f.put(t, "a", "a")
		f.view(t, func(r store.Reader) error {
			f.purge(t, store.Purge{Horizon: 2, Gone: versionsOf("a", 1)})
			if got := tell(r.Version(patient("a"), 1)); got != "a/1" || r.Horizon() != 0 {
				t.Errorf("version 1 is %s, the horizon %d", got, r.Horizon())
			}
			return nil
		})
	}},
	{"versionsGoOnBehindIt", func(t *testing.T, f *fixture) {
		f.put(t, "a", "a")
		f.purge(t, store.Purge{Horizon: 2, Gone: versionsOf("a", 1)})
		f.again(t)
		f.commit(t, store.Origin{}, write{key: patient("a"), delete: true})
		f.put(t, "a")
		f.view(t, func(r store.Reader) error {
			scope := store.Scope{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "a"}
			if got, want := changes(r.History(scope, 0)), "4:4:a/4 3:3:a/3+ 2:2:a/2"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			return nil
		})
	}},
}

// purge purges and holds some of what was replaced up to a place, and now and then what was not.
func (p *pair) purge(rt *rapid.T) {
	var last, horizon store.Seq
	var old []store.Version
	err := p.model.View(p.ctx, func(r store.Reader) error {
		last, horizon = r.Last(), r.Horizon()
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			old = append(old, store.Version{Key: c.Resource.Key, Number: c.Resource.Version})
		}
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
	step := store.Purge{Horizon: min(last, horizon+store.Seq(rapid.IntRange(0, 8).Draw(rt, "horizon")))}
	careless := rapid.IntRange(0, 4).Draw(rt, "careless") == 0
	for _, v := range old {
		next, found := p.placeOf(store.Version{Key: v.Key, Number: v.Number + 1})
		if !careless && (!found || next > step.Horizon) {
			continue
		}
		switch rapid.IntRange(0, 4).Draw(rt, "fate") {
		case 0, 1:
			step.Gone = append(step.Gone, v)
		case 2:
			step.Held = append(step.Held, v)
		}
	}
	done, err := p.engine.Purge(p.ctx, step)
	modelDone, modelErr := p.model.Purge(p.ctx, step)
	p.same("outcome of the purge", text(err), text(modelErr))
	p.same("what was purged", done, modelDone)
}

// placeOf finds the row of a version.
func (p *pair) placeOf(v store.Version) (store.Seq, bool) {
	rows := p.model.byKey[v.Key]
	if v.Number == 0 || v.Number > uint64(len(rows)) {
		return 0, false
	}
	return rows[v.Number-1], true
}

// forgotten tells what is held and up to where content may be gone.
func forgotten(r store.Reader) string {
	held, err := collect(r.Held(store.Version{}))
	return fmt.Sprint(r.Horizon(), held, err)
}
