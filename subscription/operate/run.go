package operate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
)

// How jobs go on.
const (
	mostOut    = 512 // notifications of a job that are owed at a time
	mostChosen = 256 // that one step chooses
	mostSeen   = 512 // that one step looks at

	shortest = 100 * time.Millisecond // between two steps of a paced job
	soon     = 200 * time.Millisecond // before looking again at what is owed
	late     = 5 * time.Second        // the same, when nothing moves
)

// errEnded says that a job isn't going on any more.
var errEnded = errors.New("the job has ended")

// Run carries the jobs on and drops old attempts until ctx ends, which is no error: jobs go on with the next start.
func (d *Desk) Run(ctx context.Context) error {
	var jobs sync.WaitGroup
	defer jobs.Wait()
	jobs.Go(func() { d.expire(ctx) }) // ends with ctx
	d.mu.Lock()
	d.begin = func(k jobKey) {
		jobs.Go(func() { d.carryOn(ctx, k) }) // ends with the job, or with ctx
	}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.begin = nil
		d.mu.Unlock()
	}()
	var going []jobKey
	err := d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
		going = going[:0]
		for j, err := range q.Jobs() {
			if err != nil {
				return err
			}
			r, err := parseRecord(j)
			if err != nil {
				d.o.Log.Error("job.unreadable", "error", err)
				continue
			}
			if r.Status == inProgress {
				going = append(going, jobKey{j.Lane, j.ID})
			}
		}
		return nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // it was told to stop
		}
		return fmt.Errorf("read the jobs: %w", err)
	}
	for _, k := range going {
		d.look(k)
	}
	<-ctx.Done()
	return nil
}

// look says that there is something to do about a job.
func (d *Desk) look(k jobKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if bell, ok := d.running[k]; ok {
		select {
		case bell <- struct{}{}:
		default:
		}
		return
	}
	if d.begin == nil {
		return // Run finds it
	}
	d.running[k] = make(chan struct{}, 1)
	d.begin(k)
}

