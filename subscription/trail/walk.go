package trail

import (
	"context"
	"iter"
	"slices"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// pieceRows is how many rows are read in one state of the queue.
const pieceRows = 512

// row is an attempt with its place among those of the same instant.
type row struct {
	store.Attempt
	ordinal uint64
}

// Walk implements search.Virtual: lane by lane, and each in the order of the attempt log. What an Extent names is
// looked for in the rows, before anything is made of them.
func (t *Trail) Walk(ctx context.Context, e search.Extent) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		for lane, err := range t.lanes(ctx, e.Tenant) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !t.walkLane(ctx, lane, e, yield) {
				return
			}
		}
	}
}

// walkLane yields what an Extent has of a lane, and tells whether to go on.
func (t *Trail) walkLane(ctx context.Context, lane store.Lane, e search.Extent, yield func(*fhir.Resource, error) bool) bool {
	all := e.Named == nil || slices.Contains(e.Named, criteria.Named{Type: fhir.Subscription, ID: lane.Subscription})
	asked := false // whether the lane is shown
	for r, err := range t.rows(ctx, lane, e.Since, e.Until) {
		if err != nil {
			yield(nil, err)
			return false
		}
		if !all && !slices.Contains(e.Named, criteria.Named{Type: r.Focus.Type, ID: r.Focus.ID}) {
			continue
		}
		if !asked {
			asked = true
			if shown, err := t.o.Shown(ctx, lane); err != nil || !shown {
				return err == nil || yield(nil, err)
			}
		}
		id := placeOf(r.Attempt, r.ordinal).id()
		if e.Skip != nil && e.Skip(id, fhir.Millis(r.Time)) {
			continue
		}
		key := fhir.Key{Tenant: e.Tenant, Type: fhir.AuditEvent, ID: id}
		if !yield(event(key, r.Attempt, t.o.Site), nil) {
			return false
		}
	}
	return true
}

// rows yields the rows of a lane in a stretch of time.
func (t *Trail) rows(ctx context.Context, lane store.Lane, since, until time.Time) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		scope := store.AttemptScope{Lane: lane, Since: since, Until: until}
		within := false        // scope is the rest of a day
		var seen, equal uint64 // rows of the last number in its day, and of these the last ones of one instant
		var last store.Attempt
		for {
			some, more, err := t.piece(ctx, scope, seen)
			if err != nil {
				yield(row{}, err)
				return
			}
			for _, a := range some {
				switch {
				case seen == 0 || a.Number != last.Number || !day(a.Time).Equal(day(last.Time)):
					seen, equal = 0, 0
				case a.Time.Equal(last.Time):
					equal++
				default:
					equal = 0
				}
				seen, last = seen+1, a
				if !yield(row{a, equal}, nil) {
					return
				}
			}
			switch {
			case more:
				today := day(last.Time)
				scope = store.AttemptScope{Lane: lane, Since: later(since, today), Until: today.AddDate(0, 0, 1), From: last.Number}
				if !until.IsZero() && until.Before(scope.Until) {
					scope.Until = until
				}
				within = true
			case within:
				scope = store.AttemptScope{Lane: lane, Since: day(last.Time).AddDate(0, 0, 1), Until: until}
				within, seen = false, 0
				if !until.IsZero() && !scope.Since.Before(until) {
					return
				}
			default:
				return
			}
		}
	}
}

// piece reads some rows of a scope, without so many of its first number. There is more if it is full.
func (t *Trail) piece(ctx context.Context, scope store.AttemptScope, skip uint64) (some []store.Attempt, more bool, err error) {
	err = t.o.Queue.View(ctx, func(q store.QueueReader) error {
		some, more = some[:0], false
		left := skip
		for a, err := range q.Attempts(scope) {
			switch {
			case err != nil:
				return err
			case left > 0 && a.Number == scope.From:
				left--
			case len(some) == pieceRows:
				more = true
				return nil
			default:
				some = append(some, a)
			}
		}
		return ctx.Err()
	})
	return some, more, err
}

func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
