package bolt

import (
	"encoding/binary"
	"errors"
	"time"
)

// errShort and errValue say that a value is not what this package wrote.
var (
	errShort = errors.New("the value ends too early")
	errValue = errors.New("the value is malformed")
)

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// The forms of a time: most are whole milliseconds and take 7 bytes.
const (
	timeZero   = 0
	timeMillis = 1 // varint of milliseconds since 1970
	timeNanos  = 2 // varint of seconds since 1970, uvarint of nanoseconds
)

// farSeconds is further from 1970 than any time that was written, and still can be told in milliseconds.
const farSeconds = 1 << 50

func appendTime(b []byte, t time.Time) []byte {
	switch {
	case t.IsZero():
		return append(b, timeZero)
	case t.Nanosecond()%int(time.Millisecond) == 0:
		return binary.AppendVarint(append(b, timeMillis), t.UnixMilli())
	default:
		b = binary.AppendVarint(append(b, timeNanos), t.Unix())
		return binary.AppendUvarint(b, uint64(t.Nanosecond()))
	}
}

// decoder takes values from the front of b. After the first malformed one it returns zeros, and err says why.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail(errShort)
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	b := d.bytes(1)
	if d.err != nil {
		return 0
	}
	return b[0]
}

func (d *decoder) uint64() uint64 {
	b := d.bytes(8)
	if d.err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count is a uvarint that fits an int.
func (d *decoder) count() int {
	v := d.uvarint()
	if v > 1<<31-1 {
		d.fail(errValue)
		return 0
	}
	return int(v)
}

// string copies, for what it is taken from is gone with the transaction.
func (d *decoder) string() string { return string(d.bytes(d.uvarint())) }

func (d *decoder) time() time.Time {
	switch form := d.byte(); {
	case d.err != nil, form == timeZero:
		return time.Time{}
	case form == timeMillis:
		if ms := d.varint(); d.err == nil {
			return time.UnixMilli(ms).UTC()
		}
	case form == timeNanos:
		s, ns := d.varint(), d.uvarint()
		if d.err == nil && ns < uint64(time.Second) && s > -farSeconds && s < farSeconds {
			return time.Unix(s, int64(ns)).UTC()
		}
		d.fail(errValue)
	default:
		d.fail(errValue)
	}
	return time.Time{}
}

// end fails if there is more.
func (d *decoder) end() error {
	if len(d.b) > 0 {
		d.fail(errValue)
	}
	return d.err
}
