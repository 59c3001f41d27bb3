package subscription

import (
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// terms is what of a Subscription decides beside its criteria.
type terms struct {
	interactions Interactions
	end          time.Time // zero: never
	wild         bool      // [*] without event patterns
	events       *Events   // patterns that have to cover the change; nil: none
	demands      *demands  // nil: none
	view         View      // what is in sight
	far          bool      // the criteria look further than the version
}

// termsOf is about a Subscription with an error text ("" for none).
func termsOf(s *Subscription, trouble string) *terms {
	return &terms{s.Interactions, s.End, s.Events == nil && len(s.Query.Types()) == 0, s.Events, demandsOf(s, trouble), s.View, s.Query.Far()}
}

func (t *terms) trigger() Trigger {
	if t.demands == nil {
		return Matches
	}
	return t.demands.trigger
}

// ask tells whether the Subscription asks for changes of this kind at this time.
func (t *terms) ask(c store.Change) bool {
	return t.about(c.Resource.Key.Type, c.Interaction) && (t.end.IsZero() || c.Resource.Updated.Before(t.end))
}

// about tells whether changes of a kind can notify.
func (t *terms) about(of fhir.Type, i fhir.Interaction) bool {
	switch {
	case !t.interactions.Has(i):
		return false
	case t.events != nil:
		return t.events.allow(of, i)
	default:
		return !t.wild || !reserved(of)
	}
}

// covered tells whether the event patterns cover a change.
func (t *terms) covered(n store.Notification, version func(uint64) (*fhir.Resource, error)) (bool, error) {
	if t.events == nil {
		return true, nil
	}
	return t.events.cover(n, version)
}

// mostCommon bounds how many terms are looked for to be shared. Most Subscriptions of most servers have the same few.
const mostCommon = 1024

// share gives an entry terms that others have, too, if there are equal ones.
func (a *active) share(e *entry) {
	switch known := a.common[*e.terms]; {
	case known != nil:
		e.terms = known
	case len(a.common) < mostCommon && e.terms.end.IsZero() && e.terms.events == nil && e.terms.demands == nil: // what else there is, is one Subscription's
		a.common[*e.terms] = e.terms
	}
}
