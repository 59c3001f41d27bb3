package fhir

import "github.com/google/uuid"

// NewID draws a resource id that sorts by time of creation (UUID version 7), so that new keys
// land beside each other in the store.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Assigned tells whether an id looks like one of NewID: a server's and not a client's. A client hardly ever chooses such a one.
func Assigned(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && len(id) == len(uuid.UUID{}.String()) && u.Version() == 7
}

// ValidID tells whether s is a FHIR id: 1 to 64 of A-Z a-z 0-9 - and . (R4 datatypes.html#id).
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}
