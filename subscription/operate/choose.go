package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// choice is what a step of a job found to be sent.
type choice struct {
	chosen []store.Notification // those without a number get one
	purged []delivery           // that can't be sent, for the log has the version no more
	cursor cursor               // behind what was looked at
	over   bool                 // there is nothing behind
	looked bool
}

// choose goes on in a job's selection, for at most so many.
func (d *Desk) choose(ctx context.Context, lane store.Lane, s *subscription.Subscription, job record, most int) (choice, error) {
	if job.Kind == backfill {
		return d.chooseStored(ctx, lane, s, job, most)
	}
	return d.chooseNumbered(ctx, lane, job, most)
}

// chooseNumbered chooses among what a lane owes or has finished.
func (d *Desk) chooseNumbered(ctx context.Context, lane store.Lane, job record, most int) (choice, error) {
	c := choice{cursor: job.Cursor, looked: true}
	var picked []delivery
	err := d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
		c, picked = choice{cursor: job.Cursor, looked: true}, picked[:0]
		rows := 0
		for _, s := range job.Selection.Spans {
			w := walk{lane: lane, from: max(s.From, c.cursor.Number), below: s.To + 1, size: firstSize}
			for !w.over() {
				some, read, err := w.next(q, d.o.DB.Epoch())
				if err != nil {
					return err
				}
				for _, one := range some {
					if len(picked) == most {
						return nil
					}
					c.cursor.Number = one.number + 1
					if job.Selection.wants(one) {
						picked = append(picked, one)
					}
				}
				if c.cursor.Number < w.from {
					c.cursor.Number = w.from
				}
				if rows += read; rows > mostScanned {
					return nil
				}
			}
		}
		c.over = true
		return nil
	})
	if err != nil {
		return choice{}, err
	}
	for _, one := range picked {
		n, err := d.again(ctx, one)
		switch {
		case errors.Is(err, store.ErrNotFound):
			c.purged = append(c.purged, one)
		case err != nil:
			return choice{}, err
		default:
			c.chosen = append(c.chosen, n)
		}
	}
	return c, nil
}

// wants tells whether a notification is among those to be sent again.
func (s selection) wants(d delivery) bool {
	if len(s.States) == 0 {
		return true
	}
	return slices.Contains(s.States, d.state.String()) && !d.changed.Before(s.Since) && (s.Until.IsZero() || d.changed.Before(s.Until))
}

// again is the notification of a delivery as it was fixed at the match. Its error is ErrNotFound if the version isn't
// stored any more.
func (d *Desk) again(ctx context.Context, one delivery) (store.Notification, error) {
	if one.owed != nil {
		return *one.owed, nil
	}
	n := store.Notification{
		Lane: one.lane, Number: one.number, Focus: one.focus, Version: one.version, Interaction: one.interaction, Cause: one.cause,
	}
	return n, d.o.DB.View(ctx, func(r store.Reader) error {
		v, err := r.Version(one.focus, one.version)
		if err == nil {
			v, err = causing(r, one, v)
		}
		if err != nil {
			return fmt.Errorf("read %s/_history/%d: %w", one.focus, one.version, err)
		}
		n.Updated = v.Updated // of the change, which is when the number was given
		return nil
	})
}

// causing is the version whose change caused a notification: that of a link, or its own.
func causing(r store.Reader, one delivery, own *fhir.Resource) (*fhir.Resource, error) {
	key, version, ok := versionOf(one.focus.Tenant, one.cause)
	if !ok {
		return own, nil
	}
	return r.Version(key, version)
}

// versionOf reads a versioned reference, as in Patient/1/_history/2.
func versionOf(tenant, reference string) (key fhir.Key, version uint64, ok bool) {
	parts := strings.Split(reference, "/")
	if len(parts) != 4 || parts[2] != "_history" {
		return key, 0, false
	}
	version, err := strconv.ParseUint(parts[3], 10, 64)
	return fhir.Key{Tenant: tenant, Type: fhir.Type(parts[0]), ID: parts[1]}, version, err == nil
}

// numberOf finds the number that a version's own change got on a lane; 0: none.
func numberOf(q store.QueueReader, lane store.Lane, v *fhir.Resource) (uint64, error) {
	for have, err := range q.Numbers(v.Key, v.Version, v.Updated) {
		if err != nil {
			return 0, err
		}
		if have.Lane == lane && have.Cause == "" {
			return have.Number, nil
		}
	}
	return 0, nil
}
