package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/store"
	"fhirhook/subscription"
	"fhirhook/subscription/expression"
)

// backfill notifies of what is stored already and matches. Interactions and triggers say which changes notify; here
// nothing has changed, so that only the criteria count, and of event patterns what they are about.
func (d *Desk) backfill(ctx context.Context, r rest.OperationRequest) (rest.OperationAnswer, error) {
	in, err := read(r, "search", "since", "rate", "force", "dry-run")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	job := record{Kind: backfill}
	if job.Selection.Since, err = in.instant("since"); err != nil {
		return rest.OperationAnswer{}, err
	}
	if job.Rate, err = in.rate(); err != nil {
		return rest.OperationAnswer{}, err
	}
	if job.Selection.Force, err = in.flag("force"); err != nil {
		return rest.OperationAnswer{}, err
	}
	dry, err := in.flag("dry-run")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	d.CatchUp(ctx, laneOf(r.Key()))
	s, err := d.sending(ctx, r.Key())
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	text, search, err := in.text("search")
	if err != nil {
		return rest.OperationAnswer{}, err
	}
	q, err := d.search(ctx, r.Tenant, text)
	switch {
	case err != nil && fhir.KindOf(err) == fhir.Internal:
		return rest.OperationAnswer{}, err
	case err != nil:
		return rest.OperationAnswer{}, search.refuse(fhir.Value, "%s", err)
	case len(types(s, q)) == 0:
		return rest.OperationAnswer{}, search.refuse(fhir.BusinessRule, "it is about no type that the criteria %s are about", s.Criteria)
	}
	if job.Selection.Search = text; text != "" {
		job.Selection.Caller = auth.GrantOf(r.Who, time.Now())
	}
	if _, job.Selection.Place, err = d.read(ctx, r.Key()); err != nil {
		return rest.OperationAnswer{}, err
	}
	if dry {
		if err := d.passed(ctx, job.Selection.Place); err != nil {
			return rest.OperationAnswer{}, err
		}
		job.Begun = time.Now()
		return d.count(ctx, r, job)
	}
	return d.start(ctx, r, job)
}

// types are those that a Subscription and a search (nil: none) are both about, in order.
func types(s *subscription.Subscription, q *criteria.Query) []fhir.Type {
	var both []fhir.Type
	for _, t := range fhir.Types() {
		if s.About(t) && (q == nil || q.About(t)) {
			both = append(both, t)
		}
	}
	return both
}

// chooseStored chooses among the resources that were current at the job's place: those that match, and that
// were never delivered, unless that is forced.
func (d *Desk) chooseStored(ctx context.Context, lane store.Lane, s *subscription.Subscription, job record, most int) (choice, error) {
	c := choice{cursor: job.Cursor, looked: true}
	search, err := d.search(ctx, lane.Tenant, job.Selection.Search)
	if err != nil {
		return choice{}, err
	}
	tests, err := d.tests(ctx, lane.Tenant, s, search, job)
	if err != nil {
		return choice{}, err
	}
	seen := 0
	for _, t := range types(s, search) {
		if t < c.cursor.Type {
			continue
		}
		after := ""
		if t == c.cursor.Type {
			after = c.cursor.ID
		}
		for {
			page, err := d.page(ctx, lane.Tenant, t, after, job.Selection.Place)
			if err != nil {
				return choice{}, err
			}
			for _, v := range page {
				v = subscription.Masked(v)
				if len(c.chosen) == most || seen == mostSeen {
					return c, nil
				}
				seen++
				after = v.Key.ID
				c.cursor = cursor{Type: t, ID: after}
				if v.Updated.Before(job.Selection.Since) {
					continue
				}
				matches, err := d.stands(ctx, s, v, job.Begun, tests...)
				if err != nil {
					return choice{}, err
				}
				if !matches || !s.Stands(v, job.Begun) {
					continue
				}
				n, due, err := d.due(ctx, lane, v, job.Selection.Force)
				if err != nil {
					return choice{}, err
				}
				if due {
					c.chosen = append(c.chosen, n)
				}
			}
			if len(page) < pageSize {
				break
			}
		}
	}
	c.over = true
	return c, nil
}

const pageSize = 128

func (d *Desk) page(ctx context.Context, tenant string, t fhir.Type, after string, at store.Seq) (page []*fhir.Resource, err error) {
	err = d.o.DB.View(ctx, func(r store.Reader) error {
		page = page[:0]
		for v, err := range r.Type(tenant, t, after, at) {
			if err != nil {
				return err
			}
			if page = append(page, v); len(page) == pageSize {
				break
			}
		}
		return nil
	})
	return page, err
}

