package criteria

import (
	"iter"
	"slices"

	"fhirhook/fhir"
)

type bucket struct {
	filed   map[fileKey]*drawer
	unfiled map[uint32]struct{} // entries
}

// fileKey names the parameter of filed entries. In the bucket of all types it differs from type to type, so
// there it is the code and the table to look it up in.
type fileKey struct {
	param *Param
	table *Definitions
	code  string
	part  int    // of a composite: the component that has the keys, from 1
	via   string // of a chain: the references that lead to the parameter, which table has
}

// drawer holds the entries filed under one parameter, by the hashes of their keys: two keys that share one share their
// entries, which are verified anyway.
type drawer struct {
	hops []*Linked // of a chain
	one  map[uint64]uint32
	many map[uint64][]uint32 // where there are more
}

func newDrawer(hops []*Linked) *drawer {
	return &drawer{hops, map[uint64]uint32{}, map[uint64][]uint32{}}
}

func (d *drawer) empty() bool { return len(d.one)+len(d.many) == 0 }

func (d *drawer) add(key uint64, e uint32) {
	list, several := d.many[key]
	first, taken := d.one[key]
	switch {
	case several:
		d.many[key] = append(list, e)
	case taken:
		d.many[key] = []uint32{first, e}
		delete(d.one, key)
	default:
		d.one[key] = e
	}
}

func (d *drawer) remove(key uint64, e uint32) {
	list, several := d.many[key]
	switch list = swapOut(list, e); {
	case !several:
		delete(d.one, key)
	case len(list) == 0:
		delete(d.many, key)
	default:
		d.many[key] = list
	}
}

// count is how many entries a key leads to.
func (d *drawer) count(key uint64) int {
	if _, ok := d.one[key]; ok {
		return 1
	}
	return len(d.many[key])
}

// appendTo adds the entries that a key leads to.
func (d *drawer) appendTo(out []uint32, key uint64) []uint32 {
	if e, ok := d.one[key]; ok {
		return append(out, e)
	}
	return append(out, d.many[key]...)
}

func (d *drawer) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, e := range d.one {
			if !yield(e) {
				return
			}
		}
		for _, list := range d.many {
			for _, e := range list {
				if !yield(e) {
					return
				}
			}
		}
	}
}

func (k fileKey) paramOf(t fhir.Type) (*Param, bool) {
	if k.param != nil {
		return k.param, true
	}
	return k.table.Param(t, k.code)
}

// appendKeys adds the keys that a subject has in the drawer of k; false if that can't be told.
func (d *drawer) appendKeys(out []string, k fileKey, s *Subject) ([]string, bool) {
	if d.hops == nil {
		if p, ok := k.paramOf(s.resource.Key.Type); ok {
			out = s.appendPartKeys(out, p, k.part)
		}
		return out, true
	}
	s.begin()
	ends := []*Subject{s}
	for _, hop := range d.hops {
		var next []*Subject
		for _, at := range ends {
			next = slices.AppendSeq(next, hop.others(at))
		}
		ends = next
	}
	for _, end := range ends {
		out = end.appendPartKeys(out, k.param, k.part)
	}
	return out, s.Err() == nil
}

// filed is where a term is filed.
type filed struct {
	fileKey
	hops []*Linked
	keys []string
}

// filing finds the place of a term in the bucket of a type.
func filing(t *Term, of fhir.Type, table *Definitions) filed {
	var f filed
	for ; t.linked != nil; t = t.linked.Inner {
		f.hops = append(f.hops, t.linked)
		f.via += t.linked.Code + ":" + string(t.linked.Types[0]) + "."
		of = t.linked.Types[0]
	}
	p, ok := t.Param(of)
	if ok {
		f.param = p
	} else {
		f.code = t.Name
		p, _ = table.Param(fhir.Types()[0], t.Name) // of all types: common to them, so any serves for keys
	}
	if !ok || f.hops != nil {
		f.table = table
	}
	f.part = t.keyPart()
	f.keys = t.partKeys(p, f.part)
	return f
}

// rarest picks the term with keys that shares them with the fewest entries so far; between equals the kind that
// tells resources apart best; -1 if there is none.
func (s *Set) rarest(q *Query) int {
	best, bestCost := -1, 0
	for i := range q.terms {
		t := &q.terms[i]
		if !t.fileable() {
			continue
		}
		of := fhir.Type("")
		if len(q.types) > 0 {
			of = q.types[0]
		}
		f := filing(t, of, q.table)
		cost := 0
		if b := s.buckets[of]; b != nil && b.filed[f.fileKey] != nil {
			for _, key := range f.keys {
				cost += b.filed[f.fileKey].count(s.hash(key))
			}
		}
		cost = cost<<8 | min(len(f.keys), 31)<<3 | commonness(t)
		if best < 0 || cost < bestCost {
			best, bestCost = i, cost
		}
	}
	return best
}

// fileable tells whether a resource's keys lead to the term: it is an equality, a composite with one in it, or a
// chain to one through references that lead to one type each.
func (t *Term) fileable() bool {
	for ; t.linked != nil; t = t.linked.Inner {
		if t.linked.Reverse || len(t.linked.Types) != 1 || t.linked.Or != nil {
			return false
		}
	}
	return t.equality() || t.keyPart() > 0
}

// commonness guesses, from 0, how many resources share a value of the term.
func commonness(t *Term) int {
	switch {
	case t.linked != nil: // costs a look at another resource
		return 6
	case t.Name == "_id":
		return 0
	case t.Kind == Composite:
		return 3
	case t.Kind == Reference:
		return 1
	case t.Kind == URI || t.Kind == String:
		return 2
	case slices.ContainsFunc(t.Values, func(v Value) bool { token, ok := v.(*tokenValue); return ok && token.code != "" && token.bar }):
		return 3
	default:
		return 4
	}
}
