package bolt

import (
	"fmt"
	"math"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// logWriter is store.Writer over the overlay of a group.
type logWriter struct {
	logReader
	o      *overlay
	origin store.Origin
	now    time.Time
	last   store.Seq
	rows   [][]byte // its own, in order, as overlay.rows ends with them
	usage  tally    // with its own rows; nil: none yet, or it can't be counted
}

func (db *DB) newLogWriter(o *overlay, origin store.Origin) (*logWriter, error) {
	w := &logWriter{logReader: db.reader(o), o: o, origin: origin, now: fhir.Millis(db.clock())}
	last, t, err := o.last()
	if err != nil {
		return nil, err
	}
	w.last = last
	if w.now.Before(t) { // the clock went back, maybe while the store was closed
		w.now = t
	}
	return w, nil
}

// last is the newest row of the log and its time; 0 if there is none.
func (o *overlay) last() (seq store.Seq, updated time.Time, err error) {
	if n := len(o.rows); n > 0 {
		return o.rows[n-1].Seq, o.rows[n-1].Resource.Updated, nil
	}
	k, v := o.before(logBucket, numbered(nil, math.MaxUint64), nil)
	if k == nil {
		return 0, time.Time{}, nil
	}
	seq = store.Seq(lastNumber(k))
	if updated, err = rowTime(v); err != nil {
		err = fmt.Errorf("row %d of the log: %w", seq, err)
	}
	return seq, updated, err
}

func (w *logWriter) Last() store.Seq { return w.last }

func (w *logWriter) Now() time.Time { return w.now }

func (w *logWriter) Append(r *fhir.Resource, i fhir.Interaction) error {
	if err := store.CheckAppend(r, i, w.now); err != nil {
		return err
	}
	key := resourcePrefix(r.Key)
	if newest, _ := w.newest(key); r.Version != newest+1 {
		return fmt.Errorf("append %s: version %d does not follow %d", r.Key, r.Version, newest)
	}
	w.asked = nil
	if len(w.rows) == 0 {
		if _, err := w.Request(w.origin.RequestKey); err == nil {
			return store.ErrRepeated
		}
		w.first = w.last + 1
	}
	if err := w.count(r); err != nil {
		return fmt.Errorf("append %s: %w", r.Key, err)
	}
	w.last++
	row := encodeRow(r, i, w.origin, w.sealing)
	w.rows = append(w.rows, row)
	w.o.rows = append(w.o.rows, recentRow{Change: store.Change{Seq: w.last, Interaction: i, Origin: w.origin, Resource: r}, encoded: len(row)})
	seq := uint64(w.last)
	for _, put := range [...]struct {
		bucket     string
		key, value []byte
	}{
		{logBucket, seqKey(w.last), row},
		{versionBucket, numbered(key, r.Version), encodePlace(w.last, i)},
		{typeBucket, numbered(prefix(r.Key.Tenant, string(r.Key.Type)), seq), nil},
		{tenantBucket, numbered(prefix(r.Key.Tenant), seq), nil},
	} {
		if err := w.o.put(put.bucket, put.key, put.value); err != nil {
			return fmt.Errorf("append %s: %w", r.Key, err)
		}
	}
	return nil
}

// finish completes the transaction: each row learns how many stand behind it, and the request is noted.
func (w *logWriter) finish() (store.Commit, error) {
	if len(w.rows) == 0 {
		return store.Commit{}, nil
	}
	own := w.o.rows[len(w.o.rows)-len(w.rows):]
	for i, row := range w.rows {
		setRowsBehind(row, uint32(len(w.rows)-1-i))
		own[i].End = w.last
	}
	err := w.usage.put(func(key, value []byte) error { return w.o.put(usageBucket, key, value) }, w.last)
	if err != nil {
		return store.Commit{}, err
	}
	if w.origin.RequestKey != "" {
		if err := w.o.put(requestBucket, []byte(w.origin.RequestKey), seqKey(w.last)); err != nil {
			return store.Commit{}, err
		}
	}
	return store.Commit{Seq: w.last, Time: w.now}, nil
}
