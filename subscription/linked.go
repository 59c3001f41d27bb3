package subscription

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/subscription/expression"
)

// Criteria with chains or _has can come to find a resource that nobody wrote, because one that it is linked
// with was written. The trigger Enters notifies of that, too: of the resource as it stands, with the linked
// version as the cause.
//
// It begins at the row of the linked resource. The far ends of the chains of all Subscriptions are queries in
// a Set of their own, so that a row finds those that it may concern by its own values; from there the chain is
// gone backwards to the resources that it may concern, which are held against the criteria as of the end of
// the row's transaction and as of its beginning. There may be any number of them: verdicts are stored as they
// come, with the cursor at the Step linking of the row, and a restart goes through the row again and leaves out
// what has its number already.

// linking is the Step of the cursor while the row's own verdicts are stored, and those that it causes through
// links are not, or not all. It lies beyond every rank.
const linking = 1 << 40

// wayID names a way of a Subscription's criteria in tenant.ways.
func wayID(id string, way int) string { return id + "#" + strconv.Itoa(way) }

func readWayID(s string) (id string, way int) {
	id, number, _ := strings.Cut(s, "#")
	way, _ = strconv.Atoi(number)
	return id, way
}

// addWays and removeWays keep a Subscription's ways in the Set.
func (t *tenant) addWays(id string, d *demands) {
	if d == nil {
		return
	}
	for n, way := range d.ways {
		t.ways.Add(wayID(id, n), way.Query)
	}
}

func (t *tenant) removeWays(id string, d *demands) {
	if d == nil {
		return
	}
	for n := range d.ways {
		t.ways.Remove(wayID(id, n))
	}
}

// concern stores or adds what the row causes through links. It returns false if the row has to be taken up
// again, for a Subscription that can't be decided is out now.
func (m *Matcher) concern(ctx context.Context, b *batch, row row) (ready bool, err error) {
	of := m.set.tenants[row.Resource.Key.Tenant]
	if of == nil || of.ways.Len() == 0 {
		return true, nil
	}
	subject, err := m.link(ctx, row, 0)
	if subject == nil || err != nil {
		return true, err
	}
	found, undecided := of.ways.Decide(subject)
	if len(undecided) > 0 {
		for i := range undecided {
			for n, name := range undecided[i].IDs {
				undecided[i].IDs[n], _ = readWayID(name)
			}
		}
		return false, m.suspendLinked(b, row, undecided)
	}
	for _, name := range found {
		id, way := readWayID(name)
		lane := store.Lane{Tenant: row.Resource.Key.Tenant, Subscription: id}
		asks := of.subs[id].terms
		for n, err := range m.entering(ctx, row, subject, lane, asks, asks.demands.ways[way], 0) {
			if problem, err := evaluation(err); err != nil {
				return false, err
			} else if problem != nil {
				return false, m.suspendLinked(b, row, []criteria.Undecided{{IDs: []string{id}, Err: problem}})
			}
			if b.entered.has(row, b.owed, n) {
				continue
			}
			if len(b.owed) >= m.bounds.verdicts {
				b.to.Step = linking
				if err := m.commit(ctx, b); err != nil {
					return false, err
				}
				*b = batch{from: m.durable, to: m.durable, entered: entries{end: row.End}}
			}
			b.owed = append(b.owed, n)
		}
	}
	return true, nil
}

// suspendLinked is suspend behind the row's own verdicts.
func (m *Matcher) suspendLinked(b *batch, row row, undecided []criteria.Undecided) error {
	for _, u := range undecided {
		if _, err := evaluation(u.Err); err != nil {
			return err
		}
	}
	b.to.Step = linking
	m.suspend(b, row, undecided)
	return nil
}

// entries remembers which verdicts of a list are about the transaction that is looked at.
type entries struct {
	end  store.Seq // of the transaction
	from int       // where its verdicts begin
}

// has tells whether an entering is in the list already: rows of one transaction can cause it together, and the
// first of them is named.
func (e *entries) has(row row, owed []store.Notification, n store.Notification) bool {
	if e.end != row.End {
		*e = entries{row.End, len(owed)}
	}
	return slices.ContainsFunc(owed[e.from:], func(o store.Notification) bool {
		return o.Cause != "" && o.Lane == n.Lane && o.Focus == n.Focus
	})
}

// link returns the row's resource as others are linked with it, nil if none can be because of the row: by a
// delete nothing is linked, and a version that its own transaction replaced is never seen.
func (m *Matcher) link(ctx context.Context, row row, vocabulary store.Seq) (*criteria.Subject, error) {
	if m.o.Resolve == nil || row.Origin.Server || row.Interaction == fhir.Delete {
		return nil, nil
	}
	if row.Seq != row.End {
		now, err := m.readAt(ctx, row.Resource.Key, row.End)
		if err != nil || now == nil || now.Version != row.Resource.Version {
			return nil, err
		}
	}
	return criteria.NewSubject(row.judged, m.env(ctx, row.Change, vocabulary, View{})), nil
}

