package criteria

import (
	"cmp"
	"strings"

	"fhirhook/fhir"
)

// SortKey is the place of a resource among others by one parameter (R4 search.html#sort).
type SortKey struct {
	there    bool
	moment   moment
	number   decimal
	infinite int // of a number: -1 and +1 for open ends
	text     string
}

// CheckSort refuses what can't be sorted by: a composite, and what has no values of its own.
func (p *Param) CheckSort() *fhir.Error {
	if p.Kind == Composite || p.Kind == Special || p.Expression == "" {
		return fhir.Errorf(fhir.NotSupported, "http._sort", "results can't be sorted by %s, which is a %s parameter", p.Code, p.Kind)
	}
	return nil
}

// SortKey returns the subject's key by a parameter that passes CheckSort. Of several values, the one counts
// that comes first in the order: the least if it ascends, the greatest if it descends. Dates are ordered by
// their lower edges or, descending, their upper; texts without regard to case and accents; codes and
// references as they are written.
func (s *Subject) SortKey(p *Param, descending bool) SortKey {
	var best SortKey
	offer := func(k SortKey) {
		k.there = true
		if !best.there || (k.compare(best) < 0) != descending && k.compare(best) != 0 {
			best = k
		}
	}
	x := s.values(p)
	for _, d := range x.dates {
		if descending {
			offer(SortKey{moment: d.high})
		} else {
			offer(SortKey{moment: d.low})
		}
	}
	for _, n := range x.spans {
		offer(n.sortKey(descending))
	}
	for _, a := range x.amounts {
		offer(a.sortKey(descending))
	}
	for _, t := range x.phrases {
		offer(SortKey{text: t.plain.folded})
	}
	for _, c := range x.codes {
		offer(SortKey{text: c.code})
	}
	for _, t := range x.targets {
		offer(SortKey{text: t.whole})
	}
	for _, a := range x.addresses {
		offer(SortKey{text: a.whole})
	}
	return best
}

func (s span) sortKey(descending bool) SortKey {
	end, infinite := s.low, -1
	if descending {
		end, infinite = s.high, 1
	}
	if end.infinite {
		return SortKey{infinite: infinite}
	}
	return SortKey{number: end.at}
}

// Compare is negative, 0 or positive as k comes before, beside or after o. Resources without a value come
// last whatever the direction.
func (k SortKey) Compare(o SortKey, descending bool) int {
	switch {
	case k.there != o.there && k.there:
		return -1
	case k.there != o.there:
		return 1
	case descending:
		return o.compare(k)
	default:
		return k.compare(o)
	}
}

func (k SortKey) compare(o SortKey) int {
	return cmp.Or(
		cmp.Compare(k.moment.sec, o.moment.sec), cmp.Compare(k.moment.nano, o.moment.nano),
		cmp.Compare(k.infinite, o.infinite), k.number.compare(o.number),
		strings.Compare(k.text, o.text))
}
