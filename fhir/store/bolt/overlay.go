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
	spare   []entry     // allocated many at a time
	rows    []recentRow // of the log, in order
	settled int         // how many of those can't be undone any more
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

func (o *overlay) write(bucket string, written entry) {
	if len(o.spare) == 0 {
		o.spare = make([]entry, 64)
	}
	e := &o.spare[0]
	*e, o.spare = written, o.spare[1:]
	s := o.buckets[bucket]
	if s == nil {
		s = &sheet{}
		o.buckets[bucket] = s
	}
	s.own()
	p, found := s.find(e.key)
	undo := change{bucket: bucket, put: e, size: o.size}
	if found {
		undo.old, s.leaves[p.leaf][p.at] = s.leaves[p.leaf][p.at], e
	} else {
		s.insert(p, e)
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
		s.own()
		p, _ := s.find(c.put.key)
		if c.old != nil {
			s.leaves[p.leaf][p.at] = c.old
		} else {
			s.remove(p)
		}
	}
	o.rows = o.rows[:o.settled]
	o.settle()
}

// settle keeps all writes so far.
func (o *overlay) settle() { o.journal, o.settled = o.journal[:0], len(o.rows) }

func (o *overlay) get(bucket string, key []byte) ([]byte, bool) {
	if s := o.buckets[bucket]; s != nil {
		if p, found := s.find(key); found {
			e := s.leaves[p.leaf][p.at]
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
		p, _ := s.find(from)
		o.merge(o.under(bucket, from, true), s, s.stretch(p, 1, prefix), yield)
	}
}

func (o *overlay) descend(bucket string, below, prefix []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		s := o.sheet(bucket)
		p, _ := s.find(below)
		o.merge(o.under(bucket, below, false), s, s.stretch(p, -1, prefix), yield)
	}
}

func (o *overlay) before(bucket string, below, prefix []byte) (key, value []byte) {
	s := o.sheet(bucket)
	p, _ := s.find(below)
	down := s.stretch(p, -1, prefix)
	if over := down.first(); over != nil && !over.deleted {
		// The sheet alone answers where the committed state has nothing in between.
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

// merge walks through the committed state and the entries of a sheet over it as one.
func (o *overlay) merge(under walker, s *sheet, over stretch, yield func(k, v []byte) bool) {
	copies := s.copies
	s.walks++
	defer func() {
		if s.copies == copies {
			s.walks--
		}
	}()
	for {
		if under.key != nil && !bytes.HasPrefix(under.key, over.prefix) {
			under.key = nil
		}
		top := over.first()
		var order int // below 0: the committed one comes first
		switch {
		case under.key == nil && top == nil:
			return
		case under.key == nil:
			order = 1
		case top == nil:
			order = -1
		case under.up:
			order = bytes.Compare(under.key, top.key)
		default:
			order = bytes.Compare(top.key, under.key)
		}
		k, v, deleted := under.key, under.value, false
		if order >= 0 {
			k, v, deleted = top.key, top.value, top.deleted
			over.at += over.step
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
		if name, nested := strings.CutPrefix(path, bucket+"/"); nested && len(s.leaves) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
