package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"fhirhook/fhir/store"
)

const (
	checkPage = 500 // rows that one View of Check reads
	// maxProblems bounds what Check returns: one lost page may make every row behind it wrong.
	maxProblems = 100
)

// checker collects what is wrong.
type checker struct {
	ctx      context.Context //nolint:containedctx // a checker is one call of Check
	db       *DB
	problems []error
	more     int // problems beyond maxProblems
	done     uint64
	total    uint64
	progress func(done, total uint64)

	used tally     // up to a row
	last store.Seq // that row
}

// Check proves what must always hold, in both files: see the methods of checker. It reads in pages, beside
// readers and writers, but for bbolt's own check of pages, during which writers wait.
func (db *DB) Check(ctx context.Context, progress func(done, total uint64)) error {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	c := &checker{ctx: ctx, db: db, progress: progress, used: tally{}}
	for _, step := range []func() error{
		c.log, c.versions, c.types, c.tenants, c.requests, c.held, c.usage,
		c.cursors, c.lanes, c.owed, c.waiting, c.attempts,
		func() error { return c.pages(db.resources, resourcesHalf.name) },
		func() error { return c.pages(db.queueFile, queueHalf.name) },
		func() error { return c.pages(db.indexFile, indexHalf.name) },
	} {
		if _, err := guarded(func() (struct{}, error) { return struct{}{}, step() }); err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.problem("%w", err)
		}
	}
	if c.more > 0 {
		c.problems = append(c.problems, fmt.Errorf("and %d more", c.more))
	}
	return errors.Join(c.problems...)
}

func (c *checker) problem(text string, args ...any) {
	if len(c.problems) == maxProblems {
		c.more++
		return
	}
	c.problems = append(c.problems, fmt.Errorf(text, args...))
}

// step reports a row as done.
func (c *checker) step() {
	if c.done++; c.done%checkPage == 0 || c.done == c.total {
		c.progress(min(c.done, c.total), c.total)
	}
}

// walk calls fn for each row of a bucket. A page of rows and what fn looks up beside them are of one state.
func (c *checker) walk(file *bbolt.DB, bucket string, fn func(s source, k, v []byte)) error {
	from, more := []byte(nil), true
	for more {
		more = false
		err := c.db.view(c.ctx, file, func(tx *bbolt.Tx) error {
			s, n := &committed{tx: tx}, 0
			for k, v := range s.ascend(bucket, from, nil) {
				if n == checkPage {
					from, more = bytes.Clone(k), true
					return nil
				}
				fn(s, k, v)
				n++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pages runs bbolt's own check: every page is reachable once or free, keys are in order.
func (c *checker) pages(file *bbolt.DB, name string) error {
	if err := c.db.enter(); err != nil {
		return err
	}
	defer c.db.leave()
	// The list of free pages, which the check reads, is the writer's: so be the writer meanwhile.
	writer, err := file.Begin(true)
	if err != nil {
		return err
	}
	defer func() { _ = writer.Rollback() }()
	return file.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			c.problem("%s: %w", name, err)
		}
		return nil
	})
}
