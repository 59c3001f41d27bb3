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

// Param is a search parameter as it applies to one resource type.
type Param struct {
	Code       string
	Kind       Kind
	URL        string      // canonical of its definition
	Type       fhir.Type   // the resource type that it is compiled for
	Expression string      // the part of the definition's FHIRPath that concerns Type
	Targets    []fhir.Type // of a reference: the types that it may point to
	Components []Component // of a composite

	paths []path // compiled
}

// Component is a part of a composite parameter.
type Component struct {
	Param      *Param // the definition that gives the component its kind
	Expression string
	paths      []path // relative to the composite's own elements
}

// Leaf is one element that a parameter's expression selects.
type Leaf struct {
	Node tape.Node
	Type string // FHIR data type: CodeableConcept, dateTime, …
	// Owner is the object that holds Node and Name its member name there, so that a primitive's sibling
	// (_Name) can be looked up. Both are zero for computed values.
	Owner tape.Node
	Name  string
}

// Definitions is a table of search parameters.
type Definitions struct {
	params map[fhir.Type]map[string]*Param
}

// Param finds a parameter of a type by its code, those of Resource and DomainResource included.
func (d *Definitions) Param(t fhir.Type, code string) (*Param, bool) {
	p, ok := d.params[t][code]
	return p, ok
}

// Params yields all parameters of a type in order of code.
func (d *Definitions) Params(t fhir.Type) iter.Seq[*Param] { return d.sorted(t) }
