package search

import (
	"context"
	"iter"
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Resolver looks at a tenant's resources as they were at a place, for criteria that go further than one
// resource. It is for one evaluation, or for several at the same place, and ends with ctx. Of env only what
// tells own references counts.
func (e *Engine) Resolver(ctx context.Context, tenant string, at store.Seq, env criteria.Env) criteria.Resolver {
	return newResolver(ctx, e.o.Index, e.view(snapshot{e.db, at}, env), tenant, env, &budget{e.o.MaxScan, e.o.MaxScan})
}

// ResolverWithin is Resolver in the newest state that r reads, which may be a transaction's Writer.
func (e *Engine) ResolverWithin(ctx context.Context, r store.Reader, tenant string, env criteria.Env) criteria.Resolver {
	return newResolver(ctx, e.o.Index, e.view(within{r, r.Last()}, env), tenant, env, &budget{e.o.MaxScan, e.o.MaxScan})
}

// resolver is a criteria.Resolver over a state.
type resolver struct {
	ctx    context.Context //nolint:containedctx // of the search that it is part of; criteria know no contexts
	index  *Index          // nil: there is none
	state  state
	tenant string
	env    criteria.Env
	budget *budget
	found  map[*criteria.Param]map[string][]string // ids by key, of the parameters that were asked for
}

func newResolver(ctx context.Context, x *Index, s state, tenant string, env criteria.Env, b *budget) *resolver {
	env.Lookup = nil
	return &resolver{ctx, x, s, tenant, env, b, map[*criteria.Param]map[string][]string{}}
}

// Current implements criteria.Resolver.
func (r *resolver) Current(t fhir.Type, id string) (*fhir.Resource, error) {
	if !fhir.ValidID(id) {
		return nil, nil
	}
	if err := r.budget.spend(); err != nil {
		return nil, err
	}
	rows, err := r.state.live(r.ctx, []fhir.Key{{Tenant: r.tenant, Type: t, ID: id}})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// Having implements criteria.Resolver. What the index can't find is found by a walk over the type, which the
// first question about a parameter makes for all.
func (r *resolver) Having(t fhir.Type, p *criteria.Param, keys []string) iter.Seq2[*fhir.Resource, error] {
	of := scope{r.tenant, t}
	if stretches, ok := r.index.stretchesOfKeys(of, p, keys); ok && r.found[p] == nil {
		return r.indexed(of, p, keys, stretches)
	}
	return func(yield func(*fhir.Resource, error) bool) {
		byKey, err := r.keys(t, p)
		if err != nil {
			yield(nil, err)
			return
		}
		var wanted []fhir.Key
		seen := map[string]bool{}
		for _, key := range keys {
			for _, id := range byKey[key] {
				if !seen[id] {
					seen[id] = true
					wanted = append(wanted, fhir.Key{Tenant: r.tenant, Type: t, ID: id})
				}
			}
		}
		for len(wanted) > 0 {
			some := wanted[:min(batchRows, len(wanted))]
			wanted = wanted[len(some):]
			rows, err := r.state.live(r.ctx, some)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, row := range rows {
				if err := r.budget.spend(); err != nil {
					yield(nil, err)
					return
				}
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// indexed is Having by the index.
func (r *resolver) indexed(of scope, p *criteria.Param, keys []string, stretches []stretch) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		look, err := having(r.ctx, r.index, r.state, r.state.place(), of, stretches)
		if err == nil {
			err = look.candidates(r.ctx, r.state, fhir.Key{}, func(row *fhir.Resource) (bool, error) {
				if err := r.budget.spend(); err != nil {
					return false, err
				}
				own := criteria.NewSubject(row, r.env).AppendKeys(nil, p)
				if !slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(own, key) }) {
					return true, nil
				}
				return yield(row, nil), nil
			})
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// keys are the ids of a type's resources by their keys of a parameter.
func (r *resolver) keys(t fhir.Type, p *criteria.Param) (map[string][]string, error) {
	if byKey, ok := r.found[p]; ok {
		return byKey, nil
	}
	byKey := map[string][]string{}
	walk := &plan{tenant: r.tenant, types: []fhir.Type{t}}
	err := walk.candidates(r.ctx, r.state, fhir.Key{}, func(row *fhir.Resource) (bool, error) {
		if err := r.budget.spend(); err != nil {
			return false, err
		}
		for _, key := range criteria.NewSubject(row, r.env).AppendKeys(nil, p) {
			if ids := byKey[key]; len(ids) == 0 || ids[len(ids)-1] != row.Key.ID {
				byKey[key] = append(ids, row.Key.ID)
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	r.found[p] = byKey
	return byKey, nil
}
