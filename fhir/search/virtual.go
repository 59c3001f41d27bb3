package search

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Virtual is resources of a type that no row of the log holds: something that stands elsewhere in the store, shown as
// resources to whoever looks. They are read and found by searches of their type like stored ones, beside those, and
// that is all: nobody can write one, and none of them makes a row of the log, so they stand in no history but their
// own, notify nobody, and are not seen by chains, _has, _revinclude, compartments and conditions.
//
// One such resource has a single version for as long as it is there. It may go (as what it shows is dropped), and new
// ones come; of those, a search shows what is older than its first page.
type Virtual interface {
	// Type is the type of all of them.
	Type() fhir.Type
	// Owns tells whether an id has the form that theirs have: then no client may write a resource under it.
	Owns(id string) bool
	// ReadOnly says what they are, in the words for a client that wants to write one: "a view of …".
	ReadOnly() string
	// Read returns the one that is there now, or store.ErrNotFound.
	Read(ctx context.Context, key fhir.Key) (*fhir.Resource, error)
	// Walk yields those of an Extent, each once and in any order. It may yield others, too.
	Walk(ctx context.Context, e Extent) iter.Seq2[*fhir.Resource, error]
	// Moments are the search parameters that mean meta.lastUpdated, whatever the resource.
	Moments() []string
}

// Extent is a part of what a Virtual holds.
type Extent struct {
	Tenant       string
	Since, Until time.Time        // meta.lastUpdated is at or after Since and before Until; zero: no bound
	Named        []criteria.Named // they refer to one of these; nil: to anything
	// Skip is asked of each, once, before it is yielded: if it says yes, the resource need not be made. nil: all are
	// wanted.
	Skip func(id string, updated time.Time) bool
}

// virtuals are those that the search is about: only where their types are named, for whoever searches everything or
// around a patient means what was written.
func (s *searching) virtuals() []Virtual {
	if s.plan.members != nil {
		return nil
	}
	var all []Virtual
	for _, v := range s.engine.o.Virtuals {
		if slices.Contains(s.plan.query.Types(), v.Type()) {
			all = append(all, v)
		}
	}
	return all
}

// hitVirtuals offers what the Virtuals hold to the page, and returns how many matches there are if they are counted.
func (s *searching) hitVirtuals(ctx context.Context, page *first, counting bool) (total int, err error) {
	for _, v := range s.virtuals() {
		w := virtualWalk{searching: s, of: v, page: page, counting: counting, own: first{order: s.order, most: page.most}}
		n, err := w.run(ctx)
		if err != nil {
			return 0, err
		}
		total += n
		s.looked = append(s.looked, w.line())
	}
	return total, nil
}

// virtualWalk is a search's way through a Virtual.
type virtualWalk struct {
	*searching
	of       Virtual
	page     *first
	counting bool

	own           first // the best of its hits
	extent        Extent
	made, matches int
	backwards     bool
}

func (w *virtualWalk) run(ctx context.Context) (int, error) {
	w.extent = w.bounds()
	var err error
	switch {
	case w.plan.ids != nil:
		err = w.byID(ctx)
	case w.newestFirst():
		w.backwards = true
		err = w.newest(ctx)
	default:
		err = w.walk(ctx, w.extent)
	}
	for _, h := range w.own.hits {
		w.page.offer(h)
	}
	return w.matches, err
}

// skip tells what need not be looked at: what can't be on the page, unless it has to be counted and its terms decide
// whether it is.
func (w *virtualWalk) skip() func(id string, updated time.Time) bool {
	every := len(w.plan.query.Terms()) == 0 && w.engine.sees == nil
	beside := w.beside()
	switch {
	case beside == nil || w.counting && !every:
		return nil
	case !w.counting:
		return beside
	}
	return func(id string, updated time.Time) bool {
		if !updated.Before(w.extent.Until) {
			return true
		}
		if beside(id, updated) {
			w.matches++
			return true
		}
		return false
	}
}

// bounds are what the query's terms say of time and of references. What comes into being once the first page was
// asked for is left to another search.
func (w *virtualWalk) bounds() Extent {
	e := Extent{Tenant: w.plan.tenant, Until: w.cursor.now().Add(time.Millisecond)}
	terms := w.plan.query.Terms()
	for i := range terms {
		term := &terms[i]
		if names, ok := term.Named(w.env); ok && (e.Named == nil || len(names) < len(e.Named)) {
			e.Named = names
		}
		if !slices.Contains(w.of.Moments(), term.Name) {
			continue
		}
		low, high, ok := term.Instants(w.env)
		if !ok {
			continue
		}
		if low > high {
			low, high = 0, -1 // nothing: an empty stretch of time
		}
		const most = math.MaxInt64 / 1000 // seconds whose milliseconds can be told
		if low > -most && time.Unix(low, 0).After(e.Since) {
			e.Since = time.Unix(low, 0).UTC()
		}
		if high < most && time.Unix(high+1, 0).Before(e.Until) {
			e.Until = time.Unix(high+1, 0).UTC()
		}
	}
	return e
}

