package search

import (
	"context"
	"strings"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Find returns at most most resources that match, in id order, in the state that r reads; r may be a
// transaction's Writer, so that what a condition finds and what is then written can't come apart. It is for
// conditional interactions (R4 http.html#cond-update) and is strict whatever the request says: a parameter
// that isn't known or filters nothing is refused, and so is a condition without any.
func (e *Engine) Find(ctx context.Context, r store.Reader, req Request, most int) ([]*fhir.Resource, error) {
	var filters []criteria.Pair
	for _, p := range req.Params {
		name, _, _ := strings.Cut(p.Name, ":")
		switch _, shapes := readers[name]; {
		case !shapes:
			filters = append(filters, p)
		case name != paramFormat && name != paramPretty:
			return nil, fhir.Errorf(fhir.NotSupported, "http."+name, "%s shapes the answer of a search, and a condition has none: leave it out", name)
		}
	}
	defs, err := e.catalogue.Within(r, req.Tenant)
	if err != nil {
		return nil, err
	}
	e = e.using(defs)
	query, _, err := criteria.ParseParams(req.Type, filters, e.defs, false)
	if err != nil {
		return nil, err
	}
	if len(query.Terms()) == 0 {
		return nil, fhir.Errorf(fhir.Required, "", "the condition has no search parameter with a value, and so would mean every %s: add one", req.Type)
	}
	return e.Matching(ctx, r, r.Last(), query, req, most)
}

// Matching is Find for a query that is compiled already, as of a place. Of the request only Tenant, Bases, Sees,
// Now and Zone count.
func (e *Engine) Matching(ctx context.Context, r store.Reader, at store.Seq, query *criteria.Query, req Request, most int) ([]*fhir.Resource, error) {
	ctx, cancel := e.deadline(ctx)
	defer cancel()
	env := criteria.Env{Now: req.Now, Bases: req.Bases, Zone: req.Zone}
	if env.Now.IsZero() {
		env.Now = time.Now()
	}
	if req.Sees != nil {
		e = e.As(req.Sees)
	}
	state, budget := e.view(within{r, at}, env), budget{e.o.MaxScan, e.o.MaxScan}
	env.Lookup = criteria.NewLookup(newResolver(ctx, e.o.Index, state, req.Tenant, env, &budget), e.defs)
	if err := query.Check(env); err != nil {
		return nil, e.explain(ctx, err)
	}
	p := newPlan(req.Tenant, query)
	if err := p.prepare(ctx, e, state, at, env); err != nil {
		return nil, e.explain(ctx, err)
	}
	inOrder, byID := p.ordered(), first{order: &order{}, most: most}
	err := p.candidates(ctx, state, fhir.Key{}, func(c *fhir.Resource) (bool, error) {
		if err := budget.spend(); err != nil {
			return false, err
		}
		subject := criteria.NewSubject(c, env)
		if query.Matches(subject) {
			byID.offer(hit{resource: c})
		}
		return !inOrder || len(byID.hits) < most, subject.Err()
	})
	var found []*fhir.Resource
	for _, h := range byID.sorted() {
		found = append(found, h.resource)
	}
	return found, e.explain(ctx, err)
}
