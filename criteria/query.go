package criteria

import (
	"slices"
	"strings"

	"fhirhook/fhir"
)

// Query is a compiled search expression. It is immutable and safe for concurrent use.
type Query struct {
	types []fhir.Type // sorted; none: all
	terms []Term
	text  string
	table *Definitions // that it was compiled with
	named bool         // the types came as _type
}

// Types are the resource types that the query is about, sorted; none means all. It must not be changed.
func (q *Query) Types() []fhir.Type { return q.types }

// Terms are the parameters that filter, in the order given; all of them must hold. It must not be changed.
func (q *Query) Terms() []Term { return q.terms }

// Match tells whether the query finds the resource. A deleted one is never found.
func (q *Query) Match(r *fhir.Resource, env Env) bool { return q.Matches(NewSubject(r, env)) }

// Matches is Match for a subject that several queries share.
func (q *Query) Matches(s *Subject) bool {
	if s.resource.Deleted || !q.About(s.resource.Key.Type) {
		return false
	}
	for i := range q.terms {
		if !q.terms[i].Holds(s) {
			return false
		}
	}
	return true
}

// About tells whether the query is about resources of a type.
func (q *Query) About(t fhir.Type) bool {
	return len(q.types) == 0 || slices.Contains(q.types, t)
}

// Pairs returns the parameters that filter as decoded query parameters in the order given, as the self
// link of a search shows them. Types that no path can name come first, as _type.
func (q *Query) Pairs() []Pair {
	var pairs []Pair
	if q.named || len(q.types) > 1 {
		names := make([]string, len(q.types))
		for i, t := range q.types {
			names[i] = string(t)
		}
		pairs = append(pairs, Pair{parameterType, strings.Join(names, ",")})
	}
	for i := range q.terms {
		pairs = append(pairs, q.terms[i].pair())
	}
	return pairs
}

// String is the canonical form: two queries that differ only in the order of their parameters and
// alternatives, in repetitions and in the ways to write a character have the same. Parse reads it back.
func (q *Query) String() string { return q.text }

func newQuery(types []fhir.Type, terms []Term, table *Definitions) *Query {
	return &Query{slices.Clip(types), slices.Clip(terms), canonicalText(types, terms), table, false}
}

func canonicalText(types []fhir.Type, terms []Term) string {
	parts := make([]string, len(terms))
	for i := range terms {
		p := terms[i].canonical()
		parts[i] = encode(p.Name) + "=" + encode(p.Value)
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	head := typesText(types)
	if len(parts) == 0 {
		return head
	}
	return head + "?" + strings.Join(parts, "&")
}

func typesText(types []fhir.Type) string {
	switch len(types) {
	case 0:
		return "[*]"
	case 1:
		return string(types[0])
	}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return "[" + strings.Join(names, ",") + "]"
}
