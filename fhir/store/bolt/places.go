package bolt

import (
	"context"

	"go.etcd.io/bbolt"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// places is how far the log goes, for each type: the place of its newest row since the store was opened. What
// nobody has written since then ends at opened at the latest.
type places struct {
	opened store.Seq
	newest map[fhir.Type]store.Seq
}

func (p places) of(t fhir.Type) store.Seq { return max(p.opened, p.newest[t]) }

// begin takes in how far the log goes when the store is opened.
func (db *DB) begin() {
	var last store.Seq
	_ = db.resources.View(func(tx *bbolt.Tx) error {
		last = (&logReader{source: &committed{tx: tx}}).Last()
		return nil
	})
	db.mu.Lock()
	defer db.mu.Unlock()
	db.last, db.lastOf = last, places{opened: last, newest: map[fhir.Type]store.Seq{}}
}

// grown takes in what a group has made durable, and tells those who Wait.
func (db *DB) grown(o *overlay) {
	if len(o.rows) == 0 {
		return
	}
	db.recent.add(o.rows)
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, row := range o.rows {
		db.lastOf.newest[row.Resource.Key.Type] = row.Seq
	}
	if !db.closing {
		db.last = o.rows[len(o.rows)-1].Seq
		close(db.changed)
		db.changed = make(chan struct{})
	}
}

// LastOf returns a place at or behind the newest row of a type.
func (db *DB) LastOf(ctx context.Context, t fhir.Type) (store.Seq, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closing {
		return 0, store.ErrClosed
	}
	return db.lastOf.of(t), ctx.Err()
}
