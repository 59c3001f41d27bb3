package search

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// sortKey is one key of _sort.
type sortKey struct {
	code       string
	descending bool
}

func (r *results) readSort(p *criteria.Pair) error {
	r.sortText = p.Value
	for code := range strings.SplitSeq(p.Value, ",") {
		key := sortKey{code: code}
		key.code, key.descending = strings.CutPrefix(code, "-")
		if key.code == "" || strings.ContainsAny(key.code, ":. ") {
			return fhir.Errorf(fhir.Value, "http."+paramSort, "%q is not a sort key: write the name of a search parameter, with - in front to descend", clip(code))
		}
		if slices.ContainsFunc(r.sort, func(k sortKey) bool { return k.code == key.code }) {
			return fhir.Errorf(fhir.Value, "http."+paramSort, "%s is there more than once", key.code)
		}
		r.sort = append(r.sort, key)
	}
	return nil
}

// order sorts by keys and, among equals, by type and id, so that no two resources are at the same place.
// Without keys it is the order of the walk: ids that this server drew rise with the time of creation.
type order struct {
	lead   fhir.Key // before all others; zero: none
	keys   []sortKey
	params []map[fhir.Type]*criteria.Param // of each key
}

// newOrder looks up the keys for every type; a key that a type doesn't have is refused.
func newOrder(keys []sortKey, types []fhir.Type, defs *criteria.Definitions) (*order, error) {
	o := &order{keys: keys}
	for _, k := range keys {
		params := make(map[fhir.Type]*criteria.Param, len(types))
		for _, t := range types {
			p, ok := defs.Param(t, k.code)
			if !ok {
				return nil, fhir.Errorf(fhir.NotSupported, "http."+paramSort, "%q is not a search parameter of %s, so results can't be sorted by it", clip(k.code), t)
			}
			if err := p.CheckSort(); err != nil {
				return nil, err
			}
			if first := params[types[0]]; first != nil && first.Kind != p.Kind {
				return nil, fhir.Errorf(fhir.NotSupported, "http."+paramSort, "%s does not mean the same for %s and %s: search those types one by one", k.code, types[0], t)
			}
			params[t] = p
		}
		o.params = append(o.params, params)
	}
	return o, nil
}

// hit is a match with its place.
type hit struct {
	resource *fhir.Resource
	keys     []criteria.SortKey
}

func (o *order) place(s *criteria.Subject) hit {
	h := hit{resource: s.Resource()}
	for i, k := range o.keys {
		h.keys = append(h.keys, s.SortKey(o.params[i][h.resource.Key.Type], k.descending))
	}
	return h
}

func (o *order) compare(a, b hit) int {
	switch leads, led := a.resource.Key == o.lead, b.resource.Key == o.lead; {
	case leads && led:
		return 0
	case leads:
		return -1
	case led:
		return 1
	}
	for i, k := range o.keys {
		if c := a.keys[i].Compare(b.keys[i], k.descending); c != 0 {
			return c
		}
	}
	return compareKeys(a, b)
}

// compareKeys is the order of hits among equals.
func compareKeys(a, b hit) int {
	return cmp.Or(cmp.Compare(a.resource.Key.Type, b.resource.Key.Type), strings.Compare(a.resource.Key.ID, b.resource.Key.ID))
}

// first keeps the first hits of those offered, whatever their order: a heap with the last of them on top.
type first struct {
	order *order
	most  int
	hits  []hit
}

func (f *first) offer(h hit) {
	switch {
	case len(f.hits) < f.most:
		heap.Push(f, h)
	case f.order.compare(h, f.hits[0]) < 0:
		f.hits[0] = h
		heap.Fix(f, 0)
	}
}

// oldest is the time of the last hit.
func (f *first) oldest() time.Time { return f.hits[0].resource.Updated }

// natural tells whether a walk over a single type goes in this order.
func (o *order) natural(types []fhir.Type) bool {
	return len(o.keys) == 0 || len(types) == 1 && o.keys[0] == sortKey{code: "_id"}
}

func (f *first) sorted() []hit {
	slices.SortFunc(f.hits, f.order.compare)
	return f.hits
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (f *first) Len() int           { return len(f.hits) }
func (f *first) Less(i, j int) bool { return f.order.compare(f.hits[i], f.hits[j]) > 0 }
func (f *first) Swap(i, j int)      { f.hits[i], f.hits[j] = f.hits[j], f.hits[i] }
func (f *first) Push(h any)         { f.hits = append(f.hits, h.(hit)) }
func (f *first) Pop() any {
	h := f.hits[len(f.hits)-1]
	f.hits = f.hits[:len(f.hits)-1]
	return h
}
