package operate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
)

// mostJobs is how many jobs of a Subscription may go on at a time.
const mostJobs = 8

// start stores a new job and lets it begin. The answer says where it can be asked about.
func (d *Desk) start(ctx context.Context, r rest.OperationRequest, job record) (rest.OperationAnswer, error) {
	k := jobKey{laneOf(r.Key()), fhir.NewID()}
	job.Status, job.Begun = inProgress, time.Now().UTC()
	var stale []jobKey
	err := d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
		going := 0
		for j, err := range q.Jobs() {
			if err != nil {
				return err
			}
			other, err := parseRecord(j)
			switch {
			case err != nil:
				return err
			case other.Status == inProgress && j.Lane == k.lane:
				going++
			case other.Status != inProgress && job.Begun.Sub(other.Ended) > keptFor:
				stale = append(stale, jobKey{j.Lane, j.ID})
			}
		}
		if going >= mostJobs {
			return fhir.Errorf(fhir.Conflict, "", "%d jobs of this Subscription are going on: wait for one to end, or cancel one by DELETE at its Content-Location", going)
		}
		return nil
	})
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	err = d.update(ctx, func(w store.QueueWriter) error {
		for _, s := range stale {
			if err := w.DropJob(s.lane, s.id); err != nil {
				return err
			}
		}
		return k.put(w, job)
	})
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	d.look(k)
	return rest.OperationAnswer{
		Status: http.StatusAccepted, Body: job.parameters(k.id),
		ContentLocation: r.Base + "/" + r.Key().String() + "/$job?_id=" + url.QueryEscape(k.id),
	}, nil
}

// count answers what a job would be about.
func (d *Desk) count(ctx context.Context, r rest.OperationRequest, job record) (rest.OperationAnswer, error) {
	lane := laneOf(r.Key())
	for !job.Over {
		s, err := d.sending(ctx, r.Key())
		if err != nil {
			return rest.OperationAnswer{}, err
		}
		c, err := d.choose(ctx, lane, s, job, mostChosen)
		if err != nil {
			return rest.OperationAnswer{}, err
		}
		job.Total += len(c.chosen) + len(c.purged)
		job.Purged += len(c.purged)
		job.Cursor, job.Over = c.cursor, c.over
	}
	var o output
	o.number("total", uint64(job.Total))
	if job.Purged > 0 {
		o.number("purged", uint64(job.Purged))
		o.string("note", purgedNote)
	}
	return rest.OperationAnswer{Status: http.StatusOK, Body: o.parameters("")}, nil
}

// job tells how a job fares, or cancels it.
func (d *Desk) job(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	in, err := read(r, "_id")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	id, _, err := in.text("_id")
	switch {
	case err != nil:
		return rest.OperationAnswer{}, err
	case id == "":
		return rest.OperationAnswer{}, fhir.Errorf(fhir.Required, "http._id", "name the job by _id, as its Content-Location does")
	}
	k := jobKey{laneOf(r.Key()), id}
	unknown := fhir.Errorf(fhir.NotFound, "http._id", "%s has no job %.60q: finished ones are kept for %d days", r.Key(), id, keptFor/(24*time.Hour))
	if !fhir.ValidID(id) {
		return rest.OperationAnswer{}, unknown
	}
	if r.Method == http.MethodDelete {
		err = d.cancel(ctx, k)
		if errors.Is(err, store.ErrNotFound) {
			err = unknown
		}
		return rest.OperationAnswer{Status: http.StatusNoContent}, err
	}
	var job record
	err = d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
		if job, err = load(q, k); err != nil {
			return err
		}
		return job.settle(q, k.lane) // as it stands now
	})
	if errors.Is(err, store.ErrNotFound) {
		err = unknown
	}
	return rest.OperationAnswer{Status: http.StatusOK, Body: job.parameters(id)}, err
}

// cancel ends a job. What it owed and what isn't finished yet goes back to where it was.
func (d *Desk) cancel(ctx context.Context, k jobKey) error {
	now := time.Now().UTC()
	err := d.update(ctx, func(w store.QueueWriter) error {
		job, err := load(w, k)
		if err != nil || job.Status != inProgress {
			return err
		}
		if err := job.settle(w, k.lane); err != nil {
			return err
		}
		for _, out := range job.Out {
			if out.Was == store.Owed {
				continue
			}
			one, known, err := single(w, d.o.DB.Epoch(), k.lane, out.Number)
			if err != nil || !known || one.owed == nil {
				return err
			}
			a := store.Attempt{
				Lane: k.lane, Number: one.number, ID: one.id, Focus: one.focus, Version: one.version,
				Interaction: one.interaction, Cause: one.cause, Time: now, State: out.Was, Reply: "the " + job.Kind + " job was cancelled",
			}
			if a.State == 0 {
				a.State = store.Cancelled
			}
			if err := errors.Join(w.Settle(k.lane, out.Number), w.Record(a)); err != nil {
				return err
			}
		}
		job.end(cancelled, "it was cancelled", now)
		return k.put(w, job)
	})
	if err != nil {
		return err
	}
	d.o.Refresh(k.lane)
	d.look(k)
	return nil
}

// settle takes in what of a job's notifications is finished.
func (r *record) settle(q store.QueueReader, lane store.Lane) error {
	var out []outstanding
	for _, o := range r.Out {
		owed := false
		for n, err := range q.Owed(lane, o.Number) {
			if err != nil {
				return err
			}
			owed = n.Number == o.Number
			break
		}
		if owed {
			out = append(out, o)
			continue
		}
		state := store.Cancelled
		for a, err := range q.Attempts(store.AttemptScope{Lane: lane, From: o.Number, Below: o.Number + 1}) {
			if err != nil {
				return fmt.Errorf("read what became of number %d: %w", o.Number, err)
			}
			state = a.State
		}
		if state == store.Delivered {
			r.Done++
		} else {
			r.Failed++
		}
	}
	r.Out = out
	return nil
}
