package rest

import (
	"fhirhook/fhir/store"
)

// admit judges what a caller writes in a transaction.
func (s *Server) admit(tx store.Reader, c *call) store.Admit {
	return s.Gate.Admission(tx, c.tenant, c.who)
}
