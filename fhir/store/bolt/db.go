package bolt

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"fhirhook/fhir/store"
)

// DB is a store in a folder. It implements store.DB and is safe for concurrent use.
type DB struct {
	epoch   string
	clock   func() time.Time
	sealing Sealing
	tray    int // lines of a tray of the attempt log
	opened  uint32

	resources, queueFile *bbolt.DB
	indexFile            *bbolt.DB
	logWrites            *committer
	queueWrites          *committer

	grants atomic.Uint32
	recent recent

	mu      sync.Mutex // guards what follows
	last    store.Seq
	lastOf  places
	changed chan struct{} // closed and replaced when last rises; closed for good when the store closes
	closing bool
	views   int           // under way
	idle    chan struct{} // closed when closing is set and views is 0
	closed  chan struct{} // closed when Close is done
	failure error         // of Close
}

var _ store.DB = (*DB)(nil)

func start(dir, epoch string, opened uint32, resources, queue, index *bbolt.DB, opts Options) *DB {
	db := &DB{
		epoch: epoch, clock: opts.Clock, sealing: opts.Sealing, tray: opts.tray, opened: opened,
		resources: resources, queueFile: queue, indexFile: index,
		changed: make(chan struct{}), idle: make(chan struct{}), closed: make(chan struct{}),
	}
	db.logWrites = newCommitter(filepath.Join(dir, resourcesHalf.name), resources, db.grown)
	db.queueWrites = newCommitter(filepath.Join(dir, queueHalf.name), queue, func(*overlay) {})
	db.begin()
	go db.logWrites.run()   // stops at Close, which waits for it
	go db.queueWrites.run() // the same
	return db
}

// Epoch is the store's random name.
func (db *DB) Epoch() string { return db.epoch }

// Queue is the queue half, in its own file.
func (db *DB) Queue() store.Queue { return queue{db} }

// View runs fn on the newest state.
func (db *DB) View(ctx context.Context, fn func(store.Reader) error) error {
	return db.view(ctx, db.resources, func(tx *bbolt.Tx) error {
		r := db.reader(&committed{tx: tx})
		return fn(&r)
	})
}

func (db *DB) reader(s source) logReader {
	return logReader{source: s, sealing: db.sealing, recent: &db.recent}
}

func (db *DB) view(ctx context.Context, file *bbolt.DB, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.enter(); err != nil {
		return err
	}
	defer db.leave()
	return file.View(fn)
}

// enter and leave count views, for bbolt's Close must not begin while one may begin another inside.
func (db *DB) enter() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closing {
		return store.ErrClosed
	}
	db.views++
	return nil
}

func (db *DB) leave() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.views--
	if db.closing && db.views == 0 {
		close(db.idle)
	}
}

// Update runs fn as a transaction in a group.
func (db *DB) Update(ctx context.Context, origin store.Origin, fn func(store.Writer) error) (store.Commit, error) {
	if err := store.CheckOrigin(origin); err != nil {
		return store.Commit{}, err
	}
	var commit store.Commit
	err := db.logWrites.do(ctx, func(o *overlay) error {
		w, err := db.newLogWriter(o, origin)
		if err != nil {
			return err
		}
		if err := fn(w); err != nil {
			return err
		}
		commit, err = w.finish()
		return err
	})
	if err != nil {
		return store.Commit{}, err
	}
	return commit, nil
}

// Wait returns when there is a row behind the place, or ctx ends.
func (db *DB) Wait(ctx context.Context, after store.Seq) error {
	for {
		db.mu.Lock()
		last, closing, changed := db.last, db.closing, db.changed
		db.mu.Unlock()
		switch {
		case closing:
			return store.ErrClosed
		case last > after:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Lease grants always, for one process holds the folder.
func (db *DB) Lease(ctx context.Context, name string) (store.Lease, error) {
	if err := ctx.Err(); err != nil {
		return store.Lease{}, err
	}
	db.mu.Lock()
	closing := db.closing
	db.mu.Unlock()
	if closing {
		return store.Lease{}, store.ErrClosed
	}
	return store.Lease{Name: name, Token: uint64(db.opened)<<32 | uint64(db.grants.Add(1))}, nil
}

// Close waits for commits and views under way and closes the files.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closing {
		db.mu.Unlock()
		<-db.closed
		return db.failure
	}
	db.closing = true
	close(db.changed)
	if db.views == 0 {
		close(db.idle)
	}
	db.mu.Unlock()
	db.logWrites.close()
	db.queueWrites.close()
	<-db.idle
	db.failure = errors.Join(db.resources.Close(), db.queueFile.Close(), db.indexFile.Close())
	close(db.closed)
	return db.failure
}

// queue is store.Queue over queue.db.
type queue struct{ db *DB }

func (q queue) View(ctx context.Context, fn func(store.QueueReader) error) error {
	return q.db.view(ctx, q.db.queueFile, func(tx *bbolt.Tx) error {
		return fn(&queueReader{&committed{tx: tx}})
	})
}

// Update never fails with ErrFenced, for there is nobody else.
func (q queue) Update(ctx context.Context, _ store.Lease, fn func(store.QueueWriter) error) error {
	return q.db.queueWrites.do(ctx, func(o *overlay) error {
		return writeQueue(o, q.db.tray, fn)
	})
}
