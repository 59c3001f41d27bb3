package subscription

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Shown is a resource as anyone may see it, which is what FHIRPath expressions are about: whether one holds must
// not tell a secret.
func Shown(r *fhir.Resource) *tape.Doc { return shown(r) }
