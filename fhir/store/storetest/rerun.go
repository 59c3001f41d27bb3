package storetest

import (
	"context"
	"errors"

	"fhirhook/fhir/store"
)

// errFirstRun rolls the first run of a function back.
var errFirstRun = errors.New("the first run of two is rolled back")

// Rerun returns db with one difference: each function given to Update runs twice, the first time to be
// rolled back. A caller that keeps to the contract can't tell.
func Rerun(db store.DB) store.DB { return &rerun{db} }

type rerun struct{ store.DB }

func (d *rerun) Update(ctx context.Context, origin store.Origin, fn func(store.Writer) error) (store.Commit, error) {
	// What the first run returned says nothing: strangers may write before the second.
	_, _ = d.DB.Update(ctx, origin, func(w store.Writer) error {
		if err := fn(w); err != nil {
			return err
		}
		return errFirstRun
	})
	return d.DB.Update(ctx, origin, fn)
}

func (d *rerun) Queue() store.Queue { return &rerunQueue{d.DB.Queue()} }

func (d *rerun) Index() store.Index { return &rerunIndex{d.DB.Index()} }

type rerunIndex struct{ store.Index }

func (x *rerunIndex) Update(ctx context.Context, lease store.Lease, fn func(store.IndexWriter) error) error {
	_ = x.Index.Update(ctx, lease, func(w store.IndexWriter) error {
		if err := fn(w); err != nil {
			return err
		}
		return errFirstRun
	})
	return x.Index.Update(ctx, lease, fn)
}

type rerunQueue struct{ store.Queue }

func (q *rerunQueue) Update(ctx context.Context, lease store.Lease, fn func(store.QueueWriter) error) error {
	_ = q.Queue.Update(ctx, lease, func(w store.QueueWriter) error {
		if err := fn(w); err != nil {
			return err
		}
		return errFirstRun
	})
	return q.Queue.Update(ctx, lease, fn)
}
