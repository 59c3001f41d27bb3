package search

import (
	"context"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// newestFirst tells whether the log itself has the order that is asked for, backwards: its times never go
// back. That ends with the page only if nothing is counted and one type is searched, and is worth it only where
// no term is selective.
func (s *searching) newestFirst(counting bool) bool {
	keys := s.order.keys
	return !counting && len(keys) > 0 && keys[0].code == "_lastUpdated" && keys[0].descending &&
		len(s.plan.types) == 1 && s.plan.ids == nil && s.plan.ordered()
}

// newest finds the first hits behind the last one, from the newest row of the type backwards. Rows of one time
// are sorted by the other keys, so it ends with the first row that is older than the page.
func (s *searching) newest(ctx context.Context, page *first) error {
	before := s.cursor.At + 1
	if s.paged {
		sec := s.last.resource.Updated.Unix()
		in, err := s.state.window(ctx, 0, sec, s.cursor.At)
		if err != nil {
			return err
		}
		before = in.last + 1
	}
	of := scope{s.plan.tenant, s.plan.types[0]}
	for before > 1 {
		rows, next, err := s.state.newest(ctx, of, before, s.cursor.At)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if len(page.hits) == page.most && r.Updated.Before(page.oldest()) {
				return nil
			}
			if _, err := s.weigh(r, page); err != nil {
				return err
			}
		}
		before = next
	}
	return nil
}

// newest returns rows of a scope below a place that are current at another, newest first, and where to go on; 1 at
// the end. It looks at a bounded number of rows.
func (s within) newest(ctx context.Context, of scope, before, at store.Seq) (rows []*fhir.Resource, next store.Seq, err error) {
	n, size := 0, 0
	for c, err := range s.r.History(store.Scope{Tenant: of.tenant, Type: of.typ}, before) {
		if err != nil {
			return nil, 0, err
		}
		if n == batchRows || size >= batchBytes {
			return rows, next, ctx.Err()
		}
		n, size, next = n+1, size+len(c.Resource.JSON), c.Seq
		if c.Resource.Deleted {
			continue
		}
		current, err := isCurrent(s.r, c.Resource, at)
		if err != nil {
			return nil, 0, err
		}
		if current {
			rows = append(rows, c.Resource)
		}
	}
	return rows, 1, ctx.Err()
}

func (s snapshot) newest(ctx context.Context, of scope, before, at store.Seq) (rows []*fhir.Resource, next store.Seq, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		rows, next, err = within{r, s.at}.newest(ctx, of, before, at)
		return err
	})
	return rows, next, err
}
