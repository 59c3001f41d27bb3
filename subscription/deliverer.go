package subscription

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// ErrStopping is the cause with which attempts under way are ended when draining takes too long. Such an
// attempt counts for nothing: the notification is due at once after the next start.
var ErrStopping = errors.New("the server is stopping")

// leaseName is the lease under which the Deliverer writes to the queue.
const leaseName = "deliverer"

// DelivererOptions is what a Deliverer works with. What is not marked optional must be set.
type DelivererOptions struct {
	DB      store.DB
	Channel channel.Channel
	// Subscription returns the Subscription of a lane as it stands now (Currents.Current).
	Subscription func(context.Context, store.Lane) (Current, error)
	// ID is the identity of a notification of the store with an epoch.
	ID func(epoch string, n store.Notification) string
	// WithStatus returns a Subscription's bytes with another status and error text.
	WithStatus func(doc *tape.Doc, status Status, errorText string) []byte
	// Redact returns the JSON of a Subscription as it may be sent, secrets masked.
	Redact func(*fhir.Resource) []byte

	Limits EndpointLimits // optional
	// Rate bounds the requests a second of a tenant's lanes together, of which a tenth may begin at once; 0 is no bound. It
	// is called often. optional
	Rate    func(tenant string) float64
	Health  HealthPolicy      // optional
	Drain   time.Duration     // how long attempts under way may take when stopping; optional: 10 s
	Log     *slog.Logger      // optional: silent
	Observe func(Observation) // optional; called from many goroutines, must not block
	Random  func() float64    // in [0, 1), for jitter; called from many goroutines; optional
	Workers int               // lanes worked on at a time, which is local work: sending is not among it; optional: 8
}

