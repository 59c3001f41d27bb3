package criteria

import "fhirhook/fhir/tape"

// path is one alternative of a compiled expression: members to walk down from the resource (or from the
// element that it is relative to), and the type of what is found there.
type path struct {
	steps    []step
	typ      string
	system   string
	fromRoot bool   // it begins with %resource
	computed *check // the expression is a condition; there are no steps
}

// step goes to a member and takes each of its elements that pass. Without a name it stays where it is,
// which is how a condition or an index applies to the element reached already.
type step struct {
	name string
	keep []check
	nth  int // only that one of those kept, from 0; all: -1
}

// each yields what the paths select, from at or from root, until yield has enough.
func each(paths []path, at, root tape.Node, yield func(Leaf) bool) bool {
	for i := range paths {
		p := &paths[i]
		w := walker{root: root, path: p, yield: yield}
		from := at
		if p.fromRoot {
			from = root
		}
		switch {
		case p.computed != nil:
			if !w.compute(from) {
				return false
			}
		case from.Exists():
			if !w.walk(Leaf{Node: from}, p.steps) {
				return false
			}
		}
	}
	return true
}

type walker struct {
	root  tape.Node
	path  *path
	yield func(Leaf) bool
}

func (w *walker) compute(at tape.Node) bool {
	if !at.Exists() {
		return true
	}
	switch w.path.computed.holds(at, w.root) {
	case yes:
		return w.yield(Leaf{Type: "boolean", Computed: "true"})
	case no:
		return w.yield(Leaf{Type: "boolean", Computed: "false"})
	default:
		return true
	}
}

func (w *walker) walk(at Leaf, steps []step) bool {
	if len(steps) == 0 {
		if k := at.Node.Kind(); k == tape.Null || k == tape.Array {
			return true // no value; and an array in an array is not FHIR
		}
		at.Type, at.System = w.path.typ, w.path.system
		if at.Type == "" {
			at.Type = at.Node.Get("resourceType").Text()
		}
		return w.yield(at)
	}
	s, rest := &steps[0], steps[1:]
	if s.name == "" {
		if s.nth > 0 || !s.keeps(at.Node, w.root) {
			return true
		}
		return w.walk(at, rest)
	}
	n := 0
	for e := range at.Node.Get(s.name).Elements() {
		if !s.keeps(e, w.root) {
			continue
		}
		if s.nth < 0 || s.nth == n {
			if !w.walk(Leaf{Node: e, Owner: at.Node, Name: s.name}, rest) {
				return false
			}
		}
		if n++; n > s.nth && s.nth >= 0 {
			break
		}
	}
	return true
}

func (s *step) keeps(n, root tape.Node) bool {
	for i := range s.keep {
		if s.keep[i].holds(n, root) != yes {
			return false
		}
	}
	return true
}
