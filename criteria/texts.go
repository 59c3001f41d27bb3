package criteria

import "strings"

// texts keeps very many short texts in a few big pieces, because the garbage collector looks at pieces one by one.
type texts struct {
	chunks []*strings.Builder
	used   int // bytes, with those that were dropped
	unused int // bytes that were dropped
}

// textRef is where a text is.
type textRef struct{ chunk, at, size uint32 }

const chunkSize = 64 << 10

func (t *texts) add(s string) textRef {
	last := len(t.chunks) - 1
	if last < 0 || t.chunks[last].Len()+len(s) > t.chunks[last].Cap() {
		chunk := new(strings.Builder)
		chunk.Grow(max(chunkSize, len(s)))
		t.chunks = append(t.chunks, chunk)
		last++
	}
	ref := textRef{uint32(last), uint32(t.chunks[last].Len()), uint32(len(s))}
	t.chunks[last].WriteString(s)
	t.used += len(s)
	return ref
}

// get returns a text without copying it.
func (t *texts) get(r textRef) string { return t.chunks[r.chunk].String()[r.at : r.at+r.size] }

func (t *texts) drop(r textRef) { t.unused += int(r.size) }

// loose tells whether so much was dropped that the rest should be packed anew.
func (t *texts) loose() bool { return t.unused > chunkSize && t.unused > t.used/2 }