func (o DelivererOptions) withDefaults() DelivererOptions {
	o.Health = o.Health.withDefaults()
	if o.Drain == 0 {
		o.Drain = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(Observation) {}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Workers == 0 {
		o.Workers = 8
	}
	return o
}

// Deliverer sends what the lanes owe. A lane is in memory only while it has work, and then as a small value
// with a timer; it has goroutines only for the requests that are in flight. A few workers take lanes with
// something to do, in turn, and never wait for a network: a lane whose endpoint hangs costs its own requests
// and nothing else.
type Deliverer struct {
	o DelivererOptions

	mu       sync.Mutex // guards what follows, and the scheduling part of each lane; never held over I/O or a callback
	work     sync.Cond  // a lane was queued, or the Deliverer is finished
	store    sync.Cond  // a result is pending or ripe, or the Deliverer is stopping
	lanes    map[store.Lane]*lane
	ready    []*lane // lanes to be worked on, in turn
	resumed  []*lane // those that are taken up after a start: ready ones go first
	resuming bool    // the first pass over the lanes is not complete
	running  int     // lanes being worked on
	inFlight int     // requests
	pending  []outcome
	urgent   bool // one of pending is
	writing  int  // outcomes being stored
	stuck    bool
	stopping bool          // nothing new is begun
	finished bool          // workers end
	quiet    chan struct{} // closed once stopping and nothing is under way
	fatal    error
	read     reads

	origins, tenants *origins // each has a lock of its own, under which nothing else is locked

	wake  chan struct{} // capacity 1, never closed: fatal was set
	halt  chan struct{} // closed when stopping begins
	young chan struct{} // holds a token for each request that began a moment ago
	lease store.Lease
	sends sync.WaitGroup
	jobs  chan job // to senders that wait
	idle  atomic.Int32
}

// NewDeliverer returns a Deliverer; it works while Run does.
func NewDeliverer(o DelivererOptions) *Deliverer {
	d := &Deliverer{
		o:     o.withDefaults(),
		lanes: map[store.Lane]*lane{},
		quiet: make(chan struct{}),
		wake:  make(chan struct{}, 1),
		halt:  make(chan struct{}),
		young: make(chan struct{}, mostYoung*runtime.GOMAXPROCS(0)),
		jobs:  make(chan job),
	}
	d.work.L, d.store.L = &d.mu, &d.mu
	d.origins, d.tenants = newOrigins(o.Limits, d.turns), newAllowances(o.Rate, d.turns)
	d.resuming = true
	return d
}

// Run delivers until ctx ends, and then returns once everything under way is settled: attempts may finish
// within Drain, then they are ended with the cause ErrStopping. It can be called once. Its error says what
// made it stop early, or which results were not stored; what they belong to is sent again, as it would be
// after a crash.
func (d *Deliverer) Run(ctx context.Context) error {
	// Local work goes on while draining, and the lease with it; requests can be ended apart from it.
	local, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	lease, err := d.o.DB.Lease(local, leaseName)
	if err != nil {
		return fmt.Errorf("lease the lanes: %w", err)
	}
	d.lease = lease
	remote, cut := context.WithCancelCause(local)
	defer cut(ErrStopping)

	var own sync.WaitGroup
	for range d.o.Workers {
		own.Go(func() { d.runWorker(local, remote) }) // until finished
	}
	own.Go(func() { d.runResults(local) }) // until finished
	d.resume(ctx)
	select {
	case <-ctx.Done():
	case <-d.wake:
	}
	d.drain(cut)
	d.mu.Lock()
	d.finished = true
	d.work.Broadcast()
	d.store.Broadcast()
	d.mu.Unlock()
	own.Wait()
	d.sends.Wait()
	d.origins.close()
	d.tenants.close()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fatal
}

// resume takes up every lane that owes something, a page at a time.
func (d *Deliverer) resume(ctx context.Context) {
	var after store.Lane
	for {
		var page []store.Lane
		rows := 0
		err := d.o.DB.Queue().View(ctx, func(r store.QueueReader) error {
			for rec, err := range r.Lanes(after) {
				if err != nil {
					return err
				}
				after = rec.Lane
				if rec.Owed > 0 || rec.Cancelling {
					page = append(page, rec.Lane)
				}
				if rows++; rows == 4*pageRows {
					break
				}
			}
			return nil
		})
		if err != nil {
			if ctx.Err() == nil {
				d.fail(fmt.Errorf("read the lanes: %w", err))
			}
			return
		}
		d.mu.Lock()
		for _, id := range page {
			d.schedule(d.lane(id))
		}
		done := rows < 4*pageRows
		if done {
			d.resuming = false
		}
		d.mu.Unlock()
		if done {
			return
		}
	}
}

// drain waits until nothing is under way.
func (d *Deliverer) drain(cut context.CancelCauseFunc) {
	d.mu.Lock()
	d.stopping = true
	for _, l := range d.lanes {
		l.stopTimer()
	}
	d.ripen()
	close(d.halt) // a stuck result gets its last chance
	d.settle()
	d.mu.Unlock()
	patience := time.NewTimer(d.o.Drain)
	defer patience.Stop()
	select {
	case <-d.quiet:
		return
	case <-patience.C:
	}
	cut(ErrStopping)
	<-d.quiet
}

// settle closes quiet when stopping is complete. d.mu is held.
func (d *Deliverer) settle() {
	if !d.stopping || d.running+d.inFlight+len(d.ready)+len(d.resumed)+len(d.pending)+d.writing > 0 {
		return
	}
	select {
	case <-d.quiet:
	default:
		close(d.quiet)
	}
}

// fail makes Run stop with an error.
func (d *Deliverer) fail(err error) {
	d.mu.Lock()
	d.fatal = errors.Join(d.fatal, err)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Stats returns a picture of the work.
func (d *Deliverer) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Stats{Lanes: len(d.lanes), InFlight: d.inFlight, Waiting: d.origins.held(), Throttled: d.tenants.held(), Stuck: d.stuck}
	for _, l := range d.lanes {
		if !l.oldest.IsZero() && (s.OldestDue.IsZero() || l.oldest.Before(s.OldestDue)) {
			s.OldestDue = l.oldest
		}
	}
	return s
}

// Held tells what a lane waits for that has something to send.
func (d *Deliverer) Held(id store.Lane) Wait {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.lanes[id]; l != nil {
		return l.held
	}
	return NoWait
}

// lane returns the lane in memory, making it if it has none. d.mu is held.
func (d *Deliverer) lane(id store.Lane) *lane {
	l, ok := d.lanes[id]
	if !ok {
		l = &lane{id: id, resumed: d.resuming}
		d.lanes[id] = l
	}
	return l
}

// schedule queues a lane to be worked on. d.mu is held.
func (d *Deliverer) schedule(l *lane) {
	switch {
	case l.running:
		l.again = true
	case l.queued || d.stopping && len(l.inbox) == 0:
	default:
		l.queued = true
		l.stopTimer()
		if l.resumed && len(l.inbox) == 0 && !l.woken {
			d.resumed = append(d.resumed, l)
		} else {
			d.ready = append(d.ready, l)
		}
		d.work.Signal()
	}
}

// runWorker works on lanes until the Deliverer is finished.
func (d *Deliverer) runWorker(local, remote context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		l := d.pick()
		if l == nil {
			if d.finished {
				return
			}
			d.work.Wait()
			continue
		}
		l.queued, l.running, l.again = false, true, false
		d.running++
		call := l.receive(d)
		d.mu.Unlock()
		rest := d.step(local, remote, l, call)
		d.mu.Lock()
		d.running--
		l.running = false
		if len(call.questions) > 0 {
			d.answer(l, call.questions, rest)
		}
		d.rest(l, rest)
		d.settle()
	}
}

// pick takes the next lane off the queues; nil: there is none. d.mu is held.
func (d *Deliverer) pick() *lane {
	for _, queue := range []*[]*lane{&d.ready, &d.resumed} {
		if len(*queue) > 0 {
			l := (*queue)[0]
			(*queue)[0] = nil
			if *queue = (*queue)[1:]; len(*queue) == 0 {
				*queue = nil
			}
			return l
		}
	}
	return nil
}

// rest puts a lane aside after a step: back in the queue, to sleep, or out of memory. d.mu is held.
func (d *Deliverer) rest(l *lane, r rest) {
	l.oldest, l.held = r.oldest, r.held
	switch {
	case l.again || l.woken || l.reload || len(l.inbox) > 0 || r.again:
		d.schedule(l)
	case r.idle:
		delete(d.lanes, l.id)
	case !r.wake.IsZero() && !d.stopping:
		wait := max(time.Until(r.wake), 0)
		if l.timer == nil {
			l.timer = time.AfterFunc(wait, func() { d.ring(l) })
		} else {
			l.timer.Reset(wait)
		}
	}
}

// turns calls a lane that waited for its turn at an endpoint.
func (d *Deliverer) turns(id store.Lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.lanes[id]; l != nil {
		d.schedule(l)
	}
}

// ring is a lane's timer.
func (d *Deliverer) ring(l *lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lanes[l.id] == l {
		d.schedule(l)
	}
}
