package app

import (
	"context"
	"slices"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
	"fhirhook/subscription/operate"
)

// searcher is the store search in the same surroundings that criteria are matched in (invariant 5): whatever
// name a client calls the server by, references mean the same.
type searcher struct {
	engine *search.Engine
	env    criteria.Env
	desk   *operate.Desk
}

// recent is what matching and delivering know; nil: neither runs.
func (o Options) recent(s *Server) operate.Recent {
	if o.offline {
		return nil
	}
	return struct {
		*subscription.Matcher
		*subscription.Deliverer
	}{s.matcher, s.deliverer}
}

// Search implements rest.Searcher.
func (s searcher) Search(ctx context.Context, q search.Request) (search.Page, error) {
	q.Bases, q.Zone = s.env.Bases, s.env.Zone
	if aboutAttempts(q) { // the search shows what there was when it began
		s.desk.CatchUp(ctx, store.Lane{Tenant: q.Tenant})
	}
	return s.engine.Search(ctx, q)
}

// aboutAttempts tells whether a search is for AuditEvents, and so for attempts among them.
func aboutAttempts(q search.Request) bool {
	return q.Type == fhir.AuditEvent || q.Type == "" && slices.ContainsFunc(q.Params, func(p criteria.Pair) bool {
		return p.Name == "_type" && slices.Contains(strings.Split(p.Value, ","), string(fhir.AuditEvent))
	})
}

// Find implements rest.Searcher.
func (s searcher) Find(ctx context.Context, r store.Reader, q search.Request, most int) ([]*fhir.Resource, error) {
	q.Bases, q.Zone = s.env.Bases, s.env.Zone
	return s.engine.Find(ctx, r, q, most)
}

// definitions tells a tenant's search parameters as they are now.
func (s *Server) definitions(c *search.Catalogue) func(ctx context.Context, tenant string) (*criteria.Definitions, error) {
	return func(ctx context.Context, tenant string) (defs *criteria.Definitions, err error) {
		err = s.db.View(ctx, func(r store.Reader) error {
			defs, err = c.At(r, tenant, r.Last())
			return err
		})
		return defs, err
	}
}

// showsAttempts tells whether attempts of a Subscription are AuditEvents: not where its audit destination is the log
// alone. Of one that is deleted, or that can't be read any more, all are.
func showsAttempts(currents *subscription.Currents) func(context.Context, store.Lane) (bool, error) {
	return func(ctx context.Context, lane store.Lane) (bool, error) {
		current, err := currents.Current(ctx, lane)
		if err != nil || current.Subscription == nil {
			return true, ctx.Err()
		}
		return current.Audit.Resource || !current.Audit.Log, nil
	}
}

// shown is what a search may know of a resource: of a Subscription what its readers see, or else its secrets could be
// guessed by searching for them.
func shown(redact func(*fhir.Resource) []byte) func(*fhir.Resource) *fhir.Resource {
	return func(r *fhir.Resource) *fhir.Resource {
		if r.Key.Type != fhir.Subscription || r.Deleted {
			return r
		}
		return &fhir.Resource{Key: r.Key, Version: r.Version, Updated: r.Updated, JSON: redact(r)}
	}
}
