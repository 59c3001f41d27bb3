package tape

import (
	"bytes"
	"fmt"
	"math"
	"unicode/utf8"
)

// MaxDepth is the nesting that Parse allows where its caller names none.
const MaxDepth = 128

// A token takes more memory than the smallest value that can be written, and a document of nothing but those
// would cost ten times its size. Resources are far from it: a value has some 25 bytes.
const (
	tokensAllowed = 1 << 20
	tokenBytes    = 8
)

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
	// Two quotes make a string, and most tokens are strings; the bound is for bodies that are nothing else.
	strings := bytes.Count(src, []byte{'"'}) / 2
	guess := min(strings+strings/2, len(src)/8) + 8
	p := parser{src: src, depth: depth, out: make([]byte, 0, len(src)), tokens: make([]token, 0, guess)}
	if bytes.HasPrefix(src, []byte("\xef\xbb\xbf")) {
		return nil, p.fail("the document begins with a byte order mark: leave it out (RFC 8259 section 8.1)")
	}
	if !utf8.Valid(src) {
		return nil, p.notUTF8()
	}
	p.space()
	if err := p.value(); err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(p.src) {
		return nil, p.fail("there is more behind the end of the JSON value")
	}
	p.flush()
	return &Doc{bytes: p.compact(), tokens: p.tokens}, nil
}

// parser walks src once. Copying lags behind reading: what lies between copied and pos has no white space
// in it and goes to out in one piece, so that a document that is compact already is copied once.
type parser struct {
	src     []byte
	pos     int
	copied  int // src up to here is in out, white space left out
	skipped int // bytes of white space before pos; pos-skipped is the place in the compact form
	depth   int // how many more objects and arrays may be opened
	out     []byte
	tokens  []token
	wide    map[int]map[string]struct{} // names of the wide objects being read, by their token
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

// notUTF8 finds the first byte that is not valid UTF-8.
func (p *parser) notUTF8() *SyntaxError {
	i := 0
	for i < len(p.src) {
		r, n := utf8.DecodeRune(p.src[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return p.failAt(i, "byte 0x%02x is not valid UTF-8", p.src[i])
}

func (p *parser) space() {
	if p.pos >= len(p.src) || p.src[p.pos] > ' ' {
		return
	}
	p.flush()
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
			continue
		}
		break
	}
	p.skipped += p.pos - p.copied
	p.copied = p.pos
}

// flush brings out up to pos.
func (p *parser) flush() {
	p.out = append(p.out, p.src[p.copied:p.pos]...)
	p.copied = p.pos
}

// compact is out without the room that white space has left, where that is worth a copy: a Doc lives long.
func (p *parser) compact() []byte {
	if cap(p.out)-len(p.out) > len(p.out)/4 {
		return bytes.Clone(p.out)
	}
	return p.out
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
	if len(p.tokens) > tokensAllowed+len(p.src)/tokenBytes {
		return p.fail("the document holds too many values for its size")
	}
	switch c := p.src[p.pos]; {
	case c == '"':
		return p.str()
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
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

// open starts an object or array; close fills in its end.
func (p *parser) open(kind Kind) (at int, err error) {
	if p.depth == 0 {
		return 0, p.fail("the document is nested too deeply")
	}
	p.depth--
	at = len(p.tokens)
	p.tokens = append(p.tokens, token{kind: kind, start: uint32(p.pos - p.skipped)})
	p.pos++
	p.space()
	return at, nil
}

func (p *parser) close(at int, size uint32) {
	p.pos++
	p.depth++
	t := &p.tokens[at]
	t.end, t.size, t.next = uint32(p.pos-p.skipped), size, uint32(len(p.tokens))
}

func (p *parser) object() error {
	at, err := p.open(Object)
	if err != nil {
		return err
	}
	size, seen := uint32(0), uint64(0)
	for p.peek() != '}' {
		if size > 0 {
			if p.peek() != ',' {
				return p.expected(", or } in an object")
			}
			p.pos++
			p.space()
		}
		if p.peek() != '"' {
			return p.expected("a member name in double quotes")
		}
		name := p.pos
		key := len(p.tokens)
		if err := p.str(); err != nil {
			return err
		}
		if p.repeated(at, key, size, &seen) {
			return p.failAt(name, "the member %s stands twice in the same object", clip(p.src[name:p.pos]))
		}
		p.space()
		if p.peek() != ':' {
			return p.expected(": behind a member name")
		}
		p.pos++
		p.space()
		if err := p.value(); err != nil {
			return err
		}
		p.space()
		size++
	}
	if size > wideObject {
		delete(p.wide, at)
	}
	p.close(at, size)
	return nil
}

// expected fails at pos, where something else stands or nothing.
func (p *parser) expected(what string) *SyntaxError {
	if p.pos >= len(p.src) {
		return p.fail("the document ends where it should have %s", what)
	}
	return p.fail("expected %s", what)
}

func clip(name []byte) []byte {
	const most = 64
	if len(name) <= most {
		return name
	}
	cut := most
	for !utf8.RuneStart(name[cut]) {
		cut--
	}
	return append(bytes.Clone(name[:cut]), "…"...)
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
				return p.expected(", or ] in an array")
			}
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

// leaf records the value from pos to end.
func (p *parser) leaf(kind Kind, end int, plain bool) {
	p.tokens = append(p.tokens, token{
		kind: kind, plain: plain,
		start: uint32(p.pos - p.skipped), end: uint32(end - p.skipped), next: uint32(len(p.tokens) + 1),
	})
	p.pos = end
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
