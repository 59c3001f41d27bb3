package subscription

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"fhirhook/fhir/store"
)

const (
	mostUnstored = 512              // notifications of a lane that are in flight or whose results are not durable
	mostFills    = 4                // reads of the queue in a step, so that lanes take turns
	mostUnread   = 3                // times in a row that the lane waits for what one notification needs from the store
	localRetry   = time.Second      // after an error of the store
	brokenRetry  = 30 * time.Second // after a Subscription that can't be read
)

// lane is the work of one Subscription. It exists while there is some.
type lane struct {
	id store.Lane

	// Scheduling, guarded by Deliverer.mu.
	queued, running, again bool
	resumed                bool  // made at a start, and not worked on since
	woken, reload          bool  // Wake, Refresh
	news                   *News // what it was told since; nil: nothing, or too much to be kept
	inbox                  []message
	questions              []*question // asked since the last step
	timer                  *time.Timer
	oldest                 time.Time
	held                   Wait

	// The rest belongs to the worker that runs the lane.
	restart  bool // the breaker asks at once
	loaded   bool
	record   store.LaneRecord // as last read
	health   Health
	breaker  Breaker
	order    Order
	source   source // nil: to be built
	endpoint string // of the Subscription at the last step
	origin   string // where that lies
	waits    gate   // where the lane waits for its turn
	passed   bool   // its tenant has let it in, and its endpoint not yet
	crowded  bool   // it waited with nothing under way, and keeps next to nothing meanwhile
	busy     map[uint64]*flight
	awaited  map[uint64][]*question // which of busy somebody waits for; changed with Deliverer.mu held
	inFlight int
	unread   map[uint64]int // how often in a row what a notification needs could not be read
	gone     *goneNotice    // the endpoint asked to be switched off
	trouble  string         // what the last failure was
	cleared  uint64         // the version whose error was looked at, to be cleared
	cursor   uint64         // of a walk under way through everything owed (walk.go)
	probed   time.Time      // when the last probe of an open breaker went; zero: none since the start
	swept    uint64         // of the walk that looks for expired ones
	sweptAt  time.Time      // the probe time for which it was done
	until    time.Time      // nothing is begun before, after an error here
	broken   bool           // that error is the Subscription's: another version may end it
}

// goneNotice remembers where a 410 came from: a client may have moved the endpoint since.
type goneNotice struct{ endpoint string }

// message is for a lane: what became of an attempt, or that a result is stored.
type message struct {
	result *result
	stored *stored
}

// stored says that the result of a notification is durable.
type stored struct {
	lane *lane
	n    store.Notification
	owed bool
}

// call is what a worker is called for.
type call struct {
	inbox           []message
	questions       []*question
	news            *News
	woken, reload   bool
	resumed         bool
	stopping, stuck bool
}

// rest is what a lane waits for after a step.
type rest struct {
	again  bool      // there is more to do at once
	idle   bool      // nothing is left: the lane may go
	wake   time.Time // something is due then
	oldest time.Time
	held   Wait // it has something to send
}

// gate is where a lane may have to wait; the zero gate is nowhere.
type gate struct {
	of   *origins
	name string
}

// receive takes the lane's news. d.mu is held.
func (l *lane) receive(d *Deliverer) call {
	c := call{
		inbox: l.inbox, questions: l.questions, news: l.news, woken: l.woken, reload: l.reload, resumed: l.resumed, stopping: d.stopping, stuck: d.stuck,
	}
	l.inbox, l.questions, l.news, l.woken, l.reload, l.resumed = nil, nil, nil, false, false, false
	return c
}

// stopTimer is called with d.mu held.
func (l *lane) stopTimer() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// post gives a lane what came of an attempt.
func (d *Deliverer) post(l *lane, r *result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight--
	l.inbox = append(l.inbox, message{result: r})
	d.schedule(l)
	d.ripen() // results may have waited for this one
}

