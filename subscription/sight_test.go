package subscription

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// seenAt looks at a tenant's resources at a place, by walking over them.
type seenAt struct {
	db     store.DB
	tenant string
	seq    store.Seq
}

func resolveIn(db store.DB) func(context.Context, string, store.Seq, criteria.Env) criteria.Resolver {
	return func(_ context.Context, tenant string, seq store.Seq, _ criteria.Env) criteria.Resolver {
		return seenAt{db, tenant, seq}
	}
}

// Current implements criteria.Resolver.
func (a seenAt) Current(t fhir.Type, id string) (r *fhir.Resource, err error) {
	err = a.db.View(context.Background(), func(tx store.Reader) error {
		r, err = tx.Read(fhir.Key{Tenant: a.tenant, Type: t, ID: id}, a.seq)
		if errors.Is(err, store.ErrNotFound) || err == nil && r.Deleted {
			r = nil
			return nil
		}
		return err
	})
	return r, err
}

// Having implements criteria.Resolver.
func (a seenAt) Having(t fhir.Type, _ *criteria.Param, _ []string) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		var all []*fhir.Resource
		err := a.db.View(context.Background(), func(tx store.Reader) error {
			for r, err := range tx.Type(a.tenant, t, "", a.seq) {
				if err != nil {
					return err
				}
				all = append(all, r)
			}
			return nil
		})
		if err != nil {
			yield(nil, err)
		}
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// together writes resources in one transaction, in order.
func (w *world) together(tenant string, bodies ...string) {
	w.t.Helper()
	_, err := w.db.Update(context.Background(), store.Origin{}, func(tx store.Writer) error {
		for _, body := range bodies {
			in, err := fhir.Read([]byte(body), 0)
			if err != nil {
				return err
			}
			if _, err := store.Update(tx, fhir.Key{Tenant: tenant, Type: in.Type, ID: in.ID}, in, "", nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

const (
	observed = `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://c.example","code":"x"}]},"subject":{"reference":"Patient/p"}}`
	woman    = `{"resourceType":"Patient","id":"p","gender":"female"}`
	man      = `{"resourceType":"Patient","id":"p","gender":"male"}`
	group    = `{"resourceType":"ValueSet","id":"v","url":"http://v.example","status":"active","compose":{"include":[{"system":"http://c.example","concept":[{"code":"x"}]}]}}`
)

// However far the Matcher lags, other resources are what they were at the end of the change's transaction.
func TestMatcher_seesOthersAtTheEndOfTheTransaction(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	w.write("t", fhir.Subscription, "chain", watch("Observation?patient.gender=female"))
	w.write("t", fhir.Subscription, "reverse", watch("Patient?_has:Observation:patient:status=final"))
	w.together("t", observed, woman)                                       // each sees the other, whichever comes first
	w.together("t", man)                                                   // the Observation is there already
	w.together("t", strings.Replace(observed, "final", "amended", 1))      // of a man now
	w.together("t", woman)                                                 // no final Observation any more
	w.together("other", observed)                                          // whose patient is of another tenant
	w.together("t", observed, strings.Replace(woman, `"p"`, `"later"`, 1)) // a woman again
	w.write("t", "Patient", "p", "")                                       // a delete is judged on what it ended
	w.together("t", strings.Replace(observed, `"o"`, `"o2"`, 1))           // of nobody
	matchAll(t, w, MatcherOptions{Parse: o, Resolve: resolveIn(w.db)})
	want := map[store.Lane][]verdict{
		{Tenant: "t", Subscription: "chain"}:   {{1, "Observation/o", 1, fhir.Create}, {2, "Observation/o", 3, fhir.Update}},
		{Tenant: "t", Subscription: "reverse"}: {{1, "Patient/p", 1, fhir.Create}, {2, "Patient/p", 2, fhir.Update}},
	}
	if diff := gocmp.Diff(want, w.verdicts()); diff != "" {
		t.Error(diff)
	}
}

// What the criteria need is not there: the Subscription says so and waits, alone, and loses nothing.
func TestMatcher_undecidedCriteriaWaitForTheirTerminology(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	options := MatcherOptions{Parse: o, Resolve: resolveIn(w.db)}
	in, other := store.Lane{Tenant: "t", Subscription: "in"}, store.Lane{Tenant: "t", Subscription: "other"}
	w.write("t", fhir.Subscription, "in", watch("Observation?code:in=http://v.example&status=final"))
	w.write("t", fhir.Subscription, "other", watch("Observation"))
	w.together("t", strings.Replace(observed, "final", "amended", 1)) // decided without the value set
	w.together("t", observed)
	w.together("t", woman)
	m := matchAll(t, w, options)
	if v := w.verdicts(); len(v[in]) != 0 || len(v[other]) != 2 || m.Broken() != 1 {
		t.Errorf("%v, %d broken", v, m.Broken())
	}
	shown := w.current("t", "in")
	if text := shown.Doc().Root().Get("error").Text(); statusOf(shown) != Erroneous || !strings.Contains(text, "http://v.example is not stored") || shown.Version != 2 {
		t.Errorf("it does not say what is wrong, once: %s", shown.JSON)
	}

	m = matchAll(t, w, options) // another start finds the same
	if m.Broken() != 1 || w.current("t", "in").Version != 2 {
		t.Errorf("%d broken, %s", m.Broken(), w.current("t", "in").JSON)
	}
	w.together("t", observed[:len(observed)-1]+`,"value":1}`)
	w.together("t", strings.Replace(group, "v.example", "else.example", 1)) // not what it waits for
	m = matchAll(t, w, options)
	if m.Broken() != 1 {
		t.Errorf("%d broken", m.Broken())
	}
	w.together("t", group)
	m = matchAll(t, w, options)
	want := []verdict{{1, "Observation/o", 2, fhir.Update}, {2, "Observation/o", 3, fhir.Update}}
	if diff := gocmp.Diff(want, w.verdicts()[in]); diff != "" || m.Broken() != 0 {
		t.Errorf("%d broken, %s", m.Broken(), diff)
	}
	if now := w.current("t", "in"); statusOf(now) != Active || now.Doc().Root().Get("error").Exists() {
		t.Errorf("%s", now.JSON)
	}

	w.write("t", fhir.ValueSet, "v", "") // it goes
	w.together("t", observed)
	m = matchAll(t, w, options)
	if m.Broken() != 1 || len(w.verdicts()[in]) != 2 {
		t.Errorf("%d broken, %v", m.Broken(), w.verdicts()[in])
	}
	w.write("t", fhir.Subscription, "in", watch("Observation?status=final")) // a client mends the criteria
	m = matchAll(t, w, options)
	want = append(want, verdict{3, "Observation/o", 4, fhir.Update})
	if diff := gocmp.Diff(want, w.verdicts()[in]); diff != "" || m.Broken() != 0 {
		t.Errorf("%d broken, %s", m.Broken(), diff)
	}
}

// A store that can't be read is no reason to blame a Subscription.
func TestMatcher_failsWhereOthersCannotBeRead(t *testing.T) {
	o := testOptions(t)
	w := newWorld(t, o)
	w.write("t", fhir.Subscription, "s", watch("Observation?patient.gender=female"))
	w.together("t", observed)
	gone := errors.New("the disk is gone")
	m := NewMatcher(w.db, MatcherOptions{Parse: o, Resolve: func(context.Context, string, store.Seq, criteria.Env) criteria.Resolver {
		return unreadable{gone}
	}})
	if err := m.Run(t.Context()); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	if now := w.current("t", "s"); statusOf(now) != Active {
		t.Errorf("%s", now.JSON)
	}
}

type unreadable struct{ err error }

// Current implements criteria.Resolver.
func (u unreadable) Current(fhir.Type, string) (*fhir.Resource, error) { return nil, u.err }

// Having implements criteria.Resolver.
func (u unreadable) Having(fhir.Type, *criteria.Param, []string) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) { yield(nil, u.err) }
}
