package bolt

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"fhirhook/fhir/store"
)

// queueWriter is store.QueueWriter over the overlay of a group.
type queueWriter struct {
	queueReader
	o *overlay
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
	old, err := w.Lane(r.Lane)
	if err != nil {
		return err
	}
	r.Owed = old.Owed
	return w.o.put(laneBucket, laneKey(r.Lane), encodeLane(r))
}

// count changes how many a lane owes.
func (w *queueWriter) count(lane store.Lane, delta int) error {
	key := laneKey(lane)
	v, ok := w.get(laneBucket, key)
	if !ok {
		v = encodeLane(newLane(lane))
	}
	v, err := addOwed(v, delta)
	if err != nil {
		return fmt.Errorf("lane %s/%s: %w", lane.Tenant, lane.Subscription, err)
	}
	return w.o.put(laneBucket, key, v)
}

func (w *queueWriter) Owe(n store.Notification) error {
	if err := n.Check(); err != nil {
		return err
	}
	key := numbered(lanePrefix(n.Lane), n.Number)
	if v, ok := w.get(owedBucket, key); !ok {
		if err := w.count(n.Lane, 1); err != nil {
			return err
		}
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
	n, err := decodeNotification(lane, number, v)
	if err == nil && !n.Next.IsZero() {
		w.o.remove(waitingBucket, waitingKey(n))
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
	return w.count(lane, -1)
}

func (w *queueWriter) Record(a store.Attempt) error {
	if err := a.Check(); err != nil {
		return err
	}
	bucket, ordinal := dayBucket(a.Time), uint16(0)
	last := attemptKey(a, math.MaxUint16)
	instant := last[:len(last)-2]
	if k, _ := w.before(bucket, last, instant); k != nil { // another of the same instant
		ordinal = binary.BigEndian.Uint16(k[len(instant):]) + 1
	}
	if ordinal == math.MaxUint16 {
		return fmt.Errorf("record an attempt: number %d has too many at %s", a.Number, a.Time.UTC())
	}
	return w.o.put(bucket, attemptKey(a, ordinal), encodeAttempt(a))
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

func (w *queueWriter) Expire(before time.Time) (int, error) {
	gone := 0
	for _, name := range w.children(attemptBucket) {
		end, err := dayEnd(name)
		if err != nil {
			return gone, fmt.Errorf("expire attempts: %w", err)
		}
		if end.After(before) {
			continue
		}
		w.o.drop(attemptBucket + "/" + name)
		gone++
	}
	return gone, nil
}
