package app

import (
	"context"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// gate guards the resources that the server acts on. What a write may use is what its transaction sees: a
// Subscription the search parameters that are in force there, a SearchParameter those that it must not clash with.
type gate struct {
	*subscription.Gate
	admission subscription.Options
	catalogue *search.Catalogue
	engine    *search.Engine
	env       criteria.Env
	network   *resthook.Network
}

// Admission implements rest.Gate.
func (g gate) Admission(tx store.Reader, tenant string, who *auth.Principal) store.Admit {
	return func(in fhir.Incoming, prev *fhir.Resource, now time.Time) (fhir.Incoming, error) {
		switch in.Type {
		case fhir.SearchParameter:
			return in, g.catalogue.Admit(tx, tenant, in, prev)
		case fhir.Subscription:
			defs, err := g.catalogue.Within(tx, tenant)
			if err != nil {
				return fhir.Incoming{}, err
			}
			o := g.admission
			o.Definitions, o.Author = defs, who
			o.Check = func(s *subscription.Subscription) error {
				env := g.env
				env.Now = now
				all := g.engine.ResolverWithin(context.Background(), tx, tenant, env)
				env.Lookup = criteria.NewLookup(s.View.Resolver(all, now), defs)
				return s.Query.Check(env)
			}
			admitted, err := subscription.NewGate(o).Admit(in, prev, now)
			if err == nil {
				err = fitsEndpoint(g.network, admitted)
			}
			return admitted, err
		default:
			return in, subscription.Stray(in)
		}
	}
}
