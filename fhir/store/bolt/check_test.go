package bolt

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Check is only worth something if it finds what it is for: each case breaks one thing.
func TestCheck_findsWhatIsBroken(t *testing.T) {
	key := fhir.Key{Tenant: "t", Type: "Patient", ID: "a"}
	lane := store.Lane{Tenant: "t", Subscription: "s"}
	next := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	waits := store.Notification{Lane: lane, Number: 2, Version: 2, Next: next}
	row := func(b *bbolt.Bucket, seq store.Seq, fn func(row []byte) []byte) error {
		return b.Put(seqKey(seq), fn(append([]byte(nil), b.Get(seqKey(seq))...)))
	}
	tests := []struct {
		name   string
		half   string // bucket of which file
		bucket string
		damage func(b *bbolt.Bucket) error
		want   string
	}{
		{"a lost row", "log", logBucket, func(b *bbolt.Bucket) error { return b.Delete(seqKey(2)) }, "row 3 follows row 1"},
		{"a garbled row", "log", logBucket, func(b *bbolt.Bucket) error { return b.Put(seqKey(2), []byte{9}) }, "row 2 of the log"},
		{"a changed body", "log", logBucket, func(b *bbolt.Bucket) error {
			return row(b, 2, func(v []byte) []byte { return []byte(strings.Replace(string(v), `"id":"b"`, `"id":"c"`, 1)) })
		}, "its JSON says"},
		{"a body that is no JSON", "log", logBucket, func(b *bbolt.Bucket) error {
			return row(b, 2, func(v []byte) []byte { return v[:len(v)-1] })
		}, "row 2: Patient/b/_history/1"},
		{"white space", "log", logBucket, func(b *bbolt.Bucket) error {
			return row(b, 2, func(v []byte) []byte { return append(v, ' ') })
		}, "white space"},
		{"an end that is too far", "log", logBucket, func(b *bbolt.Bucket) error {
			return row(b, 2, func(v []byte) []byte { setRowsBehind(v, 2); return v })
		}, "rows 2 and 3 are of one transaction"},
		{"an end behind the last row", "log", logBucket, func(b *bbolt.Bucket) error {
			return row(b, 4, func(v []byte) []byte { setRowsBehind(v, 7); return v })
		}, "row 4 is the last"},
		{"time that goes back", "log", logBucket, func(b *bbolt.Bucket) error {
			return row(b, 3, func(v []byte) []byte { binary.BigEndian.PutUint64(v[6:], 5); return v })
		}, "time goes back"},
		{"a lost version", "log", versionBucket, func(b *bbolt.Bucket) error { return b.Delete(numbered(resourcePrefix(key), 1)) }, "row 1: the version index"},
		{"a version too many", "log", versionBucket, func(b *bbolt.Bucket) error {
			return b.Put(numbered(resourcePrefix(key), 3), encodePlace(2, fhir.Update))
		}, "has version 3 at row 2 behind version 2 at row 3"},
		{"a version that leads nowhere", "log", versionBucket, func(b *bbolt.Bucket) error {
			return b.Put(numbered(resourcePrefix(key), 3), encodePlace(99, fhir.Update))
		}, "row 99 of the log is missing"},
		{"a lost type", "log", typeBucket, func(b *bbolt.Bucket) error { return b.Delete(numbered(prefix("t", "Patient"), 2)) }, "row 2 is missing in the type index"},
		{"a type too many", "log", typeBucket, func(b *bbolt.Bucket) error { return b.Put(numbered(prefix("t", "Basic"), 2), nil) }, "leads to row 2"},
		{"a lost tenant", "log", tenantBucket, func(b *bbolt.Bucket) error { return b.Delete(numbered(prefix("t"), 2)) }, "row 2 is missing in the tenant index"},
		{"a tenant too many", "log", tenantBucket, func(b *bbolt.Bucket) error { return b.Put(numbered(prefix("u"), 2), nil) }, "leads to row 2"},
		{"a lost request", "log", requestBucket, func(b *bbolt.Bucket) error { return b.Delete([]byte("k")) }, `request "k"`},
		{"a request too many", "log", requestBucket, func(b *bbolt.Bucket) error { return b.Put([]byte("l"), seqKey(1)) }, `request "l" leads to row 1`},
		{"a wrong count", "queue", laneBucket, func(b *bbolt.Bucket) error {
			v, err := addOwed(b.Get(laneKey(lane)), 1)
			if err != nil {
				return err
			}
			return b.Put(laneKey(lane), v)
		}, "counts 3 owed notifications and has 2"},
		{"a number at or above the next", "queue", laneBucket, func(b *bbolt.Bucket) error {
			return b.Put(laneKey(lane), encodeLane(store.LaneRecord{Next: 2, Head: 1, Owed: 2}))
		}, "owes number 2, and its next number is 2"},
		{"a garbled notification", "queue", owedBucket, func(b *bbolt.Bucket) error {
			return b.Put(numbered(lanePrefix(lane), 1), []byte{queueEncoding})
		}, "number 1: the value ends too early"},
		{"a lost wait", "queue", waitingBucket, func(b *bbolt.Bucket) error { return b.Delete(waitingKey(waits)) }, "is not in the waiting index"},
		{"a wait too many", "queue", waitingBucket, func(b *bbolt.Bucket) error {
			other := waits
			other.Number = 1
			return b.Put(waitingKey(other), nil)
		}, "leads to no notification that waits"},
		{"a lost number", "queue", numberBucket, func(b *bbolt.Bucket) error { return b.Delete(numberKey(waits)) }, "the number index doesn't know it"},
		{"a cursor ahead of the log", "queue", cursorBucket, func(b *bbolt.Bucket) error {
			return b.Put([]byte("matcher"), encodeCursor(store.Cursor{Seq: 5}))
		}, "at row 5, and the log ends with row 4"},
		{"an attempt under another day", "queue", attemptBucket, func(b *bbolt.Bucket) error {
			day, err := b.CreateBucket([]byte("20260102"))
			if err != nil {
				return err
			}
			a := store.Attempt{Lane: lane, Number: 1, Time: next}
			return day.Put(attemptKey(a, 0), encodeAttempt(a))
		}, "attempts of 20260102"},
		{"a tray that nobody knows of", "queue", attemptBucket, func(b *bbolt.Bucket) error {
			_, err := b.CreateBucket([]byte("20260102.0001"))
			return err
		}, "attempts of 20260102.0001: no such tray"},
		{"a lost tray", "queue", metaBucket, func(b *bbolt.Bucket) error {
			return b.Put(metaTrays, []byte("20260102.0001 3\n"))
		}, "attempts of 20260102.0001: the tray is missing"},
		{"a tray of another day", "queue", metaBucket, func(b *bbolt.Bucket) error {
			return b.Put(metaTrays, []byte("0001 3\n"))
		}, "the trays of the attempt log"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := mustOpen(t, t.TempDir(), Options{noSync: true})
			put(t, db, "a", "b", "a")
			if _, err := db.Update(t.Context(), store.Origin{RequestKey: "k"}, appendPatient("c", "")); err != nil {
				t.Fatal(err)
			}
			err := db.Queue().Update(t.Context(), store.Lease{}, func(w store.QueueWriter) error {
				for _, err := range []error{
					w.PutLane(store.LaneRecord{Lane: lane, Next: 3, Head: 1}), w.Owe(store.Notification{Lane: lane, Number: 1}), w.Owe(waits),
				} {
					if err != nil {
						return err
					}
				}
				return w.SetCursor("matcher", store.Cursor{Seq: 4})
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Check(t.Context(), nil); err != nil {
				t.Fatalf("before: %v", err)
			}
			file := db.resources
			if tt.half == "queue" {
				file = db.queueFile
			}
			if err := file.Update(func(tx *bbolt.Tx) error { return tt.damage(tx.Bucket([]byte(tt.bucket))) }); err != nil {
				t.Fatal(err)
			}
			if err := db.Check(t.Context(), nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check says %v; it should say %q", err, tt.want)
			}
		})
	}
}

func TestCheck_boundsWhatItReturns(t *testing.T) {
	db := mustOpen(t, t.TempDir(), Options{noSync: true})
	_, err := db.Update(t.Context(), store.Origin{}, func(w store.Writer) error {
		for range 3 * maxProblems {
			if err := appendPatient(fhir.NewID(), "")(w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.resources.Update(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket([]byte(typeBucket)); err != nil {
			return err
		}
		_, err := tx.CreateBucket([]byte(typeBucket))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text := db.Check(t.Context(), nil).Error()
	if lines := strings.Count(text, "\n") + 1; lines != maxProblems+1 || !strings.HasSuffix(text, "and 200 more") {
		t.Errorf("%d lines, ending %q", lines, text[len(text)-40:])
	}
}
