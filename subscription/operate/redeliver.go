package operate

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
)

// mostNamed is how many notifications can be named one by one.
const mostNamed = 1000

// redeliver sends notifications again: some by their ids, a range of numbers, or those that ended without being delivered.
func (d *Desk) redeliver(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	in, err := read(r, "delivery", "sequence", "status", "since", "until", "rate", "dry-run")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	job := record{Kind: redelivery}
	if job.Selection, err = in.selection(); err != nil {
		return rest.OperationAnswer{}, err
	}
	if job.Rate, err = in.rate(); err != nil {
		return rest.OperationAnswer{}, err
	}
	dry, err := in.flag("dry-run")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	d.CatchUp(ctx, laneOf(r.Key())) // what is owed still isn't sent again, and what isn't numbered yet can't be named
	s, err := d.sending(ctx, r.Key())
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	if err := d.bind(ctx, laneOf(r.Key()), in.all("delivery"), &job.Selection); err != nil {
		return rest.OperationAnswer{}, err
	}
	if dry {
		return d.count(ctx, r, job)
	}
	first, err := d.choose(ctx, laneOf(r.Key()), s, job, mostChosen)
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	job.foreseen = len(first.purged)
	return d.start(ctx, r, job)
}

// undelivered are the states that can be chosen: ends that somebody may have taken the cause of away. A receiver was down,
// a grant too narrow, a Subscription over, its backlog not wanted. Each is judged again when it is sent.
var undelivered = []string{store.Failed.String(), store.Withheld.String(), store.Cancelled.String(), store.Skipped.String()}

// selection reads what is to be sent again. Exactly one way of saying it must be used: two would leave open
// whether both or either is meant.
func (in inputs) selection() (s selection, err error) {
	for _, v := range in.all("status") {
		if !slices.Contains(undelivered, v.text) {
			return s, v.refuse(fhir.Value, "%.60q can't be chosen by its state, only what ended as one of %s: name others by delivery or sequence", v.text, strings.Join(undelivered, ", "))
		}
		s.States = append(s.States, v.text)
	}
	byState := len(s.States) > 0
	numbers, ranged, err := in.sequence()
	if err != nil {
		return s, err
	}
	ways := 0
	for _, given := range []bool{byState, ranged, len(in.all("delivery")) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return s, fhir.Errorf(fhir.Required, "", "say what is to be sent again in one way: delivery (an id, repeatable), sequence (5 or 5-9), or status (failed, withheld, cancelled, skipped; repeatable) with since and until if need be")
	}
	if s.Since, s.Until, err = in.bounds(); err != nil {
		return s, err
	}
	for _, name := range []string{"since", "until"} {
		if v := in.all(name); len(v) > 0 && !byState {
			return s, v[0].refuse(fhir.Invalid, "goes with status only")
		}
	}
	switch {
	case ranged:
		s.Spans = []span{numbers}
	case byState:
		s.Spans = []span{{1, math.MaxInt64}}
	}
	return s, nil
}

// bind ties a selection to the numbers that the lane has given by now.
func (d *Desk) bind(ctx context.Context, lane store.Lane, ids inputs, s *selection) error {
	if len(ids) > mostNamed {
		return ids[mostNamed].refuse(fhir.TooCostly, "at most %d can be named one by one: use sequence or status", mostNamed)
	}
	missing := map[string]input{}
	for _, v := range ids {
		missing[v.text] = v
	}
	w := walk{lane: lane, from: 1, down: true, size: firstSize}
	err := d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
		r, err := q.Lane(lane)
		w.below = r.Next
		return err
	})
	if err != nil {
		return err
	}
	last := w.below - 1
	s.Spans = slices.DeleteFunc(s.Spans, func(one span) bool { return one.From > last })
	for i := range s.Spans {
		s.Spans[i].To = min(s.Spans[i].To, last)
	}
	for len(missing) > 0 && !w.over() {
		err := d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
			some, _, err := w.next(q, d.o.DB.Epoch())
			for _, one := range some {
				if _, ok := missing[one.id]; ok {
					delete(missing, one.id)
					s.Spans = append(s.Spans, span{one.number, one.number})
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, v := range ids { // the first of them
		if _, ok := missing[v.text]; ok {
			return v.refuse(fhir.BusinessRule, "%.80q is no notification of this Subscription that is still on the record", v.text)
		}
	}
	slices.SortFunc(s.Spans, func(a, b span) int { return cmp.Compare(a.From, b.From) })
	return nil
}
