package search

import (
	"encoding/binary"
	"errors"

	"fhirhook/fhir/store"
)

// A run of postings stands on a shelf of its own, in blocks: under the last posting of a block (24 bytes, so
// that the first block that can hold a posting is found by one step) the differences between its postings.
//
//	difference×4      the same field and value; the difference of the rows
//	zigzag×4 + 1      the same field; the rows' difference, then that of the values
//	zigzag×4 + 2      the rows' difference, then field and value, 8 bytes each
const (
	sameValue = iota
	sameField
	newField
)

const (
	blockSize   = 1230 // bytes, about: a lookup decodes half a block in vain, and three with their keys fill a page of 4 KiB
	postingSize = 24
)

var errBlock = errors.New("the search index holds a malformed block")

func (p posting) key() []byte {
	b := make([]byte, 0, postingSize)
	b = binary.BigEndian.AppendUint64(b, p.field)
	b = binary.BigEndian.AppendUint64(b, p.value)
	return binary.BigEndian.AppendUint64(b, uint64(p.seq))
}

// appendPosting adds a posting to a block whose last is prev; the first is behind the zero posting.
func appendPosting(block []byte, prev, p posting) []byte {
	d := int64(p.seq - prev.seq)
	zigzag := uint64(d<<1) ^ uint64(d>>63)
	switch {
	case p.field != prev.field || len(block) == 0:
		block = binary.AppendUvarint(block, zigzag<<2|newField)
		block = binary.BigEndian.AppendUint64(block, p.field)
		return binary.BigEndian.AppendUint64(block, p.value)
	case p.value != prev.value:
		block = binary.AppendUvarint(block, zigzag<<2|sameField)
		return binary.AppendUvarint(block, p.value-prev.value)
	default:
		return binary.AppendUvarint(block, uint64(d)<<2|sameValue) //nolint:staticcheck // sameValue is 0, and one of three
	}
}

// takePosting is the inverse: it returns the posting behind prev and the rest of the block.
func takePosting(block []byte, prev posting) (posting, []byte, error) {
	head, n := binary.Uvarint(block)
	if n <= 0 {
		return prev, nil, errBlock
	}
	block = block[n:]
	d := head >> 2
	zigzag := store.Seq(d>>1) ^ -store.Seq(d&1)
	switch head & 3 {
	case sameValue:
		prev.seq += store.Seq(d)
	case sameField:
		value, n := binary.Uvarint(block)
		if n <= 0 {
			return prev, nil, errBlock
		}
		block = block[n:]
		prev.value += value
		prev.seq += zigzag
	case newField:
		if len(block) < 16 {
			return prev, nil, errBlock
		}
		prev.field, prev.value = binary.BigEndian.Uint64(block), binary.BigEndian.Uint64(block[8:])
		block = block[16:]
		prev.seq += zigzag
	default:
		return prev, nil, errBlock
	}
	return prev, block, nil
}

// blockWriter puts sorted postings on a shelf.
type blockWriter struct {
	w       store.IndexWriter
	shelf   string
	block   []byte
	last    posting
	written int // bytes
}

func (b *blockWriter) add(p posting) error {
	if b.block == nil {
		b.block, b.last = make([]byte, 0, blockSize+64), posting{}
	}
	b.block = appendPosting(b.block, b.last, p)
	b.last = p
	if len(b.block) >= blockSize {
		return b.end()
	}
	return nil
}

// end writes the block that is under way.
func (b *blockWriter) end() error {
	if b.block == nil {
		return nil
	}
	err := b.w.Put(b.shelf, b.last.key(), b.block)
	b.written += postingSize + len(b.block)
	b.block = nil
	return err
}

// postings goes through a shelf.
type postings struct {
	cursor store.IndexCursor
	block  []byte
	last   posting
}

// postingsFrom begins at the first posting that is not below from.
func postingsFrom(r store.IndexReader, shelf string, from posting) (*postings, posting, bool, error) {
	p := &postings{cursor: r.Cursor(shelf, from.key())}
	for {
		next, ok, err := p.next()
		if err != nil || !ok || next.compare(from) >= 0 {
			return p, next, ok, err
		}
	}
}

// next returns false behind the last.
func (p *postings) next() (posting, bool, error) {
	if len(p.block) == 0 {
		key, block, err := p.cursor.Next()
		if key == nil || err != nil {
			return posting{}, false, err
		}
		p.block, p.last = block, posting{}
	}
	var err error
	p.last, p.block, err = takePosting(p.block, p.last)
	return p.last, err == nil, err
}
