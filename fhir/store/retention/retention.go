// Package retention removes the content of old versions, so that a store's files stay bounded however often its
// resources change.
//
// A version may go when it was replaced longer ago than Options.Keep. So every state of the time since then can
// still be read whole, whatever else is purged: a search's later pages, _history, a version that somebody names.
// It stays, however old it is, while one of these needs it:
//
//   - a notification that is owed of it, or of the version that replaced it: what is sent may show both sides of a
//     change. It is held then, and looked at again once an hour;
//   - a follower of the log that has not come so far (Options.Needs). What a follower reads is as of its own place,
//     at the earliest before the transaction that it stopped in.
//
// Rows are gone through once, in order, by the store's own horizon: each says which version it replaced.
package retention

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Shortest is the least that Options.Keep may be: whoever reads as of a place that is newest when they begin (a
// search, a job that is being asked for) is done with it by then, or has said so in Needs.
const Shortest = time.Hour

// Need is a place that somebody still reads as of.
type Need struct {
	Name  string // who, for the log
	Place store.Seq
}

// Options is what a Keeper works with. What is not marked optional must be set.
type Options struct {
	DB   store.DB
	Keep time.Duration // how long a version is kept that was replaced; at least Shortest
	// Exempt tells of which types all versions are kept for ever; optional: of none.
	Exempt func(fhir.Type) bool
	// Needs tells the places that followers of the log need, in any order. Whoever comes to need a place later must
	// not need one below all of those; optional: there are none.
	Needs func(context.Context) ([]Need, error)
	Log   *slog.Logger // optional: silent
}

// Stats is what a Keeper has done since it was made, and what it found last.
type Stats struct {
	Versions uint64 // purged
	Bytes    uint64 // of their JSON
	Held     uint64 // versions that ought to go and are owed still
	// Since is from when on every state can be read; zero: from the beginning, or not known yet.
	Since time.Time
}

// Keeper purges while Run does.
type Keeper struct {
	o Options

	versions, bytes, held atomic.Uint64
	since                 atomic.Int64 // milliseconds; 0: Stats.Since is zero

	// What follows belongs to Run.
	place store.Seq // looked at; the store's horizon is at it or behind it
	told  time.Time // when who is in the way was told last
}

// New returns a Keeper.
func New(o Options) *Keeper {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Exempt == nil {
		o.Exempt = func(fhir.Type) bool { return false }
	}
	if o.Needs == nil {
		o.Needs = func(context.Context) ([]Need, error) { return nil, nil }
	}
	return &Keeper{o: o}
}

// Stats is safe to call at any time, also of a nil Keeper, which keeps everything.
func (k *Keeper) Stats() Stats {
	if k == nil {
		return Stats{}
	}
	s := Stats{Versions: k.versions.Load(), Bytes: k.bytes.Load(), Held: k.held.Load()}
	if ms := k.since.Load(); ms != 0 {
		s.Since = time.UnixMilli(ms).UTC()
	}
	return s
}

// How a Keeper goes on.
const (
	first   = time.Second           // between two looks at what is old enough, right after the start: followers catch up
	cycle   = time.Minute           // the same, later
	rehold  = time.Hour             // between two looks at what is held
	grumble = 24 * time.Hour        // between two lines about who is in the way
	resting = 4                     // times as long as a step took, before the next
	breath  = 10 * time.Millisecond // at least
)

// Run purges until ctx ends, which is no error. What fails is tried again.
func (k *Keeper) Run(ctx context.Context) error {
	var looked time.Time // at what is held
	if err := k.begin(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("find out what was purged: %w", err)
	}
	for wait := first; ; wait = min(2*wait, cycle) {
		began := k.Stats()
		err := k.pass(ctx, time.Now())
		if err == nil && time.Since(looked) >= rehold {
			if err = k.review(ctx); err == nil {
				looked = time.Now()
			}
		}
		now := k.Stats()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // whatever failed, failed because it was told to stop
		case err != nil:
			k.o.Log.Error("history.not-purged", "error", err)
		case now.Versions > began.Versions:
			k.o.Log.Info("history.purged", "versions", now.Versions-began.Versions, "bytes", now.Bytes-began.Bytes, "held", now.Held, "kept-since", now.Since)
		}
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// begin finds out since when everything is kept.
func (k *Keeper) begin(ctx context.Context) error {
	return k.o.DB.View(ctx, func(r store.Reader) error {
		if horizon := r.Horizon(); horizon > 0 {
			for c, err := range r.Changes(horizon - 1) {
				if err == nil {
					k.since.Store(c.Resource.Updated.UnixMilli())
				}
				return err
			}
		}
		return nil
	})
}

// pass goes on until nothing is old enough.
func (k *Keeper) pass(ctx context.Context, now time.Time) error {
	// Places that come to be needed while this goes on are newer than those needed now.
	need, err := k.lowest(ctx)
	if err != nil {
		return fmt.Errorf("find out what is needed: %w", err)
	}
	for {
		began := time.Now()
		more, err := k.step(ctx, now.Add(-k.o.Keep), need)
		if err != nil || !more {
			return err
		}
		if !sleep(ctx, max(breath, resting*time.Since(began))) {
			return nil
		}
	}
}

// step purges what one page of rows replaced, and tells whether there may be more.
func (k *Keeper) step(ctx context.Context, before time.Time, need Need) (more bool, err error) {
	p, err := k.read(ctx, before, need.Place)
	if err != nil {
		return false, fmt.Errorf("read what is old: %w", err)
	}
	if p.blocked {
		k.complain(need)
	}
	k.place = max(k.place, p.to)
	if len(p.old) == 0 && p.to < p.horizon+worthwhile {
		return p.more, nil // the horizon is raised with the next purge
	}
	if err := k.purge(ctx, p.to, p.old, false); err != nil {
		return false, err
	}
	if !p.time.IsZero() {
		k.since.Store(p.time.UnixMilli())
	}
	return p.more, nil
}

// purge purges what is not owed, and holds the rest, if it isn't held already.
func (k *Keeper) purge(ctx context.Context, horizon store.Seq, old []candidate, held bool) error {
	step := store.Purge{Horizon: horizon}
	err := k.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
		step.Gone, step.Held = nil, nil
		for _, c := range old {
			switch owed, err := c.owed(q); {
			case err != nil:
				return fmt.Errorf("find out what is owed: %w", err)
			case owed:
				step.Held = append(step.Held, c.version)
			default:
				step.Gone = append(step.Gone, c.version)
			}
		}
		return nil
	})
	if held {
		step.Held = nil
	}
	if err != nil || held && len(step.Gone) == 0 {
		return err
	}
	done, err := k.o.DB.Purge(ctx, step)
	if err != nil {
		return err
	}
	k.versions.Add(uint64(done.Versions))
	k.bytes.Add(uint64(done.Bytes))
	return nil
}

// lowest is who needs the oldest place.
func (k *Keeper) lowest(ctx context.Context) (Need, error) {
	all, err := k.o.Needs(ctx)
	if err != nil {
		return Need{}, err
	}
	lowest := Need{Place: store.Seq(1<<63 - 1)}
	if len(all) > 0 {
		lowest = slices.MinFunc(all, func(a, b Need) int { return int(int64(a.Place) - int64(b.Place)) })
	}
	err = k.o.DB.View(ctx, func(r store.Reader) error {
		lowest.Place, err = beginning(r, min(lowest.Place, r.Last()))
		return err
	})
	return lowest, err
}

// complain says who keeps history from going, now and then.
func (k *Keeper) complain(need Need) {
	if now := time.Now(); now.Sub(k.told) >= grumble {
		k.told = now
		k.o.Log.Warn("history.kept-longer", "for", need.Name, "place", need.Place)
	}
}

// sleep waits; false: ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
