package criteria

import (
	"hash/maphash"
	"slices"
	"sync/atomic"

	"fhirhook/fhir"
)

// Set finds those of many queries that match a resource, without trying them all.
//
// Each query is filed under one of its equality terms, the rarest at the time, under a key for each of
// the term's alternatives; a resource's own keys lead to the candidates, which are then verified. Queries
// without an equality term are tried one by one for every resource of their type. Queries with the same
// canonical form are one entry and share one evaluation.
//
// Of a filed query no more than its text is kept, for most of many are hardly ever candidates: it is compiled
// again when it is one (recent).
//
// Match may run concurrently with itself, not with Add and Remove.
type Set struct {
	byID    map[string]*entry
	byText  map[uint64]*entry     // by hash; of two that share theirs the second is not here
	buckets map[fhir.Type]*bucket // "" is that of queries about all types
	recent  *recent
}

// hashSeed makes hashes that nobody can foresee.
var hashSeed = maphash.MakeSeed()

type entry struct {
	text  string
	table *Definitions
	ids   []string
	term  int                   // by which it is filed: its place in the query as text says it; -1: none
	query atomic.Pointer[Query] // nil: to be compiled from text
}

// hash is of what makes two queries one entry.
func (q *Query) hash() uint64 {
	type meaning struct {
		text  string
		table *Definitions
	}
	return maphash.Comparable(hashSeed, meaning{q.text, q.table})
}

// Add puts a query into the set under an id; one that is there under that id already is replaced.
func (s *Set) Add(id string, q *Query) {
	if s.byID == nil {
		s.byID, s.byText, s.buckets, s.recent = map[string]*entry{}, map[uint64]*entry{}, map[fhir.Type]*bucket{}, &recent{}
	}
	s.Remove(id)
	h := q.hash()
	e := s.byText[h]
	if known := e != nil; !known || e.text != q.text || e.table != q.table {
		e = s.file(q)
		if !known {
			s.byText[h] = e
		}
	}
	e.ids = append(e.ids, id)
	s.byID[id] = e
}

// file makes the entry of a query, without ids.
func (s *Set) file(q *Query) *entry {
	e := &entry{text: q.text, table: q.table, term: s.rarest(q)}
	s.eachPlace(q, e.term, func(b *bucket, f filed, key string) {
		if e.term < 0 {
			b.unfiled[e] = struct{}{}
			return
		}
		d := b.filed[f.fileKey]
		if d == nil {
			d = newDrawer(f.hops)
			b.filed[f.fileKey] = d
		}
		d.add(key, e)
	})
	if e.term < 0 || !q.textual {
		e.query.Store(q)
	} else {
		e.term = q.rank(e.term)
	}
	return e
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
	q, err := s.recent.query(e)
	if err != nil {
		return // it stays filed for nobody
	}
	if h := q.hash(); s.byText[h] == e {
		delete(s.byText, h)
	}
	s.eachPlace(q, e.term, func(b *bucket, f filed, key string) {
		if e.term < 0 {
			delete(b.unfiled, e)
			return
		}
		d := b.filed[f.fileKey]
		if d.remove(key, e); d.empty() {
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
	q, err := s.recent.query(e)
	if err != nil {
		return nil, false
	}
	return &q.terms[e.term], true
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
				candidates = slices.AppendSeq(candidates, d.all()) // each is to be undecided for itself
				continue
			}
			for _, key := range keys {
				candidates = d.appendTo(candidates, key)
			}
		}
	}
	for _, e := range distinct(candidates) {
		q, err := s.recent.query(e)
		if err != nil {
			undecided = append(undecided, Undecided{slices.Clone(e.ids), err})
			continue
		}
		switch found := q.Matches(subject); {
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

// eachPlace calls f with each place of a query by one of its terms: one for each type, key and alternative.
func (s *Set) eachPlace(q *Query, term int, f func(b *bucket, in filed, key string)) {
	types := q.types
	if len(types) == 0 {
		types = []fhir.Type{""}
	}
	for _, t := range types {
		b := s.buckets[t]
		if b == nil {
			b = &bucket{map[fileKey]*drawer{}, map[*entry]struct{}{}}
			s.buckets[t] = b
		}
		if term < 0 {
			f(b, filed{}, "")
			continue
		}
		in := filing(&q.terms[term], t, q.table)
		for _, key := range in.keys {
			f(b, in, key)
		}
	}
}
