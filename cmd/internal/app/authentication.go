package app

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
)

// authenticator finds out who calls: by the configuration, and by the tokens in the data folder. It is nil where neither
// is there, so that everybody may do everything.
func (o Options) authenticator(defs *criteria.Definitions) (*auth.Authenticator, error) {
	if o.offline {
		return nil, nil //nolint:nilnil // nobody calls but this process
	}
	return auth.New(o.Auth, auth.Options{File: filepath.Join(o.Data, auth.TokenFileName), Definitions: defs, Dev: o.Dev})
}

// tenantOf tells on whose behalf a request is made, by its token and rest.TenantHeader. It is nil where nobody
// authenticates.
func tenantOf(a *auth.Authenticator) func(*http.Request) (tenant string, known bool) {
	if a == nil {
		return nil
	}
	return func(r *http.Request) (string, bool) {
		p, err := a.Authenticate(r.Context(), r.Header.Values("Authorization")...)
		if err != nil {
			return "", false
		}
		named := r.Header.Get(rest.TenantHeader)
		if named == "" {
			named = p.Tenant
		}
		if p = p.In(named); p == nil {
			return "", false
		}
		return p.Tenant, true
	}
}

// tenants are those that the configuration tells of. What the search parameters of others are about is found by walks.
func (o Options) tenants() []string {
	known := map[string]bool{fhir.DefaultTenant: true}
	for _, t := range o.Auth.Tokens {
		known[t.Tenant] = true
	}
	for _, i := range o.Auth.Issuers {
		known[i.Tenant] = true
	}
	for name := range o.Auth.Tenants {
		known[name] = true
	}
	delete(known, "")
	return slices.Sorted(maps.Keys(known))
}
