package storetest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// queueState is one state of the queue. It is never changed once it is published: a writer clones what it
// changes.
type queueState struct {
	lanes    map[store.Lane]store.LaneRecord
	owed     map[store.Lane]map[uint64]store.Notification
	cursors  map[string]store.Cursor
	numbers  map[versionKey]map[numberKey]uint64
	jobs     map[jobKey]store.Job
	attempts []store.Attempt // as recorded; appending leaves earlier states alone
}

// versionKey is what numbers are looked up by.
type versionKey struct {
	focus   fhir.Key
	version uint64
	updated int64 // milliseconds
}

type numberKey struct{ subscription, cause string }

type jobKey struct {
	lane store.Lane
	id   string
}

func newQueueState() *queueState {
	return &queueState{
		lanes:   map[store.Lane]store.LaneRecord{},
		owed:    map[store.Lane]map[uint64]store.Notification{},
		cursors: map[string]store.Cursor{},
		numbers: map[versionKey]map[numberKey]uint64{},
		jobs:    map[jobKey]store.Job{},
	}
}

type modelQueue struct {
	db      *model
	writing sync.Mutex // held by one Update at a time; taken before mu

	mu    sync.Mutex // guards state
	state *queueState
}

func (q *modelQueue) current(ctx context.Context) (*queueState, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.db.mu.Lock()
	closed := q.db.closed
	q.db.mu.Unlock()
	if closed {
		return nil, store.ErrClosed
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state, nil
}

func (q *modelQueue) View(ctx context.Context, fn func(store.QueueReader) error) error {
	s, err := q.current(ctx)
	if err != nil {
		return err
	}
	return fn(&queueReader{s})
}

func (q *modelQueue) Update(ctx context.Context, _ store.Lease, fn func(store.QueueWriter) error) error {
	q.writing.Lock()
	defer q.writing.Unlock()
	s, err := q.current(ctx)
	if err != nil {
		return err
	}
	next := &queueState{
		lanes: maps.Clone(s.lanes), owed: maps.Clone(s.owed), cursors: maps.Clone(s.cursors),
		numbers: maps.Clone(s.numbers), jobs: maps.Clone(s.jobs),
		attempts: s.attempts, // appended to behind what earlier states can see
	}
	if err := fn(&queueWriter{queueReader{next}, map[store.Lane]bool{}}); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.state = next
	return nil
}

func (q *modelQueue) check(ctx context.Context) []error {
	s, err := q.current(ctx)
	if err != nil {
		return []error{err}
	}
	var errs []error
	for lane, owed := range s.owed {
		for number := range owed {
			if next := s.record(lane).Next; number >= next {
				errs = append(errs, fmt.Errorf("lane %s/%s owes number %d, and its next is %d",
					lane.Tenant, lane.Subscription, number, next))
			}
		}
	}
	return errs
}

func (s *queueState) record(lane store.Lane) store.LaneRecord {
	if r, ok := s.lanes[lane]; ok {
		return r
	}
	return store.LaneRecord{Lane: lane, Next: 1, Head: 1}
}

type queueReader struct{ *queueState }

func (r *queueReader) Cursor(name string) (store.Cursor, error) { return r.cursors[name], nil }

func (r *queueReader) Lane(lane store.Lane) (store.LaneRecord, error) { return r.record(lane), nil }

func (r *queueReader) Lanes(after store.Lane) iter.Seq2[store.LaneRecord, error] {
	lanes := maps.Clone(r.lanes)
	return func(yield func(store.LaneRecord, error) bool) {
		for _, lane := range slices.SortedFunc(maps.Keys(lanes), compareLanes) {
			if compareLanes(lane, after) > 0 && !yield(lanes[lane], nil) {
				return
			}
		}
	}
}

func (r *queueReader) Owed(lane store.Lane, from uint64) iter.Seq2[store.Notification, error] {
	owed := maps.Clone(r.owed[lane])
	return func(yield func(store.Notification, error) bool) {
		for _, number := range slices.Sorted(maps.Keys(owed)) {
			if number >= from && !yield(owed[number], nil) {
				return
			}
		}
	}
}

func (r *queueReader) Waiting(lane store.Lane) iter.Seq2[store.Notification, error] {
	var waiting []store.Notification
	for n := range r.Owed(lane, 0) {
		if !n.Next.IsZero() {
			waiting = append(waiting, n)
		}
	}
	slices.SortStableFunc(waiting, func(a, b store.Notification) int { return a.Next.Compare(b.Next) })
	return func(yield func(store.Notification, error) bool) {
		for _, n := range waiting {
			if !yield(n, nil) {
				return
			}
		}
	}
}

func (r *queueReader) Attempts(scope store.AttemptScope) iter.Seq2[store.Attempt, error] {
	var in []store.Attempt
	for _, a := range r.attempts {
		if a.Lane == scope.Lane && !a.Time.Before(scope.Since) && (scope.Until.IsZero() || a.Time.Before(scope.Until)) &&
			a.Number >= scope.From && (scope.Below == 0 || a.Number < scope.Below) {
			in = append(in, a)
		}
	}
	slices.SortStableFunc(in, func(a, b store.Attempt) int {
		return cmp.Or(day(a.Time).Compare(day(b.Time)), cmp.Compare(a.Number, b.Number), a.Time.Compare(b.Time))
	})
	return func(yield func(store.Attempt, error) bool) {
		for _, a := range in {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (r *queueReader) Numbers(focus fhir.Key, version uint64, updated time.Time) iter.Seq2[store.Numbered, error] {
	of := maps.Clone(r.numbers[versionKey{focus, version, updated.UnixMilli()}])
	return func(yield func(store.Numbered, error) bool) {
		for _, k := range slices.SortedFunc(maps.Keys(of), func(a, b numberKey) int {
			return cmp.Or(cmp.Compare(a.subscription, b.subscription), cmp.Compare(a.cause, b.cause))
		}) {
			lane := store.Lane{Tenant: focus.Tenant, Subscription: k.subscription}
			if !yield(store.Numbered{Lane: lane, Number: of[k], Cause: k.cause}, nil) {
				return
			}
		}
	}
}

func (r *queueReader) Job(lane store.Lane, id string) (store.Job, error) {
	if j, ok := r.jobs[jobKey{lane, id}]; ok {
		return j, nil
	}
	return store.Job{}, store.ErrNotFound
}

func (r *queueReader) Jobs() iter.Seq2[store.Job, error] {
	jobs := maps.Clone(r.jobs)
	return func(yield func(store.Job, error) bool) {
		for _, k := range slices.SortedFunc(maps.Keys(jobs), func(a, b jobKey) int {
			return cmp.Or(compareLanes(a.lane, b.lane), cmp.Compare(a.id, b.id))
		}) {
			if !yield(jobs[k], nil) {
				return
			}
		}
	}
}

func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

type queueWriter struct {
	queueReader
	own map[store.Lane]bool // the lanes whose map of owed notifications is this writer's own
}

func (w *queueWriter) SetCursor(name string, c store.Cursor) error {
	if err := store.CheckCursor(name); err != nil {
		return err
	}
	w.cursors[name] = c
	return nil
}

func (w *queueWriter) PutLane(r store.LaneRecord) error {
	if err := r.Check(); err != nil {
		return err
	}
	r.Owed = uint64(len(w.owed[r.Lane]))
	w.lanes[r.Lane] = r
	return nil
}

// lane returns the notifications of a lane, to be changed.
func (w *queueWriter) lane(lane store.Lane) map[uint64]store.Notification {
	if !w.own[lane] {
		owed := maps.Clone(w.owed[lane])
		if owed == nil {
			owed = map[uint64]store.Notification{}
		}
		w.owed[lane], w.own[lane] = owed, true
	}
	return w.owed[lane]
}

func (w *queueWriter) count(lane store.Lane) {
	r := w.record(lane)
	r.Owed = uint64(len(w.owed[lane]))
	w.lanes[lane] = r
}

func (w *queueWriter) Owe(n store.Notification) error {
	if err := n.Check(); err != nil {
		return err
	}
	if _, ok := w.owed[n.Lane][n.Number]; !ok {
		focus := n.Focus
		focus.Tenant = n.Lane.Tenant
		times := []time.Time{n.Updated}
		if n.Cause != "" {
			times = append(times, time.Time{})
		}
		for _, t := range times {
			at := versionKey{focus, n.Version, t.UnixMilli()}
			of := maps.Clone(w.numbers[at])
			if of == nil {
				of = map[numberKey]uint64{}
			}
			of[numberKey{n.Lane.Subscription, n.Cause}] = n.Number
			w.numbers[at] = of
		}
	}
	w.lane(n.Lane)[n.Number] = n
	w.count(n.Lane)
	return nil
}

func (w *queueWriter) Settle(lane store.Lane, number uint64) error {
	if _, ok := w.owed[lane][number]; ok {
		delete(w.lane(lane), number)
		w.count(lane)
	}
	return nil
}

func (w *queueWriter) Record(a store.Attempt) error {
	if err := a.Check(); err != nil {
		return err
	}
	w.attempts = append(w.attempts, a)
	return nil
}

func (w *queueWriter) PutJob(j store.Job) error {
	if err := j.Check(); err != nil {
		return err
	}
	j.Data = slices.Clone(j.Data)
	w.jobs[jobKey{j.Lane, j.ID}] = j
	return nil
}

func (w *queueWriter) DropJob(lane store.Lane, id string) error {
	delete(w.jobs, jobKey{lane, id})
	return nil
}

func (w *queueWriter) Expire(before time.Time) (int, error) {
	gone := map[time.Time]bool{}
	var kept []store.Attempt
	for _, a := range w.attempts {
		if d := day(a.Time); !d.Add(24 * time.Hour).After(before) {
			gone[d] = true
		} else {
			kept = append(kept, a)
		}
	}
	w.attempts = kept
	return len(gone), nil
}
