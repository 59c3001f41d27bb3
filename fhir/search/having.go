package search

import (
	"context"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// having plans for the resources of one type that have a value within one of the stretches. Its candidates
// are to be verified; where the index can't tell they are all of the type.
func having(ctx context.Context, x *Index, s state, at store.Seq, of scope, stretches []stretch) (*plan, error) {
	p := &plan{tenant: of.tenant, types: []fhir.Type{of.typ}}
	if x == nil {
		return p, nil
	}
	a := &access{}
	err := x.view(ctx, func(l lookup) error {
		p.at, p.place = at, l.place
		if at < l.floor || at > l.place+maxTail {
			a.walked = true
			return nil
		}
		in := window{1, min(at, l.place)}
		// A type of which nothing is stored is asked for nothing else.
		if none, complete, err := l.rows([]stretch{{field: fieldOf(of.tenant, of.typ, "", 0)}}, in, 0); err != nil || complete && len(none) == 0 {
			return err
		}
		rows, complete, err := l.rows(stretches, in, lastPeek)
		a.rows, a.walked = rows, !complete
		return err
	})
	if err != nil {
		return nil, err
	}
	p.access = map[fhir.Type]*access{of.typ: a}
	if !a.walked && at > p.place {
		p.tail, err = s.tail(ctx, of.tenant, p.place, at)
	}
	return p, err
}

// stretchesOfKeys are where a parameter's marks lie for some keys; false if the index does not serve them all.
func (x *Index) stretchesOfKeys(of scope, p *criteria.Param, keys []string) ([]stretch, bool) {
	if x == nil || !x.knows(p) {
		return nil, false
	}
	var reaches []criteria.Reach
	for _, key := range keys {
		r, ok := p.ReachOfKey(key)
		if !ok {
			return nil, false
		}
		reaches = append(reaches, r)
	}
	return stretchesOf(of.tenant, of.typ, p.Code, reaches), true
}

// knows tells whether the index has a parameter, and means the same by it: a tenant's own definitions it has not.
func (x *Index) knows(p *criteria.Param) bool {
	own, ok := x.defs.Param(p.Type, p.Code)
	return ok && indexed(own) && (own == p || own.Fingerprint() == p.Fingerprint())
}