// step does what there is to do on a lane, without waiting for anything but the store.
func (d *Deliverer) step(local, remote context.Context, l *lane, c call) rest {
	waited := l.waits
	l.waits = gate{}
	defer func() {
		if waited.of != nil && l.waits != waited {
			waited.of.forget(waited.name, l.id, time.Now())
		}
	}()
	l.restart = l.restart || c.resumed
	for _, m := range c.inbox {
		if m.result != nil {
			d.judge(l, *m.result)
		}
		if s := m.stored; s != nil {
			d.land(l, s.n.Number)
			if l.source != nil {
				l.source.settled(s.n, s.owed)
			}
		}
	}
	if c.stopping {
		return rest{}
	}
	now := time.Now()
	l.listen(c, now)
	if c.woken && l.broken {
		l.until = time.Time{}
	}
	if l.until.After(now) {
		l.loaded = l.loaded && !c.reload
		return rest{wake: l.until}
	}
	r, err := d.advance(local, remote, l, c, now)
	switch {
	case errors.Is(err, errOvertaken):
		return rest{again: true}
	case err != nil:
		l.until = now.Add(localRetry)
		if _, l.broken = errors.AsType[*brokenError](err); l.broken {
			l.until = now.Add(brokenRetry)
		}
		d.o.Log.LogAttrs(local, slog.LevelError, "lane.failed", laneAttrs(l.id), slog.Any("error", err), slog.Time("next", l.until))
		d.o.Observe(Observation{Kind: LaneCannotBeRun, Lane: l.id})
		l.loaded = l.loaded && !c.reload
		return rest{wake: l.until}
	}
	return r
}

// brokenError says that a Subscription can't be worked with as it is stored.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// advance brings a lane to where it can only wait.
func (d *Deliverer) advance(local, remote context.Context, l *lane, c call, now time.Time) (rest, error) {
	// The record is read before the Subscription: what it owes by then stems from before what is read then.
	fresh := c.reload || !l.loaded
	told := fresh && !c.reload && l.busy == nil && !l.restart && c.news.whole()
	switch {
	case told:
		l.takeUp(c.news.Record, now)
	case fresh:
		if err := d.load(local, l, now); err != nil {
			return rest{}, err
		}
		if len(l.busy) == 0 && l.record.Owed == 0 && !l.record.Cancelling {
			return rest{idle: true}, nil
		}
	}
	current, err := d.o.Subscription(local, l.id)
	if err != nil {
		return rest{}, &brokenError{err}
	}
	sub := current.Subscription
	switch over := sub == nil || sub.Ended(now); {
	case (over || l.record.Cancelling) && !fresh:
		return d.reloaded(l), nil
	case over || l.record.Cancelling:
		return d.cancelStep(local, l, sub, now)
	case sub.Status == Off:
		// Nothing is sent and everything is kept. Refresh brings the lane back, or its end.
		return rest{idle: len(l.busy) == 0 && sub.End.IsZero(), wake: sub.End}, nil
	case !current.Armed.Equal(l.record.Armed):
		if len(l.busy) > 0 {
			return rest{}, nil // attempts from before end first; then the lane is called again
		}
		return d.rearmStep(local, l, current, now)
	}
	if changed, err := d.showHealth(local, l, sub, now); changed || err != nil {
		return rest{again: changed}, err
	}
	if c.stuck {
		return rest{}, nil // the end of it calls every lane
	}
	if expired, err := d.sweepStep(local, l, sub, now); expired || err != nil {
		return rest{again: expired}, err
	}
	if told {
		l.begin(sub, c.news, now)
	}
	return d.sendDue(local, remote, l, sub, now)
}

// reloaded asks for a step that begins with the record.
func (d *Deliverer) reloaded(l *lane) rest {
	l.loaded = false
	return rest{again: true}
}

// load reads the lane's record. While the lane is in memory its own part of the record is truer there.
func (d *Deliverer) load(ctx context.Context, l *lane, now time.Time) error {
	var rec store.LaneRecord
	err := d.view(ctx, l, func(r store.QueueReader) error {
		var err error
		rec, err = r.Lane(l.id)
		return err
	})
	if err == nil {
		l.takeUp(rec, now)
	}
	return err
}

// takeUp begins with a record.
func (l *lane) takeUp(rec store.LaneRecord, now time.Time) {
	if l.busy == nil {
		l.busy = map[uint64]*flight{}
		l.health = Health{Failures: rec.Failures, Since: rec.FailingSince}
		l.breaker = Breaker{
			Open: rec.BreakerOpen, Step: rec.BreakerStep, ProbeAt: rec.ProbeAt,
			OpenedAt: rec.OpenedAt, ClosedAt: rec.ClosedAt, Limit: mostInFlight,
		}
		if l.restart {
			l.breaker = l.breaker.Restart(now)
		}
	}
	l.record, l.source, l.loaded, l.cursor = rec, nil, true, 0
}

