package subscription

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"fhirhook/fhir/store"
	"fhirhook/subscription/expression"
)

const (
	// mostConditions is how many compiled expressions are kept. One takes some 10 KB and less than a
	// millisecond to make.
	mostConditions = 1024
	// mostSlow is how many evaluations in a row may take too long: beyond, the expression holds the others up.
	mostSlow = 3
)

// slowText is the error text of a Subscription whose expression is not evaluated any more. By it that is known
// after a restart, too, and a client's write takes it away.
const slowText = "The FHIRPath expression of this Subscription took too long several times in a row, so it is not evaluated any more, and nothing is notified. Write the Subscription again with a simpler expression, or with narrower criteria in front of it."

// conditions evaluates the expressions of Subscriptions. What can't be evaluated does not hold (as with
// Medplum), and is counted and logged.
type conditions struct {
	log     *slog.Logger
	compile func(text string) (evaluator, error) // nil: expression.Compile
	failed  atomic.Uint64
	of      map[store.Lane]*condition
	stopped []store.Lane // not yet shown
}

// evaluator is a compiled expression.
type evaluator interface {
	Holds(expression.Input) (bool, error)
}

type condition struct {
	text     string
	compiled evaluator // nil: it is not evaluated any more
	slow     int       // evaluations in a row
}

// holds tells whether a Subscription's expression holds for a resource, of which it logs the reference.
func (s *conditions) holds(lane store.Lane, text string, in expression.Input, reference string) (_ bool, err error) {
	known := s.of[lane]
	if known == nil || known.text != text {
		if len(s.of) >= mostConditions || s.of == nil {
			s.of = map[store.Lane]*condition{}
		}
		known = &condition{text: text}
		if s.compile != nil {
			known.compiled, err = s.compile(text)
		} else {
			known.compiled, err = expression.Compile(text)
		}
		if err != nil {
			return false, err // it was compiled when the Subscription was read
		}
		s.of[lane] = known
	}
	if known.compiled == nil {
		s.failed.Add(1)
		return false, nil
	}
	holds, err := known.compiled.Holds(in)
	if err == nil {
		known.slow = 0
		return holds, nil
	}
	s.failed.Add(1)
	s.log.Warn("an expression could not be evaluated, so it does not hold", "tenant", lane.Tenant, "subscription", lane.Subscription,
		"resource", reference, "reason", err)
	if !errors.Is(err, expression.ErrTime) && !errors.Is(err, expression.ErrBusy) {
		known.slow = 0
	} else if known.slow++; known.slow == mostSlow {
		known.compiled = nil
		s.stopped = append(s.stopped, lane)
	}
	return false, nil
}

// forget gives an expression that a client wrote again another chance.
func (s *conditions) forget(lane store.Lane) { delete(s.of, lane) }
