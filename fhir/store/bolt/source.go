package bolt

import (
	"bytes"
	"iter"
	"strings"

	"go.etcd.io/bbolt"
)

// source is what readers read: a committed state, or one with a group's writes over it (overlay). Keys
// and values hold until the transaction ends and must not be changed.
type source interface {
	// get returns a value, false if there is none.
	get(bucket string, key []byte) ([]byte, bool)
	// ascend yields in order from a key on what begins with prefix; from begins with it too.
	ascend(bucket string, from, prefix []byte) iter.Seq2[[]byte, []byte]
	// descend yields in falling order what is below a key and begins with prefix.
	descend(bucket string, below, prefix []byte) iter.Seq2[[]byte, []byte]
	// before returns the last key below another that begins with prefix, nil if there is none.
	before(bucket string, below, prefix []byte) (key, value []byte)
	// children names the buckets nested in one, sorted.
	children(bucket string) []string
}

// committed is the source of a bbolt transaction in which nothing was changed yet.
type committed struct {
	tx     *bbolt.Tx
	opened []openBucket // few, so that walking beats a map
}

type openBucket struct {
	name   string
	bucket *bbolt.Bucket
	cursor *bbolt.Cursor // for get, so that each need not make its own; nil: none was made yet
}

// bucket returns nil if there is none of that name.
func (s *committed) bucket(name string) *bbolt.Bucket { return s.open(name).bucket }

// open returns what holds until another bucket is opened.
func (s *committed) open(name string) *openBucket {
	for i := range s.opened {
		if o := &s.opened[i]; o.name == name {
			return o
		}
	}
	var b *bbolt.Bucket
	if parent, child, nested := strings.Cut(name, "/"); !nested {
		b = s.tx.Bucket([]byte(name))
	} else if outer := s.bucket(parent); outer != nil {
		b = outer.Bucket([]byte(child))
	}
	s.opened = append(s.opened, openBucket{name: name, bucket: b})
	return &s.opened[len(s.opened)-1]
}

func (s *committed) get(bucket string, key []byte) ([]byte, bool) {
	o := s.open(bucket)
	if o.bucket == nil {
		return nil, false
	}
	if o.cursor == nil {
		o.cursor = o.bucket.Cursor()
	}
	k, v := o.cursor.Seek(key)
	return v, v != nil && bytes.Equal(k, key)
}

func (s *committed) ascend(bucket string, from, prefix []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		c := s.walk(bucket, from, true)
		for ; c.key != nil && bytes.HasPrefix(c.key, prefix); c.advance() {
			if !yield(c.key, c.value) {
				return
			}
		}
	}
}

func (s *committed) descend(bucket string, below, prefix []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		c := s.walk(bucket, below, false)
		for ; c.key != nil && bytes.HasPrefix(c.key, prefix); c.advance() {
			if !yield(c.key, c.value) {
				return
			}
		}
	}
}

func (s *committed) before(bucket string, below, prefix []byte) (key, value []byte) {
	c := s.walk(bucket, below, false)
	if !bytes.HasPrefix(c.key, prefix) {
		return nil, nil
	}
	return c.key, c.value
}

func (s *committed) children(bucket string) []string {
	b := s.bucket(bucket)
	if b == nil {
		return nil
	}
	var names []string
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if v == nil {
			names = append(names, string(k))
		}
	}
	return names
}

// walker goes through a bucket in either direction. Its key is nil behind the end.
type walker struct {
	cursor     *bbolt.Cursor // nil: no such bucket
	up         bool
	key, value []byte
}

// walk starts at the first key not below a place, or at the last one below it.
func (s *committed) walk(bucket string, place []byte, up bool) walker {
	b := s.bucket(bucket)
	if b == nil {
		return walker{}
	}
	w := walker{cursor: b.Cursor(), up: up}
	w.key, w.value = w.cursor.Seek(place)
	switch {
	case up:
	case w.key == nil:
		w.key, w.value = w.cursor.Last()
	default:
		w.key, w.value = w.cursor.Prev()
	}
	return w
}

func (w *walker) advance() {
	if w.up {
		w.key, w.value = w.cursor.Next()
	} else {
		w.key, w.value = w.cursor.Prev()
	}
}
