package subscription

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// Error classes of what fails before a request can be made.
const (
	ClassPurged  = "purged"   // the version is no longer stored
	classUnbuilt = "unbuilt"  // no request could be made of it, for a reason that the channel has no word for
	classGivenUp = "given-up" // its time ran out behind an open breaker
	classScope   = "scope"    // the Subscription may not see what would be sent
)

// errWithheld says that the Subscription may not see what would be sent.
var errWithheld = errors.New("the Subscription may not see what would be sent")

// errUnreadable is what the record says of a notification whose version the store can't give. The log has more.
var errUnreadable = errors.New("what is to be sent could not be read from the store: ask the operator, whose log says why")

// mostReply is how much of an answer the attempt log keeps.
const mostReply = 1024

// result is what became of an attempt.
type result struct {
	n        store.Notification
	id       string
	sub      *Subscription // as it was at the attempt
	started  time.Time
	ended    time.Time
	reply    channel.Reply
	failure  *channel.SendError // nil: delivered, unless one of the following is set
	unbuilt  error              // no request could be made of it: the endpoint is not to blame
	purged   bool               // with unbuilt: what was to be sent is no longer stored
	withheld string             // why it may not be sent; "": it may
	untried  bool               // nothing was tried, and nothing counts
	local    error              // with untried: the store can't be read
}

// Requests begin in turn, so that a thousand lanes that want to send at once don't need memory for sixteen
// thousand requests which the processors could not work on anyway. Only young ones count: one that takes
// longer waits for its endpoint, and must not keep others waiting too.
const (
	youngAge  = 10 * time.Millisecond
	mostYoung = 64 // for each processor: many more than it can begin in youngAge
)

// turn waits until a request may begin, for a moment at most; false: the Deliverer is stopping.
func (d *Deliverer) turn() bool {
	select {
	case d.young <- struct{}{}:
		return true
	case <-d.halt:
		return false
	}
}

// aged gives the turn of a request back that is not young any more.
func (d *Deliverer) aged() {
	<-d.young
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ripen() // results may have waited for this one
}

// launch begins an attempt of n, for which it has a place at an origin, unless the Deliverer is stopping.
func (d *Deliverer) launch(remote context.Context, l *lane, n store.Notification, origin string) bool {
	if !d.turn() {
		l.source.returned(n)
		return false
	}
	d.mu.Lock()
	if d.stopping {
		d.mu.Unlock()
		<-d.young
		l.source.returned(n)
		return false
	}
	d.inFlight++
	d.mu.Unlock()
	now, began := time.Now(), n.Began
	if began.IsZero() {
		began = l.breaker.Deferred(n.Updated)
	}
	l.busy[n.Number] = &flight{launched: now, began: began, probe: l.breaker.Open, fresh: n.Next.IsZero(), focus: n.Focus}
	if l.breaker.Open {
		l.probed = now
	}
	l.inFlight++
	d.dispatch(remote, job{l, n, origin})
	return true
}

// attempt makes one attempt with what the Subscription says now (invariant 4).
func (d *Deliverer) attempt(ctx context.Context, n store.Notification) result {
	r := result{n: n, id: d.id(n), started: time.Now()}
	current, err := d.o.Subscription(ctx, n.Lane)
	r.sub = current.Subscription
	if err != nil || r.sub == nil || r.sub.Status == Off || r.sub.Ended(r.started) {
		r.untried = true // the lane sees the same, and acts on it
		return r
	}
	m, err := d.message(ctx, n, r.id, r.sub)
	switch {
	case errors.Is(err, errWithheld):
		r.withheld, r.ended = r.sub.Uncovered(), time.Now()
		return r
	case errors.Is(err, store.ErrNotFound):
		r.unbuilt, r.purged, r.ended = err, true, time.Now()
		return r
	case context.Cause(ctx) != nil:
		r.untried = true
		return r
	case err != nil:
		r.untried, r.local, r.ended = true, err, time.Now()
		return r
	}
	r.started = time.Now()
	r.reply, err = d.o.Channel.Send(ctx, m)
	r.ended = time.Now()
	switch failure, ok := errors.AsType[*channel.SendError](err); {
	case err == nil:
	case context.Cause(ctx) != nil:
		r.untried = true
	case ok && !failure.Unbuilt:
		r.failure = failure
	default:
		r.unbuilt = err
	}
	return r
}

// unbuiltClass is the error class of what no request could be made of.
func (r result) unbuiltClass() string {
	failure, ok := errors.AsType[*channel.SendError](r.unbuilt)
	switch {
	case r.purged:
		return ClassPurged
	case ok:
		return failure.Class
	default:
		return classUnbuilt
	}
}

