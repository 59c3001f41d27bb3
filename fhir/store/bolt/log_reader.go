package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"sort"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// logReader is store.Reader over any source.
type logReader struct {
	source
	sealing Sealing
	recent  *recent   // nil: everything is read from the file
	first   store.Seq // the first row of the transaction that is being written; 0 if there is none

	// What newest found last: a write asks for it several times.
	asked   []byte
	version uint64
	place   []byte
}

func (r *logReader) Last() store.Seq {
	k, _ := r.before(logBucket, numbered(nil, math.MaxUint64), nil)
	return store.Seq(lastNumber(k))
}

func (r *logReader) row(seq store.Seq) (store.Change, error) {
	v, ok := r.get(logBucket, seqKey(seq))
	if !ok {
		return store.Change{}, fmt.Errorf("row %d of the log is missing", seq)
	}
	return r.decode(seq, v)
}

func (r *logReader) decode(seq store.Seq, v []byte) (store.Change, error) {
	if c, ok := r.recent.get(seq, len(v)); ok {
		return c, nil
	}
	c, err := decodeRow(seq, v, r.sealing)
	if err == nil && r.first > 0 && seq >= r.first {
		c.End = r.Last()
	}
	return c, err
}

func (r *logReader) resource(seq store.Seq) (*fhir.Resource, error) {
	c, err := r.row(seq)
	if c.Purged && err == nil {
		return nil, &store.PurgedError{Key: c.Resource.Key, Version: c.Resource.Version, Updated: c.Resource.Updated}
	}
	return c.Resource, err
}

// newest returns the newest version of a resource, version 0 if it never existed.
func (r *logReader) newest(prefix []byte) (version uint64, place []byte) {
	if r.asked == nil || !bytes.Equal(prefix, r.asked) {
		r.asked = prefix
		k, v := r.before(versionBucket, behind(prefix), prefix)
		r.version, r.place = lastNumber(k), v
	}
	return r.version, r.place
}

// current returns the version of a resource that was current at a place, and its own place; version 0 if
// it did not exist then.
func (r *logReader) current(prefix []byte, at store.Seq) (version uint64, seq store.Seq, err error) {
	newest, v := r.newest(prefix)
	if newest == 0 {
		return 0, 0, nil
	}
	seq, _, err = decodePlace(v)
	if err != nil || seq <= at {
		return newest, seq, err
	}
	// The places of versions rise, so the first version behind the place can be searched for.
	n := sort.Search(int(newest-1), func(i int) bool {
		v, ok := r.get(versionBucket, numbered(prefix, uint64(i)+1))
		s, _, e := decodePlace(v)
		return ok && e == nil && s > at
	})
	v, ok := r.get(versionBucket, numbered(prefix, uint64(n)))
	if !ok {
		return 0, 0, nil
	}
	seq, _, err = decodePlace(v)
	return uint64(n), seq, err
}

func (r *logReader) Read(key fhir.Key, at store.Seq) (*fhir.Resource, error) {
	version, seq, err := r.current(resourcePrefix(key), at)
	switch {
	case err != nil:
		return nil, err
	case version == 0:
		return nil, store.ErrNotFound
	}
	return r.resource(seq)
}

func (r *logReader) Version(key fhir.Key, version uint64) (*fhir.Resource, error) {
	v, ok := r.get(versionBucket, numbered(resourcePrefix(key), version))
	if !ok {
		return nil, store.ErrNotFound
	}
	seq, _, err := decodePlace(v)
	if err != nil {
		return nil, err
	}
	return r.resource(seq)
}

// errStop ends a walk because the consumer wants no more.
var errStop = errors.New("stop")

