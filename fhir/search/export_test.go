package search

import (
	"context"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir/store"
)

// NewSmallIndex makes an index whose runs and slices are so small that a few rows show everything.
func NewSmallIndex(db store.DB, defs *criteria.Definitions, keep time.Duration, clock func() time.Time) *Index {
	return NewIndex(db, defs, IndexOptions{Keep: keep, Clock: clock, flushRows: 4, sliceSize: 600})
}

// Begin, Step, Flush and Absorb are what Run does.
func (x *Index) Begin(ctx context.Context) error          { return x.begin(ctx) }
func (x *Index) Step(ctx context.Context) (bool, error)   { return x.step(ctx) }
func (x *Index) Flush(ctx context.Context) error          { return x.flush(ctx) }
func (x *Index) Absorb(ctx context.Context) (bool, error) { return x.absorb(ctx) }

// Idle tells whether everything up to a place is in the index.
func (x *Index) Idle(place store.Seq) bool { return x.Place() >= place }

// Postings counts what stands on the shelves.
func (x *Index) Postings(ctx context.Context, t interface{ Fatal(...any) }) int {
	n := 0
	err := x.db.Index().View(ctx, func(r store.IndexReader) error {
		for _, run := range x.catalog.Runs {
			all, _, ok, err := postingsFrom(r, run.shelf(), posting{})
			for ; ok && err == nil; n++ {
				_, ok, err = all.next()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// NewSmallOwnIndex is NewSmallIndex for what clients define.
func NewSmallOwnIndex(db store.DB, c *Catalogue, tenants []string, keep time.Duration, clock func() time.Time) *OwnIndex {
	return NewOwnIndex(db, c, func(context.Context) ([]string, error) { return tenants, nil },
		IndexOptions{Keep: keep, Clock: clock, flushRows: 4, sliceSize: 600})
}

// Step does a piece of what Run does.
func (x *OwnIndex) Step(ctx context.Context) (bool, error) {
	_, busy, err := x.step(ctx)
	return busy, err
}

// Leave is how Run ends.
func (x *OwnIndex) Leave(ctx context.Context) error {
	if g := x.current(); g != nil {
		return g.index.leave(ctx)
	}
	return nil
}
