package auth

import (
	"errors"
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Quota is what a tenant may use. Zero is no limit.
type Quota struct {
	Resources     int64   `yaml:"resources"`     // that are there at a time
	Subscriptions int64   `yaml:"subscriptions"` // that are not off
	StorageBytes  int64   `yaml:"storage-bytes"` // of all versions kept
	Notifications float64 `yaml:"notifications"` // a second
	Requests      float64 `yaml:"requests"`      // a second
}

func (q *Quota) check() error {
	var wrong []error
	for _, one := range []struct {
		name  string
		value float64
	}{
		{"resources", float64(q.Resources)},
		{"subscriptions", float64(q.Subscriptions)},
		{"storage-bytes", float64(q.StorageBytes)},
		{"notifications", q.Notifications},
		{"requests", q.Requests},
	} {
		if one.value < 0 || math.IsNaN(one.value) || math.IsInf(one.value, 0) {
			wrong = append(wrong, errors.New(one.name+": it can't be negative; 0 is no limit"))
		}
	}
	return errors.Join(wrong...)
}

// mostLimited is how many names a Limiter remembers; who is forgotten begins anew.
const mostLimited = 10_000

// Limiter keeps each of many names to a rate, with bursts of up to a second's worth. It is safe for concurrent use.
type Limiter struct {
	perSecond func(name string) float64
	buckets   *lru.Cache[string, *rate.Limiter]
}

// NewLimiter makes a Limiter. perSecond is the rate of a name, 0 for none; it is asked when a name is first seen.
func NewLimiter(perSecond func(name string) float64) *Limiter {
	buckets, err := lru.New[string, *rate.Limiter](mostLimited)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Limiter{perSecond: perSecond, buckets: buckets}
}

// Take takes one from a name's allowance, and returns 0; or takes nothing, and returns how long to wait.
func (l *Limiter) Take(name string, now time.Time) (wait time.Duration) {
	b, ok := l.buckets.Get(name)
	if !ok {
		limit := l.perSecond(name)
		if limit <= 0 {
			return 0
		}
		b = rate.NewLimiter(rate.Limit(limit), max(1, int(math.Ceil(limit))))
		if known, there, _ := l.buckets.PeekOrAdd(name, b); there {
			b = known
		}
	}
	r := b.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}
