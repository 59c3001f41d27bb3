package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"fhirhook/fhir/store"
)

// modelIndex is the obvious index. A shelf is never changed once it was committed, so a reader's state is the
// map of shelves that stood when it began.
type modelIndex struct {
	db      *model
	writing sync.Mutex // held by one Update at a time; taken before mu

	mu      sync.Mutex // guards shelves
	shelves map[string]shelf
}

// shelf is sorted by key.
type shelf []shelfEntry

type shelfEntry struct{ key, value []byte }

func (s shelf) find(key []byte) (int, bool) {
	if n := len(s); n > 0 && bytes.Compare(s[n-1].key, key) < 0 {
		return n, false
	}
	return slices.BinarySearchFunc(s, key, func(e shelfEntry, key []byte) int { return bytes.Compare(e.key, key) })
}

func (m *model) Index() store.Index { return &m.index }

func (x *modelIndex) begin(ctx context.Context) (map[string]shelf, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x.db.mu.Lock()
	closed := x.db.closed
	x.db.mu.Unlock()
	if closed {
		return nil, store.ErrClosed
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.shelves, nil
}

func (x *modelIndex) View(ctx context.Context, fn func(store.IndexReader) error) error {
	shelves, err := x.begin(ctx)
	if err != nil {
		return err
	}
	return fn(&modelIndexTx{shelves: shelves})
}

func (x *modelIndex) Update(ctx context.Context, _ store.Lease, fn func(store.IndexWriter) error) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	shelves, err := x.begin(ctx)
	if err != nil {
		return err
	}
	tx := &modelIndexTx{shelves: maps.Clone(shelves), own: map[string]bool{}}
	if tx.shelves == nil {
		tx.shelves = map[string]shelf{}
	}
	if err := fn(tx); err != nil {
		return err
	}
	for name, s := range tx.shelves { // Put keeps what it is given, and after Update that is the caller's again
		if tx.own[name] {
			for i, e := range s {
				s[i] = shelfEntry{bytes.Clone(e.key), bytes.Clone(e.value)}
			}
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.shelves = tx.shelves
	return nil
}

// modelIndexTx reads and writes shelves; those that are its own already may be changed in place.
type modelIndexTx struct {
	shelves map[string]shelf
	own     map[string]bool
}

func (t *modelIndexTx) Get(name string, key []byte) ([]byte, error) {
	if i, found := t.shelves[name].find(key); found {
		return t.shelves[name][i].value, nil
	}
	return nil, store.ErrNotFound
}

func (t *modelIndexTx) Cursor(name string, from []byte) store.IndexCursor {
	s := t.shelves[name]
	i, _ := s.find(from)
	return &modelIndexCursor{slices.Clone(s[i:])}
}

func (t *modelIndexTx) Shelves() ([]string, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(t.shelves)) {
		if len(t.shelves[name]) > 0 {
			names = append(names, name)
		}
	}
	return names, nil
}

func (t *modelIndexTx) mine(name string) shelf {
	if !t.own[name] {
		t.own[name] = true
		t.shelves[name] = slices.Clone(t.shelves[name])
	}
	return t.shelves[name]
}

func (t *modelIndexTx) Put(name string, key, value []byte) error {
	if len(key) == 0 || len(key) > store.MaxIndexKey {
		return fmt.Errorf("index: shelf %s: a key of %d bytes does not fit", name, len(key))
	}
	if name == "" {
		return errors.New("index: a shelf has a name")
	}
	s := t.mine(name)
	i, found := s.find(key)
	e := shelfEntry{key, value}
	if found {
		s[i] = e
	} else {
		s = slices.Insert(s, i, e)
	}
	t.shelves[name] = s
	return nil
}

func (t *modelIndexTx) Remove(name string, key []byte) error {
	s := t.mine(name)
	if i, found := s.find(key); found {
		t.shelves[name] = slices.Delete(s, i, i+1)
	}
	return nil
}

func (t *modelIndexTx) Drop(name string) error {
	delete(t.shelves, name)
	t.own[name] = true
	return nil
}

type modelIndexCursor struct{ rest shelf }

func (c *modelIndexCursor) Next() (key, value []byte, err error) {
	if len(c.rest) == 0 {
		return nil, nil, nil
	}
	e := c.rest[0]
	c.rest = c.rest[1:]
	return e.key, e.value, nil
}
