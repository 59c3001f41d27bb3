package validate

import (
	"strconv"
	"unicode/utf8"
)

// format is how a primitive's text must look (R4 datatypes.html#primitive). The checks are written by hand, for
// they run over every value of every resource, and say what is wrong; a test compares them with R4's own
// regular expressions.
type format uint8

const (
	noFormat format = iota // JSON's own grammar says it all: boolean, decimal
	stringFormat
	codeFormat
	idFormat
	uriFormat
	oidFormat
	uuidFormat
	base64Format
	dateFormat
	dateTimeFormat
	instantFormat
	timeFormat
	integerFormat
	unsignedFormat
	positiveFormat
	xhtmlFormat
	referenceFormat
)

var formats = map[string]format{
	"boolean": noFormat, "decimal": noFormat,
	"string": stringFormat, "markdown": stringFormat, "code": codeFormat, "id": idFormat,
	"uri": uriFormat, "url": uriFormat, "canonical": uriFormat, "oid": oidFormat, "uuid": uuidFormat,
	"base64Binary": base64Format,
	"date":         dateFormat, "dateTime": dateTimeFormat, "instant": instantFormat, "time": timeFormat,
	"integer": integerFormat, "unsignedInt": unsignedFormat, "positiveInt": positiveFormat,
	"xhtml": xhtmlFormat,
}

// name is what a value of the format is called.
func (f format) name(typ string) string {
	if f == referenceFormat {
		return "reference"
	}
	return typ
}

// check tells what is wrong with a text that is not empty, "" if nothing is.
func (f format) check(b []byte) string {
	switch f {
	case stringFormat:
		return checkString(b)
	case codeFormat:
		return checkCode(b)
	case idFormat:
		if !validID(b) {
			return "write 1 to 64 of A-Z, a-z, 0-9, - and ."
		}
	case uriFormat:
		return checkURI(b)
	case oidFormat:
		return checkOID(b)
	case uuidFormat:
		return checkUUID(b)
	case base64Format:
		return checkBase64(b)
	case dateFormat:
		if n, _ := date(b); n != len(b) {
			return "write YYYY, YYYY-MM or YYYY-MM-DD, a day that there is"
		}
	case dateTimeFormat:
		if !dateTime(b, false) {
			return "write YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone, as in 2015-02-07T13:28:17Z"
		}
	case instantFormat:
		if !dateTime(b, true) {
			return "write YYYY-MM-DDThh:mm:ss with a time zone, as in 2015-02-07T13:28:17.239+02:00"
		}
	case timeFormat:
		if n := clock(b); n != len(b) {
			return "write hh:mm:ss"
		}
	case integerFormat, unsignedFormat, positiveFormat:
		return f.checkInteger(b)
	case xhtmlFormat:
		return checkXHTML(b)
	case referenceFormat:
		return checkReference(b)
	}
	return ""
}

// maxString is how many characters a string may have (R4 datatypes.html#string).
const maxString = 1 << 20

func checkString(b []byte) string {
	if len(b) > maxString && utf8.RuneCount(b) > maxString {
		return "it has more than 1,048,576 characters"
	}
	return ""
}

// validID is fhir.ValidID for bytes.
func validID(b []byte) bool {
	for _, c := range b {
		if !digit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '.' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 64
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func checkCode(b []byte) string {
	was := true
	for _, c := range b {
		is := space(c)
		if is && was {
			return "a code has no space at its ends, and one at most between words"
		}
		was = is
	}
	if was {
		return "a code has no space at its ends, and one at most between words"
	}
	return ""
}

func checkURI(b []byte) string {
	for _, c := range b {
		if space(c) {
			return "there is no space in it: write %20"
		}
	}
	return ""
}

func checkOID(b []byte) string {
	const wrong = "write urn:oid: and numbers with dots, as in urn:oid:1.2.3.4"
	const prefix = "urn:oid:"
	if len(b) < len(prefix)+3 || string(b[:len(prefix)]) != prefix || b[len(prefix)] < '0' || b[len(prefix)] > '2' {
		return wrong
	}
	rest := b[len(prefix)+1:]
	for len(rest) > 0 {
		n := 1
		for n < len(rest) && digit(rest[n]) {
			n++
		}
		if rest[0] != '.' || n == 1 || n > 2 && rest[1] == '0' {
			return wrong
		}
		rest = rest[n:]
	}
	return ""
}

func checkUUID(b []byte) string {
	const wrong = "write urn:uuid: and a UUID in lower case"
	const prefix = "urn:uuid:"
	if len(b) != len(prefix)+36 || string(b[:len(prefix)]) != prefix {
		return wrong
	}
	for i, c := range b[len(prefix):] {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return wrong
			}
		default:
			if !digit(c) && (c < 'a' || c > 'f') {
				return wrong
			}
		}
	}
	return ""
}

// checkBase64 looks at the alphabet and the length; white space may stand anywhere.
func checkBase64(b []byte) string {
	n, padding := 0, 0
	for _, c := range b {
		switch {
		case space(c):
			continue
		case c == '=':
			padding++
		case padding > 0:
			return "= stands at the end only"
		case digit(c), c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '+', c == '/':
		default:
			return "only A-Z, a-z, 0-9, + and / are base64"
		}
		n++
	}
	if n == 0 || n%4 != 0 || padding > 2 {
		return "base64 comes in fours, filled up with ="
	}
	return ""
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// checkInteger checks the text of a JSON number.
func (f format) checkInteger(b []byte) string {
	for i, c := range b {
		if !digit(c) && (i > 0 || c != '-') {
			return "it is a whole number, written without point and exponent"
		}
	}
	n, err := strconv.ParseInt(string(b), 10, 32)
	switch {
	case err != nil:
		return "it lies beyond 32 bits"
	case f != integerFormat && b[0] == '-':
		return "it can't be below zero"
	case f == positiveFormat && n == 0:
		return "it is at least 1"
	}
	return ""
}

// checkXHTML takes a light look: one div, from the first character to the last.
func checkXHTML(b []byte) string {
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	const open, end = "<div", "</div>"
	opens := len(b) > len(open) && string(b[:len(open)]) == open && (b[4] == '>' || b[4] == '/' || space(b[4]))
	ends := len(b) > len(end) && string(b[len(b)-len(end):]) == end || len(b) > 2 && string(b[len(b)-2:]) == "/>"
	if !opens || !ends {
		return `a narrative is one XHTML element, as in <div xmlns="http://www.w3.org/1999/xhtml">text</div>`
	}
	return ""
}
