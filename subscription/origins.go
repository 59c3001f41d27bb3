package subscription

import (
	"errors"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"fhirhook/fhir/store"
)

// EndpointLimits bound what all lanes together ask of one origin, which is scheme, host and port of endpoints. The
// zero value bounds nothing.
type EndpointLimits struct {
	Concurrency int     // requests under way; 0: as many as the lanes make
	Rate        float64 // requests that begin in a second, of which a tenth may begin at once; 0: any
}

// Check names what can't be meant.
func (l EndpointLimits) Check() error {
	if l.Concurrency < 0 || l.Rate < 0 || math.IsNaN(l.Rate) || math.IsInf(l.Rate, 0) {
		return errors.New("an endpoint's limits must be numbers not below zero, and 0 means none")
	}
	return nil
}

// origins keeps limits of many names: of the origins of endpoints, and with a rate alone of tenants, to which the same
// applies. A lane that is not let in waits in its origin's queue, without a goroutine or a timer of
// its own: when there is room it is its turn, holds the place, and is called to use it. While any lane waits, those
// that come later queue up behind it, and one that was let in goes to the end, so that lanes take turns whatever
// their backlogs. Waiting costs a notification nothing: no attempt, and no step of its lane's breaker.
type origins struct {
	limits func(name string) EndpointLimits // nil: there are none
	call   func(store.Lane)                 // called without the lock

	mu      sync.Mutex // guards what follows; nothing is called while it is held
	all     map[string]*outlet
	waiting int // lanes in queues
	closed  bool
}

// outlet is an origin that is in use.
type outlet struct {
	name   string
	limits EndpointLimits
	taken  int                 // requests under way, and places that are held
	queue  []store.Lane        // in order of their turns
	holds  map[store.Lane]bool // it is their turn, and they have not come yet
	waits  map[store.Lane]bool // those in queue
	pace   *rate.Limiter       // nil: any
	timer  *time.Timer         // until the pace allows another, or the origin is as if it had never been used; nil: none
}

func newOrigins(limits EndpointLimits, call func(store.Lane)) *origins {
	o := &origins{call: call, all: map[string]*outlet{}}
	if limits != (EndpointLimits{}) {
		o.limits = func(string) EndpointLimits { return limits }
	}
	return o
}

// newAllowances bounds how often a second names are let in; rate tells it, 0 for any, and nil is any for all.
func newAllowances(rate func(name string) float64, call func(store.Lane)) *origins {
	o := &origins{call: call, all: map[string]*outlet{}}
	if rate != nil {
		o.limits = func(name string) EndpointLimits { return EndpointLimits{Rate: rate(name)} }
	}
	return o
}

func (o *origins) bounded() bool { return o.limits != nil }

// enter takes a place for a request of a lane; leave gives it back. If there is none, the lane waits, and is called
// when it is its turn; began tells that it did not wait before.
func (o *origins) enter(name string, lane store.Lane, now time.Time) (in, began bool) {
	if !o.bounded() {
		return true, false
	}
	limits := o.limits(name)
	if limits == (EndpointLimits{}) {
		return true, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.all[name]
	if at == nil {
		at = &outlet{name: name, limits: limits, holds: map[store.Lane]bool{}, waits: map[store.Lane]bool{}}
		if r := limits.Rate; r > 0 {
			at.pace = rate.NewLimiter(rate.Limit(r), max(1, int(min(r/10, math.MaxInt32))))
		}
		o.all[name] = at
	}
	switch {
	case at.holds[lane]:
		delete(at.holds, lane)
		return true, false
	case len(at.queue) == 0 && o.take(at, now):
		return true, false
	case at.waits[lane]:
		return false, false
	}
	at.queue, at.waits[lane] = append(at.queue, lane), true
	o.waiting++
	o.rearm(at, now)
	return false, true
}

// take takes a place if there is one. o.mu is held.
func (o *origins) take(at *outlet, now time.Time) bool {
	if !at.roomy() || at.pace != nil && !at.pace.AllowN(now, 1) {
		return false
	}
	at.taken++
	return true
}

func (at *outlet) roomy() bool {
	return at.limits.Concurrency == 0 || at.taken < at.limits.Concurrency
}

// leave says that a request has ended.
func (o *origins) leave(name string, now time.Time) {
	if !o.bounded() {
		return
	}
	o.change(name, now, func(at *outlet) { at.taken-- })
}

// forget says that a lane has nothing to send there for now: it does not wait, and gives back a place that it holds.
func (o *origins) forget(name string, lane store.Lane, now time.Time) {
	o.change(name, now, func(at *outlet) {
		switch {
		case at.holds[lane]:
			delete(at.holds, lane)
			at.taken--
		case at.waits[lane]:
			delete(at.waits, lane)
			at.queue = slices.DeleteFunc(at.queue, func(l store.Lane) bool { return l == lane })
			o.waiting--
		}
	})
}

// change changes an origin that is in use, and lets those in for whom there is room then.
func (o *origins) change(name string, now time.Time, how func(*outlet)) {
	o.mu.Lock()
	var next []store.Lane
	if at := o.all[name]; at != nil {
		how(at)
		next = o.letIn(at, now)
	}
	o.mu.Unlock()
	for _, lane := range next {
		o.call(lane)
	}
}

// letIn gives places to those whose turn it is, and returns them. o.mu is held.
func (o *origins) letIn(at *outlet, now time.Time) (next []store.Lane) {
	for len(at.queue) > 0 && o.take(at, now) {
		lane := at.queue[0]
		at.queue = at.queue[1:]
		delete(at.waits, lane)
		at.holds[lane] = true
		o.waiting--
		next = append(next, lane)
	}
	if len(at.queue) == 0 {
		at.queue = nil
	}
	o.rearm(at, now)
	return next
}

// rearm sets the origin's timer, if there is something that time alone will change. o.mu is held.
func (o *origins) rearm(at *outlet, now time.Time) {
	unused := at.taken == 0 && len(at.queue) == 0
	full := float64(1)
	if unused && at.pace != nil {
		full = float64(at.pace.Burst())
	}
	switch {
	case o.closed:
		return
	case unused && (at.pace == nil || at.pace.TokensAt(now) >= full):
		if at.timer != nil {
			at.timer.Stop()
		}
		delete(o.all, at.name)
		return
	case at.pace == nil || !unused && (len(at.queue) == 0 || !at.roomy()):
		return // until a request ends
	}
	missing := max(full-at.pace.TokensAt(now), 0)
	wait := max(time.Duration(math.Ceil(missing/float64(at.pace.Limit())*float64(time.Second))), time.Microsecond)
	if at.timer == nil {
		at.timer = time.AfterFunc(wait, func() { o.change(at.name, time.Now(), func(*outlet) {}) })
	} else {
		at.timer.Reset(wait)
	}
}

// held is how many lanes wait.
func (o *origins) held() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiting
}

// close stops the timers.
func (o *origins) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, at := range o.all {
		if at.timer != nil {
			at.timer.Stop()
		}
	}
}

// originOf is where an endpoint lies: scheme, host and port, the last written out.
func originOf(endpoint string) (string, bool) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return "", false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port, true
}
