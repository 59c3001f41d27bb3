package fhirpath

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where an expression can't be read, and why.
type SyntaxError struct {
	Column int // from 1, in bytes
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Reason) }

type tokenKind uint8

const (
	end    tokenKind = iota
	word             // an identifier or keyword
	quoted           // an identifier in back quotes, never a keyword
	text             // a string, decoded
	number           // digits
	symbol           // ( ) [ ] . , | = != $ %
)

type lexeme struct {
	kind       tokenKind
	text       string
	start, end int
}

func (l lexeme) String() string {
	if l.kind == end {
		return "the end"
	}
	return fmt.Sprintf("%q", l.text)
}

type lexer struct {
	src string
	pos int
}

func fail(at int, format string, args ...any) error {
	return &SyntaxError{Column: at + 1, Reason: fmt.Sprintf(format, args...)}
}

func (x *lexer) next() (lexeme, error) {
	for x.pos < len(x.src) && strings.IndexByte(" \t\r\n", x.src[x.pos]) >= 0 {
		x.pos++
	}
	start := x.pos
	if start == len(x.src) {
		return lexeme{kind: end, start: start, end: start}, nil
	}
	take := func(kind tokenKind, n int) (lexeme, error) {
		x.pos = start + n
		return lexeme{kind: kind, text: x.src[start:x.pos], start: start, end: x.pos}, nil
	}
	switch c := x.src[start]; {
	case letter(c):
		return take(word, span(x.src[start:], func(c byte) bool { return letter(c) || digit(c) }))
	case digit(c):
		n := span(x.src[start:], digit)
		if rest := x.src[start+n:]; len(rest) > 1 && rest[0] == '.' && digit(rest[1]) {
			return lexeme{}, fail(start, "decimal numbers are not supported here")
		}
		return take(number, n)
	case c == '\'':
		return x.delimited(text, '\'')
	case c == '`':
		return x.delimited(quoted, '`')
	case strings.HasPrefix(x.src[start:], "!="):
		return take(symbol, 2)
	case strings.IndexByte("()[].,|=$%", c) >= 0:
		return take(symbol, 1)
	default:
		r, _ := utf8.DecodeRuneInString(x.src[start:])
		return lexeme{}, fail(start, "%q is not supported here", r)
	}
}

// delimited reads a string or a quoted identifier, whose escapes are the same (FHIRPath 2.0.0 string).
func (x *lexer) delimited(kind tokenKind, mark byte) (lexeme, error) {
	start := x.pos
	var b strings.Builder
	for i := start + 1; i < len(x.src); i++ {
		switch c := x.src[i]; c {
		case mark:
			x.pos = i + 1
			return lexeme{kind: kind, text: b.String(), start: start, end: x.pos}, nil
		case '\\':
			i++
			if i == len(x.src) {
				return lexeme{}, fail(start, "the closing %c is missing", mark)
			}
			plain := strings.IndexByte("'\"`\\/rntf", x.src[i])
			if plain < 0 {
				return lexeme{}, fail(i-1, "the escape \\%c is not supported", x.src[i])
			}
			b.WriteByte("'\"`\\/\r\n\t\f"[plain])
		default:
			b.WriteByte(c)
		}
	}
	return lexeme{}, fail(start, "the closing %c is missing", mark)
}

func letter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}
