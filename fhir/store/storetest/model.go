package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// model is the obvious engine. Rows are only ever appended to log, so a reader's state is a length; a purge makes
// another log.
type model struct {
	epoch string
	now   func() time.Time
	queue modelQueue
	index modelIndex

	writing sync.Mutex // held by one Update at a time; taken before queue.writing, index.writing and mu

	mu      sync.Mutex // guards what follows
	log     []store.Change
	byKey   map[fhir.Key][]store.Seq // the rows of each key, in order
	lastOf  map[fhir.Type]store.Seq
	request map[string]store.Seq
	horizon store.Seq
	held    map[store.Version]bool // replaced by a copy when it changes, as log is where a row in it does
	changed chan struct{}          // closed and replaced when log grows, and when the store closes
	closed  bool
	grants  uint64
}

// NewModel makes an empty store in memory.
func NewModel() store.DB { return newModel(time.Now) }

// NewModelAt makes one with another clock.
func NewModelAt(now func() time.Time) store.DB { return newModel(now) }

func newModel(now func() time.Time) *model {
	m := &model{
		epoch:   uuid.NewString(),
		now:     now,
		byKey:   map[fhir.Key][]store.Seq{},
		lastOf:  map[fhir.Type]store.Seq{},
		request: map[string]store.Seq{},
		changed: make(chan struct{}),
	}
	m.queue.db, m.index.db = m, m
	m.queue.state = newQueueState()
	return m
}

// reopen closes the model and returns another one that holds the same data.
func (m *model) reopen() *model {
	_ = m.Close()
	again := newModel(m.now)
	m.writing.Lock()
	defer m.writing.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	again.epoch, again.grants = m.epoch, m.grants
	again.log, again.byKey, again.lastOf, again.request = m.log, m.byKey, m.lastOf, m.request
	again.horizon, again.held = m.horizon, m.held
	again.queue.state, again.index.shelves = m.queue.state, m.index.shelves
	return again
}

func (m *model) Epoch() string      { return m.epoch }
func (m *model) Queue() store.Queue { return &m.queue }

func (m *model) View(ctx context.Context, fn func(store.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	closed, r := m.closed, m.reader()
	m.mu.Unlock()
	if closed {
		return store.ErrClosed
	}
	return fn(&r)
}

func (m *model) Update(ctx context.Context, origin store.Origin, fn func(store.Writer) error) (store.Commit, error) {
	if err := store.CheckOrigin(origin); err != nil {
		return store.Commit{}, err
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return store.Commit{}, err
	}
	m.mu.Lock()
	closed, r := m.closed, m.reader()
	now := fhir.Millis(m.now())
	if rows := len(m.log); rows > 0 && now.Before(m.log[rows-1].Resource.Updated) {
		now = m.log[rows-1].Resource.Updated
	}
	m.mu.Unlock()
	if closed {
		return store.Commit{}, store.ErrClosed
	}
	w := &modelWriter{modelReader: r, origin: origin, now: now}
	if err := fn(w); err != nil {
		return store.Commit{}, err
	}
	return m.commit(w), nil
}

func (m *model) commit(w *modelWriter) store.Commit {
	if len(w.own) == 0 {
		return store.Commit{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	end := w.Last()
	for _, c := range w.own {
		c.End = end
		m.lastOf[c.Resource.Key.Type] = c.Seq
		m.log = append(m.log, c)
		m.byKey[c.Resource.Key] = append(m.byKey[c.Resource.Key], c.Seq)
	}
	if w.origin.RequestKey != "" {
		m.request[w.origin.RequestKey] = end
	}
	close(m.changed)
	m.changed = make(chan struct{})
	return store.Commit{Seq: end, Time: w.now}
}

func (m *model) LastOf(ctx context.Context, t fhir.Type) (store.Seq, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, store.ErrClosed
	}
	return m.lastOf[t], ctx.Err()
}

func (m *model) Wait(ctx context.Context, after store.Seq) error {
	for {
		m.mu.Lock()
		last, closed, changed := store.Seq(len(m.log)), m.closed, m.changed
		m.mu.Unlock()
		switch {
		case closed:
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

func (m *model) Lease(ctx context.Context, name string) (store.Lease, error) {
	if err := ctx.Err(); err != nil {
		return store.Lease{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return store.Lease{}, store.ErrClosed
	}
	m.grants++
	return store.Lease{Name: name, Token: m.grants}, nil
}

// Check proves what the model's callers can get wrong: it can't itself lose a row.
func (m *model) Check(ctx context.Context, progress func(done, total uint64)) error {
	var errs []error
	err := m.View(ctx, func(r store.Reader) error {
		total := uint64(r.Last())
		for c, err := range r.Changes(0) {
			if err == nil && !c.Purged {
				err = checkBody(c.Resource)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("row %d: %w", c.Seq, err))
			}
			if progress != nil {
				progress(uint64(c.Seq), total)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(append(errs, m.queue.check(ctx)...)...)
}

func (m *model) Close() error {
	m.writing.Lock() // waits for transactions under way
	defer m.writing.Unlock()
	m.queue.writing.Lock()
	defer m.queue.writing.Unlock()
	m.index.writing.Lock()
	defer m.index.writing.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.changed)
	}
	return nil
}
