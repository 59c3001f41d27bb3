package criteria

import (
	"errors"
	"iter"

	"fhirhook/fhir"
)

// Resolver looks at the other resources of the subject's tenant, as they were at the place in the log that
// the evaluation is about. Its errors are I/O errors, or a *fhir.Error if looking would cost too much.
type Resolver interface {
	// Current returns a resource's version at the place, nil if it isn't there or is deleted.
	Current(t fhir.Type, id string) (*fhir.Resource, error)
	// Having yields the resources of a type of whose keys by the parameter (Subject.AppendKeys) keys holds
	// one. It may yield others, too, for each is verified, but none twice.
	Having(t fhir.Type, p *Param, keys []string) iter.Seq2[*fhir.Resource, error]
}

// What one evaluation of one query may cost, and what a Lookup remembers.
const (
	mostLooks      = 100_000
	mostRemembered = 1024
)

// Lookup is how queries see beyond their subject: it asks a Resolver and remembers the answers, so it is about
// one tenant and one place in the log. It belongs to one goroutine. Subjects that share an Env share it.
type Lookup struct {
	resolver Resolver
	table    *Definitions
	subjects map[fhir.Key]*Subject // nil: not there
	lists    map[string]map[Link]struct{}
	sets     map[target]*valueSet
	proven   map[*valueSet]bool // all that they build on is there
	systems  map[systemName]*codeSystem
	compiled *compiledTerms

	looks int
	err   error // why the evaluation under way can't be decided
}

// NewLookup makes a Lookup over a Resolver. Canonical URLs are found by the table's parameters.
func NewLookup(r Resolver, table *Definitions) *Lookup {
	return &Lookup{resolver: r, table: table, compiled: &compiledTerms{}}
}

// Elsewhere is a Lookup at another place, or of another tenant. It shares what does not depend on either: the
// compiled forms of ValueSets and CodeSystems, by version.
func (l *Lookup) Elsewhere(r Resolver, table *Definitions) *Lookup {
	return &Lookup{resolver: r, table: table, compiled: l.compiled}
}

var errNoResolver = errors.New("criteria: the query looks at other resources, and there is no Resolver")

// look returns the Lookup that everything that stems from the subject shares.
func (s *Subject) look() *Lookup {
	if s.env.Lookup == nil {
		s.env.Lookup = NewLookup(nil, nil)
	}
	return s.env.Lookup
}

// Err tells why the last query that was held against the subject could not be decided; its answer means
// nothing then. A *fhir.Error is about the query (a ValueSet that isn't there, a search too costly), all else
// about the store.
func (s *Subject) Err() error {
	if s.env.Lookup == nil {
		return nil
	}
	return s.env.Lookup.err
}

// begin starts an evaluation.
func (s *Subject) begin() {
	if l := s.env.Lookup; l != nil {
		l.looks, l.err = 0, nil
	}
}

func (l *Lookup) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// may counts a look, and tells whether there may be one. What is remembered counts as well, so that the
// verdict does not depend on what was asked before.
func (l *Lookup) may() bool {
	switch {
	case l.err != nil:
		return false
	case l.resolver == nil:
		l.err = errNoResolver
		return false
	case l.looks == mostLooks:
		l.err = fhir.Errorf(fhir.TooCostly, "", "to decide it for one resource, more than %d others would have to be looked at: narrow it down", mostLooks)
		return false
	}
	l.looks++
	return true
}

// current is a resource as a subject, nil if it isn't there.
func (l *Lookup) current(env Env, tenant string, t fhir.Type, id string) *Subject {
	if !l.may() {
		return nil
	}
	key := fhir.Key{Tenant: tenant, Type: t, ID: id}
	if s, ok := l.subjects[key]; ok {
		return s
	}
	r, err := l.resolver.Current(t, id)
	if err != nil {
		l.fail(err)
		return nil
	}
	if r == nil || r.Deleted {
		l.remember(key, nil)
		return nil
	}
	return l.remember(key, NewSubject(r, env))
}

// subject is a resource that was found as a subject.
func (l *Lookup) subject(env Env, r *fhir.Resource) *Subject {
	if s := l.subjects[r.Key]; s != nil {
		return s
	}
	return l.remember(r.Key, NewSubject(r, env))
}

func (l *Lookup) remember(key fhir.Key, s *Subject) *Subject {
	if l.subjects == nil || len(l.subjects) >= mostRemembered {
		l.subjects = map[fhir.Key]*Subject{}
	}
	l.subjects[key] = s
	return s
}

// having yields the resources that may have one of the keys, until it fails.
func (l *Lookup) having(env Env, t fhir.Type, p *Param, keys []string) iter.Seq[*Subject] {
	return func(yield func(*Subject) bool) {
		if !l.may() {
			return
		}
		for r, err := range l.resolver.Having(t, p, keys) {
			if err != nil {
				l.fail(err)
				return
			}
			if !l.may() || !yield(l.subject(env, r)) {
				return
			}
		}
	}
}

// canonical is the resource of a type that a canonical URL names, nil if there is none. Of several, one
// without a version asked for is the newest: the greatest version, then the latest update, then the last id.
func (l *Lookup) canonical(env Env, t fhir.Type, url, version string) *Subject {
	if l.table == nil {
		l.may()
		return nil
	}
	p, ok := l.table.Param(t, "url")
	if !ok || p.Kind != URI {
		return nil
	}
	var best *Subject
	for s := range l.having(env, t, p, []string{url}) {
		if !s.root.Get("url").Is(url) || version != "" && !s.root.Get("version").Is(version) {
			continue
		}
		if best == nil || best.older(s) {
			best = s
		}
	}
	return best
}

func (s *Subject) older(o *Subject) bool {
	if c := compareVersions(text(s.root.Get("version")), text(o.root.Get("version"))); c != 0 {
		return c < 0
	}
	if c := s.resource.Updated.Compare(o.resource.Updated); c != 0 {
		return c < 0
	}
	return s.resource.Key.ID < o.resource.Key.ID
}
