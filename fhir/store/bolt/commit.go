package bolt

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// What bounds a group. A task that writes more than maxGroupBytes is committed alone.
const (
	maxGroup      = 1024
	maxGroupBytes = 4 << 20
	maxQueue      = 4096
)

// committer writes one file. Everything that was queued while one group was being made durable is the
// next group; there is no timer, so a lone writer never waits for company.
type committer struct {
	name string // of the file, for errors
	db   *bbolt.DB
	wake func(*overlay) // called with what was written when a group is durable, before its callers know

	queue   chan *task // holds maxQueue; never closed
	closing chan struct{}
	stopped chan struct{} // closed when run has ended
	once    sync.Once

	pending []*task // taken from queue already, to go first; run's own
	exited  bool    // a task ended run's goroutine; run's own

	broken atomic.Pointer[fhir.Error] // set when the disk refused a group: nothing is written any more
}

// The states of a task. It leaves taskQueued once.
const (
	taskQueued int32 = iota
	taskTaken
	taskDropped // its caller went away first
)

type task struct {
	run   func(*overlay) error // may be called again after its writes were undone
	state atomic.Int32
	done  chan struct{} // closed when the outcome below is set

	err      error
	panicked any  // to be raised again in the caller
	exited   bool // it called runtime.Goexit
}

func newCommitter(name string, db *bbolt.DB, wake func(*overlay)) *committer {
	return &committer{
		name: name, db: db, wake: wake,
		queue: make(chan *task, maxQueue), closing: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// do runs fn in a group and returns when that is durable. If ctx ends before fn was taken, it is not run;
// later ctx has no effect, so that the outcome is always the true one.
func (c *committer) do(ctx context.Context, fn func(*overlay) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := &task{run: fn, done: make(chan struct{})}
	select {
	case <-c.closing:
		return store.ErrClosed
	default:
	}
	select {
	case c.queue <- t:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closing:
		return store.ErrClosed
	}
	gone := error(nil)
	select {
	case <-t.done:
	case <-ctx.Done():
		gone = ctx.Err()
	case <-c.stopped:
		gone = store.ErrClosed
	}
	if gone != nil && t.state.CompareAndSwap(taskQueued, taskDropped) {
		return gone
	}
	<-t.done
	switch {
	case t.panicked != nil:
		panic(t.panicked)
	case t.exited:
		runtime.Goexit()
	}
	return t.err
}

// close lets the group under way end and drops what is queued behind it.
func (c *committer) close() {
	c.once.Do(func() { close(c.closing) })
	<-c.stopped
}

// run commits groups until close. It stops when closing is closed.
func (c *committer) run() {
	defer func() {
		if c.exited { // by a task's runtime.Goexit, which must end its caller and not the store
			c.exited = false
			go c.run()
			return
		}
		for _, t := range c.pending {
			t.finish(store.ErrClosed)
		}
		close(c.stopped)
	}()
	for {
		group := c.take()
		if group == nil {
			return
		}
		c.commit(group)
	}
}

// take waits for a task and returns it with all that are queued behind it; nil at the end.
func (c *committer) take() []*task {
	group := c.pending
	c.pending = nil
	if len(group) == 0 {
		select {
		case <-c.closing:
			return nil
		case t := <-c.queue:
			group = append(group, t)
		}
	}
	select {
	case <-c.closing:
		c.pending = group
		return nil
	default:
	}
	// Those whom the last commit woke want to write again: let them queue up first.
	runtime.Gosched()
	for len(group) < maxGroup {
		select {
		case t := <-c.queue:
			group = append(group, t)
		default:
			return group
		}
	}
	return group
}

// commit runs the tasks of a group one over the other and makes what they wrote durable. All of them get
// their outcome then, those that failed as well, for they may have failed by what the group wrote before.
func (c *committer) commit(group []*task) {
	if err := c.broken.Load(); err != nil {
		for _, t := range group {
			if t.take() {
				t.finish(err)
			}
		}
		return
	}
	tx, err := c.db.Begin(true)
	if err != nil {
		c.refuse(group, err)
		return
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	o := newOverlay(tx)
	ran := c.runGroup(group, o)
	if !o.empty() {
		err = o.apply(tx)
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			c.refuse(ran, err)
			return
		}
		c.wake(o)
	}
	for _, t := range ran {
		close(t.done)
	}
}

// runGroup returns the tasks that ran. Those that no longer fit stay pending.
func (c *committer) runGroup(group []*task, o *overlay) []*task {
	ran := make([]*task, 0, len(group))
	for i, t := range group {
		if !t.take() {
			continue
		}
		before := o.size
		c.runTask(t, o, func() { // after Goexit: all that ran must run again, for its transaction is gone
			c.pending = append(ran, group[i+1:]...)
		})
		switch {
		case t.err != nil || t.panicked != nil:
			o.undo()
		case before > 0 && o.size > maxGroupBytes:
			o.undo()
			c.pending = group[i:]
			return ran
		default:
			o.settle()
		}
		ran = append(ran, t)
		if o.size > maxGroupBytes {
			c.pending = group[i+1:]
			return ran
		}
	}
	return ran
}

// runTask runs a task, whatever it does.
func (c *committer) runTask(t *task, o *overlay, exited func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			t.panicked = v
			return
		}
		exited()
		c.exited, t.exited = true, true
		close(t.done)
	}()
	t.err, t.panicked = nil, nil
	t.err = t.run(o)
	returned = true
}

// refuse ends writing for good: what is on the disk is not known until the files are opened again.
func (c *committer) refuse(group []*task, err error) {
	broken := &fhir.Error{
		Kind:       fhir.Unavailable,
		Diagnostic: "the server can't store anything at present: its disk refused a write. Ask its operator to look at the disk and to restart it",
		Err:        fmt.Errorf("%s is read-only until it is opened again, because a commit failed: %w", c.name, err),
	}
	c.broken.Store(broken)
	for _, t := range group {
		if t.take() {
			t.panicked = nil
			t.finish(broken)
		}
	}
}

// take tells whether a task is to be run: its caller is still there, or can't leave any more.
func (t *task) take() bool {
	return t.state.CompareAndSwap(taskQueued, taskTaken) || t.state.Load() == taskTaken
}

func (t *task) finish(err error) {
	t.err = err
	close(t.done)
}
