package search

import (
	"context"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Sight tells whether a version may be known to whoever asks. Of env, Now, Bases and Zone count.
type Sight func(*fhir.Resource, criteria.Env) bool

// As is the engine for somebody who sees a part of the store: what is out of sight is not found, not counted, not
// included, and criteria that lead to it through chains, _has, lists or value sets find nothing there. nil sees
// everything.
func (e *Engine) As(sees Sight) *Engine {
	own := *e
	own.sees = sees
	return &own
}

// view is a state as the engine shows it. Everything that a search learns of resources goes through it, which is
// what makes it the one place to hide something.
func (e *Engine) view(s state, env criteria.Env) state {
	if e.sees == nil && e.o.Show == nil {
		return s
	}
	env.Lookup = nil
	return sighted{s, e.o.Show, e.sees, env}
}

// sighted is a state of which only a part is in sight.
type sighted struct {
	state
	show func(*fhir.Resource) *fhir.Resource // nil: as it is
	sees Sight                               // nil: everything
	env  criteria.Env
}

// sight leaves out what is out of sight, in place.
func (s sighted) sight(rows []*fhir.Resource) []*fhir.Resource {
	kept := rows[:0]
	for _, r := range rows {
		if r = s.one(r); r != nil {
			kept = append(kept, r)
		}
	}
	return kept
}

// one is what is shown of a resource; nil: nothing.
func (s sighted) one(r *fhir.Resource) *fhir.Resource {
	if r == nil || s.sees != nil && !s.sees(r, s.env) {
		return nil
	}
	if s.show != nil {
		return s.show(r)
	}
	return r
}

// batch goes on until it has something to show, for its caller goes on behind the last that it got.
func (s sighted) batch(ctx context.Context, tenant string, t fhir.Type, after string) ([]*fhir.Resource, bool, error) {
	for {
		rows, more, err := s.state.batch(ctx, tenant, t, after)
		if err != nil || len(rows) == 0 {
			return nil, false, err
		}
		after = rows[len(rows)-1].Key.ID
		if rows = s.sight(rows); len(rows) > 0 || !more {
			return rows, more, nil
		}
	}
}

func (s sighted) live(ctx context.Context, keys []fhir.Key) ([]*fhir.Resource, error) {
	rows, err := s.state.live(ctx, keys)
	return s.sight(rows), err
}

func (s sighted) version(ctx context.Context, key fhir.Key, version uint64) (*fhir.Resource, error) {
	r, err := s.state.version(ctx, key, version)
	return s.one(r), err
}

func (s sighted) rows(ctx context.Context, of scope, rows []store.Seq, at store.Seq) ([]*fhir.Resource, error) {
	found, err := s.state.rows(ctx, of, rows, at)
	return s.sight(found), err
}

func (s sighted) tail(ctx context.Context, tenant string, after, at store.Seq) (tail, error) {
	all, err := s.state.tail(ctx, tenant, after, at)
	for t, rows := range all {
		all[t] = s.sight(rows)
	}
	return all, err
}

func (s sighted) newest(ctx context.Context, of scope, before, at store.Seq) ([]*fhir.Resource, store.Seq, error) {
	rows, next, err := s.state.newest(ctx, of, before, at)
	return s.sight(rows), next, err
}
