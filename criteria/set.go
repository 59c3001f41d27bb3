package criteria

import (
	"slices"

	"fhirhook/fhir"
)

// Set finds those of many queries that match a resource, without trying them all.
//
// Each query is filed under one of its equality terms, the rarest at the time, under a key for each of
// the term's alternatives; a resource's own keys lead to the candidates, which are then verified. Queries
// without an equality term are tried one by one for every resource of their type. Queries with the same
// canonical form are one entry and share one evaluation.
//
// Match may run concurrently with itself, not with Add and Remove.
type Set struct {
	byID    map[string]*entry
	byText  map[entryKey]*entry
	buckets map[fhir.Type]*bucket // "" is that of queries about all types
}

type entryKey struct {
	text  string
	table *Definitions
}

type entry struct {
	query *Query
	ids   []string
	term  int // by which it is filed; -1: none
}

type bucket struct {
	filed   map[fileKey]*drawer
	unfiled map[*entry]struct{}
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

// drawer holds the entries filed under one parameter, by key.
type drawer struct {
	hops  []*Linked // of a chain
	byKey map[string][]*entry
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

// Add puts a query into the set under an id; one that is there under that id already is replaced.
func (s *Set) Add(id string, q *Query) {
	if s.byID == nil {
		s.byID, s.byText, s.buckets = map[string]*entry{}, map[entryKey]*entry{}, map[fhir.Type]*bucket{}
	}
	s.Remove(id)
	k := entryKey{q.text, q.table}
	e := s.byText[k]
	if e == nil {
		e = &entry{query: q, term: s.rarest(q)}
		s.byText[k] = e
		s.eachPlace(e, func(b *bucket, f filed, key string) {
			if e.term < 0 {
				b.unfiled[e] = struct{}{}
				return
			}
			d := b.filed[f.fileKey]
			if d == nil {
				d = &drawer{f.hops, map[string][]*entry{}}
				b.filed[f.fileKey] = d
			}
			d.byKey[key] = append(d.byKey[key], e)
		})
	}
	e.ids = append(e.ids, id)
	s.byID[id] = e
}

// Remove takes a query out of the set.
func (s *Set) Remove(id string) {
	e := s.byID[id]
	if e == nil {
		return
	}
	delete(s.byID, id)
	e.ids = swapOut(e.ids, id)
	if len(e.ids) > 0 {
		return
	}
	delete(s.byText, entryKey{e.query.text, e.query.table})
	s.eachPlace(e, func(b *bucket, f filed, key string) {
		if e.term < 0 {
			delete(b.unfiled, e)
			return
		}
		d := b.filed[f.fileKey]
		if d.byKey[key] = swapOut(d.byKey[key], e); len(d.byKey[key]) == 0 {
			delete(d.byKey, key)
		}
		if len(d.byKey) == 0 {
			delete(b.filed, f.fileKey)
		}
	})
}

// swapOut takes one x out of list, whose order does not matter.
func swapOut[T comparable](list []T, x T) []T {
	i := slices.Index(list, x)
	if i < 0 {
		return list
	}
	last := len(list) - 1
	list[i] = list[last]
	var zero T
	list[last] = zero
	return list[:last]
}

// Len counts the ids in the set.
func (s *Set) Len() int { return len(s.byID) }

// FiledUnder tells by which term a query is found; false if it is tried for every resource of its types.
func (s *Set) FiledUnder(id string) (*Term, bool) {
	e := s.byID[id]
	if e == nil || e.term < 0 {
		return nil, false
	}
	return &e.query.terms[e.term], true
}

// Match returns the ids of the queries that find the resource, sorted, for sets without queries that are Far.
func (s *Set) Match(r *fhir.Resource, env Env) []string {
	ids, _ := s.Decide(NewSubject(r, env))
	return ids
}

// Undecided are queries of which can't be told whether they find the subject, and why (Subject.Err).
type Undecided struct {
	IDs []string
	Err error
}

// Decide returns the ids of the queries that find the subject, sorted, and those that can't be decided.
func (s *Set) Decide(subject *Subject) (ids []string, undecided []Undecided) {
	candidates := make([]*entry, 0, 16)
	keys := make([]string, 0, 16)
	of := subject.resource.Key.Type
	for _, t := range []fhir.Type{of, ""} {
		b := s.buckets[t]
		if b == nil || subject.resource.Deleted {
			continue
		}
		for e := range b.unfiled {
			candidates = append(candidates, e)
		}
		for f, d := range b.filed {
			var told bool
			if keys, told = d.appendKeys(keys[:0], f, subject); !told {
				for _, some := range d.byKey { // each is to be undecided for itself
					candidates = append(candidates, some...)
				}
				continue
			}
			for _, key := range keys {
				candidates = append(candidates, d.byKey[key]...)
			}
		}
	}
	for _, e := range distinct(candidates) {
		switch found := e.query.Matches(subject); {
		case subject.Err() != nil:
			undecided = append(undecided, Undecided{slices.Clone(e.ids), subject.Err()})
		case found:
			ids = append(ids, e.ids...)
		}
	}
	slices.Sort(ids)
	return ids, undecided
}

// distinct leaves each entry in the list once.
func distinct(list []*entry) []*entry {
	const few = 16 // up to here comparing beats a map
	if len(list) <= few {
		out := list[:0]
		for _, e := range list {
			if !slices.Contains(out, e) {
				out = append(out, e)
			}
		}
		return out
	}
	seen := make(map[*entry]struct{}, len(list))
	return slices.DeleteFunc(list, func(e *entry) bool {
		_, again := seen[e]
		seen[e] = struct{}{}
		return again
	})
}

// eachPlace calls f with each place of an entry: one for each type, key and alternative.
func (s *Set) eachPlace(e *entry, f func(b *bucket, in filed, key string)) {
	types := e.query.types
	if len(types) == 0 {
		types = []fhir.Type{""}
	}
	for _, t := range types {
		b := s.buckets[t]
		if b == nil {
			b = &bucket{map[fileKey]*drawer{}, map[*entry]struct{}{}}
			s.buckets[t] = b
		}
		if e.term < 0 {
			f(b, filed{}, "")
			continue
		}
		in := filing(&e.query.terms[e.term], t, e.query.table)
		for _, key := range in.keys {
			f(b, in, key)
		}
	}
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
				cost += len(b.filed[f.fileKey].byKey[key])
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
		if t.linked.Reverse || len(t.linked.Types) != 1 {
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
