package subscription

import (
	"maps"
	"slices"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// phase is where a Subscription stands, as far as owing goes.
type phase uint8

const (
	gone   phase = iota // never written, deleted, or ended: owes nothing, and what it owed is cancelled
	asleep              // off: owes nothing new, and what it owed is kept
	live                // owes
	broken              // would owe, but can't be compiled: matching waits for it alone
)

// active is what the log says about Subscriptions up to a place: the fold of their versions in order of Seq.
// It keeps every Subscription that exists, so that the order among them does not depend on this binary.
type active struct {
	o       Options
	env     env
	asked   *conditions
	tenants map[string]*tenant
	defs    map[string]*criteria.Definitions // by tenant; without an entry those of Options
	ends    map[store.Lane]time.Time         // of those that are live or broken and have an end to come
	next    time.Time                        // the first of ends; zero: none
	common  map[terms]*terms                 // those that many have; few
}

// env is what matching depends on beside the resource.
type env criteria.Env

// at is env at the time of a change, which is 'now' in criteria.
func (e env) at(updated time.Time) criteria.Env {
	e.Now = updated
	return criteria.Env(e)
}

// tenant has those that are live in sets.
//
// What a grant limits is judged in two ways. Criteria that look at nothing but the version find it or don't, whoever asks:
// they stand in the sets of all, and whether the version is in sight is asked once they have found it. Criteria that look
// further may find more or less with less in sight, so they stand apart, with those that see the same.
type tenant struct {
	sets
	apart map[View]*sets
	ways  criteria.Set     // of those with Enters: the far ends of chains and _has (wayID)
	subs  map[string]entry // by id
}

// sets are two, by what criteria are held against first.
type sets struct {
	set     criteria.Set // the version that a change wrote or, of a delete, ended
	leaving criteria.Set // the version that it replaced or ended: Leaves
}

// setOf is where a Subscription stands.
func (t *tenant) setOf(of *terms) *criteria.Set {
	in := &t.sets
	if of.far && of.view.Limited() {
		if in = t.apart[of.view]; in == nil {
			in = &sets{}
			if t.apart == nil {
				t.apart = map[View]*sets{}
			}
			t.apart[of.view] = in
		}
	}
	if of.trigger() == Leaves {
		return &in.leaving
	}
	return &in.set
}

// remove takes a Subscription out of the sets.
func (t *tenant) remove(id string, was *terms) {
	t.setOf(was).Remove(id)
	t.removeWays(id, was.demands)
	if in := t.apart[was.view]; in != nil && in.set.Len()+in.leaving.Len() == 0 {
		delete(t.apart, was.view)
	}
}

// entry is small, for there may be very many. Its terms are shared, and must not be changed.
type entry struct {
	version uint64
	terms   *terms
	trouble *trouble // nil unless it is broken
	phase   phase
}

// trouble is why a Subscription is broken.
type trouble struct {
	problem error
	open    bool      // criteria that compile can't be decided
	tried   store.Seq // where that was tried last
}

func newActive(o Options, e criteria.Env, asked *conditions) *active {
	o.Policy, o.Check = nil, nil // what was admitted once stays admitted; the dialer judges each connection
	return &active{o: o, env: env(e), asked: asked, tenants: map[string]*tenant{}, defs: map[string]*criteria.Definitions{}, ends: map[store.Lane]time.Time{}, common: map[terms]*terms{}}
}

// turn is what a version of a Subscription changes, before it is applied.
type turn struct {
	lane     store.Lane
	first    bool          // the Subscription is not in the set yet
	from, to phase         // equal for most updates
	entry    *entry        // nil: it does not exist any more
	sub      *Subscription // nil unless it becomes or stays live

	redefined bool // the definitions changed, and not the Subscription
}

// look works out what a version changes.
func (a *active) look(r *fhir.Resource) turn {
	t := turn{lane: store.Lane{Tenant: r.Key.Tenant, Subscription: r.Key.ID}}
	old := a.entry(t.lane)
	t.first = old == nil
	if old != nil {
		t.from = old.phase
	}
	if r.Deleted {
		return t
	}
	t.entry, t.sub = a.compile(r)
	t.to = t.entry.phase
	return t
}

// compile reads a version. Only status and end decide whether a Subscription sleeps or has ended, so that one
// that can't be compiled any more still can be switched off.
func (a *active) compile(r *fhir.Resource) (e *entry, s *Subscription) {
	e = &entry{version: r.Version, terms: &terms{}}
	if end, err := fhir.ParseInstant(r.Doc().Root().Get("end").Text()); err == nil {
		e.terms.end = end // also of one that doesn't compile
	}
	switch off := r.Doc().Root().Get("status").Is(string(Off)); {
	case off && !e.terms.end.IsZero() && !r.Updated.Before(e.terms.end):
		e.phase = gone
		return e, nil
	case off:
		e.phase = asleep
		return e, nil
	}
	o := a.o
	o.Definitions = a.definitions(r.Key.Tenant)
	s, err := Parse(r.Key, r.Version, r.Doc(), o)
	if err != nil {
		e.phase, e.trouble = broken, &trouble{problem: err}
		return e, nil
	}
	e.phase, e.terms = live, termsOf(s, r.Doc().Root().Get("error").Text())
	return e, s
}

// apply makes the turn.
func (a *active) apply(t turn) {
	of := a.tenants[t.lane.Tenant]
	if of == nil {
		of = &tenant{subs: map[string]entry{}}
		a.tenants[t.lane.Tenant] = of
	}
	id := t.lane.Subscription
	if t.from == live {
		of.remove(id, of.subs[id].terms)
	}
	a.setEnd(t)
	if t.entry == nil {
		delete(of.subs, id)
		return
	}
	a.share(t.entry)
	of.subs[id] = *t.entry
	if t.to == live && !t.sub.TestsOnly() {
		of.setOf(t.entry.terms).Add(id, t.sub.Query)
		of.addWays(id, t.entry.terms.demands)
	}
}

func (a *active) setEnd(t turn) {
	before, had := a.ends[t.lane]
	delete(a.ends, t.lane)
	if t.entry != nil && !t.entry.terms.end.IsZero() && (t.to == live || t.to == broken) {
		a.ends[t.lane] = t.entry.terms.end
	} else if !had {
		return
	}
	switch end, has := a.ends[t.lane]; {
	case has && (a.next.IsZero() || end.Before(a.next)):
		a.next = end
	case had && before.Equal(a.next):
		a.next = time.Time{}
		for _, end := range a.ends {
			if a.next.IsZero() || end.Before(a.next) {
				a.next = end
			}
		}
	}
}

// ended tells whether the end of a Subscription has come.
func (a *active) ended(now time.Time) bool { return !a.next.IsZero() && !now.Before(a.next) }

// entry finds a Subscription; nil: there is none.
func (a *active) entry(lane store.Lane) *entry {
	of := a.tenants[lane.Tenant]
	if of == nil {
		return nil
	}
	e, ok := of.subs[lane.Subscription]
	if !ok {
		return nil
	}
	return &e
}

// definitions returns what is in force for a tenant.
func (a *active) definitions(tenant string) *criteria.Definitions {
	if d := a.defs[tenant]; d != nil {
		return d
	}
	return a.o.Definitions
}

func (a *active) define(tenant string, d *criteria.Definitions) { a.defs[tenant] = d }

// owing returns the ids of the Subscriptions that owe a row, in order, and those that ask for it and can't be
// decided.
func (a *active) owing(c *crossing) (owing []string, undecided []criteria.Undecided, err error) {
	of := a.tenants[c.Resource.Key.Tenant]
	if of == nil || c.Origin.Server {
		return nil, nil, nil
	}
	ids, undecided, err := of.found(c)
	if err != nil {
		return nil, nil, err
	}
	for view, in := range of.apart {
		c := c.as(view)
		if !c.visible() {
			continue
		}
		found, open, err := in.found(c)
		if err != nil {
			return nil, nil, err
		}
		ids, undecided = append(ids, found...), append(undecided, open...)
	}
	slices.Sort(ids)
	owing = ids[:0]
	for _, id := range ids {
		owes, err := a.owes(store.Lane{Tenant: c.Resource.Key.Tenant, Subscription: id}, of.subs[id].terms, c)
		switch {
		case err != nil:
			undecided = append(undecided, criteria.Undecided{IDs: []string{id}, Err: err})
		case owes:
			owing = append(owing, id)
		}
	}
	return owing, undecided, a.sift(of, c, &undecided)
}

// found are the ids whose criteria find the side of a row that they are held against first, and those that can't be
// decided.
func (s *sets) found(c *crossing) (ids []string, undecided []criteria.Undecided, err error) {
	if s.set.Len() > 0 {
		ids, undecided = s.set.Decide(c.subject())
	}
	if s.leaving.Len() == 0 {
		return ids, undecided, nil
	}
	before, err := c.before()
	if before == nil || err != nil {
		return ids, undecided, err
	}
	found, open := s.leaving.Decide(before)
	return append(ids, found...), append(undecided, open...), nil
}

// sift leaves of what can't be decided the Subscriptions that ask for the row at all. An error is not about
// their criteria.
func (a *active) sift(of *tenant, c *crossing, undecided *[]criteria.Undecided) error {
	for i := range *undecided {
		u := &(*undecided)[i]
		if _, err := evaluation(u.Err); err != nil {
			return err
		}
		u.IDs = slices.DeleteFunc(u.IDs, func(id string) bool { return !of.subs[id].terms.ask(c.Change) })
	}
	*undecided = slices.DeleteFunc(*undecided, func(u criteria.Undecided) bool { return len(u.IDs) == 0 })
	return nil
}

// owes tells whether a Subscription whose Set found the row owes it.
func (a *active) owes(lane store.Lane, t *terms, c *crossing) (bool, error) {
	if !t.ask(c.Change) {
		return false, nil
	}
	if c = c.as(t.view); !c.visible() {
		return false, nil
	}
	if covered, err := t.covered(notification(lane, c.Change), c.read); !covered || err != nil {
		return false, err
	}
	if t.demands == nil {
		return true, nil
	}
	fires, err := t.demands.fires(c, a.definitions(lane.Tenant))
	if err != nil || !fires || t.demands.expression == "" {
		return fires, err
	}
	if t.demands.stopped {
		a.asked.failed.Add(1)
		return false, nil
	}
	in, err := c.input()
	if err != nil {
		return false, err
	}
	return a.asked.holds(lane, t.demands.expression, in, c.Resource.VersionedReference())
}

// owesAlone is owing for one Subscription, which need not be in a Set.
func (a *active) owesAlone(lane store.Lane, t *terms, q *criteria.Query, c *crossing) (bool, error) {
	if c.Resource.Key.Tenant != lane.Tenant || c.Origin.Server || !t.ask(c.Change) {
		return false, nil
	}
	if c = c.as(t.view); !c.visible() {
		return false, nil
	}
	side := c.subject()
	if t.trigger() == Leaves {
		var err error
		if side, err = c.before(); side == nil || err != nil {
			return false, err
		}
	}
	if found := q.Matches(side); !found || side.Err() != nil {
		return false, side.Err()
	}
	return a.owes(lane, t, c)
}

// rank is how many Subscriptions of a tenant come before an id.
func (a *active) rank(tenant, id string) uint64 {
	var n uint64
	if of := a.tenants[tenant]; of != nil {
		for other := range of.subs {
			if other < id {
				n++
			}
		}
	}
	return n
}

// from drops the ids that come before a rank.
func (a *active) from(tenant string, rank uint64, ids []string) []string {
	if rank == 0 || len(ids) == 0 {
		return ids
	}
	all := slices.Sorted(maps.Keys(a.tenants[tenant].subs))
	if rank >= uint64(len(all)) {
		return nil
	}
	at, _ := slices.BinarySearch(ids, all[rank])
	return ids[at:]
}
