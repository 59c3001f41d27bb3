package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Parts of a key are separated by a zero byte, which no part holds (store.CheckAppend), so that keys sort
// as their parts do. Numbers stand at the end, 8 bytes, the highest first.

// The buckets. One is nested: attempts of a day stand in attempt/20260131, and in its trays attempt/20260131.0001 (tray.go).
const (
	metaBucket    = "meta"    // both files: see file.go
	logBucket     = "log"     // seq → row
	versionBucket = "version" // tenant 0 type 0 id 0 version → seq, interaction, whether it is purged
	typeBucket    = "type"    // tenant 0 type 0 seq → nothing
	tenantBucket  = "tenant"  // tenant 0 seq → nothing
	requestBucket = "request" // request key → seq of its last row
	cursorBucket  = "cursor"  // name → seq, step
	laneBucket    = "lane"    // tenant 0 subscription → record
	owedBucket    = "owed"    // tenant 0 subscription 0 number → notification
	waitingBucket = "waiting" // tenant 0 subscription 0 next number → nothing
	numberBucket  = "number"  // tenant 0 lastUpdated type 0 id 0 version subscription 0 cause → number
	jobBucket     = "job"     // tenant 0 subscription 0 id → job
	attemptBucket = "attempt" // day / tenant 0 subscription 0 number time ordinal → attempt
)

func seqKey(seq store.Seq) []byte { return binary.BigEndian.AppendUint64(nil, uint64(seq)) }

// lastNumber returns the 8 bytes at the end of a key as a number.
func lastNumber(key []byte) uint64 {
	if len(key) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key[len(key)-8:])
}

// prefix joins parts, each with a zero byte behind it, and leaves room for a number.
func prefix(parts ...string) []byte {
	n := 8
	for _, p := range parts {
		n += len(p) + 1
	}
	b := make([]byte, 0, n)
	for _, p := range parts {
		b = append(append(b, p...), 0)
	}
	return b
}

// numbered puts a number behind a prefix, into new memory.
func numbered(prefix []byte, n uint64) []byte {
	b := make([]byte, len(prefix), len(prefix)+8)
	copy(b, prefix)
	return binary.BigEndian.AppendUint64(b, n)
}

// behind is the first key behind all that begin with a prefix that ends in a zero byte.
func behind(prefix []byte) []byte {
	b := append([]byte(nil), prefix...)
	b[len(b)-1] = 1
	return b
}

func resourcePrefix(k fhir.Key) []byte { return prefix(k.Tenant, string(k.Type), k.ID) }

// decodeVersionKey reads a key of the version index.
func decodeVersionKey(k []byte) (v store.Version, err error) {
	parts := bytes.SplitN(k, []byte{0}, 4)
	if len(parts) != 4 || len(parts[3]) != 8 {
		return v, fmt.Errorf("the key %q of a version is malformed", k)
	}
	v.Key = fhir.Key{Tenant: string(parts[0]), Type: fhir.Type(parts[1]), ID: string(parts[2])}
	v.Number = lastNumber(k)
	return v, nil
}

func lanePrefix(l store.Lane) []byte { return prefix(l.Tenant, l.Subscription) }

// laneKey has no zero byte at its end: nothing stands behind the subscription.
func laneKey(l store.Lane) []byte { return []byte(l.Tenant + "\x00" + l.Subscription) }

// orderedTime is a time as a number that sorts as times do (store.Attempt.Check bounds them).
func orderedTime(t time.Time) uint64 { return uint64(t.UnixNano()) ^ 1<<63 }

func timeOf(ordered uint64) time.Time { return time.Unix(0, int64(ordered^1<<63)).UTC() }

func waitingKey(n store.Notification) []byte {
	return binary.BigEndian.AppendUint64(numbered(lanePrefix(n.Lane), orderedTime(n.Next)), n.Number)
}

// numberPrefix leads to the numbers of a version. Time goes first, so that new entries stand together.
func numberPrefix(focus fhir.Key, version uint64, updated time.Time) []byte {
	b := numbered(prefix(focus.Tenant), uint64(updated.UnixMilli())^1<<63)
	return binary.BigEndian.AppendUint64(append(b, prefix(string(focus.Type), focus.ID)...), version)
}

func numberKey(n store.Notification) []byte {
	focus := n.Focus
	focus.Tenant = n.Lane.Tenant // a notification without focus is found, too
	return append(numberPrefix(focus, n.Version, n.Updated), n.Lane.Subscription+"\x00"+n.Cause...)
}

// causedKey leads to the number of a notification that something else than the version's own change caused, for whoever
// doesn't know when that was.
func causedKey(n store.Notification) []byte {
	n.Updated = time.Time{}
	return numberKey(n)
}

func jobKey(lane store.Lane, id string) []byte { return append(lanePrefix(lane), id...) }

const dayLayout = "20060102"

// lineBehindLane is how long an attempt's key is behind its lane: number, time, ordinal.
const lineBehindLane = 8 + 8 + 2

// attemptKey ends in an ordinal, for two lines of the log may be of the same instant.
func attemptKey(a store.Attempt, ordinal uint16) []byte {
	b := numbered(numbered(lanePrefix(a.Lane), a.Number), orderedTime(a.Time))
	return binary.BigEndian.AppendUint16(b, ordinal)
}
