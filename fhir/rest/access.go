package rest

import (
	"context"
	"errors"
	"net/http"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// Authenticator finds out who sent a request, by the values of its Authorization header; auth.Authenticator does.
type Authenticator interface {
	Authenticate(ctx context.Context, authorization ...string) (*auth.Principal, error)
}

// TenantHeader names the tenant that an administrator acts in, where it isn't the token's own.
const TenantHeader = "X-Fhirhook-Tenant"

// identify finds out who calls, and in which tenant. What the server can do is told to everybody (R4
// http.html#capabilities): the CapabilityStatement is there to find out how to get a token.
func (q *request) identify(c *call) (err error) {
	in := q.c.Request()
	sent := in.Header.Values("Authorization")
	if c.code == capability && len(sent) == 0 && q.s.authenticates() {
		c.tenant = "" // nobody's: what search parameters a tenant has is its own business
		return nil
	}
	if c.who, err = q.s.Authenticator.Authenticate(in.Context(), sent...); err != nil {
		return err
	}
	c.home = c.who.Tenant
	tenant := in.Header.Get(TenantHeader)
	if tenant == "" {
		tenant = c.home
	}
	there := c.who.In(tenant)
	if there == nil {
		return c.who.RefuseTenant()
	}
	c.who = there
	c.tenant, c.origin.Actor = c.who.Tenant, c.who.Subject
	return q.allow(c)
}

// authenticates tells whether callers have to say who they are.
func (s *Server) authenticates() bool {
	a, ok := s.Authenticator.(*auth.Authenticator)
	return !ok || a != nil
}

// access is what the caller may do: nothing, if nobody found out who it is.
func (c *call) access() *auth.Access { return c.who.Access() }

// permit refuses what the caller may do with no resource of a type, of "" with none at all.
func (c *call) permit(p auth.Permissions, t fhir.Type) error {
	if a := c.access(); a.May(p, t) || t == "" && len(a.Types(p)) > 0 {
		return nil
	}
	return c.who.Refuse(p, t)
}

// sight is what a search of a type ("" for all) finds for the caller: matches that may be searched for, and, on the way
// to them or beside them, whatever may be known.
func (c *call) sight(t fhir.Type) search.Sight {
	a := c.access()
	if a.Unlimited() {
		return nil
	}
	return func(r *fhir.Resource, env criteria.Env) bool {
		if t == "" || r.Key.Type == t {
			return a.Allows(auth.Search, r, env)
		}
		return a.Sees(r, env)
	}
}

// allows tells whether the caller may do something with a version. A tombstone is judged by the version that it ended.
func (s *Server) allows(r store.Reader, c *call, p auth.Permissions, v *fhir.Resource) (bool, error) {
	if c.access().Unlimited() {
		return true, nil
	}
	if v.Deleted && v.Version > 1 {
		ended, err := r.Version(v.Key, v.Version-1)
		if errors.Is(err, store.ErrPurged) {
			return c.access().Entirely(p, v.Key.Type), nil // nobody knows any more whose it was
		}
		if err != nil {
			return false, err
		}
		v = ended
	}
	return c.access().Allows(p, v, s.Env), nil
}

// known fails with store.ErrNotFound where a version is none of the caller's business.
func (s *Server) known(r store.Reader, c *call, v *fhir.Resource) error {
	switch ok, err := s.allows(r, c, auth.Read, v); {
	case err != nil:
		return err
	case !ok:
		return store.ErrNotFound
	}
	return nil
}

// prior is what stands under a key before a write of the caller's, nil if nothing ever did. It refuses what the caller
// may not touch. Nothing needs to be looked at for a caller who may do everything.
func (s *Server) prior(tx store.Reader, c *call, key fhir.Key) (*fhir.Resource, error) {
	if c.access().Unlimited() {
		return nil, nil //nolint:nilnil // nobody asks further
	}
	there, err := tx.Read(key, tx.Last())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, c.permit(auth.Create, key.Type)
	case err != nil:
		return nil, err
	case there.Deleted:
		return there, c.permit(auth.Create, key.Type)
	case !c.access().Allows(auth.Update, there, s.Env):
		return nil, c.who.Refuse(auth.Update, key.Type)
	}
	return there, nil
}

// untold takes out of an error of a patch what it says of the resource, where the caller may not read that: a value that is
// copied to where it doesn't belong would be quoted.
func (s *Server) untold(c *call, prior *fhir.Resource, err error) error {
	e, ok := errors.AsType[*fhir.Error](err)
	if !ok || prior == nil || c.access().Sees(prior, s.Env) {
		return err
	}
	if _, refused := errors.AsType[*auth.RefusedError](err); refused {
		return err
	}
	return fhir.Errorf(e.Kind, "", "the patch can't be carried out; why is told to those who may read %s", prior.Key)
}

// permitChange refuses a write that the caller may not make: it must be allowed both of what stood there and of what
// stands there now.
func (s *Server) permitChange(c *call, before *fhir.Resource, saved store.Saved) error {
	if c.access().Unlimited() || !saved.Changed || c.access().AllowsChange(before, saved.Resource, s.Env) {
		return nil
	}
	if saved.Created {
		return c.who.Refuse(auth.Create, saved.Resource.Key.Type)
	}
	return c.who.Refuse(auth.Update, saved.Resource.Key.Type)
}

// permitDelete refuses to delete what the caller may not.
func (s *Server) permitDelete(tx store.Reader, c *call, key fhir.Key) error {
	if c.access().Unlimited() {
		return nil
	}
	there, err := current(tx, key)
	switch {
	case err != nil:
		return err
	case there == nil:
		return c.permit(auth.Delete, key.Type)
	case !c.access().Allows(auth.Delete, there, s.Env):
		return c.who.Refuse(auth.Delete, key.Type)
	}
	return nil
}

// permitOperation refuses an operation that the caller may not carry out on its resource or type. What may not be known
// is not found.
func (s *Server) permitOperation(ctx context.Context, c *call, o Operation) error {
	switch {
	case c.access().Unlimited() && (!o.Admin || c.who.Open() || c.who.Admin):
		return nil
	case o.Admin:
		return auth.RefuseAdmin()
	case o.Needs == 0:
		return nil
	}
	if err := c.permit(o.Needs, c.target.typ); err != nil || o.Level != OnInstance {
		return err
	}
	return s.DB.View(ctx, func(r store.Reader) error {
		found, _, err := s.lookUp(ctx, r, c)
		if errors.Is(err, store.ErrNotFound) {
			return unknownVersion(c)
		} else if err != nil {
			return err
		}
		for _, p := range []auth.Permissions{auth.Read | auth.Search, o.Needs} {
			switch ok, err := s.allows(r, c, p, found); {
			case err != nil:
				return err
			case !ok && p != o.Needs:
				return unknownVersion(c)
			case !ok:
				return c.who.Refuse(p, c.target.typ)
			}
		}
		return nil
	})
}

// challenge says how to authenticate (RFC 9110 section 11.6.1), of an error that is about that.
func challenge(header http.Header, err error) {
	if refused, ok := errors.AsType[*auth.RefusedError](err); ok {
		header.Set("WWW-Authenticate", refused.Challenge())
	}
}
