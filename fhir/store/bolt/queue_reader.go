package bolt

import (
	"bytes"
	"iter"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// queueReader is store.QueueReader over any source.
type queueReader struct{ source }

func (r *queueReader) Cursor(name string) (store.Cursor, error) {
	v, ok := r.get(cursorBucket, []byte(name))
	if name == "" || !ok {
		return store.Cursor{}, nil
	}
	return decodeCursor(v)
}

func (r *queueReader) Lane(lane store.Lane) (store.LaneRecord, error) {
	v, ok := r.get(laneBucket, laneKey(lane))
	if !ok {
		return newLane(lane), nil
	}
	return decodeLane(lane, v)
}

func newLane(lane store.Lane) store.LaneRecord { return store.LaneRecord{Lane: lane, Next: 1, Head: 1} }

func (r *queueReader) Lanes(after store.Lane) iter.Seq2[store.LaneRecord, error] {
	return func(yield func(store.LaneRecord, error) bool) {
		for k, v := range r.ascend(laneBucket, append(laneKey(after), 0), nil) {
			tenant, subscription, _ := bytes.Cut(k, []byte{0})
			record, err := decodeLane(store.Lane{Tenant: string(tenant), Subscription: string(subscription)}, v)
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

func (r *queueReader) Owed(lane store.Lane, from uint64) iter.Seq2[store.Notification, error] {
	return func(yield func(store.Notification, error) bool) {
		prefix := lanePrefix(lane)
		for k, v := range r.ascend(owedBucket, numbered(prefix, from), prefix) {
			n, err := decodeNotification(lane, lastNumber(k), v)
			if !yield(n, err) || err != nil {
				return
			}
		}
	}
}

func (r *queueReader) Waiting(lane store.Lane) iter.Seq2[store.Notification, error] {
	return func(yield func(store.Notification, error) bool) {
		prefix := lanePrefix(lane)
		for k := range r.ascend(waitingBucket, prefix, prefix) {
			number := lastNumber(k)
			v, _ := r.get(owedBucket, numbered(prefix, number)) // Check proves that it is there
			n, err := decodeNotification(lane, number, v)
			if !yield(n, err) || err != nil {
				return
			}
		}
	}
}

func (r *queueReader) Numbers(focus fhir.Key, version uint64, updated time.Time) iter.Seq2[store.Numbered, error] {
	return func(yield func(store.Numbered, error) bool) {
		prefix := numberPrefix(focus, version, updated)
		for k, v := range r.ascend(numberBucket, prefix, prefix) {
			n, err := decodeNumber(focus.Tenant, k[len(prefix):], v)
			if !yield(n, err) || err != nil {
				return
			}
		}
	}
}

func (r *queueReader) Job(lane store.Lane, id string) (store.Job, error) {
	v, ok := r.get(jobBucket, jobKey(lane, id))
	if !ok {
		return store.Job{}, store.ErrNotFound
	}
	return decodeJob(lane, id, v)
}

func (r *queueReader) Jobs() iter.Seq2[store.Job, error] {
	return func(yield func(store.Job, error) bool) {
		for k, v := range r.ascend(jobBucket, nil, nil) {
			lane, id, _ := cutLane(k)
			j, err := decodeJob(lane, string(id), v)
			if !yield(j, err) || err != nil {
				return
			}
		}
	}
}
