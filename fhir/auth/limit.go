package auth

import (
	"errors"
	"fmt"
	"sync"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// limit is one condition, compiled.
type limit struct {
	rules   []rule
	patient string
	defs    *criteria.Definitions

	clauses sync.Map // fhir.Type → []clause, made when a type is first asked about
}

// rule is a scope with its restriction compiled.
type rule struct {
	scope Scope
	query *criteria.Query
}

// clause is a scope as it concerns one type.
type clause struct {
	given  Permissions
	within *criteria.Membership // nil: the whole tenant
	query  *criteria.Query      // nil: no restriction
}

func newLimit(c Condition, defs *criteria.Definitions) (*limit, error) {
	l := &limit{patient: c.Patient, defs: defs}
	var wrong []error
	patients := false
	for _, s := range c.Scopes.effective() {
		// A Patient's id becomes part of an expression, so that one with a comma would name two.
		if s.Context == Patient && !fhir.ValidID(c.Patient) {
			patients = true
			continue
		}
		q, err := s.compile(defs)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		l.rules = append(l.rules, rule{s, q})
	}
	if patients {
		wrong = append(wrong, errNoPatient)
	}
	return l, errors.Join(wrong...)
}

var errNoPatient = errors.New("scopes that begin with patient/ give nothing without a Patient's id: the token has to name one")

// of is what the scopes say of a type.
func (l *limit) of(t fhir.Type) []clause {
	if known, ok := l.clauses.Load(t); ok {
		return known.([]clause)
	}
	var clauses []clause
	for _, r := range l.rules {
		if r.scope.Type != "" && r.scope.Type != t {
			continue
		}
		c := clause{given: r.scope.Permissions, query: r.query}
		if r.scope.Context == Patient {
			within, err := l.defs.Membership("Patient", l.patient, t)
			if err != nil {
				panic(fmt.Sprintf("auth: the compartment of a Patient can't be told for %s: %v", t, err)) // the table is ours
			}
			if within == nil {
				continue // in nobody's compartment
			}
			c.within = within
		}
		clauses = append(clauses, c)
	}
	known, _ := l.clauses.LoadOrStore(t, clauses)
	return known.([]clause)
}

func (l *limit) may(p Permissions, t fhir.Type) bool {
	for _, c := range l.of(t) {
		if c.given&p != 0 {
			return true
		}
	}
	return false
}

func (l *limit) entirely(p Permissions, t fhir.Type) bool {
	for _, c := range l.of(t) {
		if c.given&p != 0 && c.within == nil && c.query == nil {
			return true
		}
	}
	return false
}

func (l *limit) allows(p Permissions, v *candidate) bool {
	for _, c := range l.of(v.resource.Key.Type) {
		if c.given&p != 0 && (c.within == nil || c.within.Holds(v.subject())) && (c.query == nil || c.query.Matches(v.subject())) {
			return true
		}
	}
	return false
}

// candidate is a version that is being judged. What has to be read of it is read once, if at all.
type candidate struct {
	resource *fhir.Resource
	env      criteria.Env
	read     *criteria.Subject
}

func (v *candidate) subject() *criteria.Subject {
	if v.read == nil {
		v.read = criteria.NewSubject(v.resource, v.env)
	}
	return v.read
}