// id is the identity of a notification of this store.
func (d *Deliverer) id(n store.Notification) string { return d.o.ID(d.o.DB.Epoch(), n) }

// message builds what is sent for a notification.
func (d *Deliverer) message(ctx context.Context, n store.Notification, id string, sub *Subscription) (channel.Message, error) {
	m := channel.Message{
		Target:       sub.TargetAt(time.Now()),
		ID:           id,
		Tenant:       n.Lane.Tenant,
		Subscription: n.Lane.Subscription,
		Sequence:     n.Number,
		Attempt:      n.Tries + 1,
		Interaction:  n.Interaction.String(),
		Type:         string(n.Focus.Type),
		Focus:        n.Focus.ID,
		Version:      strconv.FormatUint(n.Version, 10),
		Updated:      n.Updated,
	}
	err := d.o.DB.View(ctx, func(r store.Reader) (err error) {
		version := func(number uint64) (*fhir.Resource, error) {
			v, err := r.Version(n.Focus, number)
			if err != nil {
				return nil, fmt.Errorf("read %s/_history/%d: %w", n.Focus, number, err)
			}
			return v, nil
		}
		if m.Body, err = d.body(r, n, sub, version); err != nil {
			return err
		}
		if m.Event = sub.EventName; m.Event == "" {
			m.Event, err = sub.Names.of(n, sub.View.Versions(version, n.Updated))
		}
		return err
	})
	return m, err
}

// body is what a notification shows of its focus: the version that is owed, or the newest; of a deletion the one
// that it ended, if the dialect sends that. Whatever the message shows of that version, even if it is only that it was
// deleted, the Subscription has to see the version now: else the error is errWithheld.
func (d *Deliverer) body(r store.Reader, n store.Notification, sub *Subscription, version func(uint64) (*fhir.Resource, error)) ([]byte, error) {
	number := n.Version
	bare := n.Interaction == fhir.Delete && !sub.LastOnDelete
	switch {
	case bare && !sub.View.Limited():
		return nil, nil
	case n.Interaction == fhir.Delete:
		number--
	case sub.Latest:
		newest, err := latest(r, n)
		if err != nil {
			return nil, err
		}
		number = newest
	}
	v, err := version(number)
	switch {
	case err != nil:
		return nil, err
	case !sub.View.Finds(v, time.Now()):
		return nil, errWithheld
	case bare:
		return nil, nil
	}
	switch {
	case v.Key.Type == fhir.Subscription && sub.Unversioned:
		return unversioned(reparsed(d.o.Redact(v))), nil
	case v.Key.Type == fhir.Subscription:
		return d.o.Redact(v), nil
	case sub.Unversioned:
		return unversioned(v.Doc()), nil
	default:
		return v.JSON, nil
	}
}

// latest is the newest version of a resource that shows it. Where it was deleted meanwhile that is the version
// that was ended: what is owed is sent, and the deletion is another notification.
func latest(r store.Reader, n store.Notification) (uint64, error) {
	v, err := r.Read(n.Focus, r.Last())
	switch {
	case err != nil:
		return 0, fmt.Errorf("read the newest version of %s: %w", n.Focus, err)
	case v.Deleted:
		if _, err := r.Version(n.Focus, v.Version-1); errors.Is(err, store.ErrPurged) {
			return n.Version, nil // which is kept as long as it is owed
		}
		return max(v.Version-1, n.Version), nil
	default:
		return v.Version, nil
	}
}

// unversioned takes meta.versionId out of a resource's JSON, and leaves every other token as it is: references to
// versions are what somebody wrote.
func unversioned(doc *tape.Doc) []byte {
	meta := doc.Root().Get("meta")
	start, end, ok := meta.MemberSpan("versionId")
	if !ok {
		return doc.Bytes()
	}
	if meta.Len() == 1 { // R4 has no empty objects
		meta = doc.Root()
		start, end, _ = meta.MemberSpan("meta")
	}
	switch from, to := meta.Span(); {
	case end+1 < to: // with the comma behind it
		end++
	case start-1 > from:
		start--
	}
	return doc.Splice(tape.Edit{Start: start, End: end})
}

