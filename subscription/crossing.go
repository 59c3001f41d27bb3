package subscription

import (
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
	"fhirhook/subscription/expression"
)

// crossing is a row seen from both sides: what is there since, and what was there before. Subjects are made
// once for all Subscriptions that see the same, and the version before is read only if one asks for it.
type crossing struct {
	row
	look    func(View) look
	version func(fhir.Key, uint64) (*fhir.Resource, error) // reads the store

	view     View
	around   look // of view
	judged   *criteria.Subject
	previous *fhir.Resource // nil also if it is out of sight
	earlier  *criteria.Subject
	looked   bool               // previous is set
	all      *crossing          // with everything in sight; nil: it is this one
	views    map[View]*crossing // of all
	asked    bool               // known is set
	known    bool               // the version that was written or ended is in sight
}

// look is what criteria see around a row, with a View: once its transaction has ended, and just before it began.
type look struct {
	after  func() criteria.Env
	before func() (criteria.Env, error)
}

func newCrossing(row row, at func(View) look, version func(fhir.Key, uint64) (*fhir.Resource, error)) *crossing {
	return &crossing{row: row, look: at, around: at(View{}), version: version}
}

// as is the row as a View shows it.
func (c *crossing) as(v View) *crossing {
	if c.view == v {
		return c
	}
	all := c
	if c.all != nil {
		all = c.all
	}
	if !v.Limited() {
		return all
	}
	seen := all.views[v]
	if seen == nil {
		seen = &crossing{row: c.row, look: all.look, around: all.look(v), version: all.version, view: v, all: all}
		if all.views == nil {
			all.views = map[View]*crossing{}
		}
		all.views[v] = seen
	}
	return seen
}

// visible tells whether the version that was written or ended is in sight. If it isn't, the row is nobody's business.
func (c *crossing) visible() bool {
	if !c.asked {
		c.asked, c.known = true, c.view.Finds(c.row.judged, c.Resource.Updated)
	}
	return c.known
}

// subject is the version that was written or ended.
func (c *crossing) subject() *criteria.Subject {
	if c.judged == nil {
		c.judged = criteria.NewSubject(c.row.judged, c.around.after())
	}
	return c.judged
}

// after is what there is now, nil after a delete.
func (c *crossing) after() *criteria.Subject {
	if c.Interaction == fhir.Delete {
		return nil
	}
	return c.subject()
}

// before is the version that the row replaced or ended, nil if there was none, it was deleted, or it is out of sight. It is
// judged as a search just before the change would have judged it.
func (c *crossing) before() (*criteria.Subject, error) {
	prev, err := c.replaced()
	if prev == nil || err != nil {
		return nil, err
	}
	if c.earlier == nil {
		env, err := c.around.before()
		if err != nil {
			return nil, err
		}
		c.earlier = criteria.NewSubject(prev, env)
	}
	return c.earlier, nil
}

func (c *crossing) replaced() (*fhir.Resource, error) {
	switch {
	case c.looked:
		return c.previous, nil
	case c.all != nil:
		prev, err := c.all.replaced()
		if err != nil {
			return nil, err
		}
		if prev != nil && c.view.Finds(prev, c.Resource.Updated) {
			c.previous = prev
		}
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

// read returns a version of the resource, as far as it is in sight. It may be deleted.
func (c *crossing) read(version uint64) (*fhir.Resource, error) {
	if c.row.judged.Version == version {
		return c.row.judged, nil
	}
	read := func(version uint64) (*fhir.Resource, error) { return c.version(c.Resource.Key, version) }
	return c.view.Versions(read, c.Resource.Updated)(version)
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
		if before == nil { // a Set may have found what is out of sight
			return false, nil
		}
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