// test is a query with what it sees.
type test struct {
	query *criteria.Query
	view  subscription.View
	env   criteria.Env
}

// tests are what a stored version has to meet: the Subscription's criteria as its grant sees, and the search of whoever
// asked for the job as both see, or else it would tell one what only the other may know.
func (d *Desk) tests(ctx context.Context, tenant string, s *subscription.Subscription, search *criteria.Query, job record) ([]test, error) {
	own, err := d.env(ctx, tenant, job.Begun, job.Selection.Place, s.View)
	if err != nil || search == nil {
		return []test{{s.Query, s.View, own}}, err
	}
	caller := d.o.Parse.Grants.View(job.Selection.Caller, tenant).About(search)
	both, err := d.env(ctx, tenant, job.Begun, job.Selection.Place, s.View, caller)
	return []test{{s.Query, s.View, own}, {search, caller, both}}, err
}

// stands tells whether a stored version meets all tests, and the Subscription's expression.
func (d *Desk) stands(ctx context.Context, s *subscription.Subscription, v *fhir.Resource, now time.Time, tests ...test) (bool, error) {
	for _, t := range tests {
		if !t.view.Finds(v, now) {
			return false, nil
		}
		subject := criteria.NewSubject(v, t.env)
		found := t.query.Matches(subject)
		if err := subject.Err(); err != nil {
			return false, fmt.Errorf("hold %s against %s: %w", v.VersionedReference(), t.query, err)
		}
		if !found {
			return false, nil
		}
	}
	if s.Expression == "" {
		return true, nil
	}
	before, err := d.before(ctx, v)
	if err != nil {
		return false, err
	}
	if before != nil && !s.View.Finds(before, now) {
		before = nil
	}
	_, holds, err := expressed(s, v, before, now)
	return holds, err
}

// before is the version before another; nil if there is none, or it was deleted.
func (d *Desk) before(ctx context.Context, v *fhir.Resource) (before *fhir.Resource, err error) {
	if v.Version == 1 {
		return nil, nil
	}
	err = d.o.DB.View(ctx, func(r store.Reader) error {
		found, err := r.Version(v.Key, v.Version-1)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil && !found.Deleted {
			before = found
		}
		return err
	})
	return before, err
}

// expressed evaluates a Subscription's FHIRPath expression on a version. What can't be evaluated does not
// hold, as in matching; why says so.
func expressed(s *subscription.Subscription, v, before *fhir.Resource, now time.Time) (why string, holds bool, err error) {
	x, err := expression.Compile(s.Expression)
	if err != nil {
		return "", false, err
	}
	in := expression.Input{Current: subscription.Shown(v), Previous: subscription.Shown(before), Now: now}
	if holds, err = x.Holds(in); err != nil {
		return "it can't be evaluated: " + strings.TrimSpace(err.Error()), false, nil
	}
	return "", holds, nil
}

// due tells whether a stored version is to be sent, and as which notification: the one that it was before, or a
// new one without a number.
func (d *Desk) due(ctx context.Context, lane store.Lane, v *fhir.Resource, force bool) (n store.Notification, due bool, err error) {
	n = store.Notification{Lane: lane, Focus: v.Key, Version: v.Version, Interaction: fhir.Update, Updated: v.Updated}
	known := false
	var before delivery
	err = d.o.DB.Queue().View(ctx, func(q store.QueueReader) error {
		if n.Number, err = numberOf(q, lane, v); err != nil || n.Number == 0 {
			return err
		}
		before, known, err = single(q, d.o.DB.Epoch(), lane, n.Number)
		return err
	})
	switch {
	case err != nil:
		return n, false, err
	case known && before.state == store.Owed:
		return n, false, nil // it comes anyway
	case known && before.state == store.Delivered && !force:
		return n, false, nil
	case n.Number > 0 && !known && !force:
		return n, false, nil // so long ago that nobody knows how it ended
	case known:
		n.Interaction = before.interaction
		return n, true, nil
	}
	n.Interaction, err = d.interaction(ctx, v)
	return n, true, err
}

// interaction is what a version did to its resource.
func (d *Desk) interaction(ctx context.Context, v *fhir.Resource) (i fhir.Interaction, err error) {
	if v.Version == 1 {
		return fhir.Create, nil
	}
	i = fhir.Update
	err = d.o.DB.View(ctx, func(r store.Reader) error {
		before, err := r.Version(v.Key, v.Version-1)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return err
		case before.Deleted:
			i = fhir.Create
		}
		return nil
	})
	return i, err
}
