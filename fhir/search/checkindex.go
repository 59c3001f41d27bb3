package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"fhirhook/criteria"
	"fhirhook/fhir/store"
)

// ErrOtherMeaning says that an index was made with other search parameters than those that it is held against.
var ErrOtherMeaning = errors.New("the search index was made with other search parameters")

// CheckIndex proves the index against the log: each run has the postings of its rows and no others, but for
// rows that were replaced so long ago that it need not have them, or are purged. It reports progress in rows of the log.
// The definitions have to be those of the server that made it, or else the error is ErrOtherMeaning.
func CheckIndex(ctx context.Context, db store.DB, defs *criteria.Definitions, progress func(done, total uint64)) error {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	var c catalog
	err := db.Index().View(ctx, func(r store.IndexReader) (err error) {
		if c, err = readCatalog(r, meaning(defs)); err != nil {
			return err
		}
		var made catalog
		raw, err := r.Get(catalogShelf, catalogKey)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil // there is no index
		case err == nil && json.Unmarshal(raw, &made) == nil && made.Meaning != c.Meaning:
			return ErrOtherMeaning
		default:
			return err
		}
	})
	if err != nil {
		return err
	}
	m, place := newMarker(defs), store.Seq(0)
	var problems []error
	for _, r := range c.Runs {
		if r.First != place+1 || r.Last < r.First {
			problems = append(problems, fmt.Errorf("rows %d to %d follow row %d", r.First, r.Last, place))
		}
		place = r.Last
		want, gone, err := sumOfRows(ctx, db, m, r, c.Floor, func(row store.Seq) { progress(uint64(row), uint64(c.Place)) })
		if err != nil {
			return err
		}
		got, err := sumOfRun(ctx, db, r, gone)
		if err != nil {
			return err
		}
		if got != want {
			problems = append(problems, fmt.Errorf("rows %d to %d have %d postings in the log and %d in the index, or others", r.First, r.Last, want.count, got.count))
		}
	}
	if place != c.Place {
		problems = append(problems, fmt.Errorf("it says that it is at row %d, and its runs end with row %d", c.Place, place))
	}
	if len(problems) > 0 {
		return fmt.Errorf("the search index contradicts the log; delete it, and the next start builds it anew: %w", errors.Join(problems...))
	}
	return nil
}

// sum tells sets of postings apart whatever their order.
type sum struct {
	count int
	total uint64
}

func (s *sum) add(p posting) {
	s.count++
	s.total += number(string(p.key()))
}

// sumOfRows sums up the postings that a run's rows have by the log, but for those that may be gone.
func sumOfRows(ctx context.Context, db store.DB, m *marker, of run, floor store.Seq, step func(store.Seq)) (sum, map[store.Seq]bool, error) {
	var s sum
	var in sorter
	gone := map[store.Seq]bool{}
	for after := of.First - 1; after < of.Last; {
		var rows []store.Change
		from := after
		err := db.View(ctx, func(r store.Reader) error {
			rows = nil
			for c, err := range r.Changes(from) {
				if err != nil {
					return err
				}
				if c.Seq > of.Last {
					return nil
				}
				current, err := isCurrent(r, c.Resource, floor)
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
				if c.Purged || c.Seq <= floor && !current {
					gone[c.Seq] = true
				} else {
					rows = append(rows, c)
				}
				if after = c.Seq; len(rows) == batchRows {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return sum{}, nil, err
		}
		if after == from {
			return sum{}, nil, fmt.Errorf("the search index has row %d, and the log has not", after+1)
		}
		var all []posting
		for _, c := range rows {
			all = m.append(all, c.Seq, c.Resource)
		}
		for _, p := range in.sorted(all) {
			s.add(p)
		}
		step(after)
	}
	return s, gone, nil
}

// sumOfRun sums up what is on a run's shelf, in Views of one page each.
func sumOfRun(ctx context.Context, db store.DB, of run, gone map[store.Seq]bool) (sum, error) {
	const page = 100_000
	var s sum
	var next posting
	for more := true; more; {
		err := db.Index().View(ctx, func(r store.IndexReader) error {
			all, p, ok, err := postingsFrom(r, of.shelf(), next)
			for n := 0; ok && err == nil; n++ {
				if n == page {
					next = p
					return nil
				}
				if !gone[p.seq] {
					s.add(p)
				}
				p, ok, err = all.next()
			}
			more = false
			return err
		})
		if err != nil {
			return sum{}, err
		}
	}
	return s, nil
}
