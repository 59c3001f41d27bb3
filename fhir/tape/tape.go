// Package tape parses one JSON document, strictly and once, into a flat list of tokens over its bytes.
//
// A FHIR resource is its bytes: they are stored, matched, served and delivered as they came, only without
// insignificant white space. So the parser copies the document into that compact form and remembers, for
// every value, where it stands; reading a value decodes nothing that is not asked for, and changing one
// (Doc.Splice) replaces bytes and leaves all others alone.
//
// Strict means RFC 8259 and what R4 json.html adds: valid UTF-8, no duplicate member names, no lone
// surrogates, no number that JSON does not know, one value and nothing behind it, and a bounded depth.
//
// A Doc is immutable and safe for concurrent use. A Node is a small value that keeps its Doc alive.
package tape

import (
	"iter"
	"unsafe"
)

// Kind is the JSON type of a value.
type Kind uint8

// The kinds. Absent is the kind of the zero Node: a member or element that is not there.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String names the kind as JSON does.
func (k Kind) String() string {
	return [...]string{"absent", "null", "boolean", "number", "string", "array", "object"}[k]
}

// token is one value of the document. For an object, its members follow as pairs of a String token (the
// name) and the value; for an array, its elements follow. next is the index behind the whole value.
type token struct {
	start, end uint32 // in the compact bytes; strings with their quotes
	next       uint32
	size       uint32 // members or elements
	kind       Kind
	plain      bool // a string without escapes
}

// Doc is a parsed document.
type Doc struct {
	bytes  []byte
	tokens []token
	text   string // bytes once more, of a Shared document
}

// Bytes returns the compact form. It must not be changed.
func (d *Doc) Bytes() []byte { return d.bytes[:len(d.bytes):len(d.bytes)] }

// Footprint is how many bytes of memory the document takes.
func (d *Doc) Footprint() int {
	return cap(d.bytes) + len(d.text) + cap(d.tokens)*int(unsafe.Sizeof(token{}))
}

// MaxFootprint is the most that a document of so many bytes takes: one that holds nothing but digits and commas.
func MaxFootprint(size int) int { return size + (size/2+1)*int(unsafe.Sizeof(token{})) }

// Root returns the document's value.
func (d *Doc) Root() Node {
	if d == nil || len(d.tokens) == 0 {
		return Node{}
	}
	return Node{doc: d}
}

// Node is a value inside a Doc. The zero Node is Absent, and every method works on it.
type Node struct {
	doc *Doc
	at  uint32
}

func (n Node) token() *token { return &n.doc.tokens[n.at] }

// Exists tells whether there is a value at all (null is one).
func (n Node) Exists() bool { return n.doc != nil }

// Kind returns the JSON type.
func (n Node) Kind() Kind {
	if n.doc == nil {
		return Absent
	}
	return n.token().kind
}

// Len is the number of members of an object or elements of an array, else 0.
func (n Node) Len() int {
	if n.doc == nil {
		return 0
	}
	return int(n.token().size)
}

// Raw returns the value's compact JSON. It must not be changed.
func (n Node) Raw() []byte {
	if n.doc == nil {
		return nil
	}
	t := n.token()
	return n.doc.bytes[t.start:t.end:t.end]
}

// Span returns where Raw lies in Doc.Bytes.
func (n Node) Span() (start, end int) {
	if n.doc == nil {
		return 0, 0
	}
	t := n.token()
	return int(t.start), int(t.end)
}

// Get returns an object's member, Absent if there is none or n is no object.
func (n Node) Get(name string) Node {
	if n.Kind() != Object {
		return Node{}
	}
	at := n.at + 1
	for range n.token().size {
		key := Node{n.doc, at}
		if key.is(name) {
			return Node{n.doc, at + 1}
		}
		at = n.doc.tokens[at+1].next
	}
	return Node{}
}

// Path is Get, step by step.
func (n Node) Path(names ...string) Node {
	for _, name := range names {
		n = n.Get(name)
	}
	return n
}

// Members yields an object's members in their order: the name, decoded, and the value.
func (n Node) Members() iter.Seq2[string, Node] {
	return func(yield func(string, Node) bool) {
		if n.Kind() != Object {
			return
		}
		at := n.at + 1
		for range n.token().size {
			if !yield(Node{n.doc, at}.Text(), Node{n.doc, at + 1}) {
				return
			}
			at = n.doc.tokens[at+1].next
		}
	}
}

// MemberSpan returns where the member name and its value, as `"name":value`, lie in Doc.Bytes.
func (n Node) MemberSpan(name string) (start, end int, ok bool) {
	v := n.Get(name)
	if !v.Exists() {
		return 0, 0, false
	}
	return int(n.doc.tokens[v.at-1].start), int(v.token().end), true
}

// Elements yields an array's elements; any other value that exists yields itself, once.
// (R4 json.html: an element that may repeat is an array. Reading both alike keeps extraction simple.)
func (n Node) Elements() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		switch n.Kind() {
		case Absent:
		case Array:
			at := n.at + 1
			for range n.token().size {
				if !yield(Node{n.doc, at}) {
					return
				}
				at = n.doc.tokens[at].next
			}
		default:
			yield(n)
		}
	}
}

// At returns the i-th element of an array, Absent if there is none.
func (n Node) At(i int) Node {
	if n.Kind() != Array || i < 0 || i >= n.Len() {
		return Node{}
	}
	at := n.at + 1
	for range i {
		at = n.doc.tokens[at].next
	}
	return Node{n.doc, at}
}

// Bool is true for the literal true only.
func (n Node) Bool() bool { return n.Kind() == Bool && n.doc.bytes[n.token().start] == 't' }

// Text returns a string decoded, a number, boolean or null as it is written, and "" for all else.
func (n Node) Text() string {
	if n.doc == nil {
		return ""
	}
	t := n.token()
	switch t.kind {
	case String:
		if t.plain {
			return n.doc.part(t.start+1, t.end-1)
		}
		return string(unescape(n.doc.bytes[t.start+1 : t.end-1]))
	case Number, Bool, Null:
		return n.doc.part(t.start, t.end)
	default:
		return ""
	}
}

// is compares a string token with a name without allocating in the common case.
func (n Node) is(name string) bool {
	t := n.token()
	if t.plain {
		return string(n.doc.bytes[t.start+1:t.end-1]) == name
	}
	return n.Text() == name
}

// Is tells whether the value is the given string.
func (n Node) Is(text string) bool { return n.Kind() == String && n.is(text) }
