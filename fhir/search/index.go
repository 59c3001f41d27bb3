package search

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// IndexOptions change how an index is kept. Zero values mean the defaults.
type IndexOptions struct {
	// Keep is how long versions that were replaced can still be found as of then; default 1 h. Older page
	// links still work, by walks.
	Keep time.Duration
	// Lowest is the place of the slowest follower that searches as of its own place; nil: there is none.
	Lowest func(ctx context.Context) (store.Seq, error)
	// Show is Options.Show: what may be found of a resource. nil: all of it.
	Show  func(*fhir.Resource) *fhir.Resource
	Log   *slog.Logger     // nil: none
	Clock func() time.Time // nil: time.Now

	flushRows int // rows that are kept in memory before they become a run; 0: defaultFlushRows
	sliceSize int // bytes that one transaction of a merge writes; 0: defaultSlice
}

// Index finds the rows of the log that have a value. Run keeps it up to date; without that searches are
// as right, and slower.
//
// It is a tree of sorted runs: the newest rows' postings are in memory, where they join into ever larger
// lists; flushRows of them become a run on a shelf of the store, and eight runs of a size become one. A row is
// known by its number, and rows never change, so that a search as of any place takes the rows up to it and
// leaves out those that were replaced by then. Merging drops rows that were replaced long ago.
type Index struct {
	db      store.DB
	defs    *criteria.Definitions
	meaning string
	o       IndexOptions

	mu    sync.RWMutex // guards what follows; the follower alone writes it
	mem   []memoryRun  // in order, without gaps
	place store.Seq    // rows up to it are in mem or in the catalog's runs

	// retired says that another index has the shelves now: what is there means something else.
	retired atomic.Bool

	follower
}

const (
	defaultKeep      = time.Hour
	defaultFlushRows = 16_384
	defaultSlice     = 4 << 20
)

// NewIndex makes the index of a store. Nothing happens before Run.
func NewIndex(db store.DB, defs *criteria.Definitions, o IndexOptions) *Index {
	x := newIndexOf(db, meaning(defs), newMarker(defs), o.withDefaults())
	x.defs = defs
	return x
}

func newIndexOf(db store.DB, meaning string, m *marker, o IndexOptions) *Index {
	return &Index{db: db, meaning: meaning, o: o, follower: follower{marker: m}}
}

func (o IndexOptions) withDefaults() IndexOptions {
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.flushRows == 0 {
		o.flushRows = defaultFlushRows
	}
	if o.sliceSize == 0 {
		o.sliceSize = defaultSlice
	}
	return o
}

// retire ends the use of the index, before its shelves are taken.
func (x *Index) retire() {
	x.retired.Store(true)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem, x.place = nil, 0
}

// Place is how far the index has come. Searches read the rows behind it from the log.
func (x *Index) Place() store.Seq {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.place
}

// view runs fn with a state of the index.
func (x *Index) view(ctx context.Context, fn func(lookup) error) error {
	// Memory first: what moves to a run in between is then seen twice, and never not at all.
	x.mu.RLock()
	mem, place := x.mem, x.place
	x.mu.RUnlock()
	return x.db.Index().View(ctx, func(r store.IndexReader) error {
		c, err := readCatalog(r, x.meaning)
		if err != nil {
			return err
		}
		if x.retired.Load() { // the state that this transaction reads may be the other index's
			return fn(lookup{r: r})
		}
		return fn(lookup{r: r, runs: c.Runs, mem: mem, floor: c.Floor, place: max(place, c.Place)})
	})
}
