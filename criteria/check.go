package criteria

import (
	"fhirhook/fhir/tape"
)

// tri is FHIRPath's three-valued logic: a condition about something that is not there is neither.
type tri uint8

const (
	unknown tri = iota
	no
	yes
)

func decided(b bool) tri {
	if b {
		return yes
	}
	return no
}

type checkOp uint8

const (
	allHold    checkOp = iota + 1 // every one of parts
	anyHolds                      // one of parts
	notHolds                      // parts[0] is false
	exists                        // paths select something
	equals                        // paths select one value, and it is literal
	isType                        // paths select something; others would select what is of another type
	refersTo                      // paths select a reference whose target is of type literal
	isResource                    // the element itself is a resource of type literal
)

// check is a compiled condition about an element.
type check struct {
	op      checkOp
	parts   []check
	paths   []path
	others  []path
	literal string
	kind    tape.Kind // of literal
}

func (c *check) holds(n, root tape.Node) tri {
	switch c.op {
	case allHold:
		return c.fold(n, root, no)
	case anyHolds:
		return c.fold(n, root, yes)
	case notHolds:
		switch c.parts[0].holds(n, root) {
		case yes:
			return no
		case no:
			return yes
		}
		return unknown
	case exists:
		return decided(found(c.paths, n, root))
	case equals:
		return c.equal(n, root)
	case isType:
		switch {
		case found(c.paths, n, root):
			return yes
		case found(c.others, n, root):
			return no
		}
		return unknown
	case refersTo:
		return c.refers(n, root)
	default:
		return decided(n.Get("resourceType").Is(c.literal))
	}
}

// fold combines parts: one that is decisive decides, else one that is unknown leaves it so.
func (c *check) fold(n, root tape.Node, decisive tri) tri {
	result := yes + no - decisive
	for i := range c.parts {
		switch c.parts[i].holds(n, root) {
		case decisive:
			return decisive
		case unknown:
			result = unknown
		}
	}
	return result
}

func found(paths []path, n, root tape.Node) bool {
	return !each(paths, n, root, func(Leaf) bool { return false })
}

// equal is FHIRPath's =: unknown if there is nothing, false if there are several.
func (c *check) equal(n, root tape.Node) tri {
	var count int
	var same bool
	each(c.paths, n, root, func(l Leaf) bool {
		count++
		same = l.Node.Kind() == c.kind && (c.kind == tape.String && l.Node.Is(c.literal) ||
			c.kind != tape.String && string(l.Node.Raw()) == c.literal)
		return count < 2
	})
	if count == 0 {
		return unknown
	}
	return decided(count == 1 && same)
}

// refers decides resolve() is T without resolving: whatever can't be told is not of type T.
func (c *check) refers(n, root tape.Node) tri {
	result := unknown
	each(c.paths, n, root, func(l Leaf) bool {
		result = decided(targetIs(l.Node, root, c.literal))
		return result != yes
	})
	return result
}
