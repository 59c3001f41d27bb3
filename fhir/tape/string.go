package tape

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

func (p *parser) str() error {
	plain := true
	i := p.pos + 1
	for {
		i = special(p.src, i)
		if i >= len(p.src) {
			return p.failAt(len(p.src), "the document ends inside a string")
		}
		switch c := p.src[i]; c {
		case '"':
			p.leaf(String, i+1, plain)
			return nil
		case '\\':
			plain = false
			n, err := p.escape(i)
			if err != nil {
				return err
			}
			i += n
		default:
			return p.failAt(i, "control character 0x%02x in a string: write it as \\u%04x", c, c)
		}
	}
}

// special returns the place of the next quote, backslash or control character at or behind i, or len(b).
// It looks at eight bytes at a time: a byte below n borrows in x-n, and its high bit shows it. A borrow can
// mark innocent bytes, but only above a guilty one, and the lowest mark is what counts.
func special(b []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, slash := x^('"'*ones), x^('\\'*ones)
		marks := ((x - 0x20*ones) & ^x) | ((quote - ones) & ^quote) | ((slash - ones) & ^slash)
		if marks &= high; marks != 0 {
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < 0x20 {
			break
		}
	}
	return i
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
