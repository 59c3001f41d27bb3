package subscription

import "time"

// HealthPolicy says when failing shows in Subscription.status. Its zero value stands for the defaults.
type HealthPolicy struct {
	ErrorFailures int           // consecutive failures after which a Subscription is in error; 0: 10
	ErrorAge      time.Duration // unbroken failure after which it is; 0: 1 h
	OffAge        time.Duration // unbroken failure after which it is switched off; 0: 3 days; negative: never
}

func (p HealthPolicy) withDefaults() HealthPolicy {
	if p.ErrorFailures == 0 {
		p.ErrorFailures = 10
	}
	if p.ErrorAge == 0 {
		p.ErrorAge = time.Hour
	}
	if p.OffAge == 0 {
		p.OffAge = 72 * time.Hour
	}
	return p
}

// Health is how the attempts of a lane went lately. It is a value: each method returns what it becomes.
type Health struct {
	Failures int       // consecutive failed attempts
	Since    time.Time // when the first of them was made; zero while healthy
}

// Fail takes in a failed attempt that was made at a time.
func (h Health) Fail(at time.Time) Health {
	h.Failures++
	if h.Since.IsZero() || at.Before(h.Since) {
		h.Since = at
	}
	return h
}

// Verdict is the status that a Subscription which is on should show.
func (h Health) Verdict(p HealthPolicy, now time.Time) Status {
	age := h.age(now)
	switch {
	case h.Failures == 0:
		return Active
	case p.OffAge > 0 && age >= p.OffAge:
		return Off
	case h.Failures >= p.ErrorFailures, age >= p.ErrorAge:
		return Erroneous
	default:
		return Active
	}
}

// Turns is when the verdict changes next by time alone; zero: never.
func (h Health) Turns(p HealthPolicy, now time.Time) time.Time {
	switch verdict := h.Verdict(p, now); {
	case h.Failures == 0, verdict == Off:
		return time.Time{}
	case verdict == Active:
		return h.Since.Add(p.ErrorAge)
	case p.OffAge > 0:
		return h.Since.Add(p.OffAge)
	default:
		return time.Time{}
	}
}

func (h Health) age(now time.Time) time.Duration {
	if h.Since.IsZero() {
		return 0
	}
	return now.Sub(h.Since)
}
