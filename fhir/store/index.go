package store

import "context"

// Index is the third part of a store: sorted keys and values that a follower of the log derives from it, and
// can derive again. An engine that finds its index damaged, of another format or gone begins an empty one.
//
// Keys stand on shelves, which are made by the first Put and are cheap to drop whole. There is one writer, who
// writes large batches whose keys mostly rise within a shelf, and there are many readers.
type Index interface {
	// View runs fn on the newest committed state, under the same rules as DB.View.
	View(ctx context.Context, fn func(IndexReader) error) error
	// Update runs fn as one transaction, by itself, and returns when it is durable. If fn fails, what it wrote
	// is dropped. It fails with ErrFenced if the lease has gone to another.
	Update(ctx context.Context, lease Lease, fn func(IndexWriter) error) error
}

// IndexReader reads one consistent state of the index. What it returns holds until the function returns and
// must not be changed. A writer's reader sees its own writes.
type IndexReader interface {
	// Get returns a value, ErrNotFound if there is none.
	Get(shelf string, key []byte) ([]byte, error)
	// Cursor goes through a shelf in order, from the first key that is not below from. Of a shelf that isn't
	// there it finds nothing. It need not see what is put on its shelf while it goes.
	Cursor(shelf string, from []byte) IndexCursor
	// Shelves names all shelves that hold something, sorted.
	Shelves() ([]string, error)
}

// IndexCursor goes through a shelf.
type IndexCursor interface {
	// Next returns the next key and its value; the key is nil behind the last one.
	Next() (key, value []byte, err error)
}

// IndexWriter writes a transaction of the index.
type IndexWriter interface {
	IndexReader
	// Put sets a value. It copies neither key nor value: both must stay as they are until Update returns.
	Put(shelf string, key, value []byte) error
	// Remove removes a key; one that isn't there does nothing.
	Remove(shelf string, key []byte) error
	// Drop removes a shelf with all that stands on it; one that isn't there does nothing.
	Drop(shelf string) error
}

// MaxIndexKey is how long a key of the index may be, in bytes. It has at least one.
const MaxIndexKey = 1024
