package rest

import (
	"context"
	"errors"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/store"
)

// historyWalk goes through the log backwards for a page of history.
type historyWalk struct {
	*Server
	c     *call
	q     historyQuery
	needs auth.Permissions

	changes []store.Change // of the page
	more    bool           // there are pages behind it
	last    store.Seq      // that the page has looked at
	total   *int           // of all pages; nil: not known

	only    *fhir.Resource // that stands in no row of the log; nil: it does
	counted int            // what is shown of the rows that were walked
	seen    store.Seq      // the last of them
	over    bool           // there are none behind it
}

// page finds the changes of a page.
func (w *historyWalk) page(ctx context.Context, r store.Reader) error {
	if err := w.about(ctx, r); err != nil {
		return err
	}
	ahead := 0
	err := w.rows(r, w.q.before, maxHistoryWalk, func(change store.Change, shown bool) bool {
		if w.more = w.more || shown && len(w.changes) == w.q.count; w.more {
			// Only what is shown makes a further page, which would else tell of what isn't.
			ahead++
			return w.total == nil && w.q.before == 0 && ahead <= countedAhead
		}
		w.last = change.Seq
		if shown {
			w.changes = append(w.changes, change)
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case w.over && w.q.before == 0 && w.total == nil:
		w.total = new(w.counted)
	case !w.over:
		w.more = true
	}
	return nil
}

// about finds the resource whose history it is, if it is one's, and fails if the caller may not know of it.
func (w *historyWalk) about(ctx context.Context, r store.Reader) error {
	if w.c.target.id == "" {
		return nil
	}
	newest, shown, err := w.lookUp(ctx, r, w.c)
	if err == nil {
		err = w.known(r, w.c, newest)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return unknownVersion(w.c)
	case err != nil:
		return err
	case shown:
		w.only = newest
	}
	if w.q.all() && w.c.access().Entirely(w.needs, w.c.target.typ) {
		w.total, err = versions(r, newest)
	}
	return err
}

// rows walks the rows below a place, at most so many, until visit says no. It is told which of them are shown.
func (w *historyWalk) rows(r store.Reader, before store.Seq, most int, visit func(change store.Change, shown bool) bool) error {
	walked := 0
	for change, err := range w.Server.rows(r, w.c, before, w.only) {
		if err != nil {
			return err
		}
		if !w.q.since.IsZero() && change.Resource.Updated.Before(w.q.since) {
			break // lastUpdated never goes back along the log
		}
		if walked == most {
			return nil
		}
		walked++
		shown, err := w.q.at.shows(r, change.Resource)
		if shown && err == nil {
			shown, err = w.allows(r, w.c, w.needs, change.Resource)
		}
		if err != nil {
			return err
		}
		w.seen = change.Seq
		if shown {
			w.counted++
		}
		if !visit(change, shown) {
			return nil
		}
	}
	w.over = true
	return nil
}

// countRest counts behind what the page has looked at, for a client that asks for the total alone.
func (w *historyWalk) countRest(ctx context.Context, view func(func(store.Reader) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, historyPatience)
	defer cancel()
	for !w.over {
		if ctx.Err() != nil {
			return fhir.Errorf(fhir.TooCostly, "http._count", "the history is too long to be counted: ask for a part of it by _since, or for that of one type or resource")
		}
		err := view(func(r store.Reader) error {
			return w.rows(r, w.seen, maxHistoryWalk, func(store.Change, bool) bool { return true })
		})
		if err != nil {
			return err
		}
	}
	w.total = new(w.counted)
	return nil
}

// versions counts those of a resource that are kept; nil if that takes too long.
func versions(r store.Reader, newest *fhir.Resource) (*int, error) {
	n := int(newest.Version) //nolint:gosec // versions are counted from 1
	if r.Horizon() == 0 || n == 1 {
		return &n, nil
	}
	n = 0
	for _, err := range r.History(store.Scope(newest.Key), 0) {
		if n++; err != nil || n > maxHistoryWalk {
			return nil, err
		}
	}
	return &n, nil
}