// showHealth lets Subscription.status tell how the lane fares.
func (d *Deliverer) showHealth(ctx context.Context, l *lane, sub *Subscription, now time.Time) (changed bool, err error) {
	verdict := l.health.Verdict(d.o.Health, now)
	if l.gone != nil {
		if l.gone.endpoint == sub.Target.Endpoint {
			verdict = Off
		} else {
			l.gone = nil
		}
	}
	text := ""
	switch {
	case verdict == Off, verdict == Erroneous && sub.Status != Erroneous:
		text = troubleText(verdict, l.health, l.trouble, l.gone != nil)
	case l.health.Failures == 0 && sub.Status == Erroneous && l.cleared != sub.Version:
		l.cleared = sub.Version
	default:
		return false, nil
	}
	written, err := writeStatus(ctx, d.o.DB, d.o.WithStatus, sub, verdict, text)
	if err != nil || !written {
		return false, err
	}
	if verdict == Off {
		l.gone = nil
	}
	d.o.Log.LogAttrs(ctx, slog.LevelInfo, "subscription.status", laneAttrs(l.id), slog.String("status", string(verdict)), slog.String("error", text))
	d.o.Observe(Observation{Kind: StatusWritten, Lane: l.id})
	return true, nil
}

// sendDue sends what is due, as far as breaker and order allow, and says what the lane waits for then.
func (d *Deliverer) sendDue(local, remote context.Context, l *lane, sub *Subscription, now time.Time) (rest, error) {
	if l.source != nil && !l.source.fit(l.wantsLittle()) {
		l.setAside()
	}
	if l.source == nil || l.order != sub.Order {
		l.begin(sub, nil, now)
	}
	var r rest
	origin := l.originOf(sub)
	for fills := 0; ; {
		if len(l.busy) >= mostUnstored {
			break // until results are stored
		}
		ok, at := l.breaker.Admits(now, l.inFlight)
		if !ok {
			r.wake = at
			break
		}
		if n, ok := l.source.take(now); ok {
			if l.waits = d.enter(l, origin, now); l.waits.of != nil {
				l.source.returned(n)
				break // until it is the lane's turn
			}
			if !d.launch(remote, l, n, origin) {
				d.origins.leave(origin, now)
				break // stopping
			}
			continue
		}
		if !l.source.hungry(now) {
			r.wake = l.source.next()
			break
		}
		if fills++; fills > mostFills {
			r.again = true
			break
		}
		err := d.view(local, l, func(q store.QueueReader) error { return l.source.fill(q, now) })
		if err != nil {
			return rest{}, err
		}
	}
	if l.source.drained() {
		l.breaker = l.breaker.Drained()
	}
	r.oldest, r.held = l.source.oldest(), d.kindOf(l.waits)
	r.idle = !r.again && r.wake.IsZero() && len(l.busy) == 0 && l.waits.of == nil
	if !r.again && !r.idle {
		r.wake = earliest(r.wake, l.health.Turns(d.o.Health, now), sub.End)
	}
	l.crowded = l.waits.of != nil && (l.crowded || len(l.busy) == 0)
	if l.breaker.Open && len(l.busy) == 0 && !r.again || l.crowded && !l.source.fit(true) {
		l.setAside()
	}
	return r, nil
}

// enter takes a place for a request: of the tenant's notifications a second, and at the endpoint. It returns where the lane has
// to wait for its turn, if it has to.
func (d *Deliverer) enter(l *lane, origin string, now time.Time) gate {
	if !l.passed {
		in, began := d.tenants.enter(l.id.Tenant, l.id, false, now)
		if began {
			d.o.Observe(Observation{Kind: LaneThrottled, Lane: l.id})
		}
		if !in {
			return gate{d.tenants, l.id.Tenant}
		}
		d.tenants.leave(l.id.Tenant, now) // how many are under way doesn't count
		l.passed = true
	}
	in, began := d.origins.enter(origin, l.id, l.inFlight == 0, now)
	if began {
		d.o.Observe(Observation{Kind: LaneHeldBack, Lane: l.id})
	}
	if !in {
		return gate{d.origins, origin}
	}
	l.passed = false
	return gate{}
}

func (d *Deliverer) kindOf(g gate) Wait {
	switch g.of {
	case nil:
		return NoWait
	case d.tenants:
		return ForQuota
	default:
		return ForEndpoint
	}
}

// originOf is where the endpoint lies, told once for each endpoint.
func (l *lane) originOf(sub *Subscription) string {
	if l.endpoint != sub.Target.Endpoint {
		l.endpoint = sub.Target.Endpoint
		l.origin, _ = originOf(l.endpoint)
	}
	return l.origin
}

// earliest is the first of the times that are set.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
