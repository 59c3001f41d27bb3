package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// A batch is what is read in one View.
const (
	batchRows  = 256
	batchBytes = 4 << 20
)

// state reads the store at one place in its log.
type state interface {
	// place is where it reads.
	place() store.Seq
	// batch returns the next live resources of a type behind an id, in id order, and whether there may be more.
	batch(ctx context.Context, tenant string, t fhir.Type, after string) (rows []*fhir.Resource, more bool, err error)
	// live returns those of the keys that are not deleted, in their order.
	live(ctx context.Context, keys []fhir.Key) ([]*fhir.Resource, error)
	// version returns a version, nil if it isn't there or is a deletion.
	version(ctx context.Context, key fhir.Key, version uint64) (*fhir.Resource, error)
	// rows returns those of some rows of the log that are of a scope and current at a place, and not deletions.
	rows(ctx context.Context, of scope, rows []store.Seq, at store.Seq) ([]*fhir.Resource, error)
	// tail returns what is current at a place of what was written behind another, without deletions.
	tail(ctx context.Context, tenant string, after, at store.Seq) (tail, error)
	// newest returns rows of a scope below a place that are current at another, newest first, and where to go on.
	newest(ctx context.Context, of scope, before, at store.Seq) (rows []*fhir.Resource, next store.Seq, err error)
	// window finds the rows of a time in seconds, both included.
	window(ctx context.Context, low, high int64, at store.Seq) (window, error)
}

// snapshot is the state at a place, in a View for each call.
type snapshot struct {
	db store.DB
	at store.Seq
}

func (s snapshot) place() store.Seq { return s.at }

func (s snapshot) batch(ctx context.Context, tenant string, t fhir.Type, after string) (rows []*fhir.Resource, more bool, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		rows, more, err = within{r, s.at}.batch(ctx, tenant, t, after)
		return err
	})
	return rows, more, err
}

func (s snapshot) live(ctx context.Context, keys []fhir.Key) (all []*fhir.Resource, err error) {
	for len(keys) > 0 {
		some := keys[:min(batchRows, len(keys))]
		keys = keys[len(some):]
		err := s.db.View(ctx, func(r store.Reader) error {
			found, err := within{r, s.at}.live(ctx, some)
			all = append(all, found...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s snapshot) version(ctx context.Context, key fhir.Key, version uint64) (res *fhir.Resource, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		res, err = within{r, s.at}.version(ctx, key, version)
		return err
	})
	return res, err
}

func (s snapshot) rows(ctx context.Context, of scope, rows []store.Seq, at store.Seq) (found []*fhir.Resource, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		found, err = within{r, s.at}.rows(ctx, of, rows, at)
		return err
	})
	return found, err
}

// tail reads in Views of batchRows rows each.
func (s snapshot) tail(ctx context.Context, tenant string, after, at store.Seq) (tail, error) {
	g := tailing{}
	for after < at {
		to := min(after+batchRows, at)
		err := s.db.View(ctx, func(r store.Reader) error { return g.read(ctx, r, tenant, after, to) })
		if err != nil {
			return nil, err
		}
		after = to
	}
	return g.tail()
}

func (s snapshot) window(ctx context.Context, low, high int64, at store.Seq) (in window, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		in, err = within{r, s.at}.window(ctx, low, high, at)
		return err
	})
	return in, err
}

// within is the state at a place as one reader sees it, which may be a transaction's own.
type within struct {
	r  store.Reader
	at store.Seq
}

func (s within) place() store.Seq { return s.at }

func (s within) batch(ctx context.Context, tenant string, t fhir.Type, after string) ([]*fhir.Resource, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	var rows []*fhir.Resource
	size := 0
	for res, err := range s.r.Type(tenant, t, after, s.at) {
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, res)
		if size += len(res.JSON); len(rows) == batchRows || size >= batchBytes {
			return rows, true, nil
		}
	}
	return rows, false, nil
}

