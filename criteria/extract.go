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

// each yields what the paths select, from at or from root, until yield has enough. It is called for every
// parameter that a subscription names, on every write: yield and the resource travel as separate
// arguments all the way down, so that neither makes the other escape to the heap.
func each(paths []path, at, root tape.Node, yield func(Leaf) bool) bool {
	for i := range paths {
		p := &paths[i]
		from := spot{node: at}
		if p.fromRoot {
			from.node = root
		}
		if !from.node.Exists() {
			continue
		}
		if p.computed != nil {
			if !p.compute(from.node, root, yield) {
				return false
			}
		} else if !p.walk(p.steps, from, root, yield) {
			return false
		}
	}
	return true
}

// spot is where a walk stands, and how it came there.
type spot struct {
	node, owner tape.Node
	name        string
}

func (p *path) compute(at, root tape.Node, yield func(Leaf) bool) bool {
	switch p.computed.holds(at, root) {
	case yes:
		return yield(Leaf{Type: "boolean", Computed: "true"})
	case no:
		return yield(Leaf{Type: "boolean", Computed: "false"})
	default:
		return true
	}
}

func (p *path) walk(steps []step, from spot, root tape.Node, yield func(Leaf) bool) bool {
	if len(steps) == 0 {
		return p.arrive(from, yield)
	}
	s, rest := &steps[0], steps[1:]
	if s.name == "" {
		if s.nth > 0 || !s.keeps(from.node, root) {
			return true
		}
		return p.walk(rest, from, root, yield)
	}
	member := from.node.Get(s.name)
	if !member.Exists() {
		return true
	}
	n := 0
	for e := range member.Elements() {
		if !s.keeps(e, root) {
			continue
		}
		if s.nth < 0 || s.nth == n {
			if !p.walk(rest, spot{node: e, owner: from.node, name: s.name}, root, yield) {
				return false
			}
		}
		if n++; s.nth >= 0 && n > s.nth {
			break
		}
	}
	return true
}

// arrive yields the element, unless it is null, which is no value, or an array in an array, which is not FHIR.
func (p *path) arrive(at spot, yield func(Leaf) bool) bool {
	switch at.node.Kind() {
	case tape.Null, tape.Array:
		return true
	}
	leaf := Leaf{Node: at.node, Type: p.typ, System: p.system, Owner: at.owner, Name: at.name}
	if leaf.Type == "" {
		leaf.Type = at.node.Get("resourceType").Text()
	}
	return yield(leaf)
}

func (s *step) keeps(n, root tape.Node) bool {
	for i := range s.keep {
		if s.keep[i].holds(n, root) != yes {
			return false
		}
	}
	return true
}
