package operate

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// explain says term by term whether a resource matches, and whether it would notify or did, and why not.
func (d *Desk) explain(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	in, err := read(r, "resource", "reference")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	inline, isInline, err := in.one("resource")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	reference, isReference, err := in.one("reference")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	if isInline == isReference {
		return rest.OperationAnswer{}, fhir.Errorf(fhir.Required, "", "give either resource, with the resource itself, or reference, as in Patient/1 or Patient/1/_history/2")
	}
	if isReference {
		d.CatchUp(ctx, laneOf(r.Key()))
	}
	s, _, err := d.subscription(ctx, r.Key())
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	var c *change
	if isInline {
		c, err = d.inline(ctx, r, inline)
	} else {
		c, err = d.stored(ctx, r, reference)
	}
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	if c.stored {
		if s, err = d.asOf(ctx, c, s); err != nil {
			return rest.OperationAnswer{}, err
		}
	}
	e := &explanation{d: d, ctx: ctx, s: s, c: c, notifies: true}
	if e.definitions, err = d.o.Definitions(ctx, r.Tenant); err != nil {
		return rest.OperationAnswer{}, err
	}
	if c.previous != nil && !s.View.Finds(c.previous, c.Resource.Updated) {
		c.previous = nil
	}
	// What the Subscription sees and its caller doesn't must not show in the answer.
	caller := d.callerView(r).About(s.Query)
	if e.env, err = d.env(ctx, r.Tenant, c.Resource.Updated, c.End, s.View, caller); err != nil {
		return rest.OperationAnswer{}, err
	}
	if c.purged {
		e.o.string("note", "the version before it is no longer kept: what depends on that is told as if there had been none")
	}
	if err := e.make(); err != nil {
		return rest.OperationAnswer{}, err
	}
	return rest.OperationAnswer{Status: http.StatusOK, Body: e.o.parameters("")}, nil
}

// explanation is being made.
type explanation struct {
	d           *Desk
	ctx         context.Context //nolint:containedctx // an explanation is one request
	s           *subscription.Subscription
	c           *change
	definitions *criteria.Definitions
	env         criteria.Env
	o           output
	notifies    bool
	reasons     []string
}

// condition writes one thing that must hold for a notification.
func (e *explanation) condition(name string, holds bool, format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	e.o.part("condition", func(p *output) {
		p.code("name", name)
		p.flag("holds", holds)
		p.string("detail", detail)
	})
	if !holds {
		e.notifies = false
		e.reasons = append(e.reasons, detail)
	}
}

func (e *explanation) make() error {
	e.standing()
	if err := e.event(); err != nil {
		return err
	}
	found, err := e.terms()
	if err != nil {
		return err
	}
	if e.s.Expression != "" {
		why, holds, err := expressed(e.s, e.c.judged, e.c.previous, e.c.Resource.Updated)
		if err != nil {
			return err
		}
		if why == "" {
			why = "the FHIRPath expression " + map[bool]string{true: "holds", false: "does not hold"}[holds]
		}
		e.condition("expression", holds, "%s", why)
	}
	var head output
	head.flag("matches", found)
	head.flag("would-notify", e.notifies)
	head.code("interaction", e.c.Interaction.String())
	head.number("subscription-version", e.s.Version)
	for _, reason := range e.reasons {
		head.string("reason", reason)
	}
	if e.c.stored {
		if err := e.outcome(&head); err != nil {
			return err
		}
	}
	if len(e.o.b) > 0 {
		head.b = append(append(head.b, ','), e.o.b...)
	}
	e.o = head
	return nil
}

// standing looks at all but the criteria.
func (e *explanation) standing() {
	c, s := e.c, e.s
	switch {
	case c.asleep != "":
		e.condition("status", false, "%s", c.asleep)
	case s.Status == subscription.Off:
		e.condition("status", false, "the Subscription is off")
	default:
		e.condition("status", true, "the Subscription is on")
	}
	if !s.End.IsZero() {
		e.condition("end", !s.Ended(c.Resource.Updated), "the Subscription ends at %s", fhir.Instant(s.End))
	}
	if s.View.Limited() {
		holds, why := s.View.Finds(c.judged, c.Resource.Updated), s.Uncovered()
		if holds {
			why = "the grant of " + s.Grant.Subject + " covers it"
		}
		e.condition("grant", holds, "%s", why)
	}
	if c.Origin.Server {
		e.condition("author", false, "the server wrote this version by itself, and such versions notify nobody")
	}
	t := c.Resource.Key.Type
	e.condition("type", s.About(t), "the resource is of the type %s, and the criteria are %s%s", t, s.Criteria, patterns(s))
	e.condition("interaction", s.Interactions.Has(c.Interaction), "it is a %s, and the Subscription asks for %s", c.Interaction, asked(s.Interactions))
}

// patterns adds the event patterns, which can leave types out.
func patterns(s *subscription.Subscription) string {
	if s.Events == nil {
		return ""
	}
	return ", for the events " + s.Events.String()
}

