package storetest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Purge makes another log, in which some rows have lost their JSON.
func (m *model) Purge(ctx context.Context, p store.Purge) (done store.Purged, err error) {
	m.writing.Lock()
	defer m.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return done, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return done, store.ErrClosed
	}
	if err := p.Check(m.horizon, store.Seq(len(m.log))); err != nil {
		return done, err
	}
	log, held := slices.Clone(m.log), maps.Clone(m.held)
	if held == nil {
		held = map[store.Version]bool{}
	}
	for _, v := range append(slices.Clone(p.Gone), p.Held...) {
		rows := m.byKey[v.Key]
		switch {
		case v.Number == 0 || v.Number > uint64(len(rows)):
			return done, fmt.Errorf("purge version %d of %s: %w", v.Number, v.Key, store.ErrNotFound)
		case v.Number == uint64(len(rows)), rows[v.Number] > p.Horizon:
			return done, fmt.Errorf("purge version %d of %s: %w", v.Number, v.Key, store.ErrNotReplaced)
		}
	}
	for _, v := range p.Gone {
		c := &log[m.byKey[v.Key][v.Number-1]-1]
		if c.Purged || c.Resource.Deleted {
			continue
		}
		done.Versions++
		done.Bytes += int64(len(c.Resource.JSON))
		c.Purged = true
		c.Resource = &fhir.Resource{Key: c.Resource.Key, Version: c.Resource.Version, Updated: c.Resource.Updated}
		delete(held, v)
	}
	for _, v := range p.Held {
		if c := log[m.byKey[v.Key][v.Number-1]-1]; !c.Purged && !c.Resource.Deleted {
			held[v] = true
		}
	}
	m.log, m.held, m.horizon = log, held, p.Horizon
	return done, nil
}

func (r *modelReader) Horizon() store.Seq { return r.horizon }

func (r *modelReader) Held(after store.Version) iter.Seq2[store.Version, error] {
	return func(yield func(store.Version, error) bool) {
		for _, v := range slices.SortedFunc(maps.Keys(r.held), compareVersions) {
			if compareVersions(v, after) > 0 && !yield(v, nil) {
				return
			}
		}
	}
}

func compareVersions(a, b store.Version) int {
	return cmp.Or(
		cmp.Compare(a.Key.Tenant, b.Key.Tenant), cmp.Compare(a.Key.Type, b.Key.Type),
		cmp.Compare(a.Key.ID, b.Key.ID), cmp.Compare(a.Number, b.Number))
}
