package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// read answers the current version (R4 http.html#read).
func (s *Server) read(ctx context.Context, c *call) (a answer, err error) {
	err = s.DB.View(ctx, func(r store.Reader) error {
		a, err = s.readIn(ctx, r, c)
		return err
	})
	return a, err
}

// vread answers one version (R4 http.html#vread).
func (s *Server) vread(ctx context.Context, c *call) (answer, error) { return s.read(ctx, c) }

// readIn is read and vread in a state.
func (s *Server) readIn(ctx context.Context, r store.Reader, c *call) (answer, error) {
	if err := c.cond.refuse(c.code, "If-None-Match"); err != nil {
		return answer{}, err
	}
	show, rest, err := search.Shape(c.target.typ, c.target.query)
	if err != nil {
		return answer{}, err
	}
	if len(rest) > 0 && c.prefer.strict {
		return answer{}, fhir.Errorf(fhir.NotSupported, "http."+rest[0].Name, "a read has no parameter %s", clip(rest[0].Name))
	}
	if err := c.permit(auth.Read, c.target.typ); err != nil {
		return answer{}, err
	}
	found, _, err := s.lookUp(ctx, r, c)
	if err == nil {
		err = s.known(r, c, found)
	}
	switch {
	case errors.Is(err, store.ErrPurged):
		return answer{}, s.purged(r, c, err)
	case errors.Is(err, store.ErrNotFound):
		return answer{}, unknownVersion(c)
	case err != nil:
		return answer{}, err
	case found.Deleted:
		return answer{}, gone(c, found)
	case c.cond.unchanged(found):
		return answer{status: http.StatusNotModified, resource: found}, nil
	default:
		return answer{status: http.StatusOK, resource: found, body: s.Gate.Redact(show(found))}, nil
	}
}

func lookUp(r store.Reader, c *call) (*fhir.Resource, error) {
	if !fhir.ValidID(c.target.id) {
		return nil, store.ErrNotFound
	}
	if c.target.version == "" {
		return r.Read(c.key(), r.Last())
	}
	version, err := strconv.ParseUint(c.target.version, 10, 64)
	if err != nil || strconv.FormatUint(version, 10) != c.target.version {
		return nil, store.ErrNotFound // 007 is another version id than 7
	}
	return r.Version(c.key(), version)
}

func unknownVersion(c *call) error {
	switch {
	case !fhir.ValidID(c.target.id):
		return fhir.Errorf(fhir.NotFound, "", "%q is not a FHIR id, so no %s can have it: 1 to 64 of A-Z, a-z, 0-9, - and .", clip(c.target.id), c.target.typ)
	case c.target.version != "":
		return fhir.Errorf(fhir.NotFound, "", "%s has no version %q: GET %s/_history lists those it has", c.key(), clip(c.target.version), c.key())
	default:
		return fhir.Errorf(fhir.NotFound, "", "%s does not exist", c.key())
	}
}

// purged says of a version that it was there. A caller who may not see what it may say can't be told: nobody knows any
// more what it said.
func (s *Server) purged(r store.Reader, c *call, err error) error {
	version, ok := errors.AsType[*store.PurgedError](err)
	if !ok || !c.access().Entirely(auth.Read, c.target.typ) {
		return unknownVersion(c)
	}
	// R4 http.html#vread: a version that is not supported any more SHOULD be a 404 with an explanation.
	return fhir.Errorf(fhir.NotFound, "", "version %d of %s is no longer kept: this server keeps the content of versions for a time after they were replaced. GET %s/_history lists those it has", version.Version, c.key(), c.key())
}

func gone(c *call, r *fhir.Resource) error {
	if c.target.version != "" {
		return fhir.Errorf(fhir.Gone, "", "version %s of %s is its deletion and has no content", r.VersionID(), c.key())
	}
	return fhir.Errorf(fhir.Gone, "", "%s was deleted at %s; GET %s/_history/%d reads the version before", c.key(), fhir.Instant(r.Updated), c.key(), r.Version-1)
}
