package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"fhirhook/fhir/store/durable"
)

// compactSuffix marks the copy that a compaction is writing. Under that name it is nobody's: a leftover is removed.
const compactSuffix = ".compact"

// usualCopying is how many bytes one transaction of the copy holds.
const usualCopying = 16 << 20

// A Compaction is how far the compacting of a file has come, or what came of it.
type Compaction struct {
	File   string
	Before int64 // bytes of the file as it was
	Live   int64 // of those, in use: about what has to be copied
	Copied int64
	Rows   uint64
	After  int64 // bytes of the file that took its place; 0 while it is being written
}

// Compact writes each file of a store anew, without the pages that are free: bbolt uses those again, and never gives them
// back. Nobody may be using the store meanwhile. No key is needed: what is encrypted is copied as it is.
//
// A copy is written beside each file and takes its place when it is durable, so that whenever this is cut short each file is
// either as it was or compact. report is told now and then, and once of each file with After set; between, it may end the whole
// through ctx.
func Compact(ctx context.Context, dir string, opts Options, report func(Compaction)) error {
	if opts.LockTimeout <= 0 {
		opts.LockTimeout = defaultLockTimeout
	}
	if opts.copying <= 0 {
		opts.copying = usualCopying
	}
	for _, h := range []half{resourcesHalf, queueHalf} {
		if have, err := exists(filepath.Join(dir, h.name)); err != nil {
			return err
		} else if !have {
			return fmt.Errorf("compact: %s holds no whole store: %s is missing", dir, h.name)
		}
	}
	// Both are looked at and held before either is touched.
	if _, err := prepare(dir, opts); err != nil {
		return err
	}
	var held []*bbolt.DB
	defer func() {
		for _, db := range held {
			_ = db.Close() // nothing was written to it
		}
	}()
	halves := []half{resourcesHalf, queueHalf}
	if indexHalf.usable(dir, opts) {
		halves = append(halves, indexHalf)
	}
	for _, h := range halves {
		db, err := h.open(filepath.Join(dir, h.name), opts)
		if err != nil {
			return err
		}
		held = append(held, db)
	}
	if err := removeLeftovers(dir); err != nil {
		return err
	}
	for i, h := range halves {
		if err := h.compact(ctx, held[i], opts, report); err != nil {
			return errors.Join(fmt.Errorf("compact %s: %w", h.name, err), removeLeftovers(dir))
		}
	}
	return nil
}

// usable tells whether the index is there and sound. If it isn't, the next start makes it anew.
func (h half) usable(dir string, opts Options) bool {
	_, err := h.inspect(filepath.Join(dir, h.name), opts)
	return err == nil
}

// removeLeftovers removes what a compaction left that was cut short. The store's files are held by the caller.
func removeLeftovers(dir string) error {
	for _, h := range []half{resourcesHalf, queueHalf, indexHalf} {
		if err := os.Remove(filepath.Join(dir, h.name+compactSuffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove what a compaction left: %w", err)
		}
	}
	return nil
}

// compact copies a file that is held and lets the copy take its place.
func (h half) compact(ctx context.Context, from *bbolt.DB, opts Options, report func(Compaction)) error {
	state, err := measure(from)
	if err != nil {
		return err
	}
	state.File = h.name
	path := from.Path()
	if free, known := freeSpace(filepath.Dir(path)); known && free < state.Live+state.Live/16 {
		return fmt.Errorf("its copy needs up to %d MB, and %d MB are free on the disk: make room, for instance by moving something else away", state.Live>>20+1, free>>20)
	}
	to, err := h.open(path+compactSuffix, Options{LockTimeout: opts.LockTimeout, noSync: true, maxSize: opts.maxSize})
	if err != nil {
		return err
	}
	to.AllocSize = 0 // it grows by what is needed
	c := copier{ctx: ctx, to: to, most: opts.copying, state: state, report: report}
	_, err = guarded(func() (struct{}, error) { return struct{}{}, c.copy(from) })
	if err == nil && !opts.noSync {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	if _, err := h.inspect(path+compactSuffix, opts); err != nil {
		return err
	}
	info, err := os.Stat(path + compactSuffix)
	if err != nil {
		return err
	}
	if err := durable.Rename(path+compactSuffix, path); err != nil {
		return err
	}
	c.state.After = info.Size()
	report(c.state)
	return nil
}

// measure finds out how much of a file is in use.
func measure(db *bbolt.DB) (Compaction, error) {
	tx, err := db.Begin(true) // a writer knows the free pages
	if err != nil {
		return Compaction{}, err
	}
	size := tx.Size()
	if err := tx.Rollback(); err != nil {
		return Compaction{}, err
	}
	s := db.Stats()
	return Compaction{Before: size, Live: size - int64(s.FreePageN+s.PendingPageN)*int64(db.Info().PageSize)}, nil
}

// copier copies a file, bucket by bucket in order of keys, in transactions of a bounded size.
type copier struct {
	ctx    context.Context //nolint:containedctx // a copier is one call of Compact
	to     *bbolt.DB
	tx     *bbolt.Tx
	size   int // of tx
	most   int // that size may be
	state  Compaction
	report func(Compaction)
}

func (c *copier) copy(from *bbolt.DB) (err error) {
	if c.tx, err = c.to.Begin(true); err != nil {
		return err
	}
	defer func() { _ = c.tx.Rollback() }() // does nothing after a commit
	err = from.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error { return c.bucket([][]byte{name}, b) })
	})
	if err != nil {
		return err
	}
	return c.tx.Commit()
}

func (c *copier) bucket(path [][]byte, from *bbolt.Bucket) error {
	to, err := c.open(path)
	if err != nil {
		return err
	}
	if err := to.SetSequence(from.Sequence()); err != nil {
		return err
	}
	cursor := from.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		if nested := from.Bucket(k); v == nil && nested != nil {
			if err := c.bucket(append(path[:len(path):len(path)], k), nested); err != nil {
				return err
			}
			if to, err = c.open(path); err != nil { // the transaction may be another
				return err
			}
			continue
		}
		if c.size >= c.most {
			if err := c.next(); err != nil {
				return err
			}
			if to, err = c.open(path); err != nil {
				return err
			}
		}
		if err := to.Put(k, v); err != nil {
			return err
		}
		n := len(k) + len(v) + rowOverhead
		c.size += n
		c.state.Rows++
		c.state.Copied = min(c.state.Copied+int64(n), c.state.Live)
	}
	return nil
}

// rowOverhead is what bbolt adds to each row on its page.
const rowOverhead = 16

// open finds or makes a bucket in the transaction under way.
func (c *copier) open(path [][]byte) (*bbolt.Bucket, error) {
	b, err := c.tx.CreateBucketIfNotExists(path[0])
	for _, name := range path[1:] {
		if err == nil {
			b, err = b.CreateBucketIfNotExists(name)
		}
	}
	if err == nil {
		b.FillPercent = 1 // keys come in order, here and later
		if string(path[0]) != logBucket {
			b.FillPercent = 0.9 // new keys will come between them
		}
	}
	return b, err
}

// next commits and begins another transaction.
func (c *copier) next() (err error) {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err := c.tx.Commit(); err != nil {
		return err
	}
	c.report(c.state)
	c.size = 0
	c.tx, err = c.to.Begin(true)
	return err
}
