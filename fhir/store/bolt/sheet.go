package bolt

import (
	"bytes"
	"slices"
)

// sheet is what was written to one bucket: entries by key, in leaves of a bounded length, for a group may write tens of
// thousands of keys in any order.
type sheet struct {
	dropped bool       // nothing committed shows through
	leaves  [][]*entry // none is empty
	walks   int        // that are under way over the entries
	copies  int        // how often the entries were replaced by a copy of their own
}

// mostInLeaf is how many entries a leaf holds.
const mostInLeaf = 256

// entry is never changed, for walks share it.
type entry struct {
	key, value []byte
	deleted    bool
}

// place is where an entry stands in a sheet. One beside a leaf's ends is that of the leaf beside.
type place struct{ leaf, at int }

// own makes the entries fit to be changed. The caller of a walk may write while it goes on, which shows what
// stood when it began.
func (s *sheet) own() {
	if s.walks == 0 {
		return
	}
	s.leaves = slices.Clone(s.leaves)
	for i, leaf := range s.leaves {
		s.leaves[i] = slices.Clone(leaf)
	}
	s.walks = 0
	s.copies++
}

// find returns where a key stands or would stand.
func (s *sheet) find(key []byte) (place, bool) {
	n := len(s.leaves)
	if n == 0 {
		return place{}, false
	}
	last := s.leaves[n-1]
	if bytes.Compare(last[len(last)-1].key, key) < 0 {
		return place{n - 1, len(last)}, false // most keys come in order
	}
	leaf, begins := slices.BinarySearchFunc(s.leaves, key, func(l []*entry, key []byte) int { return bytes.Compare(l[0].key, key) })
	if !begins && leaf > 0 {
		leaf-- // it begins below the key
	}
	at, found := slices.BinarySearchFunc(s.leaves[leaf], key, func(e *entry, key []byte) int { return bytes.Compare(e.key, key) })
	return place{leaf, at}, found
}

// insert puts an entry where find says that it would stand.
func (s *sheet) insert(p place, e *entry) {
	if len(s.leaves) == 0 {
		s.leaves = [][]*entry{{e}}
		return
	}
	if leaf := s.leaves[p.leaf]; len(leaf) == mostInLeaf {
		middle := mostInLeaf / 2
		if p.at == mostInLeaf { // the next ones will follow it
			middle = mostInLeaf
		}
		s.leaves[p.leaf] = leaf[:middle]
		s.leaves = slices.Insert(s.leaves, p.leaf+1, slices.Clone(leaf[middle:]))
		if p.at >= middle {
			p = place{p.leaf + 1, p.at - middle}
		}
	}
	s.leaves[p.leaf] = slices.Insert(s.leaves[p.leaf], p.at, e)
}

// remove takes an entry out.
func (s *sheet) remove(p place) {
	if s.leaves[p.leaf] = slices.Delete(s.leaves[p.leaf], p.at, p.at+1); len(s.leaves[p.leaf]) == 0 {
		s.leaves = slices.Delete(s.leaves, p.leaf, p.leaf+1)
	}
}

// stretch is a walk over entries from a place on, as far as they begin with a prefix.
type stretch struct {
	leaves [][]*entry
	place
	step   int // 1 or -1
	prefix []byte
}

// stretch walks up from a place, or down from the one before it.
func (s *sheet) stretch(from place, step int, prefix []byte) stretch {
	if step < 0 {
		from.at--
	}
	return stretch{s.leaves, from, step, prefix}
}

// first is the entry that comes next, nil at the end.
func (s *stretch) first() *entry {
	switch {
	case s.leaf < 0 || s.leaf >= len(s.leaves):
		return nil
	case s.at == len(s.leaves[s.leaf]):
		s.place = place{leaf: s.leaf + 1}
	case s.at < 0 && s.leaf > 0:
		s.place = place{s.leaf - 1, len(s.leaves[s.leaf-1]) - 1}
	}
	if s.leaf == len(s.leaves) || s.at < 0 || !bytes.HasPrefix(s.leaves[s.leaf][s.at].key, s.prefix) {
		return nil
	}
	return s.leaves[s.leaf][s.at]
}
