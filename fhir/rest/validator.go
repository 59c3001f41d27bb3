package rest

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Validator checks the structure of what clients send (package validate has the modes). Each method tells all
// problems at once, and nothing if there are none.
type Validator interface {
	// Validate judges a resource that is to be stored.
	Validate(in fhir.Incoming) []*fhir.Error
	// Envelope judges the Bundle of a batch or transaction, but for its entries.
	Envelope(in fhir.Incoming) []*fhir.Error
	// Entry judges one of the entries, but for its resource. Its paths begin with Bundle.entry.
	Entry(n tape.Node) []*fhir.Error
}

// noValidator lets everything pass.
type noValidator struct{}

func (noValidator) Validate(fhir.Incoming) []*fhir.Error { return nil }
func (noValidator) Envelope(fhir.Incoming) []*fhir.Error { return nil }
func (noValidator) Entry(tape.Node) []*fhir.Error        { return nil }
