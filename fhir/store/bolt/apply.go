package bolt

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// empty tells whether nothing was written, or all of it was undone.
func (o *overlay) empty() bool {
	for _, s := range o.buckets {
		if s.dropped || len(s.leaves) > 0 {
			return false
		}
	}
	return true
}

// apply writes all to the transaction, each bucket in order of keys: that is what bbolt is fastest at.
func (o *overlay) apply(tx *bbolt.Tx) error {
	for _, name := range slices.Sorted(maps.Keys(o.buckets)) {
		s := o.buckets[name]
		if !s.dropped && len(s.leaves) == 0 {
			continue
		}
		b, err := s.target(tx, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, leaf := range s.leaves {
			for _, e := range leaf {
				if err := e.apply(b); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	return nil
}

func (e *entry) apply(b *bbolt.Bucket) error {
	if e.deleted {
		return b.Delete(e.key)
	}
	return b.Put(e.key, e.value)
}

// target finds or makes the bucket to write to, emptied if it was dropped.
func (s *sheet) target(tx *bbolt.Tx, name string) (*bbolt.Bucket, error) {
	path, child, nested := strings.Cut(name, "/")
	b, err := tx.CreateBucketIfNotExists([]byte(path))
	if err != nil {
		return nil, err
	}
	if nested {
		if s.dropped {
			if err := b.DeleteBucket([]byte(child)); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
				return nil, err
			}
			if len(s.leaves) == 0 {
				return b, nil
			}
		}
		if b, err = b.CreateBucketIfNotExists([]byte(child)); err != nil {
			return nil, err
		}
	}
	switch path {
	case logBucket:
		b.FillPercent = 1 // only ever appended to
	case typeBucket, tenantBucket:
		b.FillPercent = 0.9 // appended to at few places
	}
	return b, nil
}
