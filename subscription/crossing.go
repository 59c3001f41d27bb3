package subscription

import (
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
	"fhirhook/subscription/expression"
)

// crossing is a row seen from both sides: what is there since, and what was there before. Subjects are made
// once for all Subscriptions, and the version before is read only if one asks for it.
type crossing struct {
	row
	env     func() (criteria.Env, error)                   // of before
	version func(fhir.Key, uint64) (*fhir.Resource, error) // reads the store

	judged   *criteria.Subject
	previous *fhir.Resource
	earlier  *criteria.Subject
	looked   bool // previous is set
}

func newCrossing(row row, after criteria.Env, before func() (criteria.Env, error), version func(fhir.Key, uint64) (*fhir.Resource, error)) *crossing {
	return &crossing{row: row, env: before, version: version, judged: criteria.NewSubject(row.judged, after)}
}

// after is what there is now, nil after a delete.
func (c *crossing) after() *criteria.Subject {
	if c.Interaction == fhir.Delete {
		return nil
	}
	return c.judged
}

// before is the version that the row replaced or ended, nil if there was none or it was deleted. It is judged
// as a search just before the change would have judged it.
func (c *crossing) before() (*criteria.Subject, error) {
	prev, err := c.replaced()
	if prev == nil || err != nil {
		return nil, err
	}
	if c.earlier == nil {
		env, err := c.env()
		if err != nil {
			return nil, err
		}
		c.earlier = criteria.NewSubject(prev, env)
	}
	return c.earlier, nil
}

func (c *crossing) replaced() (*fhir.Resource, error) {
	if c.looked {
		return c.previous, nil
	}
	switch {
	case c.Interaction == fhir.Delete:
		c.previous = c.row.judged
	case c.Interaction == fhir.Update:
		prev, err := c.version(c.Resource.Key, c.Resource.Version-1)
		if err != nil {
			return nil, err
		}
		if !prev.Deleted {
			c.previous = prev
		}
	}
	c.looked = true
	return c.previous, nil
}

// read returns a version of the resource. It may be deleted.
func (c *crossing) read(version uint64) (*fhir.Resource, error) {
	if c.row.judged.Version == version {
		return c.row.judged, nil
	}
	return c.version(c.Resource.Key, version)
}

// input is what expressions are about. Of a deleted resource both sides are its last version, as with
// Medplum, where it is the newest that the history has.
func (c *crossing) input() (expression.Input, error) {
	prev, err := c.replaced()
	if err != nil {
		return expression.Input{}, err
	}
	return expression.Input{Current: shown(c.row.judged), Previous: shown(prev), Now: c.Resource.Updated}, nil
}

// shown is a resource as anyone may see it: whether an expression holds must not tell a secret.
func shown(r *fhir.Resource) *tape.Doc {
	switch {
	case r == nil:
		return nil
	case r.Key.Type == fhir.Subscription:
		return reparsed(redact(r.Doc(), nil))
	default:
		return r.Doc()
	}
}

// demands is what a Subscription asks beside its criteria. Most ask for nothing.
type demands struct {
	query      *criteria.Query
	trigger    Trigger
	parameters []string
	expression string
	stopped    bool           // the expression is not evaluated any more
	ways       []criteria.Way // of Enters: to the resources whose changes can make others enter
}

func demandsOf(s *Subscription, trouble string) *demands {
	if s.Trigger == Matches && s.Expression == "" {
		return nil
	}
	d := &demands{query: s.Query, trigger: s.Trigger, parameters: s.Parameters, expression: s.Expression, stopped: trouble == slowText}
	if s.Trigger == Enters {
		d.ways = s.Query.Ways()
	}
	return d
}

// fires tells whether a row notifies by the trigger, when the criteria found the side that its Set is held
// against: before for Leaves, else the version that was written or ended.
func (d *demands) fires(c *crossing, definitions *criteria.Definitions) (bool, error) {
	before, err := c.before()
	if err != nil {
		return false, err
	}
	after := c.after()
	found := func(s *criteria.Subject) (bool, error) {
		if s == nil {
			return false, nil
		}
		return d.query.Matches(s), s.Err()
	}
	switch d.trigger {
	case Enters:
		was, err := found(before)
		return after != nil && !was, err
	case Leaves:
		is, err := found(after)
		return !is, err
	case Changes:
		was, err := found(before)
		return after != nil && was && d.differ(after, before, definitions), err
	default:
		return true, nil
	}
}

func (d *demands) differ(after, before *criteria.Subject, definitions *criteria.Definitions) bool {
	for _, code := range d.parameters {
		if p, ok := definitions.Param(after.Resource().Key.Type, code); ok && after.Differs(before, p) {
			return true
		}
	}
	return false
}
