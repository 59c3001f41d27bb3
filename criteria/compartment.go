package criteria

import (
	_ "embed" // for compartments.tsv
	"maps"
	"slices"
	"strings"
	"sync"

	"fhirhook/fhir"
)

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

// Compartments are the types that have a compartment in R4, sorted (R4 compartmentdefinition.html).
func Compartments() []fhir.Type { return slices.Sorted(maps.Keys(compartments())) }

// InCompartment tells whether resources of a type may be in compartments of another.
func InCompartment(compartment, member fhir.Type) bool {
	_, ok := compartments()[compartment][member]
	return ok
}

// Membership is what makes resources of one type members of the compartment around one resource: that one of the
// parameters that R4 lists refers to it, or that they are it. It is immutable and safe for concurrent use.
type Membership struct {
	own string // id of the compartment's resource, for its own type
	all bool   // of the compartments around all resources: the type is theirs
	any []*Query
}

// Membership compiles who of a type is in the compartment around a resource; nil if nobody can be.
func (d *Definitions) Membership(compartment fhir.Type, id string, member fhir.Type) (*Membership, error) {
	return d.membership(compartment, id, member)
}

// MembershipOfAny compiles who of a type is in the compartment around any resource of another; nil if nobody can be.
func (d *Definitions) MembershipOfAny(compartment, member fhir.Type) (*Membership, error) {
	m, err := d.membership(compartment, "any", member)
	if m == nil || err != nil {
		return nil, err
	}
	m.own, m.all = "", m.own != ""
	for i, q := range m.any {
		of := *q
		of.terms = slices.Clone(q.terms)
		for i := range of.terms {
			of.terms[i].Values = []Value{anyOf(compartment)}
		}
		m.any[i] = &of
	}
	return m, nil
}

func (d *Definitions) membership(compartment fhir.Type, id string, member fhir.Type) (*Membership, error) {
	params, ok := compartments()[compartment][member]
	if !ok {
		return nil, nil //nolint:nilnil // the type is in no such compartment
	}
	var m Membership
	if member == compartment {
		m.own = id
	}
	for _, code := range params {
		q, _, err := ParseParams(member, []Pair{{Name: code, Value: string(compartment) + "/" + id}}, d, false)
		if err != nil {
			return nil, err
		}
		m.any = append(m.any, q)
	}
	return &m, nil
}

// Terms are what makes members, each by itself; beside them whoever is the compartment's resource is one.
func (m *Membership) Terms() []*Term {
	var all []*Term
	for _, q := range m.any {
		for i := range q.terms {
			all = append(all, &q.terms[i])
		}
	}
	return all
}

// Holds tells whether the subject is a member. It looks at nothing but the subject. A nil Membership has none.
func (m *Membership) Holds(s *Subject) bool {
	if m == nil {
		return false
	}
	r := s.Resource()
	if m.all || m.own != "" && r.Key.ID == m.own {
		return true
	}
	return slices.ContainsFunc(m.any, func(q *Query) bool { return q.Matches(s) })
}

// anyOf is the value of a reference parameter that any resource of a type here is.
type anyOf fhir.Type

func (v anyOf) String() string { return string(v) + "/" }

func (v anyOf) matches(s *Subject, x *values) bool {
	return slices.ContainsFunc(x.targets, func(t target) bool {
		return t.rest && t.kind == fhir.Type(v) && s.own(t.base)
	})
}