// judge decides what follows from an attempt: for the notification, the breaker and the lane's health. It
// hands the outcome on to be stored.
func (d *Deliverer) judge(l *lane, r result) {
	l.inFlight--
	f := l.busy[r.n.Number]
	if r.local != nil && l.unreadable(r.n.Number) {
		d.o.Log.Error("notification.unreadable", laneAttrs(l.id), slog.Uint64("number", r.n.Number), slog.Any("error", r.local))
		r.untried, r.unbuilt = false, errUnreadable
	}
	if r.untried {
		d.land(l, r.n.Number)
		if l.source != nil {
			l.source.returned(r.n)
		}
		if r.local != nil {
			l.until = time.Now().Add(localRetry)
			d.o.Log.Error("lane.failed", laneAttrs(l.id), slog.Any("error", r.local), slog.Time("next", l.until))
		}
		return
	}
	delete(l.unread, r.n.Number)
	n := r.n
	n.Began = f.began
	if n.Began.IsZero() {
		n.Began = r.started
	}
	n.Tries++
	if Spared(r.sub.Ladder, r.failure) {
		n.Spared++
	}
	a := store.Attempt{
		Lane: n.Lane, Number: n.Number, ID: r.id,
		Focus: n.Focus, Version: n.Version, Interaction: n.Interaction, Cause: n.Cause,
		Try: n.Tries, Time: r.started, Duration: r.ended.Sub(r.started), Status: r.reply.Status,
	}
	was, well := l.breaker.Open, l.well()
	switch {
	case r.withheld != "": // for good, and neither the endpoint's doing nor anybody's failure
		a.State, a.Class, a.Reply, a.Try = store.Withheld, classScope, clip(r.withheld), 0
	case r.failure == nil && r.unbuilt == nil:
		l.health, l.breaker, l.trouble = Health{}, l.breaker.Succeed(r.ended), ""
		a.State, a.Reply = store.Delivered, clip(noted(r.reply))
	case r.failure != nil:
		l.health = l.health.Fail(r.started)
		l.breaker = l.breaker.Fail(r.ended, l.health.Failures, f.probe)
		l.trouble = r.failure.Error()
		if r.failure.Gone {
			l.gone = &goneNotice{endpoint: r.sub.Target.Endpoint}
		}
		a.Class, a.Reply = r.failure.Class, clip(string(r.reply.Body))
		if a.Reply == "" {
			a.Reply = clip(r.failure.Error())
		}
		a.State = d.retry(l, &n, r)
	default:
		// The endpoint is not to blame, so that its health stays as it is.
		a.Class, a.Reply, a.Try = r.unbuiltClass(), clip(r.unbuilt.Error()), 0
		if a.State = d.retry(l, &n, r); r.purged {
			a.State = store.Failed
		}
	}
	if a.State == store.Owed {
		a.Next = n.Next
	}
	f.judged = true
	o := outcome{lane: l, decided: r.ended, n: n, attempt: a, health: l.health, breaker: l.breaker, plain: well && l.well()}
	o.urgent = len(l.busy) >= mostUnstored/2 || l.source != nil && l.source.holds(n)
	if l.source != nil && !o.plain {
		o.head, o.moved = l.source.head()
	}
	d.push(o)
	logAttempt(d.o.Log, a)
	if r.sub.Audit.Log {
		logAudit(d.o.Log, a)
	}
	d.o.Observe(Observation{Kind: Attempted, Lane: l.id, State: a.State, Class: a.Class, Duration: a.Duration})
	if was != l.breaker.Open {
		kind := BreakerOpened
		if was {
			kind = BreakerClosed
		}
		d.o.Observe(Observation{Kind: kind, Lane: l.id})
	}
}

// well tells whether the lane's record has nothing to say of failures.
func (l *lane) well() bool { return l.health == Health{} && l.breaker.untouched() }

// unreadable counts how often in a row what a notification needs could not be read. A store that is away for a
// moment holds the lane; what can't be read for itself (a damaged row) must not, and gets its own ladder.
func (l *lane) unreadable(number uint64) bool {
	if l.unread == nil {
		l.unread = map[uint64]int{}
	}
	l.unread[number]++
	return l.unread[number] > mostUnread
}

// retry decides when a failed notification is tried again, or that it is not. What is owed when the
// Subscription is about to be switched off stays owed, even if its ladder ends with the same attempt.
func (d *Deliverer) retry(l *lane, n *store.Notification, r result) store.State {
	wait, giveUp := Next(r.sub.Ladder, n.Tries-n.Spared, n.Began, r.ended, r.failure, d.o.Random())
	off := l.gone != nil || l.health.Verdict(d.o.Health, r.ended) == Off
	if giveUp && !off {
		return store.Failed
	}
	n.Next = r.ended.Add(wait)
	return store.Owed
}

// noted is the text of a reply, behind what is remarkable about it.
func noted(r channel.Reply) string {
	if r.Note == "" || len(r.Body) == 0 {
		return r.Note + string(r.Body)
	}
	return r.Note + ": " + string(r.Body)
}

// clip makes a text fit for the attempt log.
func clip(s string) string {
	if len(s) > mostReply {
		s = s[:mostReply]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
