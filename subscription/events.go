package subscription

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Events are the event patterns of a Subscription, compiled for its criteria and its dialect: which kinds of
// changes they cover, and for which kinds that depends on what a change is called. A change goes by two names: the
// one on the wire (the first catalogue entry that fits it, else the generic name in the dialect's words), and the
// generic name. A pattern covers the change if it is true of either.
type Events struct {
	names *Names
	texts []string     // as written
	wide  Interactions // kinds of changes that are covered whatever the type
	wild  bool         // the criteria are [*]: wide leaves the reserved types out
	rules []rule       // in order of change
}

// rule is about the changes of one kind.
type rule struct {
	change
	all     bool
	entries []int // else: those that one of these catalogue entries names
}

// reserved tells whether [*] leaves a type out unless a pattern names it: what the server does itself would echo
// for ever.
func reserved(t fhir.Type) bool { return t == fhir.Subscription || t == fhir.AuditEvent }

func (c change) compare(o change) int {
	return cmp.Or(cmp.Compare(c.of, o.of), cmp.Compare(c.what, o.what))
}

// newEvents compiles what patterns stand for. about tells which types the criteria are about; deletes, whether the
// dialect has a message for deletions.
func newEvents(n *Names, texts []string, found []named, wild, deletes bool, about func(fhir.Type) bool) *Events {
	e := &Events{names: n, texts: texts, wild: wild}
	hit := map[change]map[int]bool{}
	for _, f := range found {
		e.wide = e.wide.or(f.wide)
		for _, o := range f.covered(wild, deletes, about) {
			if hit[o.change] == nil {
				hit[o.change] = map[int]bool{}
			}
			hit[o.change][o.entry] = true
		}
	}
	e.wide.Delete = e.wide.Delete && deletes
	for c, entries := range hit {
		if r := (rule{change: c}); r.fill(n, entries) {
			e.rules = append(e.rules, r)
		}
	}
	slices.SortFunc(e.rules, func(a, b rule) int { return a.compare(b.change) })
	return e
}

// covered are the callings that can come to be.
func (f named) covered(wild, deletes bool, about func(fhir.Type) bool) []calling {
	var covered []calling
	for _, o := range f.callings {
		switch {
		case !about(o.of), o.what == fhir.Delete && !deletes, f.anyType && wild && reserved(o.of):
		default:
			covered = append(covered, o)
		}
	}
	return covered
}

// fill works out the rule from what is covered. The generic name is a name of every change of its kind.
func (r *rule) fill(n *Names, covered map[int]bool) bool {
	possible := n.index.entries[r.change]
	for _, entry := range possible {
		if covered[entry] {
			r.entries = append(r.entries, entry)
		}
	}
	r.all = covered[generic] || n.index.closed(n.dialect, r.change) && len(r.entries) == len(possible)
	if r.all {
		r.entries = nil
	}
	return r.all || len(r.entries) > 0
}

// String lists the patterns.
func (e *Events) String() string { return strings.Join(e.texts, ", ") }

// silent tells whether no change is covered: tests are sent, and nothing else.
func (e *Events) silent() bool { return len(e.rules) == 0 && e.wide == Interactions{} }

// interactions are those of all changes that are covered.
func (e *Events) interactions() Interactions {
	all := e.wide
	for _, r := range e.rules {
		all.add(r.what)
	}
	return all
}

// types are all that changes are covered of; nil if there is no telling but by the criteria.
func (e *Events) types() []fhir.Type {
	if e.wide != (Interactions{}) {
		return nil
	}
	var all []fhir.Type
	for _, r := range e.rules {
		all = append(all, r.of)
	}
	return slices.Compact(all)
}

// rule finds what is said about a kind of change; without all and entries it is nothing.
func (e *Events) rule(c change) rule {
	if e.wide.Has(c.what) && !(e.wild && reserved(c.of)) {
		return rule{change: c, all: true}
	}
	if i, ok := slices.BinarySearchFunc(e.rules, c, func(r rule, c change) int { return r.compare(c) }); ok {
		return e.rules[i]
	}
	return rule{change: c}
}

// allow tells whether changes of a kind can be covered.
func (e *Events) allow(t fhir.Type, i fhir.Interaction) bool {
	r := e.rule(change{t, i})
	return r.all || len(r.entries) > 0
}

// cover tells whether a change is covered, as the notification that is owed for it. It reads versions only if that
// depends on them.
func (e *Events) cover(n store.Notification, version func(uint64) (*fhir.Resource, error)) (bool, error) {
	r := e.rule(change{n.Focus.Type, n.Interaction})
	if r.all || len(r.entries) == 0 {
		return r.all, nil
	}
	entry, err := e.names.entry(n, version)
	return err == nil && slices.Contains(r.entries, entry), err
}

// stand tells whether a version is what the patterns are about, whatever became of it to be so: as if it had just
// come to be as it stands.
func (e *Events) stand(v *fhir.Resource, now time.Time) bool {
	for _, i := range []fhir.Interaction{fhir.Create, fhir.Update} {
		r := e.rule(change{v.Key.Type, i})
		if r.all {
			return true
		}
		fits := func(c resthook.Event) bool {
			return e.names.queries[criteriaOf(c)].Match(v, criteria.Env{Now: now})
		}
		if len(r.entries) > 0 && slices.Contains(r.entries, e.names.dialect.Entry(string(v.Key.Type), i.String(), fits)) {
			return true
		}
	}
	return false
}

// About tells whether changes of a type can notify, as far as the criteria and the event patterns go.
func (s *Subscription) About(t fhir.Type) bool {
	switch {
	case s.Query == nil || !s.Query.About(t):
		return false
	case s.Events == nil:
		return len(s.Query.Types()) > 0 || !reserved(t)
	default:
		return slices.ContainsFunc(interactions, func(i fhir.Interaction) bool { return s.Events.allow(t, i) })
	}
}

// TestsOnly tells whether the event patterns cover no change, so that tests are all that is ever sent.
func (s *Subscription) TestsOnly() bool { return s.Events != nil && s.Events.silent() }

// Covers tells whether the event patterns, if there are any, cover a change. version reads the versions of the
// resource.
func (s *Subscription) Covers(n store.Notification, version func(uint64) (*fhir.Resource, error)) (bool, error) {
	if s.Events == nil {
		return true, nil
	}
	return s.Events.cover(n, version)
}

// Stands tells whether the event patterns, if there are any, are about a version as it stands, where nothing has
// changed: an entry for what becomes final is about what is final.
func (s *Subscription) Stands(v *fhir.Resource, now time.Time) bool {
	return s.Events == nil || s.Events.stand(v, now)
}

// KnownAs returns both names that patterns know a change by: the one of the dialect, and the generic one.
func (s *Subscription) KnownAs(n store.Notification, version func(uint64) (*fhir.Resource, error)) (wire, plain string, err error) {
	wire, err = s.Names.of(n, version)
	return wire, EventName(n.Focus.Type, n.Interaction), err
}
