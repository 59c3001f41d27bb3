package criteria

import (
	"errors"
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
	far   bool         // some term is

	textual bool // Parse reads the same from text
}

// Types are the resource types that the query is about, sorted; none means all. It must not be changed.
func (q *Query) Types() []fhir.Type { return q.types }

// Terms are the parameters that filter, in the order given; all of them must hold. It must not be changed.
func (q *Query) Terms() []Term { return q.terms }

// Match tells whether the query finds the resource, for queries that look at nothing else (Far). A deleted
// one is never found.
func (q *Query) Match(r *fhir.Resource, env Env) bool { return q.Matches(NewSubject(r, env)) }

// Far tells whether the query looks at other resources than its subject, and so can fail.
func (q *Query) Far() bool { return q.far }

// Matches is Match for a subject that several queries share, and for queries that look further. The answer
// counts only if the subject's Err is nil. A term that does not hold decides, whatever can't be said of others;
// what the subject itself decides comes first.
func (q *Query) Matches(s *Subject) bool {
	s.begin()
	if s.resource.Deleted || !q.About(s.resource.Key.Type) {
		return false
	}
	for i := range q.terms {
		if t := &q.terms[i]; !t.far() && !t.Holds(s) {
			return false
		}
	}
	if !q.far {
		return true
	}
	var open error
	for i := range q.terms {
		t := &q.terms[i]
		if !t.far() {
			continue
		}
		s.begin()
		switch holds := t.Holds(s); {
		case s.Err() == nil && !holds:
			return false
		case s.Err() != nil && open == nil:
			open = about(t, s.Err())
		}
	}
	if open != nil {
		s.look().err = open
	}
	return open == nil
}

// Check tells whether what the query names besides its subject (a ValueSet, a CodeSystem) is there and can be
// evaluated, as far as that does not depend on the subject.
func (q *Query) Check(env Env) error {
	if !q.far {
		return nil
	}
	s := NewSubject(&fhir.Resource{}, env)
	s.begin()
	for i := range q.terms {
		q.terms[i].check(s)
		if err := s.Err(); err != nil {
			return about(&q.terms[i], err)
		}
	}
	return nil
}

// about names the term in an error about it.
func about(t *Term, err error) error {
	e, ok := errors.AsType[*fhir.Error](err)
	if !ok || e.Expression != "" {
		return err
	}
	named := *e
	named.Expression = "http." + parameterName(t.Name)
	return &named
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
	q := &Query{types: slices.Clip(types), terms: slices.Clip(terms), text: canonicalText(types, terms), table: table}
	for i := range q.terms {
		q.far = q.far || q.terms[i].far()
	}
	return q
}

// rank is the place of a term in the query that Parse reads from text.
func (q *Query) rank(term int) int {
	_, parts, _ := strings.Cut(q.text, "?")
	return slices.Index(strings.Split(parts, "&"), q.terms[term].part())
}

// part is the term in its canonical form.
func (t *Term) part() string {
	p := t.canonical()
	return encode(p.Name) + "=" + encode(p.Value)
}

func canonicalText(types []fhir.Type, terms []Term) string {
	parts := make([]string, len(terms))
	for i := range terms {
		parts[i] = terms[i].part()
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
