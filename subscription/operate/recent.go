package operate

import (
	"context"
	"time"

	"fhirhook/fhir/store"
)

// Recent knows what has happened and does not stand in the queue yet: matching is behind the log by some milliseconds,
// and what came of attempts is stored together with others. Both wait until ctx ends at most, and fail with why.
type Recent interface {
	// Passed waits until every row of the log up to a place is decided.
	Passed(ctx context.Context, at store.Seq) error
	// Settled waits for what is under way on a lane, or on all of a tenant if it names no Subscription, and would soon
	// be on the record.
	Settled(ctx context.Context, lane store.Lane) error
}

// How long an answer may be late so that it tells what has happened by the time of the question, a second in all. Either takes
// milliseconds, and on a machine that is busy with much else at once some hundreds. What takes longer than that (a matcher
// that waits for a definition or has far to go, a store that is stuck) takes minutes, for which nobody would wait.
const (
	forMatching = time.Second / 2
	forSettling = time.Second / 2
)

// CatchUp waits, within bounds and only if there is something to wait for, until the queue tells of a lane what has
// happened by now; of all lanes of a tenant if it names no Subscription.
func (d *Desk) CatchUp(ctx context.Context, lane store.Lane) {
	if d.o.Recent == nil {
		return
	}
	var last store.Seq
	err := d.o.DB.View(ctx, func(r store.Reader) error {
		last = r.Last()
		return nil
	})
	if err != nil {
		return // whoever reads next hears of it
	}
	within(ctx, forMatching, func(ctx context.Context) error { return d.o.Recent.Passed(ctx, last) })
	within(ctx, forSettling, func(ctx context.Context) error { return d.o.Recent.Settled(ctx, lane) })
}

// within waits for so long at most. What has not come by then is not told.
func within(ctx context.Context, most time.Duration, wait func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	_ = wait(ctx)
}
