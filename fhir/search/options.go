package search

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Options bound what one search may cost. Zero values mean the defaults.
type Options struct {
	Timeout     time.Duration // of a whole search; default 30 s
	MaxScan     int           // resources that a search may look at; default 2,000,000
	Index       *Index        // of the same store and definitions; nil: every search walks
	Own         *OwnIndex     // of the same store; nil: what clients define isn't indexed
	Virtuals    []Virtual     // resources that no row of the log holds
	MaxIncluded int           // resources that _include and _revinclude may add to a page; default 5,000
	Log         *slog.Logger  // nil: nothing is logged
	// Show is what a search may know of a resource, which keeps its key and version: secrets hidden. It is called for
	// each that is looked at. nil: all of it.
	Show func(*fhir.Resource) *fhir.Resource
}

// Engine answers searches. It holds no state and is safe for concurrent use.
type Engine struct {
	db        store.DB
	catalogue *Catalogue
	defs      *criteria.Definitions // that the search under way uses (using); else those of every tenant
	o         Options
	sees      Sight // nil: everything
}

// New makes an engine over a store. defs are in force for every tenant, and what its SearchParameters define
// comes to them (Catalogue).
func New(db store.DB, defs *criteria.Definitions, o Options) *Engine {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxScan <= 0 {
		o.MaxScan = 2_000_000
	}
	if o.MaxIncluded <= 0 {
		o.MaxIncluded = 5_000
	}
	e := &Engine{db: db, defs: defs, o: o}
	if o.Own != nil {
		e.catalogue = o.Own.catalogue
	} else {
		e.catalogue = NewCatalogue(defs, o.Log)
	}
	return e
}

// Catalogue tells which search parameters the engine uses.
func (e *Engine) Catalogue() *Catalogue { return e.catalogue }

// using is the engine for one search, with the parameters that are in force for it.
func (e *Engine) using(defs *criteria.Definitions) *Engine {
	own := *e
	own.defs = defs
	return &own
}

const advice = "narrow it down: name a type, an _id, or a smaller range of dates, or ask for fewer with _count and without _sort and _total"

var errTimeout = errors.New("the search took too long")

// deadline gives a search its time, and explain turns its end into an error that a client can act on.
func (e *Engine) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, e.o.Timeout, errTimeout)
}

func (e *Engine) explain(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) && errors.Is(err, ctx.Err()) {
		return fhir.Errorf(fhir.TooCostly, "", "the search did not end within %s: %s", e.o.Timeout, advice)
	}
	return err
}

// budget is what is left of MaxScan.
type budget struct{ left, most int }

func (b *budget) spend() error {
	if b.left == 0 {
		return fhir.Errorf(fhir.TooCostly, "", "the search would look at more than %d resources: %s", b.most, advice)
	}
	b.left--
	return nil
}
