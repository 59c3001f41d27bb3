package rest

import (
	"context"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
)

// anyType stands for all member types of a compartment (R4 http.html#vsearch).
const anyType = "*"

// compartment answers a search around one resource (R4 compartmentdefinition.html), as in Patient/1/Observation.
// Whether that resource is there doesn't matter: what refers to it is found.
func (s *Server) compartment(ctx context.Context, c *call) (answer, error) {
	around := search.Compartment{Type: c.target.typ, ID: c.target.id}
	var member fhir.Type
	if c.target.inner != anyType {
		member = fhir.Type(c.target.inner)
	}
	switch {
	case strings.HasPrefix(c.target.inner, "$"):
		return answer{}, unknownOperation(c.target.inner)
	case !criteria.InCompartment(around.Type, around.Type):
		return answer{}, fhir.Errorf(fhir.NotFound, "", "%s has no compartment: search the type with a reference parameter, as in Observation?subject=%s/1", around.Type, around.Type)
	case member != "" && !member.Known():
		return answer{}, unknownType(string(member))
	case member != "" && !criteria.InCompartment(around.Type, member):
		return answer{}, fhir.Errorf(fhir.NotFound, "", "a %s is in no compartment of a %s: R4's CompartmentDefinition lists those that are", member, around.Type)
	case !fhir.ValidID(around.ID):
		return answer{}, unknownVersion(c)
	}
	return s.searchAround(ctx, c, member, around, "/"+string(around.Type)+"/"+around.ID+"/"+c.target.inner)
}