// carryOn runs a job until it or ctx ends.
func (d *Desk) carryOn(ctx context.Context, k jobKey) {
	d.mu.Lock()
	bell := d.running[k]
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.running, k)
	}()
	p := &pace{}
	for {
		wait, err := d.step(ctx, k, p)
		switch {
		case ctx.Err() != nil, errors.Is(err, errEnded), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrClosed):
			return
		case err != nil:
			d.o.Log.Error("job.failed", "tenant", k.lane.Tenant, "subscription", k.lane.Subscription, "job", k.id, "error", err)
			wait = late
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-bell:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pace spreads what a job owes over time.
type pace struct {
	next  time.Time     // nothing is owed before
	quiet time.Duration // the wait while nothing moves
}

// quota is how many may be owed now.
func (p *pace) quota(rate float64, now time.Time) int {
	switch {
	case now.Before(p.next):
		return 0
	case rate == 0:
		return mostChosen
	default:
		return min(max(1, int(rate*shortest.Seconds())), mostChosen)
	}
}

func (p *pace) owed(n int, rate float64, now time.Time) {
	if rate > 0 {
		p.next = now.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	}
}

// step takes a job one step further and says when the next one makes sense.
func (d *Desk) step(ctx context.Context, k jobKey, p *pace) (time.Duration, error) {
	now := time.Now()
	var job record
	err := d.o.DB.Queue().View(ctx, func(q store.QueueReader) (err error) {
		job, err = load(q, k)
		return err
	})
	if err != nil {
		return 0, err
	}
	if job.Status != inProgress {
		return 0, errEnded
	}
	s, err := d.sending(ctx, fhir.Key{Tenant: k.lane.Tenant, Type: fhir.Subscription, ID: k.lane.Subscription})
	switch kind := fhir.KindOf(err); {
	case kind == fhir.Gone, kind == fhir.NotFound:
		return 0, d.abandon(ctx, k, "the Subscription was deleted")
	case kind == fhir.BusinessRule:
		return late, nil // it is off, or broken: what is owed is kept, and so is the job
	case err != nil:
		return 0, err
	}
	if d.o.Place() < job.Selection.Place {
		return soon, nil
	}
	room := min(p.quota(job.Rate, now), mostOut-len(job.Out))
	if !job.Counted {
		room = mostChosen
	}
	var c choice
	if !job.Over && room > 0 {
		if c, err = d.choose(ctx, k.lane, s, job, room); err != nil {
			return 0, err
		}
	}
	before := len(job.Out)
	owed, after, err := d.advance(ctx, k, job, c, now)
	if err != nil {
		return 0, err
	}
	if owed > 0 {
		p.owed(owed, job.Rate, now)
		d.o.Refresh(k.lane)
	}
	return p.wait(after, owed > 0 || len(after.Out) < before+owed, now), nil
}

// wait is when to look again.
func (p *pace) wait(job record, moved bool, now time.Time) time.Duration {
	switch {
	case job.Status != inProgress:
		return 0
	case !job.Over && len(job.Out) < mostOut && !now.Before(p.next):
		return 0
	case !job.Over && len(job.Out) < mostOut:
		return p.next.Sub(now)
	case moved || p.quiet == 0:
		p.quiet = soon
	default:
		p.quiet = min(p.quiet*2, late)
	}
	return p.quiet
}

// advance writes what a step decided, unless the job was cancelled or changed meanwhile.
func (d *Desk) advance(ctx context.Context, k jobKey, seen record, c choice, now time.Time) (owed int, job record, err error) {
	err = d.update(ctx, func(w store.QueueWriter) error {
		owed = 0
		if job, err = load(w, k); err != nil {
			return err
		}
		if job.Status != inProgress || job.Cursor != seen.Cursor || job.Counted != seen.Counted {
			return errEnded
		}
		if err := job.settle(w, k.lane); err != nil {
			return err
		}
		if c.looked {
			job.Cursor, job.Over = c.cursor, c.over
		}
		switch {
		case !job.Counted:
			job.Total += len(c.chosen) + len(c.purged)
			if job.Over {
				job.Counted, job.Over, job.Cursor = true, false, cursor{}
			}
		default:
			for _, one := range c.purged {
				if err := w.Record(one.purged(now)); err != nil {
					return err
				}
			}
			job.Failed += len(c.purged)
			job.Purged += len(c.purged)
			for _, n := range c.chosen {
				out, err := d.owe(w, n, now)
				if err != nil {
					return err
				}
				job.Out = append(job.Out, out)
				owed++
			}
			if job.Over && len(job.Out) == 0 {
				job.end(completed, "", now.UTC())
			}
		}
		return k.put(w, job)
	})
	return owed, job, err
}

// purged is the line in the record of a notification that was asked for again and can't be sent. What became of the
// notification before stays as it is.
func (d delivery) purged(now time.Time) store.Attempt {
	return store.Attempt{
		Lane: d.lane, Number: d.number, ID: d.id, Focus: d.focus, Version: d.version, Interaction: d.interaction, Cause: d.cause,
		Time: now, State: d.state, Class: subscription.ClassPurged, Reply: "it was to be sent again, and nothing was: " + purgedNote,
	}
}

// purgedNote says why nothing is sent.
const purgedNote = "what was to be sent is no longer kept (serve --keep-history)"

// abandon ends a job that can't go on.
func (d *Desk) abandon(ctx context.Context, k jobKey, why string) error {
	err := d.update(ctx, func(w store.QueueWriter) error {
		job, err := load(w, k)
		if err != nil || job.Status != inProgress {
			return err
		}
		if err := job.settle(w, k.lane); err != nil {
			return err
		}
		job.Failed += len(job.Out) // they are cancelled with all that is owed
		job.end(cancelled, why, time.Now().UTC())
		return k.put(w, job)
	})
	return errors.Join(err, errEnded)
}

// owe owes a notification: under its number, or under the next if it has none, with a ladder that begins now.
// Everything that was numbered before stands behind the lane's Head, so it is waiting for a retry from now on.
func (d *Desk) owe(w store.QueueWriter, n store.Notification, now time.Time) (outstanding, error) {
	if n.Number == 0 {
		// It may have got one since it was chosen.
		for have, err := range w.Numbers(n.Focus, n.Version, n.Updated) {
			if err != nil {
				return outstanding{}, err
			}
			if have.Lane == n.Lane && have.Cause == n.Cause {
				n.Number = have.Number
			}
		}
	}
	if n.Number == 0 {
		r, err := w.Lane(n.Lane)
		if err != nil {
			return outstanding{}, err
		}
		n.Number = r.Next
		r.Next++
		return outstanding{Number: n.Number}, errors.Join(w.PutLane(r), w.Owe(n))
	}
	out := outstanding{Number: n.Number, Was: store.Cancelled}
	one, known, err := single(w, d.o.DB.Epoch(), n.Lane, n.Number)
	if err != nil {
		return out, err
	}
	if known {
		out.Was = one.state
	}
	if one.owed != nil && one.owed.Next.IsZero() {
		return out, nil // it has not had its turn yet
	}
	n.Tries, n.Spared, n.Began, n.Next = 0, 0, now, now
	return out, w.Owe(n)
}