// event says what the change is called, and whether the event patterns cover that.
func (e *explanation) event() error {
	s, c := e.s, e.c
	if s.Events == nil {
		return nil
	}
	n := store.Notification{Focus: c.Resource.Key, Version: c.Resource.Version, Interaction: c.Interaction, Updated: c.Resource.Updated}
	version := func(v uint64) (found *fhir.Resource, err error) {
		switch {
		case v == c.judged.Version:
			return c.judged, nil
		case c.previous != nil && v == c.previous.Version:
			return c.previous, nil
		}
		err = e.d.o.DB.View(e.ctx, func(r store.Reader) error {
			found, err = r.Version(n.Focus, v)
			return err
		})
		return found, err
	}
	version = s.View.Versions(version, c.Resource.Updated)
	covered, err := s.Covers(n, version)
	if err != nil {
		return fmt.Errorf("read what the event's name depends on: %w", err)
	}
	wire, plain, err := s.KnownAs(n, version)
	if err != nil {
		return fmt.Errorf("read what the event's name depends on: %w", err)
	}
	called := wire
	if plain != wire {
		called += ", or " + plain
	}
	e.condition("event", covered, "the change is the event %s, and the Subscription asks for %s", called, s.Events)
	return nil
}

func asked(i subscription.Interactions) string {
	text := ""
	for _, one := range []fhir.Interaction{fhir.Create, fhir.Update, fhir.Delete} {
		if i.Has(one) {
			if text != "" {
				text += ", "
			}
			text += one.String()
		}
	}
	return text
}

// terms holds the criteria against the sides of the change that the trigger is about.
func (e *explanation) terms() (found bool, err error) {
	now, before := e.c.judged, e.c.previous
	if e.c.Interaction == fhir.Delete {
		before = e.c.judged
	}
	both := e.s.Trigger != subscription.Matches && before != nil && before != now
	foundNow, foundBefore := true, before != nil
	for _, p := range e.s.Query.Pairs() {
		if p.Name == "_type" {
			continue
		}
		holds, why, err := e.term(p, now)
		if err != nil {
			return false, err
		}
		foundNow = foundNow && holds
		held := holds
		if both {
			if held, _, err = e.term(p, before); err != nil {
				return false, err
			}
		}
		foundBefore = foundBefore && held
		text := p.Name + "=" + p.Value
		e.o.part("term", func(o *output) {
			o.string("expression", text)
			o.flag("matches", holds)
			if both {
				o.flag("matched-before", held)
			}
			o.string("detail", why)
		})
		if !holds && e.s.Trigger != subscription.Leaves {
			e.reasons = append(e.reasons, fmt.Sprintf("%s does not match%s", text, colon(why)))
		}
	}
	if !e.s.Query.About(now.Key.Type) {
		return false, nil
	}
	e.trigger(foundNow, foundBefore)
	return foundNow, nil
}

func colon(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// term tells whether one parameter matches a version.
func (e *explanation) term(p criteria.Pair, v *fhir.Resource) (holds bool, why string, err error) {
	if !e.s.Query.About(v.Key.Type) {
		return false, "the criteria are about another type", nil
	}
	q, _, err := criteria.ParseParams(v.Key.Type, []criteria.Pair{p}, e.definitions, false)
	if err != nil {
		return false, err.Error(), nil //nolint:nilerr // that is the answer
	}
	subject := criteria.NewSubject(v, e.env)
	holds = q.Matches(subject)
	if err := subject.Err(); err != nil {
		if e.ctx.Err() != nil {
			return false, "", e.ctx.Err()
		}
		return false, "it can't be decided: " + err.Error(), nil
	}
	return holds, "", nil
}

// trigger decides by both sides.
func (e *explanation) trigger(now, before bool) {
	here := e.c.Interaction != fhir.Delete
	switch e.s.Trigger {
	case subscription.Enters:
		e.condition("trigger", here && now && !before, "enters: the version written must match, and the one before must not")
	case subscription.Leaves:
		e.condition("trigger", before && !(here && now), "leaves: the version before must match, and the one written must not")
	case subscription.Changes:
		differs := here && e.c.previous != nil && slices.ContainsFunc(e.s.Parameters, func(code string) bool {
			p, ok := e.definitions.Param(e.c.judged.Key.Type, code)
			return ok && criteria.NewSubject(e.c.judged, e.env).Differs(criteria.NewSubject(e.c.previous, e.env), p)
		})
		e.condition("trigger", here && now && before && differs, "changes: both versions must match, and one of %v must differ", e.s.Parameters)
	default:
		if !now {
			e.notifies = false
		}
	}
}

// outcome says what became of the version.
func (e *explanation) outcome(o *output) error {
	if e.d.o.Place() < e.c.Seq {
		o.code("outcome", "pending")
		o.string("note", "matching has not come to this version yet")
		return nil
	}
	lane := laneOf(e.s.Key)
	return e.d.o.DB.Queue().View(e.ctx, func(q store.QueueReader) error {
		n, err := numberOf(q, lane, e.c.Resource)
		if err != nil {
			return err
		}
		if n == 0 {
			o.code("outcome", "not-owed")
			return nil
		}
		o.number("sequence", n)
		one, known, err := single(q, e.d.o.DB.Epoch(), lane, n)
		if err != nil || !known {
			o.code("outcome", "expired")
			return err
		}
		o.code("outcome", one.state.String())
		o.text("delivery", "valueId", one.id)
		o.instant("next-try", one.next)
		return nil
	})
}
