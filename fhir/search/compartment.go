package search

import (
	_ "embed" // for compartments.tsv
	"maps"
	"slices"
	"strings"
	"sync"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// Compartment limits a search to what is around one resource (R4 compartmentdefinition.html): the resources of
// which any of the parameters that the definition lists refers to it, and itself.
type Compartment struct {
	Type fhir.Type
	ID   string
	// Start and End, if set, are dates between which the care has to be that a resource tells of, as far as its
	// type has the search parameter date (R4 patient-operation-everything.html).
	Start, End string
}

//go:embed compartments.tsv
var compartmentText string

// compartments are the search parameters of each member type, by the compartment's type.
var compartments = sync.OnceValue(func() map[fhir.Type]map[fhir.Type][]string {
	all := map[fhir.Type]map[fhir.Type][]string{}
	var current map[fhir.Type][]string
	for line := range strings.Lines(compartmentText) {
		line = strings.TrimSuffix(line, "\n")
		switch row, member := strings.CutPrefix(line, "\t"); {
		case strings.HasPrefix(line, "#"):
		case member:
			name, params, _ := strings.Cut(row, "\t")
			current[fhir.Type(name)] = strings.FieldsFunc(params, func(r rune) bool { return r == ',' })
		default:
			current = map[fhir.Type][]string{}
			all[fhir.Type(line)] = current
		}
	}
	return all
})

// Compartments are the types that have a compartment, sorted.
func Compartments() []fhir.Type { return slices.Sorted(maps.Keys(compartments())) }

// InCompartment tells whether resources of a type may be in compartments of another.
func InCompartment(compartment, member fhir.Type) bool {
	_, ok := compartments()[compartment][member]
	return ok
}

// membership is what makes resources of a type members: any of the queries in any, and the one in care if there is
// one. own is the id of the compartment's resource, for its own type.
type membership struct {
	any  []*criteria.Query
	care *criteria.Query
	own  string
}

func (m membership) holds(s *criteria.Subject, r *fhir.Resource) bool {
	if m.own != "" && r.Key.ID == m.own {
		return true
	}
	return slices.ContainsFunc(m.any, func(q *criteria.Query) bool { return q.Matches(s) }) && (m.care == nil || m.care.Matches(s))
}

// limit narrows the plan to a compartment.
func (p *plan) limit(c Compartment, defs *criteria.Definitions) error {
	if c.Type == "" {
		return nil
	}
	p.members = map[fhir.Type]membership{}
	for _, t := range p.types {
		params, ok := compartments()[c.Type][t]
		if !ok {
			continue
		}
		m, err := c.membership(t, params, defs)
		if err != nil {
			return err
		}
		p.members[t] = m
	}
	p.types = slices.Sorted(maps.Keys(p.members))
	return nil
}

func (c Compartment) membership(t fhir.Type, params []string, defs *criteria.Definitions) (membership, error) {
	var m membership
	if t == c.Type {
		m.own = c.ID
	}
	for _, code := range params {
		q, _, err := criteria.ParseParams(t, []criteria.Pair{{Name: code, Value: string(c.Type) + "/" + c.ID}}, defs, false)
		if err != nil {
			return m, err
		}
		m.any = append(m.any, q)
	}
	var care []criteria.Pair
	for _, bound := range []struct{ prefix, value string }{{"ge", c.Start}, {"le", c.End}} {
		if bound.value != "" {
			care = append(care, criteria.Pair{Name: "date", Value: bound.prefix + bound.value})
		}
	}
	if _, dated := defs.Param(t, "date"); !dated || len(care) == 0 {
		return m, nil
	}
	q, _, err := criteria.ParseParams(t, care, defs, false)
	m.care = q
	return m, err
}

// matches tells whether a resource is found.
func (p *plan) matches(s *criteria.Subject, r *fhir.Resource) bool {
	return p.query.Matches(s) && (p.members == nil || p.members[r.Key.Type].holds(s, r))
}
