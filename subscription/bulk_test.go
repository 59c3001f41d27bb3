package subscription

// The deliverer tests with large backlogs stand on this.

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// bulk is a store whose queue is quick with large backlogs: it changes rows in place, and so can't roll back.
type bulk struct {
	store.DB
	q *bulkQueue
}

func newBulk(db store.DB) *bulk {
	return &bulk{db, &bulkQueue{lanes: map[store.Lane]*bulkLane{}}}
}

func (b *bulk) Queue() store.Queue { return b.q }

type bulkQueue struct {
	mu       sync.RWMutex // held during a transaction
	lanes    map[store.Lane]*bulkLane
	attempts int
	updates  int
}

type bulkLane struct {
	record  store.LaneRecord
	numbers []uint64 // ascending; some are settled
	rows    map[uint64]store.Notification
	waiting map[uint64]bool
}

func (q *bulkQueue) View(ctx context.Context, fn func(store.QueueReader) error) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return fn(bulkTx{q})
}

func (q *bulkQueue) Update(ctx context.Context, _ store.Lease, fn func(store.QueueWriter) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.updates++
	return fn(bulkTx{q})
}

type bulkTx struct{ q *bulkQueue }

func (x bulkTx) at(lane store.Lane) *bulkLane {
	if l := x.q.lanes[lane]; l != nil {
		return l
	}
	return &bulkLane{record: store.LaneRecord{Lane: lane, Next: 1, Head: 1}, rows: map[uint64]store.Notification{}, waiting: map[uint64]bool{}}
}

func (x bulkTx) Cursor(string) (store.Cursor, error) { return store.Cursor{}, nil }

func (x bulkTx) Lane(lane store.Lane) (store.LaneRecord, error) {
	l := x.at(lane)
	r := l.record
	r.Owed = uint64(len(l.rows))
	return r, nil
}

func (x bulkTx) Lanes(after store.Lane) iter.Seq2[store.LaneRecord, error] {
	return func(yield func(store.LaneRecord, error) bool) {
		order := func(a, b store.Lane) int {
			return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Subscription, b.Subscription))
		}
		for _, id := range slices.SortedFunc(maps.Keys(x.q.lanes), order) {
			if r, _ := x.Lane(id); order(id, after) > 0 && !yield(r, nil) {
				return
			}
		}
	}
}

func (x bulkTx) Owed(lane store.Lane, from uint64) iter.Seq2[store.Notification, error] {
	l := x.at(lane)
	return func(yield func(store.Notification, error) bool) {
		i, _ := slices.BinarySearch(l.numbers, from)
		for _, number := range l.numbers[i:] {
			if n, ok := l.rows[number]; ok && !yield(n, nil) {
				return
			}
		}
	}
}

func (x bulkTx) Waiting(lane store.Lane) iter.Seq2[store.Notification, error] {
	l := x.at(lane)
	return func(yield func(store.Notification, error) bool) {
		numbers := slices.SortedFunc(maps.Keys(l.waiting), func(a, b uint64) int {
			return cmp.Or(l.rows[a].Next.Compare(l.rows[b].Next), cmp.Compare(a, b))
		})
		for _, number := range numbers {
			if !yield(l.rows[number], nil) {
				return
			}
		}
	}
}

func (x bulkTx) Attempts(store.AttemptScope) iter.Seq2[store.Attempt, error] {
	return func(func(store.Attempt, error) bool) {}
}

func (x bulkTx) Numbers(fhir.Key, uint64, time.Time) iter.Seq2[store.Numbered, error] {
	return func(func(store.Numbered, error) bool) {}
}

func (x bulkTx) Job(store.Lane, string) (store.Job, error) { return store.Job{}, store.ErrNotFound }

func (x bulkTx) Jobs() iter.Seq2[store.Job, error] { return func(func(store.Job, error) bool) {} }

func (x bulkTx) PutJob(store.Job) error { return nil }

func (x bulkTx) DropJob(store.Lane, string) error { return nil }

func (x bulkTx) SetCursor(string, store.Cursor) error { return nil }

func (x bulkTx) PutLane(r store.LaneRecord) error {
	l := x.at(r.Lane)
	l.record = r
	x.q.lanes[r.Lane] = l
	return nil
}

func (x bulkTx) Owe(n store.Notification) error {
	l := x.at(n.Lane)
	x.q.lanes[n.Lane] = l
	if _, ok := l.rows[n.Number]; !ok {
		l.numbers = append(l.numbers, n.Number) // given in order
	}
	l.rows[n.Number] = n
	delete(l.waiting, n.Number)
	if !n.Next.IsZero() {
		l.waiting[n.Number] = true
	}
	return nil
}

func (x bulkTx) Settle(lane store.Lane, number uint64) error {
	l := x.at(lane)
	delete(l.rows, number)
	delete(l.waiting, number)
	for len(l.numbers) > 0 {
		if _, ok := l.rows[l.numbers[0]]; ok {
			break
		}
		l.numbers = l.numbers[1:]
	}
	return nil
}

func (x bulkTx) Record(store.Attempt) error {
	x.q.attempts++
	return nil
}

func (x bulkTx) Expire(time.Time) (int, error) { return 0, nil }
