package bolt

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// overlay is a group's writes over the committed state. A function's writes can be undone as long as
// settle was not called behind them.
type overlay struct {
	base    committed
	buckets map[string]*sheet
	size    int // bytes written
	journal []change
}

// sheet is what was written to one bucket.
type sheet struct {
	dropped bool     // nothing committed shows through
	entries []*entry // by key
}

// entry is never changed, for walks share it.
type entry struct {
	key, value []byte
	deleted    bool
}

// change is how to undo one write.
type change struct {
	bucket string
	put    *entry // nil if the bucket was dropped
	old    *entry // what stood in its place, nil for nothing
	sheet  *sheet // what a dropped bucket was, maybe nil
	size   int    // of the overlay before
}

func newOverlay(tx *bbolt.Tx) *overlay {
	return &overlay{base: committed{tx: tx}, buckets: map[string]*sheet{}}
}

// find returns where a key stands or would stand.
func (s *sheet) find(key []byte) (int, bool) {
	n := len(s.entries)
	if n > 0 && bytes.Compare(s.entries[n-1].key, key) < 0 {
		return n, false // most keys come in order
	}
	return slices.BinarySearchFunc(s.entries, key, func(e *entry, key []byte) int { return bytes.Compare(e.key, key) })
}

// put sets a value. It keeps key and value.
func (o *overlay) put(bucket string, key, value []byte) error {
	if len(key) == 0 || len(key) > bbolt.MaxKeySize || len(value) > bbolt.MaxValueSize {
		return fmt.Errorf("%s: a key of %d bytes with a value of %d bytes does not fit", bucket, len(key), len(value))
	}
	o.write(bucket, entry{key: key, value: value})
	return nil
}

// remove deletes a key. It keeps it.
func (o *overlay) remove(bucket string, key []byte) { o.write(bucket, entry{key: key, deleted: true}) }

func (o *overlay) write(bucket string, e entry) {
	s := o.buckets[bucket]
	if s == nil {
		s = &sheet{}
		o.buckets[bucket] = s
	}
	i, found := s.find(e.key)
	undo := change{bucket: bucket, put: &e, size: o.size}
	if found {
		undo.old, s.entries[i] = s.entries[i], &e
	} else {
		s.entries = slices.Insert(s.entries, i, &e)
	}
	o.journal = append(o.journal, undo)
	o.size += len(e.key) + len(e.value)
}

// drop empties a bucket.
func (o *overlay) drop(bucket string) {
	o.journal = append(o.journal, change{bucket: bucket, sheet: o.buckets[bucket], size: o.size})
	o.buckets[bucket] = &sheet{dropped: true}
}

// undo takes back all writes behind the last settle.
func (o *overlay) undo() {
	for _, c := range slices.Backward(o.journal) {
		o.size = c.size
		if c.put == nil {
			o.buckets[c.bucket] = c.sheet
			if c.sheet == nil {
				delete(o.buckets, c.bucket)
			}
			continue
		}
		s := o.buckets[c.bucket]
		i, _ := s.find(c.put.key)
		if c.old != nil {
			s.entries[i] = c.old
		} else {
			s.entries = slices.Delete(s.entries, i, i+1)
		}
	}
	o.settle()
}

// settle keeps all writes so far.
func (o *overlay) settle() { o.journal = o.journal[:0] }

func (o *overlay) get(bucket string, key []byte) ([]byte, bool) {
	if s := o.buckets[bucket]; s != nil {
		if i, found := s.find(key); found {
			e := s.entries[i]
			return e.value, !e.deleted
		}
		if s.dropped {
			return nil, false
		}
	}
	return o.base.get(bucket, key)
}

func (o *overlay) ascend(bucket string, from, prefix []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		s := o.sheet(bucket)
		i, _ := s.find(from)
		n := 0
		for i+n < len(s.entries) && bytes.HasPrefix(s.entries[i+n].key, prefix) {
			n++
		}
		// A copy, for the caller may write while it walks, and sees then what stood when it began.
		o.merge(o.under(bucket, from, true), slices.Clone(s.entries[i:i+n]), prefix, yield)
	}
}

func (o *overlay) descend(bucket string, below, prefix []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		s := o.sheet(bucket)
		i, _ := s.find(below)
		n := 0
		for n < i && bytes.HasPrefix(s.entries[i-1-n].key, prefix) {
			n++
		}
		over := slices.Clone(s.entries[i-n : i])
		slices.Reverse(over)
		o.merge(o.under(bucket, below, false), over, prefix, yield)
	}
}

func (o *overlay) before(bucket string, below, prefix []byte) (key, value []byte) {
	s := o.sheet(bucket)
	i, _ := s.find(below)
	if i > 0 && !s.entries[i-1].deleted && bytes.HasPrefix(s.entries[i-1].key, prefix) {
		// The sheet alone answers where the committed state has nothing in between.
		over := s.entries[i-1]
		if under := o.under(bucket, below, false); under.key == nil || bytes.Compare(under.key, over.key) <= 0 {
			return over.key, over.value
		}
	}
	for k, v := range o.descend(bucket, below, prefix) {
		return k, v
	}
	return nil, nil
}

// sheet never returns nil.
func (o *overlay) sheet(bucket string) *sheet {
	if s := o.buckets[bucket]; s != nil {
		return s
	}
	return &sheet{}
}

// under walks through what is committed and shows through.
func (o *overlay) under(bucket string, place []byte, up bool) walker {
	if o.sheet(bucket).dropped {
		return walker{}
	}
	return o.base.walk(bucket, place, up)
}

// merge walks through the committed state and the entries over it as one.
func (o *overlay) merge(under walker, over []*entry, prefix []byte, yield func(k, v []byte) bool) {
	for {
		if under.key != nil && !bytes.HasPrefix(under.key, prefix) {
			under.key = nil
		}
		var order int // below 0: the committed one comes first
		switch {
		case under.key == nil && len(over) == 0:
			return
		case under.key == nil:
			order = 1
		case len(over) == 0:
			order = -1
		case under.up:
			order = bytes.Compare(under.key, over[0].key)
		default:
			order = bytes.Compare(over[0].key, under.key)
		}
		k, v, deleted := under.key, under.value, false
		if order >= 0 {
			k, v, deleted = over[0].key, over[0].value, over[0].deleted
			over = over[1:]
		}
		if order <= 0 {
			under.advance()
		}
		if !deleted && !yield(k, v) {
			return
		}
	}
}

func (o *overlay) children(bucket string) []string {
	var names []string
	for _, name := range o.base.children(bucket) {
		if s := o.buckets[bucket+"/"+name]; s == nil || !s.dropped {
			names = append(names, name)
		}
	}
	for path, s := range o.buckets {
		if name, nested := strings.CutPrefix(path, bucket+"/"); nested && len(s.entries) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
