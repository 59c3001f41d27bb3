package validate

import (
	"fmt"
	"sync"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Mode is how much is checked. Its zero value is Off.
type Mode uint8

// The modes.
const (
	Off       Mode = iota // nothing
	Structure             // the shape
	Strict                // the shape, required elements, and codes of required bindings
)

// ParseMode reads off, structure or strict.
func ParseMode(text string) (Mode, error) {
	for m := Off; m <= Strict; m++ {
		if m.String() == text {
			return m, nil
		}
	}
	return Off, fmt.Errorf("%q is no mode of validation: write off, structure or strict", text)
}

// String is the mode as it is written in configuration.
func (m Mode) String() string { return [...]string{"off", "structure", "strict"}[m] }

// MaxIssues is how many problems are told at once.
const MaxIssues = 50

// Validate tells everything that is wrong with a resource, at most MaxIssues, each with the FHIRPath of its
// element; nil if nothing is. The kinds are Structure, Required and Value for what is wrong with the shape;
// these come first. Under Strict follow Incomplete and CodeInvalid.
func (m Mode) Validate(in fhir.Incoming) []*fhir.Error {
	if m == Off {
		return nil
	}
	s, ok := shapeOf(string(in.Type))
	if !ok || !s.resource {
		return []*fhir.Error{fhir.Errorf(fhir.Value, "Resource.resourceType", "%q is not a resource type of FHIR R4", in.Type)}
	}
	path := paths.Get().(*[]step)
	r := run{mode: m, path: *path, root: string(in.Type)}
	r.typed(in.Doc.Root(), s)
	*path = r.path[:0] // it may have grown
	paths.Put(path)
	return r.problems()
}

// paths are used again, so that a resource without fault costs no memory.
var paths = sync.Pool{New: func() any { path := make([]step, 0, 32); return &path }}

// Envelope is Validate for the Bundle of a batch or transaction, but for what stands in its entries: those are
// judged one by one, by Entry, and their resources by Validate. It knows no minimum.
func (m Mode) Envelope(in fhir.Incoming) []*fhir.Error {
	s, ok := shapeOf(string(fhir.Bundle))
	if m == Off || !ok {
		return nil
	}
	r := run{mode: Structure, root: string(fhir.Bundle), skip: s.members["entry"]}
	r.typed(in.Doc.Root(), s)
	return r.problems()
}

// Entry is Validate for one Bundle.entry of a batch or transaction, but for its resource. The paths begin with
// Bundle.entry, without an index. It knows no minimum.
func (m Mode) Entry(n tape.Node) []*fhir.Error {
	s, ok := shapeOf("Bundle.entry")
	if m == Off || !ok {
		return nil
	}
	r := run{mode: Structure, root: "Bundle.entry", skip: s.members["resource"]}
	if n.Kind() != tape.Object {
		r.fail(fhir.Structure, "an entry must be a JSON object, and this is a JSON %s", n.Kind())
	} else {
		r.object(n, s)
	}
	return r.problems()
}
