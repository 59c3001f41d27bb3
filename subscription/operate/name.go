package operate

import (
	"context"
	"errors"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// name says of deliveries what their changes are called on the wire: by the Subscription as it is now, for a name is
// worked out anew at each attempt; of one that was deleted, as it was last.
func (d *Desk) name(ctx context.Context, found []delivery) error {
	subscriptions := map[store.Lane]*subscription.Subscription{}
	for _, one := range found {
		if _, ok := subscriptions[one.lane]; ok {
			continue
		}
		s, err := d.last(ctx, one.lane)
		if err != nil {
			return err
		}
		subscriptions[one.lane] = s
	}
	return d.o.DB.View(ctx, func(r store.Reader) error {
		for i, one := range found {
			s := subscriptions[one.lane]
			event, err := "", error(nil)
			switch {
			case one.number == 0:
				event = resthook.PingEvent
			case s != nil && s.EventName != "":
				event = s.EventName
			case s != nil:
				event, err = one.called(r, s)
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			found[i].event = event
		}
		return nil
	})
}

// last compiles the last version of a lane's Subscription that isn't a tombstone; nil if that can't be done.
func (d *Desk) last(ctx context.Context, lane store.Lane) (*subscription.Subscription, error) {
	key := fhir.Key{Tenant: lane.Tenant, Type: fhir.Subscription, ID: lane.Subscription}
	var found *fhir.Resource
	err := d.o.DB.View(ctx, func(r store.Reader) (err error) {
		found, err = r.Read(key, r.Last())
		if err == nil && found.Deleted {
			found, err = r.Version(key, found.Version-1)
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	s, err := d.compile(ctx, found)
	if err != nil && fhir.KindOf(err) == fhir.Internal {
		return nil, err
	}
	return s, nil // nil if it can't be evaluated any more
}

// called is the name; store.ErrNotFound if it depends on a version that is gone.
func (d delivery) called(r store.Reader, s *subscription.Subscription) (string, error) {
	n := store.Notification{
		Lane: d.lane, Number: d.number, Focus: d.focus, Version: d.version, Interaction: d.interaction, Cause: d.cause, Updated: d.changed,
	}
	if d.owed != nil {
		n = *d.owed
	} else if v, err := r.Version(d.focus, d.version); err == nil {
		n.Updated = v.Updated
	}
	read := func(number uint64) (*fhir.Resource, error) { return r.Version(d.focus, number) }
	wire, _, err := s.KnownAs(n, s.View.Versions(read, n.Updated))
	return wire, err
}
