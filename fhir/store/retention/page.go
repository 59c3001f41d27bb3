package retention

import (
	"context"
	"errors"
	"sort"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// A page is what one View reads, and one transaction purges.
const (
	pageRows  = 2048
	pageBytes = 4 << 20
	pageOld   = 256
	// worthwhile is how many rows the horizon is raised by where they replaced nothing.
	worthwhile = 16 * pageRows
)

// page is some rows behind the horizon, and what they replaced.
type page struct {
	horizon store.Seq
	to      store.Seq // its last row
	time    time.Time // of that
	old     []candidate
	more    bool // there may be another
	blocked bool // rows behind it are old enough, and somebody needs what they replaced
}

// candidate is a version that was replaced long enough ago.
type candidate struct {
	version        store.Version
	updated        time.Time
	replacedAt     time.Time
	replacedNumber uint64
}

// read reads the next page of rows from before a time, up to a place.
func (k *Keeper) read(ctx context.Context, before time.Time, to store.Seq) (p page, err error) {
	err = k.o.DB.View(ctx, func(r store.Reader) error {
		p = page{horizon: r.Horizon()}
		p.to = max(p.horizon, k.place)
		rows, size := 0, 0
		for c, err := range r.Changes(p.to) {
			switch {
			case err != nil:
				return err
			case !c.Resource.Updated.Before(before):
				return nil
			case c.Seq > to:
				p.blocked = true
				return nil
			case rows == pageRows, size >= pageBytes, len(p.old) == pageOld:
				p.more = true
				return nil
			}
			rows, size, p.to, p.time = rows+1, size+len(c.Resource.JSON), c.Seq, c.Resource.Updated
			if c.Resource.Version == 1 || k.o.Exempt(c.Resource.Key.Type) {
				continue
			}
			v, err := r.Version(c.Resource.Key, c.Resource.Version-1)
			switch {
			case errors.Is(err, store.ErrPurged):
				continue
			case err != nil:
				return err
			}
			if size += len(v.JSON); !v.Deleted { // a deletion has no content
				p.old = append(p.old, candidate{
					version: store.Version{Key: v.Key, Number: v.Version}, updated: v.Updated,
					replacedNumber: c.Resource.Version, replacedAt: c.Resource.Updated,
				})
			}
		}
		return nil
	})
	return p, err
}

// owed tells whether a version, or the one that replaced it, is owed to anybody.
func (c candidate) owed(q store.QueueReader) (bool, error) {
	replacing := store.Version{Key: c.version.Key, Number: c.replacedNumber}
	for _, one := range []struct {
		version store.Version
		updated time.Time
	}{{c.version, c.updated}, {c.version, time.Time{}}, {replacing, c.replacedAt}, {replacing, time.Time{}}} {
		for n, err := range q.Numbers(one.version.Key, one.version.Number, one.updated) {
			if err != nil {
				return false, err
			}
			if owed, err := owes(q, n); owed || err != nil {
				return owed, err
			}
		}
	}
	return false, nil
}

// owes tells whether a number is owed still.
func owes(q store.QueueReader, n store.Numbered) (bool, error) {
	for first, err := range q.Owed(n.Lane, n.Number) {
		return first.Number == n.Number, err
	}
	return false, nil
}

// review purges what was held and isn't owed any more.
func (k *Keeper) review(ctx context.Context) error {
	var after store.Version
	var left uint64
	for {
		began := time.Now()
		var some []candidate
		var horizon store.Seq
		err := k.o.DB.View(ctx, func(r store.Reader) error {
			some, horizon = nil, r.Horizon()
			for v, err := range r.Held(after) {
				if err != nil {
					return err
				}
				c := candidate{version: v, replacedNumber: v.Number + 1}
				if c.updated, err = updated(r, v.Key, v.Number); err != nil {
					return err
				}
				if c.replacedAt, err = updated(r, v.Key, v.Number+1); err != nil {
					return err
				}
				if some = append(some, c); len(some) == pageOld {
					break
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(some) == 0 {
			k.held.Store(left)
			return nil
		}
		purged := k.versions.Load()
		if err := k.purge(ctx, horizon, some, true); err != nil {
			return err
		}
		left += uint64(len(some)) - (k.versions.Load() - purged)
		after = some[len(some)-1].version
		if !sleep(ctx, max(breath, resting*time.Since(began))) {
			return nil
		}
	}
}

// beginning is the place before the transaction that a place is inside of, or the place itself where one ends.
func beginning(r store.Reader, at store.Seq) (store.Seq, error) {
	end, err := endOf(r, at)
	if err != nil || end == at {
		return at, err
	}
	first := sort.Search(int(at), func(i int) bool {
		e, failed := endOf(r, store.Seq(i)+1)
		if failed != nil {
			err = failed
		}
		return e >= end
	})
	return store.Seq(first), err
}

// endOf is the last row of a row's transaction; of the place before the first row, that place.
func endOf(r store.Reader, at store.Seq) (store.Seq, error) {
	if at == 0 {
		return 0, nil
	}
	for c, err := range r.Changes(at - 1) {
		return c.End, err
	}
	return at, nil
}

// updated is lastUpdated of a version, whether it is kept or not.
func updated(r store.Reader, key fhir.Key, number uint64) (time.Time, error) {
	v, err := r.Version(key, number)
	if gone, ok := errors.AsType[*store.PurgedError](err); ok {
		return gone.Updated, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return v.Updated, nil
}
