package bolt

import (
	"bytes"
	"testing"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

var someTime = time.Date(2026, 1, 31, 12, 0, 0, 123_000_000, time.UTC)

// FuzzRow: whatever stands in the log, decoding it never panics, and what can be decoded is encoded to
// something that decodes to the same.
func FuzzRow(f *testing.F) {
	full := &fhir.Resource{Key: fhir.Key{Tenant: "t", Type: "Patient", ID: "a"}, Version: 300, Updated: someTime, JSON: []byte(`{}`)}
	f.Add(encodeRow(full, fhir.Update, store.Origin{Actor: "Ada", RequestID: "r", RequestKey: "k", Cause: "c", Server: true}, Sealing{}))
	f.Add(encodeRow(&fhir.Resource{Version: 1, Updated: someTime, Deleted: true}, fhir.Delete, store.Origin{}, Sealing{}))
	f.Add([]byte{})
	f.Add([]byte{rowEncoding})
	f.Fuzz(func(t *testing.T, row []byte) {
		c, err := decodeRow(7, row, Sealing{})
		if err != nil {
			return
		}
		again := encodeRow(c.Resource, c.Interaction, c.Origin, Sealing{})
		setRowsBehind(again, uint32(c.End-c.Seq))
		d, err := decodeRow(7, again, Sealing{})
		if err != nil || d.End != c.End || d.Origin != c.Origin || d.Interaction != c.Interaction ||
			d.Resource.Key != c.Resource.Key || d.Resource.Version != c.Resource.Version ||
			!d.Resource.Updated.Equal(c.Resource.Updated) || !bytes.Equal(d.Resource.JSON, c.Resource.JSON) {
			t.Errorf("%v became %v, %v", c, d, err)
		}
	})
}

// FuzzQueueRow does the same for all values of the queue.
func FuzzQueueRow(f *testing.F) {
	lane := store.Lane{Tenant: "t", Subscription: "s"}
	focus := fhir.Key{Tenant: "t", Type: "Patient", ID: "a"}
	a := store.Attempt{
		Lane: lane, Number: 1, ID: "i", Focus: focus, Version: 2, Interaction: fhir.Create, Try: 1, Time: someTime,
		Duration: time.Second, Status: 500, Class: "status", Reply: "r", State: store.Failed, Next: someTime.Add(1),
	}
	key := attemptKey(a, 0)[len(lanePrefix(lane)):]
	f.Add(key, encodeAttempt(a))
	f.Add(key, encodeAttempt(store.Attempt{}))
	a.Cause = "Patient/p/_history/4"
	f.Add(key, encodeAttempt(a))
	f.Add(key, encodeNotification(store.Notification{Focus: focus, Version: 2, Cause: "c", Updated: someTime, Tries: 3, Began: someTime.Add(5)}))
	f.Add(key, encodeLane(store.LaneRecord{Next: 5, Head: 2, Owed: 3, Failures: 1, FailingSince: someTime, BreakerOpen: true, Cancelling: true}))
	f.Add(key, encodeCursor(store.Cursor{Seq: 300, Step: 5}))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if n, err := decodeNotification(lane, 7, v); err == nil {
			if again, err := decodeNotification(lane, 7, encodeNotification(n)); err != nil || again != n {
				t.Errorf("%v became %v, %v", n, again, err)
			}
		}
		if r, err := decodeLane(lane, v); err == nil {
			if again, err := decodeLane(lane, encodeLane(r)); err != nil || again != r {
				t.Errorf("%v became %v, %v", r, again, err)
			}
		}
		if c, err := decodeCursor(v); err == nil {
			if again, err := decodeCursor(encodeCursor(c)); err != nil || again != c {
				t.Errorf("%v became %v, %v", c, again, err)
			}
		}
		if a, err := decodeAttempt(lane, k, v); err == nil {
			if again, err := decodeAttempt(lane, k, encodeAttempt(a)); err != nil || again != a {
				t.Errorf("%v became %v, %v", a, again, err)
			}
		}
		_, _ = addOwed(v, 1)
		_, _, _ = decodePlace(v)
		_, _, _ = cutLane(k)
	})
}
