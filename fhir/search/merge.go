package search

import (
	"context"
	"fmt"
	"slices"

	"fhirhook/fhir/store"
)

// fanOut is how many runs of a size become one.
const fanOut = 8

// merge makes one run of neighbours, or of one without what was replaced, in transactions of a bounded size.
// Until the last of them nobody looks at what it writes, so one that was cut short is only cleared away.
type merge struct {
	from, to int // in catalog.Runs; to is not included
	made     run
	horizon  store.Seq
	gone     map[store.Seq]bool // rows replaced up to the horizon
	next     posting            // where to go on
}

// mergeStep begins a merge where one is due, or does the next slice of it.
func (x *Index) mergeStep(ctx context.Context) (bool, error) {
	if x.merge == nil {
		m, err := x.pick(ctx)
		if m == nil || err != nil {
			return false, err
		}
		x.merge = m
	}
	if err := x.mergeSlice(ctx); err != nil {
		return false, fmt.Errorf("merge the search index's rows %d to %d: %w", x.merge.made.First, x.merge.made.Last, err)
	}
	return true, nil
}

// level tells how large a run is: each level is fanOut times the one below.
func (x *Index) level(r run) int {
	n := 0
	for rows := r.rows(); rows >= x.o.flushRows*fanOut; rows /= fanOut {
		n++
	}
	return n
}

// pick finds what is to be merged: fanOut neighbours of a level, else a run of which half was replaced.
func (x *Index) pick(ctx context.Context) (*merge, error) {
	from, to := x.due()
	if from == to {
		return nil, nil
	}
	horizon, err := x.horizon(ctx)
	if err != nil {
		return nil, err
	}
	runs := x.catalog.Runs
	m := &merge{
		from: from, to: to, horizon: horizon,
		made: run{Number: x.catalog.Next, First: runs[from].First, Last: runs[to-1].Last},
		gone: map[store.Seq]bool{},
	}
	err = x.db.Index().View(ctx, func(r store.IndexReader) error {
		clear(m.gone)
		c := r.Cursor(deathShelf, rowKey(m.made.First))
		for {
			key, by, err := c.Next()
			if key == nil || err != nil || rowOf(key) > m.made.Last {
				return err
			}
			if rowOf(by) <= horizon {
				m.gone[rowOf(key)] = true
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if to-from == 1 && 2*len(m.gone) < m.made.rows() {
		return nil, nil // too much of it was replaced only lately
	}
	x.catalog.Next++ // memory may become a run meanwhile
	return m, nil
}

// due names the runs that want merging; none if from is to.
func (x *Index) due() (from, to int) {
	runs := x.catalog.Runs
	for to = len(runs); to > 0; to = from {
		from = to - 1
		for from > 0 && x.level(runs[from-1]) == x.level(runs[to-1]) {
			from--
		}
		if to-from >= fanOut {
			return from, from + fanOut
		}
	}
	if x.tried == x.catalog.Place {
		return 0, 0
	}
	x.tried = x.catalog.Place
	for i, r := range runs {
		if 2*r.Replaced >= r.rows() {
			return i, i + 1
		}
	}
	return 0, 0
}

// mergeSlice writes the next part of the merged run, and with the last part puts it in the place of the others.
func (x *Index) mergeSlice(ctx context.Context) error {
	m := x.merge
	runs := x.catalog.Runs[m.from:m.to]
	var next posting
	var c catalog
	var ended bool
	err := x.db.Index().Update(ctx, x.lease, func(w store.IndexWriter) error {
		b := blockWriter{w: w, shelf: m.made.shelf()}
		var err error
		if next, ended, err = m.slice(w, runs, &b, x.o.sliceSize); err != nil || !ended {
			return err
		}
		c = x.catalog.clone()
		made := m.made
		for _, r := range runs {
			made.Replaced += r.Replaced
			if err := w.Drop(r.shelf()); err != nil {
				return err
			}
		}
		made.Replaced = max(0, made.Replaced-len(m.gone))
		c.Runs = slices.Replace(c.Runs, m.from, m.to, made)
		if len(m.gone) > 0 {
			c.Floor = max(c.Floor, m.horizon)
		}
		for row := range m.gone {
			if err := w.Remove(deathShelf, rowKey(row)); err != nil {
				return err
			}
		}
		return c.write(w)
	})
	if err != nil {
		return err
	}
	m.next = next
	if ended {
		x.catalog, x.merge = c, nil
	}
	return nil
}

// slice merges until it has written so many bytes or all.
func (m *merge) slice(r store.IndexReader, runs []run, b *blockWriter, most int) (posting, bool, error) {
	heads := make(heads, 0, len(runs))
	for _, run := range runs {
		all, p, ok, err := postingsFrom(r, run.shelf(), m.next)
		if err != nil {
			return posting{}, false, err
		}
		if ok {
			heads = append(heads, head{all, p})
		}
	}
	slices.SortFunc(heads, func(a, b head) int { return a.p.compare(b.p) })
	for len(heads) > 0 {
		h := &heads[0]
		if b.written >= most && b.block == nil {
			return h.p, false, nil
		}
		if !m.gone[h.p.seq] {
			if err := b.add(h.p); err != nil {
				return posting{}, false, err
			}
		}
		var ok bool
		var err error
		if h.p, ok, err = h.all.next(); err != nil {
			return posting{}, false, err
		}
		if ok {
			heads.settle()
		} else {
			heads = heads[1:]
		}
	}
	return posting{}, true, b.end()
}

// heads are shelves that are gone through at once, by what comes next of each.
type heads []head

type head struct {
	all *postings
	p   posting
}

// settle puts the first in its place, after it has gone on: mostly it stays the first, for rows with one value stand
// together.
func (h heads) settle() {
	for i := 0; i+1 < len(h) && h[i+1].p.compare(h[i].p) < 0; i++ {
		h[i], h[i+1] = h[i+1], h[i]
	}
}
