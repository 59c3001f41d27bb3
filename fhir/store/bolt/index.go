package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"fhirhook/fhir/store"
)

// indexHalf holds what searches look things up in: a bucket for each shelf. Everything in it follows from the
// log, so that, unlike its siblings, it is never refused: what can't be used is made anew.
var indexHalf = half{name: "index.db", newest: format, mmap: reserve(64), buckets: []string{}}

// openIndex opens the index, or begins an empty one in the place of what can't be used or belongs to another
// store. Nobody else holds it, for its siblings are held by now.
func openIndex(dir, epoch string, opts Options) (*bbolt.DB, error) {
	path := filepath.Join(dir, indexHalf.name)
	have, err := exists(path)
	if err != nil {
		return nil, err
	}
	if have {
		head, err := indexHalf.inspect(path, opts)
		switch {
		case err == nil && head.epoch == epoch:
			return indexHalf.open(path, opts)
		case errors.Is(err, os.ErrPermission):
			return nil, err
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("open the store: make the index anew: %w", err)
		}
	}
	if err := indexHalf.make(path, epoch, opts); err != nil {
		return nil, err
	}
	return indexHalf.open(path, opts)
}

// index is store.Index over index.db.
type index struct{ db *DB }

// Index is what searches look things up in, in its own file.
func (db *DB) Index() store.Index { return index{db} }

func (x index) View(ctx context.Context, fn func(store.IndexReader) error) error {
	return x.db.view(ctx, x.db.indexFile, func(tx *bbolt.Tx) error { return fn(&indexReader{tx: tx}) })
}

// Update never fails with ErrFenced, for there is nobody else.
func (x index) Update(ctx context.Context, _ store.Lease, fn func(store.IndexWriter) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := x.db.enter(); err != nil {
		return err
	}
	defer x.db.leave()
	return x.db.indexFile.Update(func(tx *bbolt.Tx) error { return fn(&indexWriter{indexReader{tx: tx}}) })
}

// shelfPrefix keeps the shelves' buckets apart from meta.
const shelfPrefix = "shelf/"

type indexReader struct{ tx *bbolt.Tx }

func (r *indexReader) shelf(name string) *bbolt.Bucket {
	return r.tx.Bucket([]byte(shelfPrefix + name))
}

func (r *indexReader) Get(shelf string, key []byte) ([]byte, error) {
	if b := r.shelf(shelf); b != nil {
		if v := b.Get(key); v != nil {
			return v, nil
		}
	}
	return nil, store.ErrNotFound
}

func (r *indexReader) Cursor(shelf string, from []byte) store.IndexCursor {
	b := r.shelf(shelf)
	if b == nil {
		return &indexCursor{}
	}
	return &indexCursor{cursor: b.Cursor(), from: from}
}

func (r *indexReader) Shelves() ([]string, error) {
	var names []string
	c := r.tx.Cursor()
	for k, _ := c.Seek([]byte(shelfPrefix)); k != nil; k, _ = c.Next() {
		if len(k) <= len(shelfPrefix) || string(k[:len(shelfPrefix)]) != shelfPrefix {
			break
		}
		if b := r.tx.Bucket(k); b != nil {
			if first, _ := b.Cursor().First(); first != nil {
				names = append(names, string(k[len(shelfPrefix):]))
			}
		}
	}
	return names, nil
}

type indexCursor struct {
	cursor  *bbolt.Cursor // nil: no such shelf
	from    []byte
	started bool
}

func (c *indexCursor) Next() (key, value []byte, err error) {
	switch {
	case c.cursor == nil:
		return nil, nil, nil
	case !c.started:
		c.started = true
		key, value = c.cursor.Seek(c.from)
	default:
		key, value = c.cursor.Next()
	}
	return key, value, nil
}

type indexWriter struct{ indexReader }

func (w *indexWriter) Put(shelf string, key, value []byte) error {
	b, err := w.tx.CreateBucketIfNotExists([]byte(shelfPrefix + shelf))
	if err != nil {
		return fmt.Errorf("index: shelf %s: %w", shelf, err)
	}
	if len(key) > store.MaxIndexKey {
		return fmt.Errorf("index: shelf %s: a key of %d bytes does not fit", shelf, len(key))
	}
	b.FillPercent = 0.95 // keys mostly rise
	if err := b.Put(key, value); err != nil {
		return fmt.Errorf("index: shelf %s: %w", shelf, err)
	}
	return nil
}

func (w *indexWriter) Remove(shelf string, key []byte) error {
	b := w.shelf(shelf)
	if b == nil {
		return nil
	}
	if err := b.Delete(key); err != nil {
		return fmt.Errorf("index: shelf %s: %w", shelf, err)
	}
	return nil
}

func (w *indexWriter) Drop(shelf string) error {
	err := w.tx.DeleteBucket([]byte(shelfPrefix + shelf))
	if err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
		return fmt.Errorf("index: shelf %s: %w", shelf, err)
	}
	return nil
}
