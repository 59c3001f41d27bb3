package search

import (
	"context"
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// plan is where a search looks, and for what.
type plan struct {
	tenant string
	types  []fhir.Type // sorted
	query  *criteria.Query
	ids    []string // sorted; the only ids that can match. nil: any can

	members map[fhir.Type]membership // of the compartment that is searched; nil: all there is

	// What prepare found out. Without an index everything is walked.
	access    map[fhir.Type]*access
	at, place store.Seq // of the search and of the index
	tail      tail
}

func newPlan(tenant string, q *criteria.Query) *plan {
	p := &plan{tenant: tenant, types: q.Types(), query: q, ids: narrowest(q)}
	if len(p.types) == 0 {
		p.types = fhir.Types()
	}
	return p
}

// narrowest finds the ids that _id allows, nil if the query doesn't say. A value that is no plain id is left
// to the walk.
func narrowest(q *criteria.Query) []string {
	for _, term := range q.Terms() {
		if term.Name != "_id" || term.Modifier != "" {
			continue
		}
		var ids []string
		for _, v := range term.Values {
			if id := v.String(); fhir.ValidID(id) {
				ids = append(ids, id)
			}
		}
		if len(ids) == len(term.Values) {
			slices.Sort(ids)
			return slices.Compact(ids)
		}
	}
	return nil
}

// candidates visits all resources that may match, until visit returns false: it may offer too many, never too
// few. Those of types that are walked come in order of id, from behind a key; those that the index found in
// any order, whatever the key.
func (p *plan) candidates(ctx context.Context, s state, after fhir.Key, visit func(*fhir.Resource) (bool, error)) error {
	for _, t := range p.types {
		if a := p.access[t]; a != nil && !a.walked {
			if goOn, err := p.found(ctx, s, t, a, visit); err != nil || !goOn {
				return err
			}
			continue
		}
		from := ""
		switch {
		case t < after.Type:
			continue
		case t == after.Type:
			from = after.ID
		}
		for more := true; more; {
			var rows []*fhir.Resource
			var err error
			if p.ids != nil {
				rows, err = s.live(ctx, p.keys(t, from))
				more = false
			} else {
				rows, more, err = s.batch(ctx, p.tenant, t, from)
			}
			if err != nil {
				return err
			}
			for _, r := range rows {
				from = r.Key.ID
				if goOn, err := visit(r); err != nil || !goOn {
					return err
				}
			}
		}
	}
	return nil
}

func (p *plan) keys(t fhir.Type, after string) []fhir.Key {
	var keys []fhir.Key
	for _, id := range p.ids {
		if id > after {
			keys = append(keys, fhir.Key{Tenant: p.tenant, Type: t, ID: id})
		}
	}
	return keys
}
