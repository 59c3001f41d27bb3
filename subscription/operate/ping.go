package operate

import (
	"context"
	"errors"
	"net/http"
	"time"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
)

// mostReply is how much of an answer the attempt log keeps.
const mostReply = 1024

// ping sends a test notification now, also while the Subscription is off, and answers what came of it. It has an
// id of its own, no number and no retries, and changes nothing about the Subscription; the attempt log keeps it.
func (d *Desk) ping(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	if _, err := read(r); err != nil {
		return rest.OperationAnswer{}, err
	}
	s, _, err := d.subscription(ctx, r.Key())
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	now := time.Now().UTC()
	m := channel.Message{
		Target: s.TargetAt(now), ID: fhir.NewID(), Tenant: r.Tenant, Subscription: r.ID,
		Attempt: 1, Event: "ping", Updated: now, Test: true,
	}
	reply, err := d.o.Channel.Send(ctx, m)
	failure, failed := errors.AsType[*channel.SendError](err)
	if err != nil && !failed {
		return rest.OperationAnswer{}, err // the client has gone, or the server is stopping
	}
	a := store.Attempt{
		Lane: laneOf(r.Key()), ID: m.ID, Try: 1, Time: now, Duration: reply.Duration, Status: reply.Status,
		State: store.Delivered, Reply: clip(reply.Body),
	}
	if failed {
		a.State, a.Class = store.Failed, failure.Class
		if a.Reply == "" {
			a.Reply = clip([]byte(failure.Error()))
		}
	}
	if err := d.update(ctx, func(w store.QueueWriter) error { return w.Record(a) }); err != nil {
		return rest.OperationAnswer{}, err
	}
	var o output
	o.text("id", "valueId", m.ID)
	writeAttempt(&o, a)
	if failed {
		o.string("hint", failure.Hint)
	}
	for _, h := range reply.Signed {
		o.part("header", func(p *output) {
			p.string("name", h.Name)
			p.string("value", h.Value)
		})
	}
	return rest.OperationAnswer{Status: http.StatusOK, Body: o.parameters(m.ID)}, nil
}
