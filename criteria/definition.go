package criteria

import (
	"iter"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Kind is a search parameter's type (R4 search.html#ptypes).
type Kind uint8

// The kinds.
const (
	Number Kind = iota + 1
	Date
	String
	Token
	Reference
	Composite
	Quantity
	URI
	Special
)

// ParseKind reads the code that SearchParameter.type uses.
func ParseKind(code string) (Kind, bool) {
	for k := Number; k <= Special; k++ {
		if k.String() == code {
			return k, true
		}
	}
	return 0, false
}

// Definition is what a SearchParameter says, before it is compiled for a type.
type Definition struct {
	URL        string // canonical
	Code       string
	Kind       Kind
	Usage      string // SearchParameter.xpathUsage: normal, phonetic, nearby, distance, other, or ""
	Bases      []fhir.Type
	Expression string // FHIRPath; empty for those that are not about elements, such as _text
	Targets    []fhir.Type
	Components []ComponentDefinition
}

// ComponentDefinition is what a SearchParameter says about a part of a composite.
type ComponentDefinition struct {
	URL        string // canonical of the definition that gives the part its kind
	Expression string // relative to each element that the composite's own expression selects
}

// Param is a search parameter as it applies to one resource type. It is immutable and safe for
// concurrent use.
type Param struct {
	Code       string
	Kind       Kind
	URL        string      // canonical of its definition
	Type       fhir.Type   // the resource type that it is compiled for
	Expression string      // the parts of the definition's FHIRPath that concern Type, "" if it has none (_text)
	Usage      string      // how the values are to be used; phonetic and nearby need more than comparing
	Targets    []fhir.Type // of a reference: the types that it may point to
	Components []Component // of a composite

	paths []path
}

// Component is a part of a composite parameter.
type Component struct {
	Param      *Param // the definition that gives the component its kind, for the same type
	Expression string

	paths []path
}

// Leaf is one element that a parameter's expression selects.
type Leaf struct {
	Node tape.Node
	Type string // FHIR data type: CodeableConcept, dateTime, BackboneElement, …; of a resource, its own type
	// System is the implicit system of a code: that of its required binding, if all of its codes are of
	// one code system (Patient.gender); else "".
	System string
	// Owner is the object that holds Node and Name its member name there, so that a primitive's sibling
	// (_Name) can be looked up. Both are zero for the resource itself and for computed values.
	Owner tape.Node
	Name  string
	// Computed is "true" or "false" where the expression is a condition and not a path (Patient's
	// deceased). Node is then Absent and Type boolean.
	Computed string
}

// Leaves yields the elements of a resource that the parameter selects: the alternatives of its expression
// one after the other, each in document order. JSON null (a primitive that has only extensions) is no
// value and not yielded. Whether a value has the JSON type that its FHIR type asks for is not checked.
func (p *Param) Leaves(root tape.Node) iter.Seq[Leaf] {
	return func(yield func(Leaf) bool) { each(p.paths, root, root, yield) }
}

// Foci yields the elements that a composite's components are looked for in. It is Leaves by another name:
// each tuple of a composite must match within one focus (R4 search.html#composite).
func (p *Param) Foci(root tape.Node) iter.Seq[Leaf] { return p.Leaves(root) }

// Leaves yields the component's values within one focus of its composite. Components that speak of
// %resource look at root, whatever the focus.
func (c *Component) Leaves(focus, root tape.Node) iter.Seq[Leaf] {
	return func(yield func(Leaf) bool) { each(c.paths, focus, root, yield) }
}
