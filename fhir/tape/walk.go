package tape

// Walk steps through the members of an object or the elements of an array without allocating: it is Members
// and Elements for code that looks at every value of every document.
//
//	for w := n.Walk(); w.Next(); {
//		w.Name() // of an object's member
//		w.Value()
//	}
//
// Any other value than an object or array has nothing to step through.
type Walk struct {
	doc   *Doc
	next  uint32 // token of the next name or element
	left  uint32
	value uint32
	named bool
}

// Walk begins before the first member or element.
func (n Node) Walk() Walk {
	switch n.Kind() {
	case Object, Array:
		t := n.token()
		return Walk{doc: n.doc, next: n.at + 1, left: t.size, named: t.kind == Object}
	default:
		return Walk{}
	}
}

// Next goes to the next member or element, and tells whether there is one.
func (w *Walk) Next() bool {
	if w.left == 0 {
		return false
	}
	w.left--
	w.value = w.next
	if w.named {
		w.value++
	}
	w.next = w.doc.tokens[w.value].next
	return true
}

// Name is the name of the member, a string; Absent in an array.
func (w *Walk) Name() Node {
	if !w.named {
		return Node{}
	}
	return Node{w.doc, w.value - 1}
}

// Value is the member's value, or the element.
func (w *Walk) Value() Node { return Node{w.doc, w.value} }

// Content is Text as bytes, which are the document's own, and must not be changed, unless a string has
// escapes and is decoded.
func (n Node) Content() []byte {
	if n.doc == nil {
		return nil
	}
	t := n.token()
	switch {
	case t.kind == String && t.plain:
		return n.doc.bytes[t.start+1 : t.end-1 : t.end-1]
	case t.kind == String:
		return unescape(n.doc.bytes[t.start+1 : t.end-1])
	case t.kind == Number || t.kind == Bool || t.kind == Null:
		return n.doc.bytes[t.start:t.end:t.end]
	default:
		return nil
	}
}

// Doc is a value as a document of its own: what Parse makes of Raw, without parsing it again. It shares the
// bytes, and so keeps the whole document alive.
func (n Node) Doc() *Doc {
	if n.doc == nil {
		return &Doc{}
	}
	t := n.token()
	tokens := make([]token, t.next-n.at)
	for i, inner := range n.doc.tokens[n.at:t.next] {
		inner.start -= t.start
		inner.end -= t.start
		inner.next -= n.at
		tokens[i] = inner
	}
	return &Doc{bytes: n.Raw(), tokens: tokens}
}
