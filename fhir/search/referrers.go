package search

import (
	"context"
	"iter"
	"math"
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Referrers looks at a tenant's resources as Resolver does, for going back over links to everything that a
// change concerns, however much it is: nothing bounds how many resources are looked at. Memory is bounded: what
// the index can't find is found by a walk over the type for each question, a batch at a time.
func (e *Engine) Referrers(ctx context.Context, tenant string, at store.Seq, env criteria.Env) criteria.Resolver {
	return referrers{newResolver(ctx, e.o.Index, e.view(snapshot{e.db, at}, env), tenant, env, &budget{math.MaxInt, math.MaxInt})}
}

type referrers struct{ *resolver }

// Having implements criteria.Resolver.
func (r referrers) Having(t fhir.Type, p *criteria.Param, keys []string) iter.Seq2[*fhir.Resource, error] {
	of := scope{r.tenant, t}
	if stretches, ok := r.index.stretchesOfKeys(of, p, keys); ok {
		return r.indexed(of, p, keys, stretches)
	}
	return func(yield func(*fhir.Resource, error) bool) {
		walk := &plan{tenant: r.tenant, types: []fhir.Type{t}}
		err := walk.candidates(r.ctx, r.state, fhir.Key{}, func(row *fhir.Resource) (bool, error) {
			own := criteria.NewSubject(row, r.env).AppendKeys(nil, p)
			if !slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(own, key) }) {
				return true, nil
			}
			return yield(row, nil), nil
		})
		if err != nil {
			yield(nil, err)
		}
	}
}
