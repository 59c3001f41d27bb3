package rest

import (
	"context"
	"errors"
	"iter"

	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// virtual finds who shows resources under a key that no row of the log holds; nil if nobody does.
func (s *Server) virtual(key fhir.Key) search.Virtual {
	for _, v := range s.Virtuals {
		if v.Type() == key.Type && v.Owns(key.ID) {
			return v
		}
	}
	return nil
}

// shown is the resource that stands under a key without a row of the log.
func (s *Server) shown(ctx context.Context, key fhir.Key) (*fhir.Resource, error) {
	if v := s.virtual(key); v != nil {
		return v.Read(ctx, key)
	}
	return nil, store.ErrNotFound
}

// writable refuses to write what is only shown.
func (s *Server) writable(key fhir.Key) error {
	if v := s.virtual(key); v != nil {
		return fhir.Errorf(fhir.Forbidden, "", "%s can't be written: it is %s, which can only be read", key, v.ReadOnly())
	}
	return nil
}

// rows are those of a history below a place. A resource that is only shown has one version, which came
// into being with it.
func (s *Server) rows(r store.Reader, c *call, before store.Seq, shown *fhir.Resource) iter.Seq2[store.Change, error] {
	if shown == nil {
		return r.History(store.Scope{Tenant: c.tenant, Type: c.target.typ, ID: c.target.id}, before)
	}
	return func(yield func(store.Change, error) bool) {
		if before == 0 {
			yield(store.Change{Interaction: fhir.Create, Resource: shown}, nil)
		}
	}
}

// lookUp finds the version that a call names. Where it is in no row of the log, shown tells that.
func (s *Server) lookUp(ctx context.Context, r store.Reader, c *call) (found *fhir.Resource, shown bool, err error) {
	found, err = lookUp(r, c)
	if !errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrPurged) {
		return found, false, err
	}
	found, err = s.shown(ctx, c.key())
	if err == nil && c.target.version != "" && c.target.version != found.VersionID() {
		err = store.ErrNotFound
	}
	return found, err == nil, err
}
