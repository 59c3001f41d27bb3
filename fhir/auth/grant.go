package auth

import (
	"reflect"
	"slices"
	"time"

	"fhirhook/criteria"
)

// Condition is a set of scopes: what one caller may do.
type Condition struct {
	Admin   bool   `json:"admin,omitempty"` // everything
	Scopes  Scopes `json:"scopes,omitempty"`
	Patient string `json:"patient,omitempty"`
}

// mostConditions bounds what a grant that many callers narrowed may cost. One more leaves nothing.
const mostConditions = 16

// Grant is what the author of a stored resource may see, kept with it: not the token, so that it outlives the
// token's expiry. Its JSON form is stored and stays readable.
type Grant struct {
	Issuer     string      `json:"issuer"`
	Subject    string      `json:"subject"`
	Tenant     string      `json:"tenant"`
	Created    time.Time   `json:"created"`
	Conditions []Condition `json:"conditions"` // all of them have to hold; none: nothing is granted

	// NarrowedBy are the issuers and subjects of those with whose grants this one was intersected, the latest last.
	NarrowedBy []string `json:"narrowedBy,omitempty"`

	Revoked   time.Time `json:"revoked,omitzero"`   // by an administrator: nothing is granted any more
	RevokedBy string    `json:"revokedBy,omitzero"` // issuer and subject of that administrator
}

// GrantOf is what a caller grants to what they write; nil while no authentication is configured.
func GrantOf(p *Principal, now time.Time) *Grant {
	if p == nil || p.open {
		return nil
	}
	return &Grant{
		Issuer: p.Issuer, Subject: p.Subject, Tenant: p.Tenant, Created: now.UTC().Truncate(time.Millisecond),
		Conditions: []Condition{p.condition()},
	}
}

// By tells whether a caller is the one who gave the grant.
func (g *Grant) By(p *Principal) bool {
	return g != nil && p != nil && !p.open && g.Issuer == p.Issuer && g.Subject == p.Subject && g.Tenant == p.Tenant
}

// Same tells whether two grants are of the same subject, allow the same, and stand as firm.
func (g *Grant) Same(o *Grant) bool {
	if g == nil || o == nil {
		return g == o
	}
	a, b := *g, *o
	a.Created, b.Created = time.Time{}, time.Time{}
	return reflect.DeepEqual(a.plain(), b.plain())
}

// plain is the grant with its conditions as they are compared.
func (g *Grant) plain() Grant {
	out := *g
	out.Conditions = nil
	for _, c := range g.Conditions {
		c.Scopes = c.Scopes.effective()
		out.Conditions = append(out.Conditions, c)
	}
	return out
}

// Revoke returns the grant without effect. Nothing but a new grant takes its place.
func (g *Grant) Revoke(by *Principal, now time.Time) *Grant {
	if g == nil {
		return nil
	}
	out := *g
	out.Revoked = now.UTC().Truncate(time.Millisecond)
	if by != nil {
		out.RevokedBy = by.Issuer + " " + by.Subject
	}
	return &out
}

// Intersect is what both grants allow; it remains g's. Grants of two tenants have nothing in common.
func (g *Grant) Intersect(o *Grant) *Grant {
	if g == nil || o == nil {
		return nil
	}
	out := *g
	out.Conditions = nil
	if g.Issuer != o.Issuer || g.Subject != o.Subject {
		out.NarrowedBy = narrowed(g.NarrowedBy, o.Issuer+" "+o.Subject)
	}
	if g.Tenant != o.Tenant || len(g.Conditions) == 0 || len(o.Conditions) == 0 {
		return &out
	}
	if out.Revoked.IsZero() {
		out.Revoked, out.RevokedBy = o.Revoked, o.RevokedBy
	}
	for _, c := range slices.Concat(g.Conditions, o.Conditions) {
		out.Conditions = narrow(out.Conditions, c)
	}
	if len(out.Conditions) > mostConditions {
		out.Conditions = nil
	}
	return &out
}

// narrowed adds who narrowed a grant. The oldest are forgotten where there are many.
func narrowed(by []string, one string) []string {
	by = append(slices.DeleteFunc(slices.Clone(by), func(known string) bool { return known == one }), one)
	return by[max(0, len(by)-mostConditions):]
}

// narrow adds a condition to those that have to hold, and leaves out what another implies.
func narrow(all []Condition, c Condition) []Condition {
	if slices.ContainsFunc(all, func(known Condition) bool { return known.implies(c) }) {
		return all
	}
	all = slices.DeleteFunc(slices.Clone(all), c.implies)
	return append(all, c)
}

// implies tells whether whatever c allows, o allows, too, as far as that is plain.
func (c Condition) implies(o Condition) bool {
	if o.Admin {
		return true
	}
	theirs := o.Scopes.effective()
	return !c.Admin && !slices.ContainsFunc(c.Scopes.effective(), func(s Scope) bool {
		return !slices.Contains(theirs, s) || s.Context == Patient && c.Patient != o.Patient
	})
}

// Access is what the grant allows; of a nil or revoked one, nothing. The definitions have to be R4's and the
// operator's, never those that clients wrote.
func (g *Grant) Access(defs *criteria.Definitions) *Access {
	if g == nil || !g.Revoked.IsZero() {
		return &Access{}
	}
	a, _ := newAccess(g.Tenant, g.Conditions, defs) // a scope that can't be evaluated any more gives nothing
	return a
}