// readAt returns what was current at a place, nil if nothing was.
func (m *Matcher) readAt(ctx context.Context, key fhir.Key, at store.Seq) (r *fhir.Resource, err error) {
	err = m.db.View(ctx, func(tx store.Reader) error {
		r, err = tx.Read(key, at)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %s at %d: %w", key, at, err)
	case r.Deleted:
		return nil, nil
	}
	return r, nil
}

// entering yields the notifications that a row causes for a Subscription through one of its ways, the far end
// of which finds the row's resource.
func (m *Matcher) entering(ctx context.Context, row row, far *criteria.Subject, lane store.Lane, t *terms, way criteria.Way, vocabulary store.Seq) iter.Seq2[store.Notification, error] {
	return func(yield func(store.Notification, error) bool) {
		if !t.interactions.Update || !t.end.IsZero() && !row.Resource.Updated.Before(t.end) {
			return
		}
		if !t.view.Sees(row.judged, row.Resource.Updated) {
			return // nothing is linked by what is out of sight
		}
		see := m.o.Resolve
		if m.o.Referrers != nil {
			see = m.o.Referrers
		}
		resolver := see(ctx, lane.Tenant, row.End, m.set.env.at(row.Resource.Updated))
		for focus, err := range way.Back(far, resolver) {
			if err != nil {
				yield(store.Notification{}, err)
				return
			}
			n, owes, err := m.enters(ctx, row, focus, lane, t, vocabulary)
			if (owes || err != nil) && !yield(n, err) || err != nil {
				return
			}
		}
	}
}

// enters tells whether a resource that the row's transaction did not write entered the criteria by it.
func (m *Matcher) enters(ctx context.Context, row row, focus *fhir.Resource, lane store.Lane, t *terms, vocabulary store.Seq) (n store.Notification, owes bool, err error) {
	if !t.about(focus.Key.Type, fhir.Update) {
		return n, false, nil
	}
	if focus = masked(focus); !t.view.Finds(focus, row.Resource.Updated) {
		return n, false, nil
	}
	now := criteria.NewSubject(focus, m.env(ctx, row.Change, vocabulary, t.view))
	if found := t.demands.query.Matches(now); !found || now.Err() != nil {
		return n, false, now.Err()
	}
	env, err := m.envBefore(ctx, row.Change, vocabulary, t.view)
	if err != nil {
		return n, false, err
	}
	before, err := m.readAt(ctx, focus.Key, m.sights.began)
	if err != nil || before == nil || before.Version != focus.Version {
		return n, false, err // its own row tells
	}
	then := criteria.NewSubject(focus, env)
	if found := t.demands.query.Matches(then); found || then.Err() != nil {
		return n, false, then.Err()
	}
	n = store.Notification{
		Lane: lane, Focus: focus.Key, Version: focus.Version, Interaction: fhir.Update,
		Cause: row.Resource.VersionedReference(), Updated: row.Resource.Updated,
	}
	read := func(version uint64) (*fhir.Resource, error) { return m.version(ctx, focus.Key, version) }
	covered, err := t.covered(n, t.view.Versions(read, row.Resource.Updated))
	if !covered || err != nil {
		return n, false, err
	}
	if told, err := m.told(ctx, row, n); told || err != nil {
		return n, false, err
	}
	if t.demands.expression == "" {
		return n, true, nil
	}
	if t.demands.stopped {
		m.asked.failed.Add(1)
		return n, false, nil
	}
	in := expression.Input{Current: shown(focus), Previous: shown(focus), Now: row.Resource.Updated}
	owes, err = m.asked.holds(lane, t.demands.expression, in, focus.VersionedReference())
	return n, owes, err
}

// told tells whether the same entering has a number already, under this cause or another row of the
// transaction.
func (m *Matcher) told(ctx context.Context, row row, n store.Notification) (bool, error) {
	var causes []string
	err := m.db.Queue().View(ctx, func(q store.QueueReader) error {
		for other, err := range q.Numbers(n.Focus, n.Version, n.Updated) {
			if err != nil {
				return err
			}
			if other.Lane == n.Lane && other.Cause != "" {
				causes = append(causes, other.Cause)
			}
		}
		return nil
	})
	if err != nil || len(causes) == 0 {
		return false, err
	}
	if slices.Contains(causes, n.Cause) {
		return true, nil
	}
	told := false
	err = m.db.View(ctx, func(r store.Reader) error {
		for c, err := range r.Changes(m.sights.began) {
			if err != nil {
				return err
			}
			if c.Seq >= row.Seq {
				break
			}
			told = told || c.Resource.Key.Tenant == n.Lane.Tenant && slices.Contains(causes, c.Resource.VersionedReference())
		}
		return nil
	})
	return told, err
}

// enteringAlone is what a row causes for one Subscription, which need not be in a Set.
func (m *Matcher) enteringAlone(ctx context.Context, row row, lane store.Lane, t *terms, vocabulary store.Seq) iter.Seq2[store.Notification, error] {
	return func(yield func(store.Notification, error) bool) {
		if t.demands == nil || len(t.demands.ways) == 0 || row.Resource.Key.Tenant != lane.Tenant {
			return
		}
		far, err := m.link(ctx, row, vocabulary)
		if err != nil {
			yield(store.Notification{}, err)
			return
		}
		if far == nil {
			return
		}
		for _, way := range t.demands.ways {
			found := way.Query.Matches(far)
			if err := far.Err(); err != nil {
				yield(store.Notification{}, err)
				return
			}
			if !found {
				continue
			}
			for n, err := range m.entering(ctx, row, far, lane, t, way, vocabulary) {
				if !yield(n, err) || err != nil {
					return
				}
			}
		}
	}
}