func (w *virtualWalk) byID(ctx context.Context) error {
	for _, id := range w.plan.ids {
		if !w.of.Owns(id) {
			continue
		}
		r, err := w.of.Read(ctx, fhir.Key{Tenant: w.plan.tenant, Type: w.of.Type(), ID: id})
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err == nil && r.Updated.Before(w.extent.Until) {
			err = w.offer(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *virtualWalk) walk(ctx context.Context, e Extent) error {
	if !e.Since.Before(e.Until) {
		return nil
	}
	e.Skip = w.skip()
	for r, err := range w.of.Walk(ctx, e) {
		if err == nil && r.Updated.Before(w.extent.Until) {
			err = w.offer(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *virtualWalk) offer(r *fhir.Resource) error {
	w.made++
	if sees := w.engine.sees; sees != nil && !sees(r, w.env) {
		return nil
	}
	matches, err := w.weigh(r, &w.own)
	if matches {
		w.matches++
	}
	return err
}

// beside tells, where id or time alone give the order, what can't be on the page; nil if they don't.
func (w *virtualWalk) beside() func(id string, updated time.Time) bool {
	keys := w.order.keys
	if w.order.natural(w.plan.types) {
		return func(id string, _ time.Time) bool {
			h := hit{resource: &fhir.Resource{Key: fhir.Key{Tenant: w.plan.tenant, Type: w.of.Type(), ID: id}}}
			return w.paged && compareKeys(h, w.last) <= 0 || w.full() && compareKeys(h, w.own.hits[0]) > 0
		}
	}
	if len(keys) == 0 || !slices.Contains(w.of.Moments(), keys[0].code) {
		return nil
	}
	known := w.lastMoment()
	return func(_ string, updated time.Time) bool {
		if keys[0].descending {
			return known && updated.After(w.last.resource.Updated) || w.full() && updated.Before(w.own.oldest())
		}
		return known && updated.Before(w.last.resource.Updated) || w.full() && updated.After(w.own.oldest())
	}
}

// full tells that only what is better than one of the hits counts.
func (w *virtualWalk) full() bool { return len(w.own.hits) == w.own.most }

// lastMoment tells whether the last hit of the page before stands in the order of time by its lastUpdated.
func (w *virtualWalk) lastMoment() bool {
	return w.paged && (w.order.keys[0].code == "_lastUpdated" || w.of.Owns(w.last.resource.Key.ID))
}

func (w *virtualWalk) newestFirst() bool {
	keys := w.order.keys
	return !w.counting && len(keys) > 0 && keys[0].descending && len(w.plan.types) == 1 && slices.Contains(w.of.Moments(), keys[0].code)
}

// firstStretch is how far back the search for the newest looks at first; then four times as far, and so on.
const (
	firstStretch = time.Hour
	lastStretch  = 1 << 10 * time.Hour // beyond it, all that is left
)

// newest goes backwards in time, a stretch after the other, until enough is found: everything else is older, and so
// comes later.
func (w *virtualWalk) newest(ctx context.Context) error {
	e := w.extent
	if w.lastMoment() {
		if until := w.last.resource.Updated.Add(time.Millisecond); until.Before(e.Until) {
			e.Until = until
		}
	}
	for stretch := firstStretch; ; stretch *= 4 {
		part := e
		if since := e.Until.Add(-stretch); stretch <= lastStretch && since.After(e.Since) {
			part.Since = since
		}
		if err := w.walk(ctx, part); err != nil {
			return err
		}
		if w.full() && !w.own.oldest().Before(part.Since) || part.Since.Equal(e.Since) {
			return nil
		}
		e.Until = part.Since
	}
}

// line is what explain says of it.
func (w *virtualWalk) line() string {
	text := fmt.Sprintf("%s: %d were made, each %s", w.of.Type(), w.made, w.of.ReadOnly())
	switch {
	case w.plan.ids != nil:
		text += ", by _id"
	case w.backwards:
		text += ", the newest first, until the page was full"
	}
	if n := len(w.extent.Named); n > 0 && w.plan.ids == nil {
		text += fmt.Sprintf(", of those that refer to one of %d resources", n)
	}
	if !w.extent.Since.IsZero() && w.plan.ids == nil {
		text += ", from " + fhir.Instant(w.extent.Since) + " on"
	}
	return text + "."
}

// virtual finds a resource that no row holds; nil if there is none.
func (e *Engine) virtual(ctx context.Context, key fhir.Key) (*fhir.Resource, error) {
	for _, v := range e.o.Virtuals {
		if v.Type() != key.Type || !v.Owns(key.ID) {
			continue
		}
		r, err := v.Read(ctx, key)
		if !errors.Is(err, store.ErrNotFound) {
			return r, err
		}
	}
	return nil, nil
}
