package subscription

import "time"

// The breaker's figures (DESIGN 4.2).
const (
	breakerFailures = 10              // opens with the 10th consecutive failure
	breakerFirst    = time.Second     // the first wait after opening
	breakerMost     = 5 * time.Minute // attempts are at most so far apart
	mostInFlight    = 16              // requests of a lane at a time
)

// Breaker holds a lane back while its endpoint fails. It is a value: each method returns what it becomes.
//
// While open it lets one attempt through at a time, and none before ProbeAt; an attempt must also be due by
// its own ladder. Limit is how many may be in flight while it is closed: one after it closed, doubled by
// each success.
type Breaker struct {
	Open     bool
	Step     int       // failed probes since it opened
	ProbeAt  time.Time // not before, while open
	OpenedAt time.Time // kept after it closed, until what it held back is tried (Drained)
	ClosedAt time.Time // zero while open, and if nothing is left of what it held back
	Limit    int
}

// Fail takes in the nth consecutive failure. A probe is an attempt that was let through while open; other
// failures, of attempts under way when it opened, do not move it.
func (b Breaker) Fail(now time.Time, failures int, probe bool) Breaker {
	switch {
	case b.Open && probe:
		b.Step++
		b.ProbeAt = now.Add(breakerWait(b.Step))
	case !b.Open && failures >= breakerFailures:
		if b.OpenedAt.IsZero() { // else some of the former backlog still waits since then
			b.OpenedAt = now
		}
		b.Open, b.Step, b.ClosedAt = true, 0, time.Time{}
		b.ProbeAt = now.Add(breakerWait(0))
	}
	return b
}

// Succeed takes in a delivery: it closes, and what may be in flight grows from one.
func (b Breaker) Succeed(now time.Time) Breaker {
	if b.Open {
		b.Open, b.Step, b.ProbeAt, b.ClosedAt, b.Limit = false, 0, time.Time{}, now, 1
		return b
	}
	b.Limit = min(max(b.Limit, 1)*2, mostInFlight)
	return b
}

// Restart is for a server start: an endpoint may have come back meanwhile, so it is asked at once, and a
// lane with a backlog begins gently, for there may be many of them.
func (b Breaker) Restart(now time.Time) Breaker {
	if b.Open {
		b.ProbeAt = now
	}
	b.Limit = 1
	return b
}

// Admits tells whether another attempt may go, given how many are in flight and how many wait for their
// result to be stored; if only time is missing, at is when.
func (b Breaker) Admits(now time.Time, inFlight int) (ok bool, at time.Time) {
	if !b.Open {
		return inFlight < b.Limit, time.Time{}
	}
	if inFlight > 0 {
		return false, time.Time{}
	}
	// A ProbeAt further off than any wait was written while the clock was wrong.
	if now.Before(b.ProbeAt) && b.ProbeAt.Sub(now) <= breakerMost {
		return false, b.ProbeAt
	}
	return true, time.Time{}
}

// Deferred is since when the breaker has held back a notification that was never tried, whose change was
// made at a time: its give-up clock runs from there. Zero: it was not held back.
func (b Breaker) Deferred(updated time.Time) time.Time {
	switch {
	case b.OpenedAt.IsZero(), !b.Open && !updated.Before(b.ClosedAt):
		return time.Time{}
	case updated.After(b.OpenedAt):
		return updated
	default:
		return b.OpenedAt
	}
}

// untouched tells whether it is as if it had never opened.
func (b Breaker) untouched() bool {
	b.Limit = 0
	return b == Breaker{}
}

// Drained forgets the time of an earlier opening, once everything that was held back then has been tried.
func (b Breaker) Drained() Breaker {
	if !b.Open {
		b.OpenedAt, b.ClosedAt = time.Time{}, time.Time{}
	}
	return b
}

// breakerWait is 1 s, 2 s, 4 s, …, 5 min.
func breakerWait(step int) time.Duration {
	if step > 8 {
		return breakerMost
	}
	return min(breakerFirst<<step, breakerMost)
}
