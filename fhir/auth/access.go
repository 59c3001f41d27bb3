package auth

import (
	"errors"
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// Access is what a caller may do in one tenant. It is immutable and safe for concurrent use.
//
// A nil *Access allows everything: no authentication is configured. The zero value allows nothing.
type Access struct {
	tenant string
	all    bool     // an administrator's
	limits []*limit // each has to allow; none: nothing is allowed
}

// newAccess compiles conditions that have to hold together. The error tells of scopes that can't be evaluated,
// which give nothing; the Access is usable all the same.
func newAccess(tenant string, conditions []Condition, defs *criteria.Definitions) (*Access, error) {
	a := &Access{tenant: tenant}
	var wrong []error
	for _, c := range conditions {
		if c.Admin {
			continue // everything, as far as this one goes
		}
		l, err := newLimit(c, defs)
		if err != nil {
			wrong = append(wrong, err)
		}
		a.limits = append(a.limits, l)
	}
	a.all = len(conditions) > 0 && len(a.limits) == 0
	return a, errors.Join(wrong...)
}

// Unlimited tells whether everything in its tenant is allowed: nothing needs to be filtered, then.
func (a *Access) Unlimited() bool { return a == nil || a.all }

// May tells whether one of the permissions is given for some resources of a type.
func (a *Access) May(p Permissions, t fhir.Type) bool {
	if a == nil || a.all {
		return true
	}
	return len(a.limits) > 0 && !slices.ContainsFunc(a.limits, func(l *limit) bool { return !l.may(p, t) })
}

// Types are the types for which May holds, sorted.
func (a *Access) Types(p Permissions) []fhir.Type {
	return slices.DeleteFunc(fhir.Types(), func(t fhir.Type) bool { return !a.May(p, t) })
}

// Entirely tells whether one of the permissions is given for every resource of a type: its versions need not be
// asked about one by one. It may be false though in effect nothing is withheld.
func (a *Access) Entirely(p Permissions, t fhir.Type) bool {
	if a == nil || a.all {
		return true
	}
	return len(a.limits) > 0 && !slices.ContainsFunc(a.limits, func(l *limit) bool { return !l.entirely(p, t) })
}

// Allows tells whether one of the permissions is given for a version of a resource. Of another tenant nothing is
// allowed. A deleted version says nothing that a restriction could be held against, nor whose it was, so only scopes
// for the whole type allow it: ask of the version that it ended, too.
//
// Of env, Now, Bases and Zone count.
func (a *Access) Allows(p Permissions, r *fhir.Resource, env criteria.Env) bool {
	switch {
	case a == nil:
		return true
	case r.Key.Tenant != a.tenant:
		return false
	case a.all:
		return true
	case len(a.limits) == 0:
		return false
	}
	// A Lookup belongs to whatever evaluation may be under way, and nothing here looks further than the version.
	env.Lookup = nil
	c := candidate{resource: r, env: env}
	return !slices.ContainsFunc(a.limits, func(l *limit) bool { return !l.allows(p, &c) })
}

// Sees tells whether a version may be known to the caller: read or found by a search.
func (a *Access) Sees(r *fhir.Resource, env criteria.Env) bool { return a.Allows(Read|Search, r, env) }

// AllowsChange tells whether a write is allowed that replaces one version by another: before is nil or a tombstone
// where the resource isn't there, after is where it is deleted. An update must be allowed of what was there and of
// what will be, or else it could move a resource out of a restriction, or into one.
func (a *Access) AllowsChange(before, after *fhir.Resource, env criteria.Env) bool {
	was, is := before != nil && !before.Deleted, after != nil && !after.Deleted
	switch {
	case was && is:
		return a.Allows(Update, before, env) && a.Allows(Update, after, env)
	case is:
		return a.Allows(Create, after, env)
	case was:
		return a.Allows(Delete, before, env)
	case before != nil:
		return a.May(Delete, before.Key.Type) // there is nothing to delete: the answer tells nothing
	default:
		return a == nil || a.all
	}
}