func (s within) live(ctx context.Context, keys []fhir.Key) ([]*fhir.Resource, error) {
	var all []*fhir.Resource
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		res, err := s.r.Read(key, s.at)
		switch {
		case errors.Is(err, store.ErrPurged): // it is there at this place, and nobody knows any more what it says
			return nil, err
		case errors.Is(err, store.ErrNotFound) || err == nil && res.Deleted:
		case err != nil:
			return nil, err
		default:
			all = append(all, res)
		}
	}
	return all, nil
}

func (s within) version(ctx context.Context, key fhir.Key, version uint64) (*fhir.Resource, error) {
	res, err := s.r.Version(key, version)
	if errors.Is(err, store.ErrNotFound) || err == nil && res.Deleted {
		return nil, ctx.Err()
	}
	return res, err
}

func (s within) rows(ctx context.Context, of scope, rows []store.Seq, at store.Seq) ([]*fhir.Resource, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := make([]*fhir.Resource, 0, len(rows))
	for _, row := range rows {
		c, err := rowAt(s.r, row)
		if err != nil {
			return nil, err
		}
		res := c.Resource
		// The index knows rows by numbers that two tenants could share: the row itself says whose it is.
		if res.Key.Tenant != of.tenant || res.Key.Type != of.typ || res.Deleted {
			continue
		}
		current, err := isCurrent(s.r, res, at)
		if err != nil {
			return nil, err
		}
		switch {
		case current && c.Purged: // the place lies below the horizon
			return nil, &store.PurgedError{Key: res.Key, Version: res.Version, Updated: res.Updated}
		case current:
			found = append(found, res)
		}
	}
	return found, nil
}

func rowAt(r store.Reader, row store.Seq) (store.Change, error) {
	for c, err := range r.Changes(row - 1) {
		if err == nil && c.Seq != row {
			break
		}
		return c, err
	}
	return store.Change{}, fmt.Errorf("row %d of the log is missing", row)
}

// isCurrent tells whether no later version stood at a place; of most resources there is none at all.
func isCurrent(r store.Reader, res *fhir.Resource, at store.Seq) (bool, error) {
	_, err := r.Version(res.Key, res.Version+1)
	switch {
	case errors.Is(err, store.ErrPurged): // there was one
	case errors.Is(err, store.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	}
	then, err := r.Read(res.Key, at)
	if gone, ok := errors.AsType[*store.PurgedError](err); ok {
		return gone.Version == res.Version, nil
	}
	if err != nil {
		return false, err
	}
	return then.Version == res.Version, nil
}

func (s within) tail(ctx context.Context, tenant string, after, at store.Seq) (tail, error) {
	g := tailing{}
	if err := g.read(ctx, s.r, tenant, after, at); err != nil {
		return nil, err
	}
	return g.tail()
}

// tailing collects the newest version of each key.
type tailing map[fhir.Key]*fhir.Resource

func (g tailing) read(ctx context.Context, r store.Reader, tenant string, after, to store.Seq) error {
	for c, err := range r.Changes(after) {
		switch {
		case err != nil:
			return err
		case c.Seq > to:
			return nil
		case c.Seq%batchRows == 0 && ctx.Err() != nil:
			return ctx.Err()
		case c.Resource.Key.Tenant == tenant:
			g[c.Resource.Key] = c.Resource
		}
	}
	return nil
}

func (g tailing) tail() (tail, error) {
	t := tail{}
	for key, r := range g {
		switch {
		case r.Deleted:
		case r.JSON == nil: // the place lies below the horizon
			return nil, &store.PurgedError{Key: key, Version: r.Version, Updated: r.Updated}
		default:
			t[key.Type] = append(t[key.Type], r)
		}
	}
	return t, nil
}

// window halves the log, whose times never go back.
func (s within) window(_ context.Context, low, high int64, at store.Seq) (window, error) {
	var failed error
	behind := func(sec int64) store.Seq { // the first row that is later than the end of a second
		return store.Seq(sort.Search(int(at), func(i int) bool {
			c, err := rowAt(s.r, store.Seq(i)+1)
			if err != nil {
				failed = err
				return true
			}
			return c.Resource.Updated.Unix() > sec
		})) + 1
	}
	in := window{1, at}
	if low > math.MinInt64 {
		in.first = behind(low - 1)
	}
	in.last = behind(high) - 1
	return in, failed
}
