package app

import (
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// gate is what guards the resources that the server acts on.
type gate struct {
	*subscription.Gate
}

// Admission implements rest.Gate.
func (g gate) Admission(store.Reader, string) store.Admit { return g.Admit }
