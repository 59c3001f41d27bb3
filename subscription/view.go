package subscription

import (
	"encoding/json"
	"iter"
	"sync"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

// Grants turns grants into Views. It is safe for concurrent use.
type Grants struct {
	defs *criteria.Definitions
	env  criteria.Env

	mu    sync.Mutex // guards known
	known map[string]*auth.Access
}

// mostKnownGrants is how many different grants are kept compiled.
const mostKnownGrants = 4096

// NewGrants makes Grants of the definitions that the operator vouches for, never those that clients wrote. Of env
// Bases and Zone count.
func NewGrants(trusted *criteria.Definitions, env criteria.Env) *Grants {
	env.Lookup = nil
	return &Grants{defs: trusted, env: env, known: map[string]*auth.Access{}}
}

// nothing is what is seen without a grant.
var nothing = &auth.Access{}

// View is what a grant shows of a tenant ("": of its own).
func (g *Grants) View(grant *auth.Grant, tenant string) View {
	switch {
	case g == nil:
		return View{}
	case grant == nil, !grant.Revoked.IsZero(), tenant != "" && grant.Tenant != tenant:
		return View{grants: g, access: nothing}
	}
	if a := g.access(grant); !a.Unlimited() {
		return View{grants: g, access: a}
	}
	return View{}
}

// access compiles what a grant allows. Equal grants share it, so that what they see is found out once.
func (g *Grants) access(grant *auth.Grant) *auth.Access {
	name, err := json.Marshal([]any{grant.Tenant, grant.Conditions})
	if err != nil {
		return nothing // it can't be: they hold texts
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.known[string(name)]
	if a == nil {
		if len(g.known) >= mostKnownGrants {
			clear(g.known)
		}
		a = grant.Access(g.defs)
		g.known[string(name)] = a
	}
	return a
}

// View is what a Subscription may see: what searches with its criteria would find for its author. The zero View is
// everything. Views can be compared, and equal ones see the same.
type View struct {
	grants *Grants
	access *auth.Access // nil: everything
	of     fhir.Type    // that the criteria are about; "": several or all
}

// About is the View for criteria.
func (v View) About(q *criteria.Query) View {
	if types := q.Types(); v.Limited() && len(types) == 1 {
		v.of = types[0]
	}
	return v
}

// Equal tells whether two Views see the same.
func (v View) Equal(o View) bool { return v == o }

// Limited tells whether something may be out of sight.
func (v View) Limited() bool { return v.access != nil }

// May tells whether matches of a type may be in sight at all.
func (v View) May(t fhir.Type) bool { return v.access == nil || v.access.May(auth.Search, t) }

func (v View) env(now time.Time) criteria.Env {
	e := v.grants.env
	e.Now = now
	return e
}

// Finds tells whether a version may be a match, and so be sent. Deletes are judged on the version that they ended.
func (v View) Finds(r *fhir.Resource, now time.Time) bool {
	return v.access == nil || v.access.Allows(auth.Search, r, v.env(now))
}

// Sees tells whether a version may be known on the way to a match: by a chain, _has, a list or a value set.
func (v View) Sees(r *fhir.Resource, now time.Time) bool {
	if v.access == nil || v.of == "" || v.of == r.Key.Type {
		return v.Finds(r, now)
	}
	return v.access.Sees(r, v.env(now))
}

// Resolver is a Resolver that shows only what is in sight.
func (v View) Resolver(r criteria.Resolver, now time.Time) criteria.Resolver {
	if v.access == nil {
		return r
	}
	return viewed{r, v, now}
}

type viewed struct {
	all  criteria.Resolver
	view View
	now  time.Time
}

// Current implements criteria.Resolver.
func (v viewed) Current(t fhir.Type, id string) (*fhir.Resource, error) {
	r, err := v.all.Current(t, id)
	if err != nil || r == nil || !v.view.Sees(r, v.now) {
		return nil, err
	}
	return r, nil
}

// Having implements criteria.Resolver.
func (v viewed) Having(t fhir.Type, p *criteria.Param, keys []string) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		for r, err := range v.all.Having(t, p, keys) {
			if err == nil && !v.view.Sees(r, v.now) {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// unseen stands for a version that is out of sight: all that is known of it is that it was there.
func unseen(r *fhir.Resource) *fhir.Resource {
	return &fhir.Resource{Key: r.Key, Version: r.Version, Updated: r.Updated, JSON: []byte(`{"resourceType":"` + string(r.Key.Type) + `"}`)}
}

// Versions reads versions of a resource as the View shows them.
func (v View) Versions(read func(uint64) (*fhir.Resource, error), now time.Time) func(uint64) (*fhir.Resource, error) {
	if v.access == nil {
		return read
	}
	return func(number uint64) (*fhir.Resource, error) {
		r, err := read(number)
		if err != nil || r.Deleted || v.Finds(r, now) {
			return r, err
		}
		return unseen(r), nil
	}
}
