package search

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fhirhook/fhir/store"
)

// FollowerName is the name of the index's lease.
const FollowerName = "search-index"

const (
	absorbRows  = 1000    // rows that are read in one View
	absorbBytes = 4 << 20 // the same in bytes
	retryAfter  = 5 * time.Second
	// gather is how long rows gather before they are taken in: few at a time cost much more each. Searches read
	// what gathers meanwhile from the log.
	gather      = 5 * time.Millisecond
	reportEvery = 100_000 // rows of a catching up between two lines of the log
)

// follower is what only the goroutine in Run uses.
type follower struct {
	marker  *marker
	sorter  sorter
	rows    []store.Change // empty, kept for the next that are taken in
	found   []posting      // the same
	lease   store.Lease
	catalog catalog
	deaths  []death   // of rows in memory
	times   []moment  // rising, some hundred of them in the time that rows are kept
	merge   *merge    // under way
	tried   store.Seq // the catalog's place when runs with replaced rows were last looked for
	held    int       // rows in memory
	told    store.Seq
}

// death says that a row was replaced by another.
type death struct{ row, by store.Seq }

// moment is when the log had come to a place.
type moment struct {
	place store.Seq
	time  time.Time
}

// Run follows the log until ctx ends, and takes up where it stopped the last time. What it can't write it
// tries again, and searches are slower meanwhile.
func (x *Index) Run(ctx context.Context) error {
	for {
		err := x.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return x.leave(ctx)
		case errors.Is(err, store.ErrClosed):
			return err
		}
		x.o.Log.Error("search.index", "error", err)
		pause(ctx, retryAfter)
	}
}

// leave saves what is in memory, so that the next start needs not read it again.
func (x *Index) leave(ctx context.Context) error {
	if x.lease.Name == "" {
		return nil
	}
	return x.flush(context.WithoutCancel(ctx))
}

