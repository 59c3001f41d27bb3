// Package schema is the shape of R4's resources and data types as a table: which elements a type has, how
// often, of which types, and which value set their codes must come from. Whoever has to know that
// Observation.value is valueQuantity in JSON, or that Patient.name repeats, asks here.
//
// The table (r4.tsv) is generated from HL7's StructureDefinitions and embedded; it holds facts only, no
// prose, no profiles, and no invariants. It is read at the first use (a few milliseconds) and immutable.
//
// The trap: names here are FHIR's. A choice element is called value and has Choice set; in JSON it is
// valueQuantity (Element.Member).
package schema

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"fhirhook/fhir/tape"
)

// Class sorts types by what their values look like.
type Class uint8

// The classes.
const (
	Abstract  Class = iota + 1 // has no values of its own: Resource, DomainResource, Element, BackboneElement
	Resource                   // a concrete resource type
	Complex                    // a data type with elements
	Primitive                  // a JSON string, number or boolean
	Nested                     // an element's own structure; its name is the path, as in Patient.contact
)

// Type is a resource type, a data type, or the structure of a nested element.
type Type struct {
	Name     string
	Class    Class
	Base     *Type     // nil for Resource and Element
	Elements []Element // those that Base does not have, in the specification's order
}

// Element is a member of a type.
type Element struct {
	Name     string   // of a choice, without [x]
	Choice   bool     // one of Types at a time, and the JSON name says which
	Required bool     // at least one
	Repeats  bool     // an array in JSON
	Summary  bool     // among those that _summary=true shows (R4 search.html#summary)
	Types    []string // names for Lookup; more than one only for a choice
	ValueSet string   // canonical of the set that its codes must come from, "" if they are free
	System   string   // the one code system of ValueSet, "" if there are several or none
}

// Lookup finds a type by its exact name; a nested one by its path.
func Lookup(name string) (*Type, bool) {
	t, ok := r4().types[name]
	return t, ok
}

// LookupFold finds a resource or data type whatever its case: some of HL7's own expressions say DateTime.
// An exact match wins.
func LookupFold(name string) (*Type, bool) {
	if t, ok := Lookup(name); ok {
		return t, true
	}
	t, ok := r4().folded[strings.ToLower(name)]
	return t, ok
}

// Element finds a member by its FHIR name, those of the bases included.
func (t *Type) Element(name string) (*Element, bool) {
	for ; t != nil; t = t.Base {
		for i := range t.Elements {
			if t.Elements[i].Name == name {
				return &t.Elements[i], true
			}
		}
	}
	return nil, false
}

// All yields the members, those of the outermost base first.
func (t *Type) All() iter.Seq[*Element] {
	return func(yield func(*Element) bool) { t.all(yield) }
}

func (t *Type) all(yield func(*Element) bool) bool {
	if t == nil {
		return true
	}
	if !t.Base.all(yield) {
		return false
	}
	for i := range t.Elements {
		if !yield(&t.Elements[i]) {
			return false
		}
	}
	return true
}

// Is tells whether t is the named type or derived from it.
func (t *Type) Is(name string) bool {
	for ; t != nil; t = t.Base {
		if t.Name == name {
			return true
		}
	}
	return false
}

// FHIRType is the type that FHIR says a value has: of a nested element BackboneElement or Element.
func (t *Type) FHIRType() string {
	if t.Class == Nested {
		return t.Base.Name
	}
	return t.Name
}

// JSON is the kind of JSON value that one value of the type is (R4 json.html#primitive).
func (t *Type) JSON() tape.Kind {
	switch {
	case t.Class != Primitive:
		return tape.Object
	case t.Name == "boolean":
		return tape.Bool
	case t.Is("integer"), t.Name == "decimal":
		return tape.Number
	default:
		return tape.String
	}
}

// Member is the element's name in JSON when it holds a value of the type (R4 json.html#choice).
func (e *Element) Member(typeName string) string {
	if !e.Choice {
		return e.Name
	}
	first, size := utf8.DecodeRuneInString(typeName)
	return e.Name + string(unicode.ToUpper(first)) + typeName[size:]
}
