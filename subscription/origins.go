package subscription

import (
	"container/list"
	"errors"
	"math"
	"net/url"
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

// spare is how many of the places are for lanes that have nothing under way: a quarter, but none where that would
// leave fewer to the others than two lanes may take.
func (l EndpointLimits) spare() int {
	return max(0, min(l.Concurrency/4, l.Concurrency-2*mostInFlight))
}

// origins keeps limits of many names: of the origins of endpoints, and with a rate alone of tenants, to which the same
// applies. A lane that is not let in waits in its origin's queue, without a goroutine or a timer of
// its own: when there is room it is its turn, holds the place, and is called to use it. While any lane waits, those
// that come later queue up behind it, and one that was let in goes to the end, so that lanes take turns whatever
// their backlogs. Waiting costs a notification nothing: no attempt, and no step of its lane's breaker.
//
// Where there are many places, a quarter of them is for lanes that have nothing under way. So a few whose paths hang,
// each with as many requests as a lane may have, leave room for the others.
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
	name    string
	limits  EndpointLimits
	taken   int       // requests under way, and places that are held
	spare   int       // of the places, those for lanes that have nothing under way
	busy    list.List // of tickets, in order of their turns: of lanes that have something under way; of all, if no place is spare
	idle    list.List // of tickets, in order of their turns: of the others
	tickets uint64    // how many were given
	waits   map[store.Lane]*list.Element
	holds   map[store.Lane]bool // it is their turn, and they have not come yet
	pace    *rate.Limiter       // nil: any
	timer   *time.Timer         // until the pace allows another, or the origin is as if it had never been used; nil: none
}

// ticket is what a lane that waits has in a queue.
type ticket struct {
	lane store.Lane
	n    uint64
	idle bool // in which queue
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

// enter takes a place for a request of a lane, which is idle if it has nothing under way; leave gives it back. If there
// is none, the lane waits, and is called when it is its turn; began tells that it did not wait before.
func (o *origins) enter(name string, lane store.Lane, idle bool, now time.Time) (in, began bool) {
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
		at = &outlet{name: name, limits: limits, spare: limits.spare(), holds: map[store.Lane]bool{}, waits: map[store.Lane]*list.Element{}}
		if r := limits.Rate; r > 0 {
			at.pace = rate.NewLimiter(rate.Limit(r), max(1, int(min(r/10, math.MaxInt32))))
		}
		o.all[name] = at
	}
	idle = idle && at.spare > 0
	if at.holds[lane] {
		delete(at.holds, lane)
		return true, false
	}
	e := at.waits[lane]
	if e != nil && idle && !e.Value.(ticket).idle {
		e = at.wait(ticket{lane, at.remove(lane).n, true}) // what it had under way has ended
	}
	switch {
	case at.next() == e && o.take(at, idle, now):
		if e != nil {
			at.remove(lane)
			o.waiting--
		}
		return true, false
	case e != nil:
		return false, false
	}
	at.tickets++
	at.wait(ticket{lane, at.tickets, idle})
	o.waiting++
	o.rearm(at, now)
	return false, true
}

// wait puts a ticket into its queue, behind those before it.
func (at *outlet) wait(t ticket) *list.Element {
	queue := at.queue(t.idle)
	before := queue.Back()
	for before != nil && before.Value.(ticket).n > t.n {
		before = before.Prev()
	}
	var e *list.Element
	if before == nil {
		e = queue.PushFront(t)
	} else {
		e = queue.InsertAfter(t, before)
	}
	at.waits[t.lane] = e
	return e
}

// remove takes a lane that waits out of its queue.
func (at *outlet) remove(lane store.Lane) ticket {
	e := at.waits[lane]
	delete(at.waits, lane)
	t := e.Value.(ticket)
	at.queue(t.idle).Remove(e)
	return t
}

func (at *outlet) queue(idle bool) *list.List {
	if idle {
		return &at.idle
	}
	return &at.busy
}

// next is whose turn it is among those for whom there is room; nil if there are none.
func (at *outlet) next() *list.Element {
	busy, idle := at.busy.Front(), at.idle.Front()
	switch {
	case !at.roomy(true):
		return nil
	case !at.roomy(false), busy == nil, idle != nil && idle.Value.(ticket).n < busy.Value.(ticket).n:
		return idle
	default:
		return busy
	}
}

// take takes a place if there is one. o.mu is held.
func (o *origins) take(at *outlet, idle bool, now time.Time) bool {
	if !at.roomy(idle) || at.pace != nil && !at.pace.AllowN(now, 1) {
		return false
	}
	at.taken++
	return true
}

// roomy tells whether there is a place for a lane that is idle, or busy.
func (at *outlet) roomy(idle bool) bool {
	places := at.limits.Concurrency
	if !idle {
		places -= at.spare
	}
	return at.limits.Concurrency == 0 || at.taken < places
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
		case at.waits[lane] != nil:
			at.remove(lane)
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
	for e := at.next(); e != nil; e = at.next() {
		t := e.Value.(ticket)
		if !o.take(at, t.idle, now) {
			break
		}
		at.remove(t.lane)
		at.holds[t.lane] = true
		o.waiting--
		next = append(next, t.lane)
	}
	o.rearm(at, now)
	return next
}

// rearm sets the origin's timer, if there is something that time alone will change. o.mu is held.
func (o *origins) rearm(at *outlet, now time.Time) {
	unused := at.taken == 0 && len(at.waits) == 0
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
	case at.pace == nil || !unused && at.next() == nil:
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
