package patch

import (
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/schema"
	"fhirhook/fhir/tape"
)

// value is what an operation puts in: a value, and the ids and extensions beside it if it is a primitive.
type value struct {
	node      *node
	extension *node
	typ       string // its FHIR type; "" if it was given by parts and has the type of the element
}

// read takes the value out of the parameter that holds it, for an element.
func readValue(part tape.Node, e *schema.Element, depth int) (value, *fhir.Error) {
	if depth > maxParts {
		return value{}, badPath("the value's parts are nested deeper than %d", maxParts)
	}
	for name, v := range part.Members() {
		typ, ok := parameterType(name)
		if !ok {
			continue
		}
		return checked(value{node: valueOf(v), extension: optional(part.Get("_" + name)), typ: typ}, e)
	}
	if r := part.Get("resource"); r.Exists() {
		return checked(value{node: valueOf(r), typ: r.Get("resourceType").Text()}, e)
	}
	parts := part.Get("part")
	if parts.Kind() != tape.Array {
		return value{}, fhir.Errorf(fhir.Required, "", `the operation's value is empty: give a value[x], or its elements as parts`)
	}
	if len(e.Types) != 1 {
		return value{}, badPath("%s[x] takes values of several types: give it by a value[x]", e.Name)
	}
	typ, ok := schema.Lookup(e.Types[0])
	if !ok || typ.Class == schema.Primitive {
		return value{}, badPath("%s is a %s and has no parts: give it by a value[x]", e.Name, e.Types[0])
	}
	n, err := readParts(parts, typ, depth+1)
	return value{node: n}, err
}

// maxParts bounds how deep the parts of a value are nested.
const maxParts = 32

func optional(n tape.Node) *node {
	if !n.Exists() {
		return nil
	}
	return valueOf(n)
}

// parameterType is the type of a member value… of Parameters.parameter.
func parameterType(member string) (string, bool) {
	t, ok := schema.Lookup("Parameters.parameter")
	if !ok || !strings.HasPrefix(member, "value") {
		return "", false
	}
	e, ok := t.Element("value")
	if !ok {
		return "", false
	}
	for _, typ := range e.Types {
		if e.Member(typ) == member {
			return typ, true
		}
	}
	return "", false
}

// readParts makes an object of parts whose names are elements of a type.
func readParts(parts tape.Node, typ *schema.Type, depth int) (*node, *fhir.Error) {
	owner := &place{node: newObject(), typ: typ, index: -1}
	for part := range parts.Elements() {
		name := part.Get("name").Text()
		e, ok := typ.Element(name)
		if !ok {
			return nil, unknownElement(typ, name)
		}
		v, err := readValue(part, e, depth)
		if err != nil {
			return nil, err
		}
		if err := owner.addElement(e, v); err != nil {
			return nil, err
		}
	}
	return owner.node, nil
}

// checked refuses a value that the element can't hold. A primitive may come under another type's name if JSON
// writes both alike: many clients send a code as valueString.
func checked(v value, e *schema.Element) (value, *fhir.Error) {
	given, ok := schema.Lookup(v.typ)
	if !ok {
		return v, badPath("%q is not a type of FHIR R4", clip(v.typ))
	}
	for _, name := range e.Types {
		wanted, ok := schema.Lookup(name)
		if !ok {
			continue
		}
		if name == v.typ || given.Is(name) || wanted.Class == schema.Nested {
			if v.node.kind() != given.JSON() {
				return v, badPath("a %s is a JSON %s, and this is a JSON %s", v.typ, given.JSON(), v.node.kind())
			}
			return v, nil
		}
		if !e.Choice && wanted.Class == schema.Primitive && given.Class == schema.Primitive &&
			wanted.JSON() == given.JSON() && v.node.kind() == given.JSON() {
			v.typ = name
			return v, nil
		}
	}
	return v, badPath("%s takes %s, and the value is a %s", e.Name, strings.Join(e.Types, " or "), v.typ)
}
