package tape

import (
	"fmt"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is the nesting that Parse allows where its caller names none.
const MaxDepth = 128

// SyntaxError says what is wrong with a document and where.
type SyntaxError struct {
	Offset int    // in the bytes given to Parse
	Line   int    // from 1
	Column int    // from 1, in bytes
	Reason string // what to change, for a person
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Parse reads one JSON value nested at most depth deep (0: MaxDepth). The Doc keeps nothing of src.
// An error is a *SyntaxError.
func Parse(src []byte, depth int) (*Doc, error) {
	if depth <= 0 {
		depth = MaxDepth
	}
	if len(src) > math.MaxUint32/2 {
		return nil, &SyntaxError{Line: 1, Column: 1, Reason: "the document is larger than 2 GiB"}
	}
	p := parser{src: src, depth: depth, out: make([]byte, 0, len(src)), tokens: make([]token, 0, len(src)/12+8)}
	p.space()
	if err := p.value(); err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(p.src) {
		return nil, p.fail("there is more behind the end of the JSON value")
	}
	return &Doc{bytes: p.out, tokens: p.tokens}, nil
}

type parser struct {
	src    []byte
	pos    int
	depth  int
	out    []byte
	tokens []token
	wide   map[int]map[string]struct{} // names of the wide objects being read, by their token
}

func (p *parser) fail(format string, args ...any) *SyntaxError {
	return p.failAt(p.pos, format, args...)
}

func (p *parser) failAt(pos int, format string, args ...any) *SyntaxError {
	e := &SyntaxError{Offset: pos, Line: 1, Column: 1, Reason: fmt.Sprintf(format, args...)}
	for _, c := range p.src[:min(pos, len(p.src))] {
		e.Column++
		if c == '\n' {
			e.Line, e.Column = e.Line+1, 1
		}
	}
	return e
}

func (p *parser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *parser) value() error {
	if p.pos >= len(p.src) {
		return p.fail("the document ends where a value should be")
	}
	switch c := p.src[p.pos]; {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		return p.str()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == 't':
		return p.literal("true", Bool)
	case c == 'f':
		return p.literal("false", Bool)
	case c == 'n':
		return p.literal("null", Null)
	case c >= 0x20 && c < 0x7f:
		return p.fail("%q can't begin a JSON value", c)
	default:
		return p.fail("byte 0x%02x can't begin a JSON value", c)
	}
}

// open starts an object or array; the caller fills in its end.
func (p *parser) open(kind Kind) (at int, err error) {
	if p.depth == 0 {
		return 0, p.fail("the document is nested too deeply")
	}
	p.depth--
	at = len(p.tokens)
	p.tokens = append(p.tokens, token{kind: kind, start: uint32(len(p.out))})
	p.put(p.src[p.pos])
	p.pos++
	p.space()
	return at, nil
}

func (p *parser) close(at int, size uint32) {
	p.put(p.src[p.pos])
	p.pos++
	p.depth++
	delete(p.wide, at)
	t := &p.tokens[at]
	t.end, t.size, t.next = uint32(len(p.out)), size, uint32(len(p.tokens))
}

func (p *parser) put(c byte) { p.out = append(p.out, c) }

func (p *parser) object() error {
	at, err := p.open(Object)
	if err != nil {
		return err
	}
	size := uint32(0)
	for p.peek() != '}' {
		if size > 0 {
			if p.peek() != ',' {
				return p.fail("expected , or } in an object")
			}
			p.put(',')
			p.pos++
			p.space()
		}
		if p.peek() != '"' {
			return p.fail("expected a member name in double quotes")
		}
		name := p.pos
		key := len(p.tokens)
		if err := p.str(); err != nil {
			return err
		}
		if p.repeated(at, key, size) {
			return p.failAt(name, "the member %s stands twice in the same object", p.src[name:p.pos])
		}
		p.space()
		if p.peek() != ':' {
			return p.fail("expected : behind a member name")
		}
		p.put(':')
		p.pos++
		p.space()
		if err := p.value(); err != nil {
			return err
		}
		p.space()
		size++
	}
	p.close(at, size)
	return nil
}

// repeated tells whether the member name in token key already stands in the object at token at. Objects
// in FHIR are small, so comparing with each is the fast way; wide ones are left to a set by their caller.
func (p *parser) repeated(at, key int, size uint32) bool {
	if size == 0 {
		return false
	}
	if size >= wideObject {
		return p.repeatedWide(at, key, size)
	}
	d := Doc{bytes: p.out, tokens: p.tokens}
	k := p.tokens[key]
	name := p.out[k.start+1 : k.end-1]
	text := ""
	if !k.plain {
		text = string(unescape(name))
	}
	i := uint32(at) + 1
	for range size {
		o := p.tokens[i]
		switch {
		case k.plain && o.plain:
			if string(p.out[o.start+1:o.end-1]) == string(name) {
				return true
			}
		default:
			if text == "" {
				text = string(name)
			}
			if (Node{&d, i}).is(text) {
				return true
			}
		}
		i = p.tokens[i+1].next
	}
	return false
}

func (p *parser) array() error {
	at, err := p.open(Array)
	if err != nil {
		return err
	}
	size := uint32(0)
	for p.peek() != ']' {
		if size > 0 {
			if p.peek() != ',' {
				return p.fail("expected , or ] in an array")
			}
			p.put(',')
			p.pos++
			p.space()
		}
		if err := p.value(); err != nil {
			return err
		}
		p.space()
		size++
	}
	p.close(at, size)
	return nil
}

func (p *parser) literal(word string, kind Kind) error {
	end := p.pos + len(word)
	if end > len(p.src) || string(p.src[p.pos:end]) != word {
		return p.fail("expected %s", word)
	}
	p.leaf(kind, end, true)
	return nil
}

// leaf copies the value up to end and records it.
func (p *parser) leaf(kind Kind, end int, plain bool) {
	start := len(p.out)
	p.out = append(p.out, p.src[p.pos:end]...)
	p.pos = end
	p.tokens = append(p.tokens, token{
		kind: kind, plain: plain,
		start: uint32(start), end: uint32(len(p.out)), next: uint32(len(p.tokens) + 1),
	})
}

// number follows the grammar of RFC 8259 section 6; the text is kept as it is written.
func (p *parser) number() error {
	i := p.pos
	at := func() byte {
		if i < len(p.src) {
			return p.src[i]
		}
		return 0
	}
	digits := func() bool {
		from := i
		for c := at(); c >= '0' && c <= '9'; c = at() {
			i++
		}
		return i > from
	}
	if at() == '-' {
		i++
	}
	if at() == '0' {
		i++
		if c := at(); c >= '0' && c <= '9' {
			return p.fail("a number can't begin with 0")
		}
	} else if !digits() {
		return p.fail("expected a digit in a number")
	}
	if at() == '.' {
		i++
		if !digits() {
			return p.fail("expected a digit behind the decimal point")
		}
	}
	if c := at(); c == 'e' || c == 'E' {
		i++
		if c := at(); c == '+' || c == '-' {
			i++
		}
		if !digits() {
			return p.fail("expected a digit in the exponent")
		}
	}
	p.leaf(Number, i, true)
	return nil
}

func (p *parser) str() error {
	plain := true
	i := p.pos + 1
	for i < len(p.src) {
		switch c := p.src[i]; {
		case c == '"':
			p.leaf(String, i+1, plain)
			return nil
		case c == '\\':
			plain = false
			n, err := p.escape(i)
			if err != nil {
				return err
			}
			i += n
		case c < 0x20:
			return p.failAt(i, "control character 0x%02x in a string: write it as \\u%04x", c, c)
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(p.src[i:])
			if r == utf8.RuneError && n == 1 {
				return p.failAt(i, "byte 0x%02x is not valid UTF-8", c)
			}
			i += n
		}
	}
	return p.failAt(len(p.src), "the document ends inside a string")
}

// escape checks the escape at i and returns its length. A surrogate must come as a pair, for half of one
// is no character and could not be served again as UTF-8.
func (p *parser) escape(i int) (int, error) {
	if i+1 >= len(p.src) {
		return 0, p.failAt(i, "the document ends inside a string")
	}
	switch p.src[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, nil
	case 'u':
		r, ok := hex4(p.src, i+2)
		if !ok {
			return 0, p.failAt(i, "expected four hexadecimal digits behind \\u")
		}
		if !utf16.IsSurrogate(r) {
			return 6, nil
		}
		if i+7 < len(p.src) && p.src[i+6] == '\\' && p.src[i+7] == 'u' {
			if low, ok := hex4(p.src, i+8); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
				return 12, nil
			}
		}
		return 0, p.failAt(i, "half of a surrogate pair")
	default:
		return 0, p.failAt(i, "%q is no JSON escape", p.src[i:i+2])
	}
}

func hex4(b []byte, at int) (rune, bool) {
	if at+4 > len(b) {
		return 0, false
	}
	r := rune(0)
	for _, c := range b[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unescape decodes the inside of a string that the parser has accepted.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		c := raw[i+1]
		i += 2
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw, i)
			i += 4
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw, i+2)
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return out
}
