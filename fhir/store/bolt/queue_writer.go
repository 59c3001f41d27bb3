package bolt

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	"fhirhook/fhir/store"
)

// queueWriter is store.QueueWriter over the overlay of a group.
type queueWriter struct {
	queueReader
	o     *overlay
	owed  map[store.Lane]int // changes of what lanes owe that their records don't show yet
	tray  int                // how many lines it takes
	lines []line             // of the attempt log, that are not written yet
}

// writeQueue runs a transaction over an overlay.
func writeQueue(o *overlay, tray int, fn func(store.QueueWriter) error) error {
	w := &queueWriter{queueReader: queueReader{o}, o: o, tray: tray, owed: map[store.Lane]int{}}
	if err := fn(w); err != nil {
		return err
	}
	if err := w.writeLines(); err != nil {
		return err
	}
	return w.settleCounts()
}

// settleCounts writes the counts that no PutLane has written.
func (w *queueWriter) settleCounts() error {
	for _, lane := range slices.SortedFunc(maps.Keys(w.owed), compareLanes) { // neighbours are written together
		key := laneKey(lane)
		v, ok := w.get(laneBucket, key)
		if !ok {
			v = encodeLane(newLane(lane))
		}
		v, err := addOwed(v, w.owed[lane])
		if err != nil {
			return fmt.Errorf("lane %s/%s: %w", lane.Tenant, lane.Subscription, err)
		}
		if err := w.o.put(laneBucket, key, v); err != nil {
			return err
		}
	}
	clear(w.owed)
	return nil
}

func compareLanes(a, b store.Lane) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Subscription, b.Subscription))
}

func (w *queueWriter) Lane(lane store.Lane) (store.LaneRecord, error) {
	r, err := w.queueReader.Lane(lane)
	r.Owed += uint64(w.owed[lane])
	return r, err
}

func (w *queueWriter) Lanes(after store.Lane) iter.Seq2[store.LaneRecord, error] {
	if err := w.settleCounts(); err != nil {
		return func(yield func(store.LaneRecord, error) bool) { yield(store.LaneRecord{}, err) }
	}
	return w.queueReader.Lanes(after)
}

func (w *queueWriter) SetCursor(name string, c store.Cursor) error {
	if err := store.CheckCursor(name); err != nil {
		return err
	}
	return w.o.put(cursorBucket, []byte(name), encodeCursor(c))
}

func (w *queueWriter) PutLane(r store.LaneRecord) error {
	if err := r.Check(); err != nil {
		return err
	}
	key := laneKey(r.Lane)
	r.Owed = 0
	if v, ok := w.get(laneBucket, key); ok {
		var err error
		if r.Owed, err = owedOf(v); err != nil {
			return fmt.Errorf("lane %s/%s: %w", r.Lane.Tenant, r.Lane.Subscription, err)
		}
	}
	r.Owed += uint64(w.owed[r.Lane])
	delete(w.owed, r.Lane)
	return w.o.put(laneBucket, key, encodeLane(r))
}

func (w *queueWriter) Owe(n store.Notification) error {
	if err := n.Check(); err != nil {
		return err
	}
	key := numbered(lanePrefix(n.Lane), n.Number)
	if v, ok := w.get(owedBucket, key); !ok {
		w.owed[n.Lane]++
		if err := w.o.put(numberBucket, numberKey(n), encodeNumber(n.Number)); err != nil {
			return err
		}
		if n.Cause != "" {
			if err := w.o.put(numberBucket, causedKey(n), encodeNumber(n.Number)); err != nil {
				return err
			}
		}
	} else if err := w.unwait(n.Lane, n.Number, v); err != nil {
		return err
	}
	if !n.Next.IsZero() {
		if err := w.o.put(waitingBucket, waitingKey(n), nil); err != nil {
			return err
		}
	}
	return w.o.put(owedBucket, key, encodeNotification(n))
}

// unwait takes a notification, of which v is the value, out of the waiting index.
func (w *queueWriter) unwait(lane store.Lane, number uint64, v []byte) error {
	next, err := nextOf(v)
	if err == nil && !next.IsZero() {
		w.o.remove(waitingBucket, waitingKey(store.Notification{Lane: lane, Number: number, Next: next}))
	}
	return err
}

func (w *queueWriter) Settle(lane store.Lane, number uint64) error {
	key := numbered(lanePrefix(lane), number)
	v, ok := w.get(owedBucket, key)
	if !ok {
		return nil
	}
	if err := w.unwait(lane, number, v); err != nil {
		return err
	}
	w.o.remove(owedBucket, key)
	w.owed[lane]--
	return nil
}

func (w *queueWriter) PutJob(j store.Job) error {
	if err := j.Check(); err != nil {
		return err
	}
	return w.o.put(jobBucket, jobKey(j.Lane, j.ID), append([]byte{queueEncoding}, j.Data...))
}

func (w *queueWriter) DropJob(lane store.Lane, id string) error {
	if _, ok := w.get(jobBucket, jobKey(lane, id)); ok {
		w.o.remove(jobBucket, jobKey(lane, id))
	}
	return nil
}
