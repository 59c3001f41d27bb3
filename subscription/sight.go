package subscription

import (
	"context"
	"errors"
	"iter"
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// sight is what was last seen of a tenant at a place.
type sight struct {
	tenant    string
	at, terms store.Seq
	table     *criteria.Definitions
	lookup    *criteria.Lookup
}

// sights are the last Lookups of both sides of a change, so that rows of one transaction share them.
type sights struct {
	sides
	limited map[View]*sides
	begins  store.Change // of the last transaction whose beginning was sought
	began   store.Seq    // the place before it
}

type sides struct{ after, before sight }

// mostViewed is how many Views' Lookups are remembered.
const mostViewed = 256

// of are the sides as a View shows them.
func (s *sights) of(v View) *sides {
	if !v.Limited() {
		return &s.sides
	}
	seen := s.limited[v]
	if seen == nil {
		if len(s.limited) >= mostViewed || s.limited == nil {
			s.limited = map[View]*sides{}
		}
		seen = &sides{}
		s.limited[v] = seen
	}
	return seen
}

// env is what criteria are held against a change in. Other resources are seen as at the end of the change's
// transaction (DESIGN: the place), and terminology as at a later place, where a Subscription catches up that
// waited for it.
func (m *Matcher) env(ctx context.Context, c store.Change, terms store.Seq, v View) criteria.Env {
	return m.seen(ctx, &m.sights.of(v).after, c, c.End, max(terms, c.End), v)
}

// envBefore is env just before the change's transaction.
func (m *Matcher) envBefore(ctx context.Context, c store.Change, terms store.Seq, v View) (criteria.Env, error) {
	if m.o.Resolve == nil {
		return m.set.env.at(c.Resource.Updated), nil
	}
	if s := &m.sights; s.begins.End != c.End {
		began, err := m.beginning(ctx, c)
		if err != nil {
			return criteria.Env{}, err
		}
		s.begins, s.began = c, began
	}
	return m.seen(ctx, &m.sights.of(v).before, c, m.sights.began, max(terms, m.sights.began), v), nil
}

// beginning is the place before a change's transaction, as far as its tenant goes.
func (m *Matcher) beginning(ctx context.Context, c store.Change) (began store.Seq, err error) {
	err = m.db.View(ctx, func(r store.Reader) error {
		began = 0
		for earlier, err := range r.History(store.Scope{Tenant: c.Resource.Key.Tenant}, c.Seq) {
			if err != nil {
				return err
			}
			if earlier.End != c.End {
				began = earlier.Seq
				break
			}
		}
		return nil
	})
	return began, err
}

func (m *Matcher) seen(ctx context.Context, last *sight, c store.Change, at, terms store.Seq, v View) criteria.Env {
	env := m.set.env.at(c.Resource.Updated)
	if m.o.Resolve == nil {
		return env
	}
	tenant := c.Resource.Key.Tenant
	now := sight{tenant, at, terms, m.set.definitions(tenant), last.lookup}
	if now.lookup == nil || *last != now {
		r := m.o.Resolve(ctx, tenant, at, env)
		if terms > at {
			r = termsAt{r, m.o.Resolve(ctx, tenant, terms, env)}
		}
		r = v.Resolver(r, c.Resource.Updated)
		if now.lookup == nil {
			now.lookup = criteria.NewLookup(r, now.table)
		} else {
			now.lookup = now.lookup.Elsewhere(r, now.table)
		}
		*last = now
	}
	env.Lookup = now.lookup
	return env
}

func terminology(t fhir.Type) bool { return t == fhir.ValueSet || t == "CodeSystem" }

// termsAt sees value sets and code systems elsewhere than all the rest.
type termsAt struct {
	criteria.Resolver
	terms criteria.Resolver
}

func (r termsAt) resolver(t fhir.Type) criteria.Resolver {
	if terminology(t) {
		return r.terms
	}
	return r.Resolver
}

// Current implements criteria.Resolver.
func (r termsAt) Current(t fhir.Type, id string) (*fhir.Resource, error) {
	return r.resolver(t).Current(t, id)
}

// Having implements criteria.Resolver.
func (r termsAt) Having(t fhir.Type, p *criteria.Param, keys []string) iter.Seq2[*fhir.Resource, error] {
	return r.resolver(t).Having(t, p, keys)
}

// evaluation parts what is wrong with criteria from what is wrong with the store.
func evaluation(err error) (problem *fhir.Error, other error) {
	if e, ok := errors.AsType[*fhir.Error](err); ok {
		return e, nil
	}
	return nil, err
}

// breaks turns a Subscription that compiles into one that can't be evaluated.
func (t *turn) breaks(problem *fhir.Error) {
	t.entry = &entry{version: t.entry.version, phase: broken, terms: t.entry.terms, trouble: &trouble{problem: problem, open: true}}
	t.to, t.sub = broken, nil
}

// suspend takes Subscriptions out that can't be decided at a row: each waits before it, alone, and the row is
// taken up again without them.
func (m *Matcher) suspend(b *batch, row row, undecided []criteria.Undecided) {
	for _, u := range undecided {
		problem, _ := evaluation(u.Err)
		for _, id := range u.IDs {
			lane := store.Lane{Tenant: row.Resource.Key.Tenant, Subscription: id}
			e := m.set.entry(lane)
			if e.phase != live {
				continue // it can't be decided for two reasons
			}
			t := turn{lane: lane, from: live, entry: e}
			t.breaks(problem)
			m.complain(t)
			m.apply(t)
			b.turn(t, row.Change)
		}
	}
}

// reconsider catches up with the Subscriptions that could not be decided, where a row writes what they may have
// waited for. It returns false if the rows before it have to be stored first.
func (m *Matcher) reconsider(ctx context.Context, b *batch, row row) (ready bool, err error) {
	tenant := row.Resource.Key.Tenant
	of := m.set.tenants[tenant]
	if !terminology(row.Resource.Key.Type) || of == nil || m.Broken() == 0 {
		return true, nil
	}
	var waiting []string
	for id, e := range of.subs {
		if e.phase == broken && e.trouble.open && e.trouble.tried < row.Seq {
			waiting = append(waiting, id)
		}
	}
	if len(waiting) == 0 {
		return true, nil
	}
	if ready, err := m.settle(ctx, b); err != nil || !ready {
		return false, err
	}
	slices.Sort(waiting)
	for _, id := range waiting {
		e := of.subs[id]
		e.trouble.tried = row.Seq
		t, err := m.again(ctx, fhir.Key{Tenant: tenant, Type: fhir.Subscription, ID: id}, e.version)
		if err != nil {
			return false, err
		}
		if t.to != live {
			continue
		}
		_, problem, err := m.catchUp(ctx, t.lane, t.sub, row.Seq-1, row.End)
		switch {
		case err != nil:
			return false, err
		case problem != nil:
			e.trouble.problem = problem
			continue
		}
		t.redefined = true
		m.apply(t)
		b.turn(t, row.Change)
	}
	return true, nil
}

// again looks at a version of a Subscription once more.
func (m *Matcher) again(ctx context.Context, key fhir.Key, version uint64) (t turn, err error) {
	err = m.db.View(ctx, func(r store.Reader) error {
		s, err := r.Version(key, version)
		if err == nil {
			t = m.set.look(s)
		}
		return err
	})
	return t, err
}
