package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
	"fhirhook/subscription"
)

// change is what an explanation is about: a row of the log, or one that might be.
type change struct {
	store.Change
	stored   bool
	judged   *fhir.Resource // the version that was written, or that a delete ended
	previous *fhir.Resource // the one before; nil: there was none
	purged   bool           // there was one, and it is no longer kept
	asleep   string         // why the Subscription owed nothing at that place; "": it did
}

// inline makes a change of a resource that a client shows: what would be if it were written now.
func (d *Desk) inline(ctx context.Context, r rest.OperationRequest, v input) (*change, error) {
	doc, err := tape.Parse(v.node.Raw(), 0)
	if err != nil {
		return nil, v.refuse(fhir.Structure, "is not acceptable JSON")
	}
	got, err := fhir.Check(doc)
	if err != nil {
		return nil, v.refuse(fhir.Value, "%s", err)
	}
	c := &change{}
	c.Interaction = fhir.Create
	key := fhir.Key{Tenant: r.Tenant, Type: got.Type, ID: got.ID}
	version := uint64(1)
	err = d.o.DB.View(ctx, func(s store.Reader) error {
		c.Seq, c.End = s.Last(), s.Last()
		if key.ID == "" {
			return nil
		}
		there, err := s.Read(key, s.Last())
		if err != nil {
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		}
		if a := r.Who.Access(); !a.Unlimited() && !a.Sees(there, d.o.Env) {
			return nil // for this caller it isn't there
		}
		version = there.Version + 1
		if !there.Deleted {
			c.previous, c.Interaction = subscription.Masked(there), fhir.Update
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if key.ID == "" {
		key.ID = fhir.NewID()
	}
	now := fhir.Millis(time.Now())
	c.Resource = &fhir.Resource{Key: key, Version: version, Updated: now, JSON: fhir.Stamp(doc, key.ID, version, now)}
	c.judged = subscription.Masked(c.Resource)
	return c, nil
}

// stored finds the row of a version. What the caller may not see isn't there.
func (d *Desk) stored(ctx context.Context, r rest.OperationRequest, v input) (*change, error) {
	key, version, err := v.resource(r.Tenant, r.Base)
	if err != nil {
		return nil, err
	}
	c := &change{stored: true}
	err = d.o.DB.View(ctx, func(s store.Reader) error {
		for row, err := range s.History(store.Scope{Tenant: key.Tenant, Type: key.Type, ID: key.ID}, 0) {
			if err != nil {
				return err
			}
			if version == 0 || row.Resource.Version == version {
				c.Change = row
				break
			}
		}
		if c.Resource == nil && r.Who.Access().Unlimited() {
			if _, err := s.Version(key, version); errors.Is(err, store.ErrPurged) {
				return v.refuse(fhir.BusinessRule, "%s is no longer kept, so nothing can be said of it", v.text)
			}
		}
		if c.Resource == nil && !r.Who.Access().Unlimited() {
			return fhir.Errorf(fhir.NotFound, v.at, "there is no %s", v.text) // as of what may not be seen
		} else if c.Resource == nil {
			return v.refuse(fhir.BusinessRule, "there is no %s", v.text)
		}
		c.judged = c.Resource
		if c.Resource.Version == 1 {
			return nil
		}
		before, err := s.Version(key, c.Resource.Version-1)
		if c.purged = errors.Is(err, store.ErrPurged); errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil && !before.Deleted {
			c.previous = before
		}
		if c.Interaction == fhir.Delete {
			c.judged = before
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if c.Interaction == fhir.Delete && c.judged.Deleted {
		c.judged = nil
	}
	if a := r.Who.Access(); !a.Unlimited() {
		if c.judged == nil || !a.Sees(c.judged, d.o.Env) {
			return nil, fhir.Errorf(fhir.NotFound, v.at, "there is no %s", v.text)
		}
		if c.previous != nil && !a.Sees(c.previous, d.o.Env) {
			c.previous = nil
		}
	}
	if c.judged == nil {
		return nil, v.refuse(fhir.BusinessRule, "the version that was deleted isn't stored any more")
	}
	c.judged, c.previous = subscription.Masked(c.judged), subscription.Masked(c.previous)
	return c, nil
}

// asOf returns the Subscription as it was when a row was written, and notes why it owed nothing then.
func (d *Desk) asOf(ctx context.Context, c *change, s *subscription.Subscription) (*subscription.Subscription, error) {
	var then *fhir.Resource
	err := d.o.DB.View(ctx, func(r store.Reader) error {
		var err error
		then, err = r.Read(s.Key, c.Seq)
		if errors.Is(err, store.ErrNotFound) {
			then, err = nil, nil
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case then == nil:
		c.asleep = "the Subscription did not exist yet when this version was written: $backfill notifies of what is stored already"
		return s, nil
	case then.Deleted:
		c.asleep = "the Subscription was deleted at that time"
		return s, nil
	}
	was, err := d.compile(ctx, then)
	if err != nil && fhir.KindOf(err) == fhir.Internal {
		return nil, err
	}
	if err != nil {
		c.asleep = fmt.Sprintf("the Subscription's version %d of that time can't be evaluated any more: %s", then.Version, err)
		return s, nil
	}
	return was, nil
}
