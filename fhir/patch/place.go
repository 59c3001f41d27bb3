package patch

import (
	"fhirhook/fhir"
	"fhirhook/fhir/schema"
	"fhirhook/fhir/tape"
)

// place is an element's value in the tree, with what FHIR says it is and where it hangs.
type place struct {
	node *node
	typ  *schema.Type // of the value; nil where R4 does not know it

	owner   *place          // the object it is a member of; nil for the resource itself
	element *schema.Element // in owner; nil where R4 does not know it
	member  string          // its JSON name in owner
	index   int             // in the member's array, -1 if the member is no array
}

// rootPlace is the resource.
func (t *tree) rootPlace() *place {
	return &place{node: t.root, typ: typeOf(t.root), index: -1}
}

// typeOf is the type of a resource that says so itself.
func typeOf(n *node) *schema.Type {
	name := n.get("resourceType")
	if name == nil {
		return nil
	}
	t, _ := schema.Lookup(name.text())
	return t
}

// children are the values of an element, in order. A name that the type does not have is an error: a typo
// would look like an element that is empty.
func (p *place) children(name string) ([]*place, *fhir.Error) {
	if p.typ == nil {
		return nil, nil
	}
	e, ok := p.typ.Element(name)
	if !ok {
		return nil, unknownElement(p.typ, name)
	}
	for _, typ := range e.Types {
		member := e.Member(typ)
		value := p.node.get(member)
		if value == nil {
			continue
		}
		inner, _ := schema.Lookup(typ)
		if value.kind() != tape.Array {
			return []*place{p.child(value, inner, e, member, -1)}, nil
		}
		value.open()
		all := make([]*place, len(value.elements))
		for i, v := range value.elements {
			all[i] = p.child(v, inner, e, member, i)
		}
		return all, nil
	}
	return nil, nil
}

func (p *place) child(n *node, typ *schema.Type, e *schema.Element, member string, index int) *place {
	if typ != nil && typ.Is("Resource") {
		typ = typeOf(n)
	}
	return &place{node: n, typ: typ, owner: p, element: e, member: member, index: index}
}

func unknownElement(t *schema.Type, name string) *fhir.Error {
	return fhir.Errorf(fhir.Value, "", "%s has no element %q", t.Name, clip(name))
}

// list is the array of an element that repeats.
type list struct {
	owner   *place
	element *schema.Element
}

func (l list) member() string { return l.element.Member(l.element.Types[0]) }

func (l list) length() int {
	n := l.owner.node.get(l.member())
	if n == nil {
		return 0
	}
	n.open()
	return len(n.elements)
}

// array opens the member's array, and makes it if need be.
func (l list) array() *node {
	n := l.owner.node.get(l.member())
	if n == nil || n.kind() != tape.Array {
		var elements []*node
		if n != nil {
			elements = append(elements, n) // one that repeats should be an array, and a stored one may not be
		}
		n = newArray(elements...)
		l.owner.node.set(l.member(), n)
	}
	n.open()
	return n
}

// extensions is the array beside one of primitives that holds their ids and extensions (R4
// json.html#primitive), as long as the primitives' own; nil if there is none and none is needed.
func (l list) extensions(needed bool) *node {
	name := "_" + l.member()
	n := l.owner.node.get(name)
	if n == nil && !needed {
		return nil
	}
	if n == nil || n.kind() != tape.Array {
		n = newArray()
		l.owner.node.set(name, n)
	}
	n.open()
	for len(n.elements) < l.length() {
		n.elements = append(n.elements, valueOf(null))
	}
	return n
}

// insert puts a value in; i is at most the list's length.
func (l list) insert(i int, v value) {
	extensions := l.extensions(v.extension != nil)
	l.array().insert(i, v.node)
	if extensions != nil {
		beside := v.extension
		if beside == nil {
			beside = valueOf(null)
		}
		extensions.insert(i, beside)
	}
}

// take removes a value and returns it. R4 knows no empty arrays, so that the last one takes the member along.
func (l list) take(i int) value {
	array, extensions := l.array(), l.extensions(false)
	v := value{node: array.elements[i]}
	array.removeAt(i)
	if extensions != nil {
		if beside := extensions.elements[i]; beside.kind() != tape.Null {
			v.extension = beside
		}
		extensions.removeAt(i)
		l.tidy("_"+l.member(), extensions)
	}
	if len(array.elements) == 0 {
		l.owner.node.remove(l.member())
	}
	return v
}

// put replaces a value.
func (l list) put(i int, v value) {
	l.array().elements[i] = v.node
	if extensions := l.extensions(v.extension != nil); extensions != nil {
		extensions.elements[i] = valueOf(null)
		if v.extension != nil {
			extensions.elements[i] = v.extension
		}
		l.tidy("_"+l.member(), extensions)
	}
}

// tidy drops an array in which nothing stands.
func (l list) tidy(name string, array *node) {
	for _, e := range array.elements {
		if e.kind() != tape.Null {
			return
		}
	}
	l.owner.node.remove(name)
}
