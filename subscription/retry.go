package subscription

import (
	"math"
	"time"

	"fhirhook/channel"
)

// Bounds of a wait that no ladder can lift.
const (
	mostRetryAfter = time.Hour // Retry-After lengthens a wait up to here
	jitter         = 0.1       // share by which a wait of an exponential ladder varies either way
)

// Next decides what follows a failed attempt: the wait before the next one, or that there is none.
//
// tries counts the requests made since the ladder began that cost an attempt, the failed one included
// unless Spared; began is when the give-up clock began; rnd is a random number in [0, 1) for the jitter.
// A list of n waits allows n+1 requests. An exponential ladder ends with the first failure at or after
// GiveUp, so that a notification of an endpoint that is down at the end has been tried at the end. Most ends
// either form early. A Retry-After only lengthens the wait.
func Next(l Ladder, tries int, began, now time.Time, err *channel.SendError, rnd float64) (wait time.Duration, giveUp bool) {
	spent := tries
	if spent < 1 {
		spent = 1 // spared from the first on: the first wait again
	}
	switch {
	case l.Most > 0 && tries >= l.Most:
		return 0, true
	case l.exponential():
		if l.GiveUp > 0 && now.Sub(began) >= l.GiveUp {
			return 0, true
		}
		wait = l.grown(spent-1, rnd)
	case spent > len(l.Waits):
		return 0, true
	default:
		wait = l.Waits[spent-1]
	}
	if err != nil {
		wait = max(wait, min(err.RetryAfter, mostRetryAfter))
	}
	return wait, false
}

// Spared tells whether a failure costs no attempt: the endpoint asked to wait, and the ladder has its own
// end in time. On a list the number of requests is the promise, so there every request counts.
func Spared(l Ladder, err *channel.SendError) bool {
	return err != nil && err.Spared && l.exponential()
}

// Expired tells whether a notification whose clock began then is to be given up without another attempt.
// That is for those that an open breaker holds back: the others end with a failed attempt (Next).
func (l Ladder) Expired(began, now time.Time) bool {
	return l.exponential() && l.GiveUp > 0 && !began.IsZero() && now.Sub(began) >= l.GiveUp
}

// Longest is the longest wait that the ladder can ask for. What says that it is due later than that from
// now was written while the clock was wrong.
func (l Ladder) Longest() time.Duration {
	longest := mostRetryAfter
	for _, w := range l.Waits {
		longest = max(longest, w)
	}
	if l.exponential() {
		longest = max(longest, time.Duration(float64(max(l.First, l.Cap))*(1+jitter)))
	}
	return longest
}

// exponential tells the forms apart. The zero Ladder is a list without waits: one request, no retry.
func (l Ladder) exponential() bool { return len(l.Waits) == 0 && l.First > 0 }

// grown is First*Factor^step, at most Cap, ±10 %.
func (l Ladder) grown(step int, rnd float64) time.Duration {
	wait := float64(l.First) * math.Pow(max(l.Factor, 1), float64(step))
	if l.Cap > 0 {
		wait = min(wait, float64(l.Cap))
	}
	wait *= 1 + jitter*(2*rnd-1)
	// A factor's power may pass what a Duration holds, and a Cap may be missing.
	return time.Duration(min(wait, float64(math.MaxInt64/2)))
}