func (x *Index) follow(ctx context.Context) error {
	if err := x.begin(ctx); err != nil {
		return err
	}
	for {
		busy, err := x.step(ctx)
		if err == nil && !busy {
			err = x.db.Wait(ctx, x.Place())
			pause(ctx, gather)
		}
		if err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// begin reads where the index stands, and clears away what can't be used or was left by half.
func (x *Index) begin(ctx context.Context) (err error) {
	if x.lease, err = x.db.Lease(ctx, FollowerName); err != nil {
		return err
	}
	var c catalog
	err = x.db.Index().Update(ctx, x.lease, func(w store.IndexWriter) error {
		if c, err = readCatalog(w, x.meaning); err != nil {
			return err
		}
		kept := map[string]bool{catalogShelf: true, deathShelf: len(c.Runs) > 0}
		for _, r := range c.Runs {
			kept[r.shelf()] = true
		}
		shelves, err := w.Shelves()
		if err != nil {
			return err
		}
		for _, name := range shelves {
			if !kept[name] && !strings.HasPrefix(name, ownShelves) {
				if err := w.Drop(name); err != nil {
					return err
				}
			}
		}
		return c.write(w)
	})
	if err != nil {
		return fmt.Errorf("begin the search index: %w", err)
	}
	x.catalog, x.merge, x.deaths, x.held, x.times, x.tried = c, nil, nil, 0, nil, 0
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem, x.place = nil, c.Place
	return nil
}

// step does one short piece of work, and tells whether there may be more.
func (x *Index) step(ctx context.Context) (busy bool, err error) {
	absorbed, err := x.absorb(ctx)
	if err != nil {
		return false, err
	}
	if x.held >= x.o.flushRows {
		if err := x.flush(ctx); err != nil {
			return false, err
		}
	}
	merging, err := x.mergeStep(ctx)
	return absorbed || merging, err
}

// absorb takes the next rows of the log into memory.
func (x *Index) absorb(ctx context.Context) (bool, error) {
	rows := x.rows
	defer func() { // keeps the memory, and nothing of what was in it
		clear(rows)
		x.rows = rows[:0]
	}()
	var deaths []death
	var last store.Seq
	place := x.Place()
	err := x.db.View(ctx, func(r store.Reader) error {
		rows, deaths, last = rows[:0], nil, r.Last()
		size := 0
		for c, err := range r.Changes(place) {
			if err != nil {
				return err
			}
			rows = append(rows, c)
			if c.Resource.Version > 1 {
				before, err := rowBefore(r, c)
				if err != nil {
					return err
				}
				if before > 0 {
					deaths = append(deaths, death{before, c.Seq})
				}
			}
			if size += len(c.Resource.JSON); len(rows) == absorbRows || size >= absorbBytes {
				break
			}
		}
		return nil
	})
	if err != nil || len(rows) == 0 {
		return false, err
	}
	all := x.found[:0]
	for _, c := range rows {
		if c.Purged { // it is current at no place that is searched
			continue
		}
		r := c.Resource
		if x.o.Show != nil {
			r = x.o.Show(r)
		}
		all = x.marker.append(all, c.Seq, r)
	}
	x.found = all
	newest := rows[len(rows)-1]
	x.remember(memoryRun{first: rows[0].Seq, last: newest.Seq, postings: x.sorter.sorted(all)})
	x.deaths = append(x.deaths, deaths...)
	x.held += len(rows)
	if n := len(x.times); n == 0 || newest.Resource.Updated.Sub(x.times[n-1].time) > x.o.Keep/100 {
		x.times = append(x.times, moment{newest.Seq, newest.Resource.Updated})
	}
	x.report(newest.Seq, last)
	return newest.Seq < last, nil
}

// rowBefore finds the row of the version that a change replaced; 0 if that is purged, and so in no index that
// is made now.
func rowBefore(r store.Reader, c store.Change) (store.Seq, error) {
	for before, err := range r.History(store.Scope(c.Resource.Key), c.Seq) {
		if err == nil && before.Resource.Version != c.Resource.Version-1 {
			break
		}
		return before.Seq, err
	}
	if _, err := r.Version(c.Resource.Key, c.Resource.Version-1); errors.Is(err, store.ErrPurged) {
		return 0, nil
	}
	return 0, fmt.Errorf("row %d is version %d of %s, and there is none before it", c.Seq, c.Resource.Version, c.Resource.Key)
}

func (x *Index) report(place, last store.Seq) {
	if place-x.told >= reportEvery && last-place > absorbRows {
		x.told = place
		x.o.Log.Info("search.index.building", "rows", place, "of", last)
	}
}

// flush makes a run of what is in memory.
func (x *Index) flush(ctx context.Context) error {
	if len(x.mem) == 0 {
		return nil
	}
	first, last := x.mem[0].first, x.mem[len(x.mem)-1].last
	c := x.catalog.clone()
	made := run{Number: c.Next, First: first, Last: last}
	c.Runs, c.Next, c.Place = append(c.Runs, made), c.Next+1, last
	for _, d := range x.deaths {
		if i := c.runOf(d.row); i >= 0 {
			c.Runs[i].Replaced++
		}
	}
	deaths := slices.SortedFunc(slices.Values(x.deaths), func(a, b death) int { return int(a.row) - int(b.row) })
	err := x.db.Index().Update(ctx, x.lease, func(w store.IndexWriter) error {
		b := blockWriter{w: w, shelf: made.shelf()}
		err := inOrder(x.mem, func(some []posting) error {
			for _, p := range some {
				if err := b.add(p); err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(err, b.end()); err != nil {
			return err
		}
		for _, d := range deaths {
			if err := w.Put(deathShelf, rowKey(d.row), rowKey(d.by)); err != nil {
				return err
			}
		}
		return c.write(w)
	})
	if err != nil {
		return fmt.Errorf("write rows %d to %d to the search index: %w", first, last, err)
	}
	x.catalog, x.deaths, x.held = c, nil, 0
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem = nil
	return nil
}

// runOf finds the run that has a row.
func (c catalog) runOf(row store.Seq) int {
	i, found := slices.BinarySearchFunc(c.Runs, row, func(r run, row store.Seq) int {
		switch {
		case r.Last < row:
			return -1
		case r.First > row:
			return 1
		default:
			return 0
		}
	})
	if !found {
		return -1
	}
	return i
}

func rowKey(row store.Seq) []byte { return binary.BigEndian.AppendUint64(nil, uint64(row)) }

func rowOf(key []byte) store.Seq {
	if len(key) != 8 {
		return 0
	}
	return store.Seq(binary.BigEndian.Uint64(key))
}

// horizon is the place up to which rows that were replaced are needed by nobody.
func (x *Index) horizon(ctx context.Context) (store.Seq, error) {
	limit := x.o.Clock().Add(-x.o.Keep)
	n := 0
	for n < len(x.times) && x.times[n].time.Before(limit) {
		n++
	}
	if n == 0 {
		return 0, nil
	}
	x.times = slices.Delete(x.times, 0, n-1) // the newest old one stays
	place := x.times[0].place
	if x.o.Lowest != nil {
		lowest, err := x.o.Lowest(ctx)
		if err != nil {
			return 0, err
		}
		place = min(place, lowest)
	}
	return place, nil
}
