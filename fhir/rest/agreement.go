package rest

import (
	"context"
	"strconv"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// agreement finds conditional creates of one transaction that mean the same resource in different words: each
// finds nothing before, so both would create, and the result would depend on which came first (R4
// http.html#trules has identities overlap fail the whole).
type agreement struct {
	set criteria.Set
	any bool
}

// agreement compiles the conditions of a plan, outside the transaction. What can't be compiled fails where it
// is searched, and what looks at other resources isn't compared.
func (s *Server) agreement(ctx context.Context, plan transactionPlan) (*agreement, error) {
	a := &agreement{}
	var defs *criteria.Definitions
	for i, p := range plan.parts {
		if p.route.code != create || !p.call.cond.hasNoneExist {
			continue
		}
		if defs == nil {
			defs = criteria.R4()
			if s.Definitions != nil {
				var err error
				if defs, err = s.Definitions(ctx, plan.call.tenant); err != nil {
					return nil, err
				}
			}
		}
		pairs, err := p.call.noneExist()
		if err != nil {
			return nil, atEntry(i, err)
		}
		q, _, err := criteria.ParseParams(p.call.target.typ, pairs, defs, false)
		if err == nil && !q.Far() {
			a.set.Add(strconv.Itoa(i), q)
			a.any = true
		}
	}
	return a, nil
}

// noneExist is the condition of a conditional create.
func (c *call) noneExist() ([]Pair, error) {
	query := strings.TrimPrefix(c.cond.ifNoneExist, string(c.target.typ)+"?")
	return criteria.ParsePairs(strings.TrimPrefix(query, "?"))
}

// agree refuses conditions that select what another entry is about to create.
func (run *transactionRun) agree(resources []fhir.Incoming) error {
	if !run.agreement.any {
		return nil
	}
	pending := map[fhir.Key]fhir.Incoming{}
	entries := map[fhir.Key]int{}
	for i, p := range run.plan.parts {
		if p.route.code == create && run.answers[i].status == 0 {
			pending[run.keys[i]], entries[run.keys[i]] = resources[i], i
		}
	}
	after, err := newOverlay(run.tx, pending)
	if err != nil {
		return err
	}
	env := criteria.Env{Now: run.tx.Now(), Bases: []string{run.plan.call.base}}
	for i := range run.plan.parts {
		r := after.pending[run.keys[i]]
		if r == nil {
			continue
		}
		for _, id := range run.agreement.set.Match(r, env) {
			other, err := strconv.Atoi(id)
			if err != nil {
				return err
			}
			if other != i && run.answers[other].status == 0 {
				return fhir.Errorf(fhir.Invalid, entryExpression(other, entryRequest+".ifNoneExist"),
					"the condition of entry %d selects what entry %d creates: the two mean the same resource, so send it once", other, i)
			}
		}
	}
	return nil
}
