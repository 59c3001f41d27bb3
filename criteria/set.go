package criteria

import (
	"cmp"
	"hash/maphash"
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
// Of a filed query no more than its text is kept, for most of many are hardly ever candidates: it is compiled
// again when it is one (recent). Entries and ids are numbered rows, so that a Set of a hundred thousand costs the
// garbage collector next to nothing; with a pointer for each it was a third of the CPU time under load.
//
// Match may run concurrently with itself, not with Add and Remove.
type Set struct {
	texts   texts
	tables  []*Definitions
	askers  numbered[asker]
	entries numbered[entry]
	byID    map[uint64]uint32     // the first asker whose id has a hash
	byText  map[uint64]uint32     // the first entry whose text has a hash
	kept    map[uint32]*Query     // of entries that always are compiled
	buckets map[fhir.Type]*bucket // "" is that of queries about all types
	recent  *recent

	hash func(string) uint64 // nil: a good one
}

// asker is an id.
type asker struct {
	id    textRef
	entry uint32
	next  uint32 // of its entry; 0: the last
	same  uint32 // another whose id has the same hash
}

// entry is a query.
type entry struct {
	text  textRef
	table uint32 // place in Set.tables
	term  int32  // by which it is filed: its place in the query; -1: none
	first uint32 // asker
	same  uint32 // another whose text has the same hash
}

// hashSeed makes hashes that nobody can foresee.
var hashSeed = maphash.MakeSeed()

func hashOf(s string) uint64 { return maphash.String(hashSeed, s) }

func (s *Set) init() {
	s.byID, s.byText, s.kept, s.buckets = map[uint64]uint32{}, map[uint64]uint32{}, map[uint32]*Query{}, map[fhir.Type]*bucket{}
	s.recent = &recent{compiled: map[uint32]*Query{}}
	if s.hash == nil {
		s.hash = hashOf
	}
}

// Add puts a query into the set under an id; one that is there under that id already is replaced.
func (s *Set) Add(id string, q *Query) {
	if s.byID == nil {
		s.init()
	}
	s.Remove(id)
	number := s.entryOf(q)
	if number == 0 {
		number = s.file(q)
	}
	e, h := s.entries.at(number), s.hash(id)
	e.first = s.askers.add(asker{s.texts.add(id), number, e.first, s.byID[h]})
	s.byID[h] = e.first
}

// askerOf finds an id; 0: it is not there.
func (s *Set) askerOf(id string) uint32 {
	if s.byID == nil {
		return 0
	}
	n := s.byID[s.hash(id)]
	for n != 0 && s.texts.get(s.askers.at(n).id) != id {
		n = s.askers.at(n).same
	}
	return n
}

// entryOf finds the entry that a query shares; 0: there is none.
func (s *Set) entryOf(q *Query) uint32 {
	n := s.byText[s.hash(q.text)]
	for n != 0 {
		e := s.entries.at(n)
		if s.tables[e.table] == q.table && s.texts.get(e.text) == q.text {
			break
		}
		n = e.same
	}
	return n
}

// file makes the entry of a query, without ids.
func (s *Set) file(q *Query) uint32 {
	table := slices.Index(s.tables, q.table)
	if table < 0 {
		table = len(s.tables)
		s.tables = append(s.tables, q.table)
	}
	term, h := s.rarest(q), s.hash(q.text)
	e := entry{text: s.texts.add(q.text), table: uint32(table), term: int32(term), same: s.byText[h]}
	if again := term >= 0 && q.textual; again {
		e.term = int32(q.rank(term))
	}
	number := s.entries.add(e)
	s.byText[h] = number
	if term < 0 || !q.textual {
		s.kept[number] = q
	}
	s.eachPlace(q, term, func(b *bucket, f filed, key string) {
		if term < 0 {
			b.unfiled[number] = struct{}{}
			return
		}
		d := b.filed[f.fileKey]
		if d == nil {
			d = newDrawer(f.hops)
			b.filed[f.fileKey] = d
		}
		d.add(s.hash(key), number)
	})
	return number
}

// query compiles an entry, unless it is.
func (s *Set) query(number uint32) (*Query, error) {
	if q := s.kept[number]; q != nil {
		return q, nil
	}
	e := s.entries.at(number)
	return s.recent.query(number, s.texts.get(e.text), s.tables[e.table])
}

// Remove takes a query out of the set.
func (s *Set) Remove(id string) {
	number := s.askerOf(id)
	if number == 0 {
		return
	}
	m := *s.askers.at(number)
	unlink(s.byID, s.hash(id), number, m.same, func(n uint32) *uint32 { return &s.askers.at(n).same })
	e := s.entries.at(m.entry)
	before := &e.first
	for *before != number {
		before = &s.askers.at(*before).next
	}
	*before = m.next
	s.askers.remove(number)
	s.texts.drop(m.id)
	if e.first == 0 {
		s.unfile(m.entry)
	}
	if s.texts.loose() {
		s.repack()
	}
}

// unlink takes a number out of the chain of those that have a hash; same is the next of it.
func unlink(chains map[uint64]uint32, hash uint64, number, same uint32, next func(uint32) *uint32) {
	at := chains[hash]
	switch {
	case at != number:
		for *next(at) != number {
			at = *next(at)
		}
		*next(at) = same
	case same == 0:
		delete(chains, hash)
	default:
		chains[hash] = same
	}
}

// unfile removes an entry.
func (s *Set) unfile(number uint32) {
	e := *s.entries.at(number)
	q, err := s.query(number)
	if err != nil {
		return // it was compiled from the same before; filed for nobody, it does no harm
	}
	s.eachPlace(q, int(e.term), func(b *bucket, f filed, key string) {
		if e.term < 0 {
			delete(b.unfiled, number)
			return
		}
		d := b.filed[f.fileKey]
		if d.remove(s.hash(key), number); d.empty() {
			delete(b.filed, f.fileKey)
		}
	})
	unlink(s.byText, s.hash(q.text), number, e.same, func(n uint32) *uint32 { return &s.entries.at(n).same })
	delete(s.kept, number)
	s.recent.forget(number)
	s.entries.remove(number)
	s.texts.drop(e.text)
}

// repack lets go of the texts that were dropped.
func (s *Set) repack() {
	var packed texts
	for _, first := range s.byID {
		for n := first; n != 0; n = s.askers.at(n).same {
			m := s.askers.at(n)
			m.id = packed.add(s.texts.get(m.id))
		}
	}
	for _, first := range s.byText {
		for n := first; n != 0; n = s.entries.at(n).same {
			e := s.entries.at(n)
			e.text = packed.add(s.texts.get(e.text))
		}
	}
	s.texts = packed
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
func (s *Set) Len() int { return len(s.askers.all) - len(s.askers.free) }

// FiledUnder tells by which term a query is found; false if it is tried for every resource of its types.
func (s *Set) FiledUnder(id string) (*Term, bool) {
	number := s.askerOf(id)
	if number == 0 {
		return nil, false
	}
	e := s.askers.at(number).entry
	term := s.entries.at(e).term
	if term < 0 {
		return nil, false
	}
	q, err := s.query(e)
	if err != nil {
		return nil, false
	}
	return &q.terms[term], true
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
	candidates := make([]uint32, 0, 16)
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
				candidates = d.appendTo(candidates, s.hash(key))
			}
		}
	}
	for _, e := range distinct(candidates) {
		q, err := s.query(e)
		found := err == nil && q.Matches(subject)
		switch err = cmp.Or(err, subject.Err()); {
		case err != nil:
			undecided = append(undecided, Undecided{s.appendIDs(nil, e), err})
		case found:
			ids = s.appendIDs(ids, e)
		}
	}
	slices.Sort(ids)
	return ids, undecided
}

// appendIDs adds the ids of an entry.
func (s *Set) appendIDs(out []string, number uint32) []string {
	for n := s.entries.at(number).first; n != 0; n = s.askers.at(n).next {
		out = append(out, s.texts.get(s.askers.at(n).id))
	}
	return out
}

// distinct leaves each entry in the list once.
func distinct(list []uint32) []uint32 {
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
	seen := make(map[uint32]struct{}, len(list))
	return slices.DeleteFunc(list, func(e uint32) bool {
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
			b = &bucket{map[fileKey]*drawer{}, map[uint32]struct{}{}}
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
