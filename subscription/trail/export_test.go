package trail

import (
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// PieceRows is how many rows a walk reads at a time.
const PieceRows = pieceRows

// ID is the id of a row's AuditEvent.
func ID(a store.Attempt, ordinal uint64) string { return placeOf(a, ordinal).id() }

// Event is a row's AuditEvent.
func Event(a store.Attempt, ordinal uint64, site string) *fhir.Resource {
	return event(fhir.Key{Tenant: a.Lane.Tenant, Type: fhir.AuditEvent, ID: ID(a, ordinal)}, a, site)
}

// Parse and Write are parseID and id.
func Parse(id string) (place, bool) { return parseID(id) }
func Write(p place) string          { return p.id() }
