package rest

import (
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// admit judges a write of key in a transaction.
func (s *Server) admit(tx store.Reader, key fhir.Key) store.Admit {
	return s.Gate.Admission(tx, key.Tenant)
}
