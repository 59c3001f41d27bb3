package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// heldBucket is in resources.db since something was to be purged and had to stay: tenant 0 type 0 id 0 version → nothing.
const heldBucket = "held"

// metaHorizon is in resources.db since the first purge: the place before which content may be gone.
var metaHorizon = []byte("horizon")

// Purge removes the content of versions that were replaced, in a group with writes.
func (db *DB) Purge(ctx context.Context, p store.Purge) (store.Purged, error) {
	var purged store.Purged
	err := db.logWrites.do(ctx, func(o *overlay) (err error) {
		w := purger{logReader: logReader{source: o, sealing: db.sealing}, o: o}
		purged, err = w.purge(p)
		return err
	})
	if err != nil {
		return store.Purged{}, fmt.Errorf("purge: %w", err)
	}
	return purged, nil
}

// purger works a purge out over the overlay of a group.
type purger struct {
	logReader
	o *overlay
}

func (w *purger) purge(p store.Purge) (done store.Purged, err error) {
	horizon := w.Horizon()
	if err := p.Check(horizon, w.Last()); err != nil {
		return done, err
	}
	if counted(w.source) != w.Last() {
		return done, errUncounted
	}
	if p.Horizon > horizon {
		// A program that knows nothing of purged rows must not take them for damage.
		err := errors.Join(
			w.o.put(metaBucket, metaHorizon, seqKey(p.Horizon)),
			w.o.put(metaBucket, metaFormat, strconv.AppendInt(nil, purgedFormat, 10)))
		if err != nil {
			return done, err
		}
	}
	for _, v := range p.Gone {
		freed, err := w.remove(v, p.Horizon)
		if err != nil {
			return done, fmt.Errorf("version %d of %s: %w", v.Number, v.Key, err)
		}
		if freed >= 0 {
			done.Versions++
			done.Bytes += freed
		}
	}
	for _, v := range p.Held {
		_, i, state, err := w.replaced(v, p.Horizon)
		if err != nil {
			return done, fmt.Errorf("version %d of %s: %w", v.Number, v.Key, err)
		}
		if state == kept && i != fhir.Delete {
			if err := w.o.put(heldBucket, versionKey(v), nil); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// remove takes the content of a version away and returns how much it was, -1 if there is none.
func (w *purger) remove(v store.Version, horizon store.Seq) (int64, error) {
	seq, i, state, err := w.replaced(v, horizon)
	if err != nil || state == gone || i == fhir.Delete {
		return -1, err
	}
	row, ok := w.get(logBucket, seqKey(seq))
	if !ok {
		return -1, fmt.Errorf("row %d of the log is missing", seq)
	}
	c, err := decodeRow(seq, row, w.sealing)
	if err != nil {
		return -1, err
	}
	stub, err := purgedRow(row)
	if err != nil {
		return -1, fmt.Errorf("row %d of the log: %w", seq, err)
	}
	err = errors.Join(
		w.o.put(logBucket, seqKey(seq), stub),
		w.o.put(versionBucket, versionKey(v), encodePurgedPlace(seq, i)))
	w.o.remove(typeBucket, numbered(prefix(v.Key.Tenant, string(v.Key.Type)), uint64(seq)))
	w.o.remove(tenantBucket, numbered(prefix(v.Key.Tenant), uint64(seq)))
	if _, held := w.get(heldBucket, versionKey(v)); held {
		w.o.remove(heldBucket, versionKey(v))
	}
	size := int64(len(c.Resource.JSON))
	return size, errors.Join(err, w.uncount(v.Key.Tenant, size))
}

// uncount takes bytes off what a tenant uses.
func (w *purger) uncount(tenant string, size int64) error {
	u, err := usageOf(w.source, tenant)
	if err != nil {
		return err
	}
	u.Bytes -= size
	return w.o.put(usageBucket, []byte(tenant), encodeUsage(u))
}

// replaced finds a version that was replaced at or below a place.
func (w *purger) replaced(v store.Version, horizon store.Seq) (seq store.Seq, i fhir.Interaction, s contentState, err error) {
	value, ok := w.get(versionBucket, versionKey(v))
	if !ok {
		return 0, 0, 0, store.ErrNotFound
	}
	if seq, i, s, err = decodeEntry(value); err != nil {
		return 0, 0, 0, err
	}
	v.Number++
	next, ok := w.get(versionBucket, versionKey(v))
	if !ok {
		return 0, 0, 0, store.ErrNotReplaced
	}
	by, _, err := decodePlace(next)
	if err == nil && by > horizon {
		err = store.ErrNotReplaced
	}
	return seq, i, s, err
}

func versionKey(v store.Version) []byte { return numbered(resourcePrefix(v.Key), v.Number) }

// Horizon is the place from which on every state can be read whole.
func (r *logReader) Horizon() store.Seq {
	v, _ := r.get(metaBucket, metaHorizon)
	return store.Seq(lastNumber(v))
}

// Held yields the versions that a purge left for later.
func (r *logReader) Held(after store.Version) iter.Seq2[store.Version, error] {
	return func(yield func(store.Version, error) bool) {
		var from []byte
		if after != (store.Version{}) {
			from = append(versionKey(after), 0)
		}
		for k := range r.ascend(heldBucket, from, nil) {
			v, err := decodeVersionKey(k)
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}