func (r *logReader) Type(tenant string, t fhir.Type, after string, at store.Seq) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		at := min(at, r.Last()) // the caller may write while it walks
		err := r.walkType(prefix(tenant, string(t)), after, at, func(seq store.Seq) error {
			res, err := r.resource(seq)
			if err == nil && !yield(res, nil) {
				err = errStop
			}
			return err
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// walkType calls fn with the place of each version that was current and no tombstone.
func (r *logReader) walkType(prefix []byte, after string, at store.Seq, fn func(store.Seq) error) error {
	from := prefix
	if after != "" {
		from = append(append(append([]byte(nil), prefix...), after...), 1)
	}
	for {
		var id []byte // prefix of the resource that is being walked through
		var best store.Seq
		var deleted, jump bool
		steps := 0
		for k, v := range r.ascend(versionBucket, from, prefix) {
			if len(k) < len(prefix)+8 {
				return fmt.Errorf("version index: %w", errValue)
			}
			if p := k[:len(k)-8]; string(p) != string(id) {
				if best > 0 && !deleted {
					if err := fn(best); err != nil {
						return err
					}
				}
				id, best, steps = p, 0, 0
			}
			seq, i, err := decodePlace(v)
			if err != nil {
				return err
			}
			if seq <= at {
				best, deleted = seq, i == fhir.Delete
			}
			// Through a resource of many versions it is quicker to jump.
			if steps++; steps == 16 || seq > at {
				jump = true
				break
			}
		}
		if !jump {
			if best > 0 && !deleted {
				return fn(best)
			}
			return nil
		}
		if err := r.endOf(id, at, best, deleted, steps, fn); err != nil {
			return err
		}
		from = behind(id)
	}
}

// endOf ends the walk through one resource: best is the last version found at the place so far.
func (r *logReader) endOf(id []byte, at, best store.Seq, deleted bool, steps int, fn func(store.Seq) error) error {
	if steps == 16 {
		version, seq, err := r.current(id, at)
		if err != nil {
			return err
		}
		if version > 0 {
			v, _ := r.get(versionBucket, numbered(id, version))
			_, i, err := decodePlace(v)
			if err != nil {
				return err
			}
			best, deleted = seq, i == fhir.Delete
		}
	}
	if best == 0 || deleted {
		return nil
	}
	return fn(best)
}

func (r *logReader) Changes(after store.Seq) iter.Seq2[store.Change, error] {
	return func(yield func(store.Change, error) bool) {
		if after == math.MaxUint64 {
			return
		}
		for k, v := range r.ascend(logBucket, seqKey(after+1), nil) {
			c, err := r.decode(store.Seq(lastNumber(k)), v)
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

func (r *logReader) History(scope store.Scope, before store.Seq) iter.Seq2[store.Change, error] {
	if before == 0 {
		before = math.MaxUint64
	}
	return func(yield func(store.Change, error) bool) {
		for seq, err := range r.places(scope, before) {
			var c store.Change
			if err == nil {
				c, err = r.row(seq)
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// places yields the rows of a scope below a place, newest first.
func (r *logReader) places(scope store.Scope, before store.Seq) iter.Seq2[store.Seq, error] {
	switch {
	case scope.ID != "":
		return r.instance(resourcePrefix(fhir.Key(scope)), before)
	case scope.Type != "":
		return r.indexed(typeBucket, prefix(scope.Tenant, string(scope.Type)), before)
	default:
		return r.indexed(tenantBucket, prefix(scope.Tenant), before)
	}
}

func (r *logReader) indexed(bucket string, prefix []byte, before store.Seq) iter.Seq2[store.Seq, error] {
	return func(yield func(store.Seq, error) bool) {
		for k := range r.descend(bucket, numbered(prefix, uint64(before)), prefix) {
			if !yield(store.Seq(lastNumber(k)), nil) {
				return
			}
		}
	}
}

func (r *logReader) instance(prefix []byte, before store.Seq) iter.Seq2[store.Seq, error] {
	return func(yield func(store.Seq, error) bool) {
		version, _, err := r.current(prefix, before-1)
		if err != nil {
			yield(0, err)
			return
		}
		for _, v := range r.descend(versionBucket, numbered(prefix, version+1), prefix) {
			seq, _, content, err := decodeEntry(v)
			if content == gone {
				continue
			}
			if !yield(seq, err) || err != nil {
				return
			}
		}
	}
}

func (r *logReader) Request(key string) (store.Seq, error) {
	if key == "" {
		return 0, store.ErrNotFound
	}
	v, ok := r.get(requestBucket, []byte(key))
	if !ok {
		return 0, store.ErrNotFound
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("request %q: %w", key, errValue)
	}
	return store.Seq(binary.BigEndian.Uint64(v)), nil
}
