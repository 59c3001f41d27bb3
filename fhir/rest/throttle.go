package rest

import (
	"errors"
	"math"
	"strconv"
	"time"

	"fhirhook/fhir"
)

// Limiter says how long a tenant has to wait before its next request, and takes the request from its allowance if that
// is 0; auth.Limiter does.
type Limiter interface {
	Take(tenant string, now time.Time) (wait time.Duration)
}

// throttledError says when a request may be repeated.
type throttledError struct {
	err  *fhir.Error
	wait time.Duration
}

func (e *throttledError) Error() string { return e.err.Error() }
func (e *throttledError) Unwrap() error { return e.err }

// allow takes the request from its tenant's allowance. A Bundle is one request.
func (q *request) allow(c *call) error {
	if q.s.Limit == nil {
		return nil
	}
	wait := q.s.Limit.Take(c.tenant, time.Now())
	if wait <= 0 {
		return nil
	}
	return &throttledError{
		fhir.Errorf(fhir.Throttled, "", "tenant %s has sent as many requests as it may a second (quota requests): wait as long as Retry-After says", c.tenant), wait,
	}
}

// retryAfterOf is what a client is asked to wait before it repeats a 429 or 503, in whole seconds.
func retryAfterOf(err error) string {
	if e, ok := errors.AsType[*throttledError](err); ok {
		return strconv.FormatFloat(max(1, math.Ceil(e.wait.Seconds())), 'f', 0, 64)
	}
	return retryAfter
}
