package search

import (
	"context"
	"strings"

	"fhirhook/fhir/store"
)

// ownShelves is how the names of the shelves begin that the index of clients' definitions has in the store.
const ownShelves = "own "

// apart is a store of whose index one sees a part: the shelves whose names begin in a certain way. The lease
// of its writer is another one, too.
type apart struct {
	store.DB
	prefix string
}

func (d apart) Lease(ctx context.Context, name string) (store.Lease, error) {
	return d.DB.Lease(ctx, name+"/"+strings.TrimSpace(d.prefix))
}

func (d apart) Index() store.Index { return apartIndex{d.DB.Index(), d.prefix} }

type apartIndex struct {
	index  store.Index
	prefix string
}

func (x apartIndex) View(ctx context.Context, fn func(store.IndexReader) error) error {
	return x.index.View(ctx, func(r store.IndexReader) error { return fn(apartReader{r, x.prefix}) })
}

func (x apartIndex) Update(ctx context.Context, lease store.Lease, fn func(store.IndexWriter) error) error {
	return x.index.Update(ctx, lease, func(w store.IndexWriter) error {
		return fn(apartWriter{apartReader{w, x.prefix}, w})
	})
}

type apartReader struct {
	r      store.IndexReader
	prefix string
}

func (r apartReader) Get(shelf string, key []byte) ([]byte, error) {
	return r.r.Get(r.prefix+shelf, key)
}

func (r apartReader) Cursor(shelf string, from []byte) store.IndexCursor {
	return r.r.Cursor(r.prefix+shelf, from)
}

func (r apartReader) Shelves() ([]string, error) {
	all, err := r.r.Shelves()
	var own []string
	for _, name := range all {
		if name, ok := strings.CutPrefix(name, r.prefix); ok {
			own = append(own, name)
		}
	}
	return own, err
}

type apartWriter struct {
	apartReader
	w store.IndexWriter
}

func (w apartWriter) Put(shelf string, key, value []byte) error {
	return w.w.Put(w.prefix+shelf, key, value)
}

func (w apartWriter) Remove(shelf string, key []byte) error { return w.w.Remove(w.prefix+shelf, key) }

func (w apartWriter) Drop(shelf string) error { return w.w.Drop(w.prefix + shelf) }
