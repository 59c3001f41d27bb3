package bolt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Values of the queue begin with a byte for their encoding. What stands in the key is not repeated.
const queueEncoding = 1

// causedEncoding is queueEncoding with a cause behind the row: attempts have it since they keep one, and need it
// only where it isn't the version's own change.
const causedEncoding = 2

func (d *decoder) encoding() {
	if b := d.byte(); d.err == nil && b != queueEncoding {
		d.fail(errValue)
	}
}

func encodeCursor(c store.Cursor) []byte {
	return binary.AppendUvarint(binary.AppendUvarint([]byte{queueEncoding}, uint64(c.Seq)), c.Step)
}

func decodeCursor(v []byte) (store.Cursor, error) {
	d := decoder{b: v}
	d.encoding()
	c := store.Cursor{Seq: store.Seq(d.uvarint()), Step: d.uvarint()}
	if err := d.end(); err != nil {
		return store.Cursor{}, fmt.Errorf("cursor: %w", err)
	}
	return c, nil
}

// A lane's count of what it owes stands at a fixed place, bytes 1 to 8, for it changes most.
const laneFixed = 9

const (
	laneBreakerOpen = 1 << iota
	laneCancelling
)

func encodeLane(r store.LaneRecord) []byte {
	b := make([]byte, laneFixed, laneFixed+32)
	b[0] = queueEncoding
	binary.BigEndian.PutUint64(b[1:], r.Owed)
	var flags byte
	if r.BreakerOpen {
		flags |= laneBreakerOpen
	}
	if r.Cancelling {
		flags |= laneCancelling
	}
	b = append(b, flags)
	for _, n := range [...]uint64{r.Next, r.Head, uint64(r.Failures), uint64(r.BreakerStep)} {
		b = binary.AppendUvarint(b, n)
	}
	for _, t := range [...]time.Time{r.FailingSince, r.ProbeAt, r.OpenedAt, r.ClosedAt, r.Armed} {
		b = appendTime(b, t)
	}
	return b
}

func decodeLane(lane store.Lane, v []byte) (store.LaneRecord, error) {
	d := decoder{b: v}
	d.encoding()
	r := store.LaneRecord{Lane: lane, Owed: d.uint64()}
	flags := d.byte()
	r.BreakerOpen, r.Cancelling = flags&laneBreakerOpen != 0, flags&laneCancelling != 0
	r.Next, r.Head, r.Failures, r.BreakerStep = d.uvarint(), d.uvarint(), d.count(), d.count()
	r.FailingSince, r.ProbeAt = d.time(), d.time()
	r.OpenedAt, r.ClosedAt, r.Armed = d.time(), d.time(), d.time()
	if err := d.end(); err != nil {
		return store.LaneRecord{}, fmt.Errorf("lane %s/%s: %w", lane.Tenant, lane.Subscription, err)
	}
	return r, nil
}

// owedOf reads the count alone.
func owedOf(v []byte) (uint64, error) {
	if len(v) < laneFixed || v[0] != queueEncoding {
		return 0, errValue
	}
	return binary.BigEndian.Uint64(v[1:]), nil
}

// addOwed returns the record with a changed count. The value itself belongs to the store.
func addOwed(v []byte, delta int) ([]byte, error) {
	n, err := owedOf(v)
	if err != nil {
		return nil, err
	}
	b := append([]byte(nil), v...)
	binary.BigEndian.PutUint64(b[1:], n+uint64(delta))
	return b, nil
}

func encodeNumber(n uint64) []byte { return binary.AppendUvarint([]byte{queueEncoding}, n) }

// decodeNumber reads an entry of the number index; rest is its key behind the version.
func decodeNumber(tenant string, rest, v []byte) (store.Numbered, error) {
	subscription, cause, ok := bytes.Cut(rest, []byte{0})
	d := decoder{b: v}
	d.encoding()
	n := store.Numbered{
		Lane:   store.Lane{Tenant: tenant, Subscription: string(subscription)},
		Number: d.uvarint(), Cause: string(cause),
	}
	if err := d.end(); err != nil || !ok {
		return store.Numbered{}, fmt.Errorf("number index of %s: %w", rest, cmp.Or(err, errValue))
	}
	return n, nil
}

func decodeJob(lane store.Lane, id string, v []byte) (store.Job, error) {
	if len(v) == 0 || v[0] != queueEncoding {
		return store.Job{}, fmt.Errorf("job %s of lane %s/%s: %w", id, lane.Tenant, lane.Subscription, errValue)
	}
	return store.Job{Lane: lane, ID: id, Data: bytes.Clone(v[1:])}, nil
}

