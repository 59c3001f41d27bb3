package search

import (
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// Compartment limits a search to what is around one resource (R4 compartmentdefinition.html): the resources of
// which any of the parameters that the definition lists refers to it, and itself.
type Compartment struct {
	Type fhir.Type
	ID   string
	Any  bool // around all resources of the type, and ID is empty
	// Whole is everything that there is to know of it, in the sense of R4's $everything: the resource itself comes first, and
	// what pages include is no member, which has a place of its own, and passes the filters.
	Whole bool
	// Start and End, if set, are dates between which the care has to be that a resource tells of, as far as its
	// type has the search parameter date (R4 patient-operation-everything.html).
	Start, End string
}

// lead is the resource that comes first, if its type is asked for.
func (r *Request) lead(p *plan) fhir.Key {
	if c := r.Compartment; c.Whole && c.ID != "" && slices.Contains(p.types, c.Type) {
		return fhir.Key{Tenant: r.Tenant, Type: c.Type, ID: c.ID}
	}
	return fhir.Key{}
}

// beside tells whether a resource may be included in a page of the compartment.
func (c Compartment) beside(p *plan, s *criteria.Subject, r *fhir.Resource) bool {
	if !c.Whole {
		return true
	}
	m, member := p.members[r.Key.Type]
	return p.query.Matches(s) && !(member && (m.all || m.own == r.Key.ID || m.of.Holds(s)))
}

// membership is what makes resources of a type members, and the care that they must tell of if it is limited.
type membership struct {
	of   *criteria.Membership
	own  string // id of the compartment's resource, for its own type: it is there whatever care is asked for
	all  bool   // the same for the type whose resources all are
	care *criteria.Query
}

func (m membership) holds(s *criteria.Subject, r *fhir.Resource) bool {
	if m.all || m.own != "" && r.Key.ID == m.own {
		return true
	}
	return m.of.Holds(s) && (m.care == nil || m.care.Matches(s))
}

// limit narrows the plan to a compartment.
func (p *plan) limit(c Compartment, defs *criteria.Definitions) error {
	if c.Type == "" {
		return nil
	}
	p.members = map[fhir.Type]membership{}
	for _, t := range p.types {
		of, err := c.membership(t, defs)
		if err != nil {
			return err
		}
		if of == nil {
			continue
		}
		care, err := c.care(t, defs)
		if err != nil {
			return err
		}
		m := membership{of: of, care: care}
		if t == c.Type {
			m.own, m.all = c.ID, c.Any
		}
		p.members[t] = m
	}
	p.types = slices.DeleteFunc(slices.Clone(p.types), func(t fhir.Type) bool { return p.members[t].of == nil })
	return nil
}

func (c Compartment) membership(t fhir.Type, defs *criteria.Definitions) (*criteria.Membership, error) {
	if c.Any {
		return defs.MembershipOfAny(c.Type, t)
	}
	return defs.Membership(c.Type, c.ID, t)
}

// care is what limits resources of a type by date, nil if nothing does.
func (c Compartment) care(t fhir.Type, defs *criteria.Definitions) (*criteria.Query, error) {
	var care []criteria.Pair
	for _, bound := range []struct{ prefix, value string }{{"ge", c.Start}, {"le", c.End}} {
		if bound.value != "" {
			care = append(care, criteria.Pair{Name: "date", Value: bound.prefix + bound.value})
		}
	}
	if _, dated := defs.Param(t, "date"); !dated || len(care) == 0 {
		return nil, nil //nolint:nilnil // no limit
	}
	q, _, err := criteria.ParseParams(t, care, defs, false)
	return q, err
}

// memberGroup is the rows that refer to the compartment's resource by any of the parameters that make members; false
// if the index can't tell them all.
func (p *plan) memberGroup(knows func(*criteria.Param) bool, t fhir.Type, env criteria.Env) (group, bool) {
	m, ok := p.members[t]
	if !ok || m.all {
		return group{}, false
	}
	g := group{name: "the compartment"}
	for _, term := range m.of.Terms() {
		param, ok := term.Param(t)
		if !ok || !knows(param) {
			return group{}, false
		}
		reaches, ok := criteria.Reaches([]*criteria.Term{term}, t, env)
		if !ok {
			return group{}, false
		}
		g.stretches = append(g.stretches, stretchesOf(p.tenant, t, param.Code, reaches)...)
	}
	return g, true
}

// matches tells whether a resource is found.
func (p *plan) matches(s *criteria.Subject, r *fhir.Resource) bool {
	return p.query.Matches(s) && (p.members == nil || p.members[r.Key.Type].holds(s, r))
}
