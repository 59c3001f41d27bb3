package auth

import (
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// Issuers of the tokens that are not an OIDC issuer's. No issuer's URL can be like them.
const (
	ConfiguredTokens = "fhirhook:configuration" // of the configuration file
	CreatedTokens    = "fhirhook:tokens"        // made by `fhirhook token create`
)

// Principal is who calls. It must not be changed once it is shared.
type Principal struct {
	Issuer  string // URL of the OIDC issuer, ConfiguredTokens or CreatedTokens
	Subject string // the sub claim, or the token's name
	Tenant  string
	Admin   bool // may do everything, in any tenant (In), and what only administrators may
	Scopes  Scopes
	Patient string    // id of the Patient that scopes beginning with patient/ are about
	Expires time.Time // of the token; zero: never

	access  *Access
	problem error
	open    bool
	serves  func(tenant string) bool // which tenants there may be; nil: any
}

// compiled returns p with its Access. The definitions are those that the operator vouches for.
func (p Principal) compiled(defs *criteria.Definitions) *Principal {
	p.access, p.problem = newAccess(p.Tenant, []Condition{p.condition()}, defs)
	return &p
}

// Compile returns p with its Access, for callers that made a Principal themselves. The definitions have to be R4's and the
// operator's, never those that clients wrote.
func (p Principal) Compile(defs *criteria.Definitions) *Principal { return p.compiled(defs) }

func (p *Principal) condition() Condition {
	return Condition{Admin: p.Admin, Scopes: p.Scopes.effective(), Patient: p.Patient}
}

// anyone is who calls while no authentication is configured.
var anyone = &Principal{Tenant: fhir.DefaultTenant, open: true}

// Open tells that no authentication is configured, so that nobody knows who calls.
func (p *Principal) Open() bool { return p != nil && p.open }

// Access is what the caller may do: nil, which is everything, only if Open; nothing, if the Principal was not
// compiled.
func (p *Principal) Access() *Access {
	switch {
	case p.Open():
		return nil
	case p == nil || p.access == nil:
		return &Access{}
	}
	return p.access
}

// Problem tells of scopes that give nothing because they can't be evaluated, nil if there are none.
func (p *Principal) Problem() error { return p.problem }

// In is the principal acting in a tenant: itself in its own, and an administrator in any that there may be; nil for all
// others, and where the configuration names tenants and this is none of them, even if it is its own.
func (p *Principal) In(tenant string) *Principal {
	switch {
	case p == nil || !ValidTenant(tenant) || p.serves != nil && !p.serves(tenant):
		return nil
	case p.Tenant == tenant:
		return p
	case !p.Admin || p.open:
		return nil
	}
	there := *p
	there.Tenant = tenant
	there.access = &Access{tenant: tenant, all: true}
	return &there
}

// ValidTenant tells whether a name can be a tenant's: 1 to 64 of A-Z a-z 0-9 - . and _, a letter or digit first.
func ValidTenant(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '-' || c == '.' || c == '_'):
		default:
			return false
		}
	}
	return true
}
