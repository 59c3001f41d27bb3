package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// resend is Medplum's: the current version of a resource goes once more to the Subscriptions whose criteria it
// meets now, or to one of them. One that was notified of this version before gets the same notification again;
// another gets a new one, as of the interaction that the client names.
func (d *Desk) resend(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	in, err := read(r, "subscription", "interaction", "verbose")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	interaction := fhir.Update
	if v, ok, err := in.one("interaction"); err != nil {
		return rest.OperationAnswer{}, err
	} else if ok {
		switch v.text {
		case "create":
			interaction = fhir.Create
		case "update":
		case "delete":
			return rest.OperationAnswer{}, v.refuse(fhir.BusinessRule, "the resource is there, so its deletion can't be sent: name create or update")
		default:
			return rest.OperationAnswer{}, v.refuse(fhir.Value, "%.60q is no interaction: create or update", v.text)
		}
	}
	verbose, err := in.flag("verbose")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	d.CatchUp(ctx, store.Lane{Tenant: r.Tenant})
	found, at, err := d.read(ctx, r.Key())
	switch {
	case err != nil:
		return rest.OperationAnswer{}, err
	case found.Deleted:
		return rest.OperationAnswer{}, fhir.Errorf(fhir.Gone, "", "%s was deleted: there is no current version to be sent", r.Key())
	}
	keys, err := d.resendTo(ctx, r, in)
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	if err := d.passed(ctx, at); err != nil {
		return rest.OperationAnswer{}, err
	}
	sent := 0
	var notes []string
	for _, key := range keys {
		did, note, err := d.resendOne(ctx, key, found, at, interaction)
		if err != nil {
			return rest.OperationAnswer{}, err
		}
		if did {
			sent++
		}
		notes = append(notes, fmt.Sprintf("%s: %s", key, note))
	}
	texts := []string{fmt.Sprintf("%s goes to %d of %d Subscriptions", found.VersionedReference(), sent, len(keys))}
	if verbose {
		texts = append(texts, notes...)
	}
	return rest.OperationAnswer{Status: http.StatusOK, Body: informed(texts)}, nil
}

// resendTo lists the Subscriptions in question: the one that is named, or all.
func (d *Desk) resendTo(ctx context.Context, r rest.OperationRequest, in inputs) ([]fhir.Key, error) {
	v, ok, err := in.one("subscription")
	if err != nil {
		return nil, err
	}
	if ok {
		if !strings.Contains(v.text, "/") {
			v.text = "Subscription/" + v.text
		}
		key, version, err := v.resource(r.Tenant, r.Base)
		if err != nil || version > 0 || key.Type != fhir.Subscription {
			return nil, v.refuse(fhir.Value, "must name a Subscription, as in Subscription/1")
		}
		if _, err := d.sending(ctx, key); err != nil {
			if fhir.KindOf(err) == fhir.NotFound || fhir.KindOf(err) == fhir.Gone {
				return nil, v.refuse(fhir.BusinessRule, "%s", err)
			}
			return nil, err
		}
		return []fhir.Key{key}, nil
	}
	var keys []fhir.Key
	after := ""
	for {
		page := 0
		err := d.o.DB.View(ctx, func(s store.Reader) error {
			for sub, err := range s.Type(r.Tenant, fhir.Subscription, after, s.Last()) {
				if err != nil {
					return err
				}
				keys, after = append(keys, sub.Key), sub.Key.ID
				if page++; page == pageSize {
					break
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if page < pageSize {
			return keys, nil
		}
	}
}

// resendOne owes a version to a Subscription, if it asks for it. note says what was done, or why nothing was.
func (d *Desk) resendOne(ctx context.Context, key fhir.Key, v *fhir.Resource, at store.Seq, i fhir.Interaction) (did bool, note string, err error) {
	s, err := d.sending(ctx, key)
	switch {
	case fhir.KindOf(err) != fhir.Internal:
		return false, err.Error(), nil
	case err != nil:
		return false, "", err
	case !s.Interactions.Has(i):
		return false, fmt.Sprintf("it does not ask for %s, but for %s", i, asked(s.Interactions)), nil
	case !s.About(v.Key.Type):
		return false, fmt.Sprintf("its criteria %s%s are not about %s", s.Criteria, patterns(s), v.Key.Type), nil
	}
	covered, err := d.covers(ctx, s, v, i)
	switch {
	case err != nil:
		return false, "", err
	case !covered:
		return false, fmt.Sprintf("it does not ask for this event, but for %s", s.Events), nil
	}
	now := time.Now()
	if !s.View.Finds(v, now) {
		return false, s.Uncovered(), nil
	}
	env, err := d.env(ctx, key.Tenant, now, at, s.View)
	if err != nil {
		return false, "", err
	}
	matches, err := d.stands(ctx, s, subscription.Masked(v), now, test{s.Query, s.View, env})
	switch e := fhir.KindOf(err); {
	case e != fhir.Internal:
		return false, "its criteria can't be decided: " + err.Error(), nil
	case err != nil:
		return false, "", err
	case !matches:
		return false, "its criteria " + s.Criteria + " do not match", nil
	}
	n, err := d.resent(ctx, laneOf(key), v, i)
	if err != nil {
		return false, "", err
	}
	var out outstanding
	err = d.update(ctx, func(w store.QueueWriter) error {
		out, err = d.owe(w, n, now)
		return err
	})
	if err != nil {
		return false, "", err
	}
	d.o.Refresh(laneOf(key))
	if out.Was == 0 {
		return true, fmt.Sprintf("it is sent as number %d", out.Number), nil
	}
	return true, fmt.Sprintf("it is sent again as number %d", out.Number), nil
}

// covers tells whether a Subscription's event patterns cover a version, sent as an interaction.
func (d *Desk) covers(ctx context.Context, s *subscription.Subscription, v *fhir.Resource, i fhir.Interaction) (covered bool, err error) {
	n := store.Notification{Focus: v.Key, Version: v.Version, Interaction: i, Updated: v.Updated}
	err = d.o.DB.View(ctx, func(r store.Reader) error {
		read := func(version uint64) (*fhir.Resource, error) { return r.Version(v.Key, version) }
		covered, err = s.Covers(n, s.View.Versions(read, v.Updated))
		return err
	})
	return covered, err
}

// resent is the notification of a version as it was numbered, or a new one.
func (d *Desk) resent(ctx context.Context, lane store.Lane, v *fhir.Resource, i fhir.Interaction) (store.Notification, error) {
	n := store.Notification{Lane: lane, Focus: v.Key, Version: v.Version, Interaction: i, Updated: v.Updated}
	err := d.o.DB.Queue().View(ctx, func(q store.QueueReader) (err error) {
		if n.Number, err = numberOf(q, lane, v); err != nil || n.Number == 0 {
			return err
		}
		one, known, err := single(q, d.o.DB.Epoch(), lane, n.Number)
		if known {
			n.Interaction = one.interaction
		}
		return err
	})
	return n, err
}

// informed is an OperationOutcome that says that all is well.
func informed(texts []string) []byte {
	type issue struct {
		Severity    string            `json:"severity"`
		Code        string            `json:"code"`
		Details     map[string]string `json:"details"`
		Diagnostics string            `json:"diagnostics"`
	}
	var issues []issue
	for _, t := range texts {
		issues = append(issues, issue{"information", "informational", map[string]string{"text": t}, t})
	}
	b, _ := json.Marshal(struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}{"OperationOutcome", issues}) // texts always marshal
	return b
}
