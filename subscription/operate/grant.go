package operate

import (
	"context"
	"errors"
	"net/http"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// takeOver gives a Subscription its caller's grant instead of the one that it has, or of none.
func (d *Desk) takeOver(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	if _, err := read(r); err != nil {
		return rest.OperationAnswer{}, err
	}
	if r.Who == nil || r.Who.Open() {
		return rest.OperationAnswer{}, fhir.Errorf(fhir.BusinessRule, "", "nobody has to authenticate here, so there is nothing to take over: every Subscription sees everything")
	}
	return d.regrant(ctx, r, "$take-over", func(own *auth.Grant, now time.Time) *auth.Grant {
		fresh := auth.GrantOf(r.Who, now)
		if own.Same(fresh) {
			return own
		}
		return fresh
	})
}

// revokeGrant leaves a Subscription without anything that it may see.
func (d *Desk) revokeGrant(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	if _, err := read(r); err != nil {
		return rest.OperationAnswer{}, err
	}
	return d.regrant(ctx, r, "$revoke-grant", func(own *auth.Grant, now time.Time) *auth.Grant {
		if own == nil || !own.Revoked.IsZero() {
			return own
		}
		by := r.Who
		if by.Open() {
			by = nil
		}
		return own.Revoke(by, now)
	})
}

// regrant writes another grant, whatever else is the matter with the Subscription, and answers what it sees by.
func (d *Desk) regrant(ctx context.Context, r rest.OperationRequest, cause string, next func(*auth.Grant, time.Time) *auth.Grant) (rest.OperationAnswer, error) {
	origin := r.Origin
	origin.Cause = cause
	var saved store.Saved
	_, err := d.o.DB.Update(ctx, origin, func(w store.Writer) error {
		now, err := w.Read(r.Key(), w.Last())
		switch {
		case errors.Is(err, store.ErrNotFound):
			return fhir.Errorf(fhir.NotFound, "", "%s does not exist", r.Key())
		case err != nil:
			return err
		case now.Deleted:
			return fhir.Errorf(fhir.Gone, "", "%s was deleted", r.Key())
		}
		doc := subscription.WithGrant(now.Doc(), next(subscription.GrantOf(now.Doc()), w.Now()))
		saved, err = store.Update(w, r.Key(), fhir.Incoming{Type: fhir.Subscription, ID: r.ID, Doc: doc}, "", nil)
		return err
	})
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	return rest.OperationAnswer{Status: http.StatusOK, Body: granted(subscription.GrantOf(saved.Resource.Doc())), Resource: saved.Resource}, nil
}

// granted shows a grant as Parameters.
func granted(g *auth.Grant) []byte {
	var o output
	if g == nil {
		o.string("note", "there is no grant")
		return o.parameters("")
	}
	o.string("issuer", g.Issuer)
	o.string("subject", g.Subject)
	o.string("tenant", g.Tenant)
	o.instant("created", g.Created)
	for _, by := range g.NarrowedBy {
		o.string("narrowed-by", by)
	}
	o.instant("revoked", g.Revoked)
	o.string("revoked-by", g.RevokedBy)
	for _, c := range g.Conditions {
		o.part("condition", func(p *output) {
			if c.Admin {
				p.flag("admin", true)
			}
			for _, s := range c.Scopes {
				p.string("scope", s.String())
			}
			p.text("patient", "valueId", c.Patient)
		})
	}
	return o.parameters("")
}

// callerView is what the caller of an operation sees, for evaluating criteria on their behalf.
func (d *Desk) callerView(r rest.OperationRequest) subscription.View {
	return d.o.Parse.Grants.View(auth.GrantOf(r.Who, time.Now()), r.Tenant)
}

// shows tells of which lanes the caller may know: those of the Subscriptions that they may see, as they are or were last.
func (d *Desk) shows(ctx context.Context, r rest.OperationRequest) func(store.Lane) (bool, error) {
	access := r.Who.Access()
	if access.Entirely(auth.Read|auth.Search, fhir.Subscription) {
		return func(store.Lane) (bool, error) { return true, nil }
	}
	known := map[store.Lane]bool{}
	return func(lane store.Lane) (shown bool, err error) {
		if shown, ok := known[lane]; ok {
			return shown, nil
		}
		err = d.o.DB.View(ctx, func(s store.Reader) error {
			key := fhir.Key{Tenant: lane.Tenant, Type: fhir.Subscription, ID: lane.Subscription}
			found, err := s.Read(key, s.Last())
			if err == nil && found.Deleted {
				found, err = s.Version(key, found.Version-1)
			}
			if err == nil {
				shown = access.Sees(found, d.o.Env)
			}
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		})
		known[lane] = shown
		return shown, err
	}
}
