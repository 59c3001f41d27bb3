package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// A row of the log begins with 14 bytes at fixed places, so that what is needed most is had without
// decoding, and the rows behind can be filled in when the transaction is complete:
//
//	0      encoding: 1, 2 if the JSON is encrypted, or 3 if it is purged: there is none any more
//	1-4    how many rows of its transaction stand behind it
//	5      interaction; bit 7: the server wrote it
//	6-13   lastUpdated, milliseconds since 1970
//	14-    version (uvarint); tenant, type, id, actor, request id, request key, cause (length, bytes); JSON to the end
const (
	rowEncoding = 1
	rowSealed   = 2
	rowPurged   = 3
	rowFixed    = 14
	rowServer   = 0x80
	rowNames    = 7 // how many strings stand before the JSON
)

func encodeRow(r *fhir.Resource, i fhir.Interaction, o store.Origin, s Sealing) []byte {
	k, body, encoding := r.Key, r.JSON, byte(rowEncoding)
	if s.seals(r) {
		body, encoding = s.Ring.Seal(body, about(r)), rowSealed
	}
	n := rowFixed + 10 + 7*2 + len(k.Tenant) + len(k.Type) + len(k.ID) +
		len(o.Actor) + len(o.RequestID) + len(o.RequestKey) + len(o.Cause) + len(body)
	b := make([]byte, rowFixed, n)
	b[0] = encoding
	b[5] = byte(i)
	if o.Server {
		b[5] |= rowServer
	}
	binary.BigEndian.PutUint64(b[6:], uint64(r.Updated.UnixMilli()))
	b = binary.AppendUvarint(b, r.Version)
	for _, s := range [rowNames]string{k.Tenant, string(k.Type), k.ID, o.Actor, o.RequestID, o.RequestKey, o.Cause} {
		b = appendString(b, s)
	}
	return append(b, body...)
}

// setRowsBehind fills in how many rows of the transaction stand behind this one.
func setRowsBehind(row []byte, n uint32) { binary.BigEndian.PutUint32(row[1:], n) }

// rowTime reads lastUpdated alone.
func rowTime(row []byte) (time.Time, error) {
	if len(row) < rowFixed || row[0] < rowEncoding || row[0] > rowPurged {
		return time.Time{}, errValue
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(row[6:]))).UTC(), nil
}

// decodeRow copies all that it returns.
func decodeRow(seq store.Seq, row []byte, s Sealing) (store.Change, error) {
	updated, err := rowTime(row)
	if err != nil {
		return store.Change{}, fmt.Errorf("row %d of the log: %w", seq, err)
	}
	c := store.Change{
		Seq:         seq,
		End:         seq + store.Seq(binary.BigEndian.Uint32(row[1:])),
		Interaction: fhir.Interaction(row[5] &^ rowServer),
	}
	d := decoder{b: row[rowFixed:]}
	r := &fhir.Resource{Version: d.uvarint(), Updated: updated, Deleted: c.Interaction == fhir.Delete}
	r.Key.Tenant, r.Key.Type, r.Key.ID = d.string(), fhir.Type(d.string()), d.string()
	c.Origin = store.Origin{
		Actor: d.string(), RequestID: d.string(), RequestKey: d.string(), Cause: d.string(),
		Server: row[5]&rowServer != 0,
	}
	if c.Interaction < fhir.Create || c.Interaction > fhir.Delete {
		d.fail(errValue)
	}
	if d.err != nil {
		return store.Change{}, fmt.Errorf("row %d of the log: %w", seq, d.err)
	}
	switch {
	case row[0] == rowPurged:
		if c.Purged = true; len(d.b) > 0 || r.Deleted {
			err = errValue
		}
	case row[0] == rowSealed && s.Ring == nil:
		err = errNoRing
	case row[0] == rowSealed:
		r.JSON, err = s.Ring.Open(d.b, about(r))
	case len(d.b) > 0:
		r.JSON = bytes.Clone(d.b)
	}
	if err != nil {
		return store.Change{}, fmt.Errorf("row %d of the log, %s: %w", seq, r.VersionedReference(), err)
	}
	c.Resource = r
	return c, nil
}

// The value of the version index: the place of the row, and what it did, so that the tombstones of a type
// are passed over without reading their rows.
const versionValue = 9

func encodePlace(seq store.Seq, i fhir.Interaction) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, versionValue), uint64(seq)), byte(i))
}

func decodePlace(v []byte) (store.Seq, fhir.Interaction, error) {
	seq, i, _, err := decodeEntry(v)
	return seq, i, err
}

// contentState says whether a version's JSON is there. In the index it is bit 7 of the interaction.
type contentState byte

const (
	kept contentState = 0
	gone contentState = 0x80
)

func encodePurgedPlace(seq store.Seq, i fhir.Interaction) []byte {
	v := encodePlace(seq, i)
	v[versionValue-1] |= byte(gone)
	return v
}

func decodeEntry(v []byte) (store.Seq, fhir.Interaction, contentState, error) {
	if len(v) != versionValue {
		return 0, 0, 0, fmt.Errorf("version index: %w", errValue)
	}
	last := v[versionValue-1]
	return store.Seq(binary.BigEndian.Uint64(v)), fhir.Interaction(last &^ byte(gone)), contentState(last) & gone, nil
}

// purgedRow is a row without its JSON, of which all else stays.
func purgedRow(row []byte) ([]byte, error) {
	if _, err := rowTime(row); err != nil {
		return nil, err
	}
	d := decoder{b: row[rowFixed:]}
	d.uvarint()
	for range rowNames {
		d.bytes(d.uvarint())
	}
	if d.err != nil {
		return nil, d.err
	}
	stub := bytes.Clone(row[:len(row)-len(d.b)])
	stub[0] = rowPurged
	return stub, nil
}