// hasFocus marks an interaction byte whose row speaks of a resource.
const hasFocus = 0x80

// appendFocus writes the resource that a row speaks of; its tenant is the lane's.
func appendFocus(b []byte, focus fhir.Key, version uint64, i fhir.Interaction) []byte {
	if focus == (fhir.Key{}) {
		return binary.AppendUvarint(append(b, byte(i)), version)
	}
	b = binary.AppendUvarint(append(b, byte(i)|hasFocus), version)
	return appendString(appendString(b, string(focus.Type)), focus.ID)
}

func (d *decoder) focus(lane store.Lane) (focus fhir.Key, version uint64, i fhir.Interaction) {
	first := d.byte()
	version = d.uvarint()
	if first&hasFocus != 0 {
		focus = fhir.Key{Tenant: lane.Tenant, Type: fhir.Type(d.string()), ID: d.string()}
	}
	return focus, version, fhir.Interaction(first &^ hasFocus)
}

func encodeNotification(n store.Notification) []byte {
	b := append(make([]byte, 0, 48+len(n.Focus.Type)+len(n.Focus.ID)+len(n.Cause)), queueEncoding)
	b = appendFocus(b, n.Focus, n.Version, n.Interaction)
	b = appendTime(appendString(b, n.Cause), n.Updated)
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(n.Tries)), uint64(n.Spared))
	return appendTime(appendTime(b, n.Began), n.Next)
}

func decodeNotification(lane store.Lane, number uint64, v []byte) (store.Notification, error) {
	d := decoder{b: v}
	d.encoding()
	n := store.Notification{Lane: lane, Number: number}
	n.Focus, n.Version, n.Interaction = d.focus(lane)
	n.Cause, n.Updated = d.string(), d.time()
	n.Tries, n.Spared, n.Began, n.Next = d.count(), d.count(), d.time(), d.time()
	if err := d.end(); err != nil {
		return store.Notification{}, fmt.Errorf("lane %s/%s, number %d: %w", lane.Tenant, lane.Subscription, number, err)
	}
	return n, nil
}

// nextOf reads Next alone.
func nextOf(v []byte) (time.Time, error) {
	d := decoder{b: v}
	d.encoding()
	first := d.byte()
	d.uvarint() // version
	if first&hasFocus != 0 {
		d.bytes(d.uvarint())
		d.bytes(d.uvarint())
	}
	d.bytes(d.uvarint()) // cause
	d.time()             // lastUpdated
	d.count()
	d.count()
	d.time() // when its clock began
	return d.time(), d.end()
}

func encodeAttempt(a store.Attempt) []byte {
	b := append(make([]byte, 0, 64+len(a.Focus.Type)+len(a.Focus.ID)+len(a.ID)+len(a.Class)+len(a.Reply)+len(a.Cause)), queueEncoding)
	if a.Cause != "" {
		b[0] = causedEncoding
	}
	b = appendFocus(b, a.Focus, a.Version, a.Interaction)
	b = append(appendString(b, a.ID), byte(a.State))
	b = binary.AppendUvarint(b, uint64(a.Try))
	b = binary.AppendVarint(binary.AppendVarint(b, int64(a.Duration)), int64(a.Status))
	b = appendTime(appendString(appendString(b, a.Class), a.Reply), a.Next)
	if a.Cause != "" {
		b = appendString(b, a.Cause)
	}
	return b
}

// decodeAttempt reads a row of the attempt log; k is its key behind the lane.
func decodeAttempt(lane store.Lane, k, v []byte) (store.Attempt, error) {
	place := decoder{b: k}
	a := store.Attempt{Lane: lane, Number: place.uint64(), Time: timeOf(place.uint64())}
	d := decoder{b: v, err: place.err}
	encoding := d.byte()
	a.Focus, a.Version, a.Interaction = d.focus(lane)
	a.ID, a.State = d.string(), store.State(d.byte())
	a.Try, a.Duration, a.Status = d.count(), time.Duration(d.varint()), int(d.varint())
	a.Class, a.Reply, a.Next = d.string(), d.string(), d.time()
	switch {
	case encoding == queueEncoding:
	case encoding == causedEncoding:
		if a.Cause = d.string(); a.Cause == "" {
			d.fail(errValue)
		}
	default:
		d.fail(errValue)
	}
	if err := d.end(); err != nil {
		return store.Attempt{}, fmt.Errorf("attempt at lane %s/%s, number %d: %w", lane.Tenant, lane.Subscription, a.Number, err)
	}
	return a, nil
}
