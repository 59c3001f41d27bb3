package criteria

import (
	"iter"
	"slices"

	"fhirhook/fhir"
)

// Way is one way from a query's subjects to other resources: as far as one of its chains or _has goes, or a
// part of it. It can be gone backwards, from a resource that changed to the subjects that it may concern.
type Way struct {
	// Query finds the resources at the end of the way that make the chain or _has hold.
	Query *Query

	types []fhir.Type // where it begins; none: all
	hops  []*Linked
}

// Ways returns all ways of a query. If the query finds a subject at a place and did not find it at an earlier
// one, and the subject is the same at both, then one of its ways leads to a resource that was written between
// and is there now, and that Query finds now (terms always hold by some resource at their end, and never by
// the lack of one). Chains inside _filter have none, for there a lack can count; nor have those that pass
// through contained resources, which nothing leads to from outside.
func (q *Query) Ways() []Way {
	var ways []Way
	for i := range q.terms {
		ways = q.appendWays(ways, nil, q.terms[i].linked)
	}
	return ways
}

// appendWays adds the ways that go on by a link behind some hops.
func (q *Query) appendWays(ways []Way, behind []*Linked, k *Linked) []Way {
	for ; k != nil; k = k.Or {
		hops := append(slices.Clip(behind), k)
		ways = append(ways, Way{newQuery(k.Types, []Term{*k.Inner}, k.table), q.types, hops})
		ways = q.appendWays(ways, hops, k.Inner.linked)
	}
	return ways
}

// Direct tells whether Back never yields a resource twice.
func (w Way) Direct() bool { return len(w.hops) == 1 && !w.hops[0].Reverse && len(w.types) == 1 }

// Back yields the resources at the beginning of the way from which it may lead to the subject, as they are
// where the Resolver looks. There may be repetitions.
func (w Way) Back(s *Subject, r Resolver) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) { w.back(s, r, len(w.hops)-1, yield) }
}

// back goes back over a hop and those before it, and tells whether to go on.
func (w Way) back(s *Subject, r Resolver, hop int, yield func(*fhir.Resource, error) bool) bool {
	types := w.types
	if hop > 0 {
		types = w.hops[hop-1].Types
	} else if len(types) == 0 {
		types = fhir.Types()
	}
	for near, err := range w.hops[hop].near(s, r, types) {
		switch {
		case err != nil:
			yield(nil, err)
			return false
		case hop == 0:
			if !yield(near, nil) {
				return false
			}
		case !w.back(NewSubject(near, s.env), r, hop-1, yield):
			return false
		}
	}
	return true
}

// near yields the resources at the near end of a hop that has the subject at its far end.
func (k *Linked) near(s *Subject, r Resolver, types []fhir.Type) iter.Seq2[*fhir.Resource, error] {
	if k.Reverse {
		return k.named(s, r, types)
	}
	return func(yield func(*fhir.Resource, error) bool) {
		for _, t := range types {
			p, ok := k.table.Param(t, k.Code)
			if !ok || p.Kind != Reference {
				continue
			}
			keys := []string{s.resource.Key.String()}
			if url := text(s.root.Get("url")); url != "" && p.canonicals() {
				keys = append(keys, url)
			}
			for x, err := range r.Having(t, p, keys) {
				if err != nil {
					yield(nil, err)
					return
				}
				if NewSubject(x, s.env).RefersTo(p, s) && !yield(x, nil) {
					return
				}
			}
		}
	}
}

// named yields the resources that the subject refers to.
func (k *Linked) named(s *Subject, r Resolver, types []fhir.Type) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		p, ok := k.table.Param(s.resource.Key.Type, k.Code)
		if !ok {
			return
		}
		for _, t := range s.values(p).targets {
			switch {
			case t.rest && s.own(t.base):
				if !slices.Contains(types, t.kind) {
					continue
				}
				x, err := r.Current(t.kind, t.id)
				if err == nil && (x == nil || x.Deleted) {
					continue
				}
				if !yield(x, err) || err != nil {
					return
				}
			case t.canonical:
				if !k.canonicals(s, p, r, t.url, types, yield) {
					return
				}
			}
		}
	}
}

// canonicals yields what the subject refers to by a canonical URL.
func (k *Linked) canonicals(s *Subject, p *Param, r Resolver, url string, types []fhir.Type, yield func(*fhir.Resource, error) bool) bool {
	for _, t := range types {
		by, ok := k.table.Param(t, "url")
		if !ok || by.Kind != URI {
			continue
		}
		for x, err := range r.Having(t, by, []string{url}) {
			if err != nil {
				yield(nil, err)
				return false
			}
			if s.RefersTo(p, NewSubject(x, s.env)) && !yield(x, nil) {
				return false
			}
		}
	}
	return true
}
