package patch

import (
	"bytes"
	"slices"

	"fhirhook/fhir/tape"
)

// node is a value of the tree. A closed one is the bytes that it was parsed from, in both forms; an opened
// object or array has children instead.
type node struct {
	full, shown tape.Node
	opened      tape.Kind // Object or Array; Absent while closed
	members     []member
	elements    []*node
}

// member of an opened object. quoted is the name as it was written.
type member struct {
	name   string
	quoted []byte
	value  *node
}

// valueOf makes a node of a value that is the same in both forms.
func valueOf(n tape.Node) *node { return &node{full: n, shown: n} }

func newObject() *node { return &node{opened: tape.Object} }

func newArray(elements ...*node) *node { return &node{opened: tape.Array, elements: elements} }

var null = func() tape.Node {
	doc, err := tape.Parse([]byte("null"), 1)
	if err != nil {
		panic(err) // a constant
	}
	return doc.Root()
}()

func (n *node) kind() tape.Kind {
	if n.opened != tape.Absent {
		return n.opened
	}
	return n.shown.Kind()
}

// text is the value of a string, number or boolean as its reader sees it.
func (n *node) text() string {
	if n.opened != tape.Absent {
		return ""
	}
	return n.shown.Text()
}

// open makes the children of an object or array; a node of another kind stays as it is.
func (n *node) open() {
	if n.opened != tape.Absent || n.hidden() {
		return
	}
	switch n.shown.Kind() {
	case tape.Object:
		start, _ := n.full.Span()
		raw := n.full.Raw()
		at := 1 // of the member's name: the form is compact
		shown := slices.Collect(values(n.shown))
		i := 0
		for name, v := range n.full.Members() {
			from, to := v.Span()
			n.members = append(n.members, member{name, raw[at : from-start-1], &node{full: v, shown: shown[i]}})
			at = to - start + 1
			i++
		}
	case tape.Array:
		shown := slices.Collect(n.shown.Elements())
		i := 0
		for v := range n.full.Elements() {
			n.elements = append(n.elements, &node{full: v, shown: shown[i]})
			i++
		}
	default:
		return
	}
	n.opened = n.shown.Kind()
}

// hidden tells a place that is masked as a whole: its two forms have not the same shape.
func (n *node) hidden() bool {
	return n.full != n.shown && (n.full.Kind() != n.shown.Kind() || n.full.Len() != n.shown.Len())
}

func values(n tape.Node) func(func(tape.Node) bool) {
	return func(yield func(tape.Node) bool) {
		for _, v := range n.Members() {
			if !yield(v) {
				return
			}
		}
	}
}

// masked tells whether anything in the value is shown otherwise than it is.
func (n *node) masked() bool {
	switch n.opened {
	case tape.Object:
		return slices.ContainsFunc(n.members, func(m member) bool { return m.value.masked() })
	case tape.Array:
		return slices.ContainsFunc(n.elements, (*node).masked)
	default:
		return n.full != n.shown && !bytes.Equal(n.full.Raw(), n.shown.Raw())
	}
}

// get returns an object's member, nil if there is none.
func (n *node) get(name string) *node {
	if i := n.find(name); i >= 0 {
		return n.members[i].value
	}
	return nil
}

func (n *node) find(name string) int {
	n.open()
	return slices.IndexFunc(n.members, func(m member) bool { return m.name == name })
}

// set replaces an object's member where it stands, or puts it at the end.
func (n *node) set(name string, v *node) {
	if i := n.find(name); i >= 0 {
		n.members[i].value = v
		return
	}
	n.members = append(n.members, member{name, quote(name), v})
}

// rename replaces a member by one of another name at its place.
func (n *node) rename(from, to string, v *node) {
	if i := n.find(from); i >= 0 {
		n.members[i] = member{to, quote(to), v}
	}
}

// remove takes a member out, if it is there.
func (n *node) remove(name string) {
	if i := n.find(name); i >= 0 {
		n.members = slices.Delete(n.members, i, i+1)
	}
}

// insert puts an element into an array that is open.
func (n *node) insert(i int, v *node) { n.elements = slices.Insert(n.elements, i, v) }

func (n *node) removeAt(i int) { n.elements = slices.Delete(n.elements, i, i+1) }

// length is how many bytes the value has, as far as a bound needs to know.
func (n *node) length() int {
	switch n.opened {
	case tape.Object:
		size := 2
		for _, m := range n.members {
			size += len(m.quoted) + 2 + m.value.length()
		}
		return size
	case tape.Array:
		size := 2
		for _, e := range n.elements {
			size += 1 + e.length()
		}
		return size
	default:
		return len(n.shown.Raw())
	}
}

func (n *node) clone() *node {
	c := *n
	c.members = slices.Clone(n.members)
	for i := range c.members {
		c.members[i].value = c.members[i].value.clone()
	}
	c.elements = slices.Clone(n.elements)
	for i := range c.elements {
		c.elements[i] = c.elements[i].clone()
	}
	return &c
}

// append writes the value in one of its forms.
func (n *node) append(out []byte, shown bool) []byte {
	switch {
	case n.opened == tape.Object:
		out = append(out, '{')
		for i, m := range n.members {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(append(out, m.quoted...), ':')
			out = m.value.append(out, shown)
		}
		return append(out, '}')
	case n.opened == tape.Array:
		out = append(out, '[')
		for i, e := range n.elements {
			if i > 0 {
				out = append(out, ',')
			}
			out = e.append(out, shown)
		}
		return append(out, ']')
	case shown:
		return append(out, n.shown.Raw()...)
	default:
		return append(out, n.full.Raw()...)
	}
}
