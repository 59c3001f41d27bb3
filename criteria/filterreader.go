package criteria

import (
	"encoding/json"
	"strings"
	"unicode"

	"fhirhook/fhir"
)

// Bounds on filters.
const (
	deepestFilter = 50
	mostTests     = 1000
)

// filterReader reads a filter from left to right.
type filterReader struct {
	text  string
	at    int
	depth int
	tests int
	err   *fhir.Error
}

func (r *filterReader) fail(format string, args ...any) {
	if r.err == nil {
		for i := range args {
			if s, ok := args[i].(string); ok {
				args[i] = clip(s)
			}
		}
		r.err = fhir.Errorf(fhir.Value, "", format, args...)
	}
}

// peek skips white space and returns the next character, "" at the end or after an error.
func (r *filterReader) peek() string {
	r.at = len(r.text) - len(strings.TrimLeftFunc(r.text[r.at:], unicode.IsSpace))
	if r.err != nil || r.at == len(r.text) {
		return ""
	}
	return r.text[r.at : r.at+1]
}

func (r *filterReader) take(char string) bool {
	if r.peek() != char {
		return false
	}
	r.at++
	return true
}

func nameChar(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// word reads a name, "" if there is none.
func (r *filterReader) word() string {
	if r.peek() == "" {
		return ""
	}
	start := r.at
	for r.at < len(r.text) && nameChar(r.text[r.at]) {
		r.at++
	}
	return r.text[start:r.at]
}

// expression is unit (and|or unit)*.
func (r *filterReader) expression(b *builder) filterNode {
	if r.depth++; r.depth > deepestFilter {
		r.fail("the filter is nested more than %d deep", deepestFilter)
	}
	defer func() { r.depth-- }()
	node := r.unit(b)
	for r.err == nil {
		from := r.at
		switch word := r.word(); word {
		case "and", "or":
			node = &junction{word, node, r.unit(b)}
		default:
			r.at = from
			return node
		}
	}
	return node
}

// unit is a test, (expression) or not (expression).
func (r *filterReader) unit(b *builder) filterNode {
	if r.take("(") {
		return r.closed(b)
	}
	name := r.word()
	switch {
	case r.err != nil:
		return nil
	case name == "":
		r.fail("the filter has no parameter at %q: write parameter operator value, as in given eq \"peter\"", r.text[r.at:])
		return nil
	case name == "not" && r.take("("):
		return negation{r.closed(b)}
	default:
		return r.path(b, name)
	}
}

func (r *filterReader) closed(b *builder) filterNode {
	node := r.expression(b)
	if r.err == nil && !r.take(")") {
		r.fail("the filter lacks a ) at %q", r.text[r.at:])
	}
	return node
}

// path reads what follows a parameter's name: [filter].path, .path, or operator and value.
func (r *filterReader) path(b *builder, name string) filterNode {
	bracket := r.at < len(r.text) && r.text[r.at] == '['
	if !bracket && (r.at == len(r.text) || r.text[r.at] != '.') {
		return r.test(b, name)
	}
	var where string
	if bracket {
		where = r.bracket()
	}
	if r.err != nil {
		return nil
	}
	if r.at == len(r.text) || r.text[r.at] != '.' {
		r.fail("behind %s[…] a dot and a parameter are missing", name)
		return nil
	}
	r.at++
	from := r.at
	rest := r.word()
	if rest == "" {
		r.fail("behind %q a parameter is missing", name+".")
		return nil
	}
	lead := rest
	if r.at < len(r.text) && (r.text[r.at] == '.' || r.text[r.at] == '[') {
		lead += "."
	}
	linked, inner, err := b.hop(name, "", lead)
	if err != nil {
		r.err = err
		return nil
	}
	n := &filterHop{code: name, linked: linked}
	if where != "" {
		n.where = r.inside(&inner, where)
	}
	r.at = from + len(rest)
	n.next = r.path(&inner, rest)
	if r.depth++; r.depth > deepestFilter {
		r.fail("the filter is nested more than %d deep", deepestFilter)
	}
	defer func() { r.depth-- }()
	return n
}

// bracket takes [filter], and returns what is in it.
func (r *filterReader) bracket() string {
	depth, from := 0, r.at+1
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case '[':
			depth++
		case ']':
			depth--
		case '"':
			_, length, ok := quoted(r.text[r.at:])
			if !ok {
				r.fail("the filter has a text without an end at %q", r.text[r.at:])
				return ""
			}
			r.at += length - 1
		}
		r.at++
		if depth == 0 {
			inside := r.text[from : r.at-1]
			if strings.TrimSpace(inside) == "" {
				r.fail("between [ and ] a filter is missing")
			}
			return inside
		}
	}
	r.fail("the filter lacks a ]")
	return ""
}

// inside reads the filter between brackets.
func (r *filterReader) inside(b *builder, text string) filterNode {
	inner := &filterReader{text: text, depth: r.depth, tests: r.tests}
	node := inner.expression(b)
	if inner.err == nil && inner.peek() != "" {
		inner.fail("%q is left over before the ]", inner.text[inner.at:])
	}
	r.tests = inner.tests
	if r.err == nil {
		r.err = inner.err
	}
	return node
}

// test reads operator and value.
func (r *filterReader) test(b *builder, name string) filterNode {
	if r.tests++; r.tests > mostTests {
		r.fail("the filter has more than %d conditions", mostTests)
	}
	op := r.word()
	if op == "" {
		r.fail("behind %q an operator is missing: %s", name, strings.Join(filterOperators, ", "))
		return nil
	}
	value, written := r.value()
	if r.err != nil {
		return nil
	}
	t, err := b.filterTerm(name, op, value)
	if err != nil {
		r.err = err
		return nil
	}
	return &filterTest{t, name + " " + op + " " + written}
}

// value reads a JSON string, or all up to white space, ) and ].
func (r *filterReader) value() (value, written string) {
	switch r.peek() {
	case "":
		r.fail("a value is missing at the end of the filter")
		return "", ""
	case `"`:
		value, length, ok := quoted(r.text[r.at:])
		if !ok {
			r.fail("%q is not a JSON string", r.text[r.at:])
			return "", ""
		}
		written = r.text[r.at : r.at+length]
		r.at += length
		return value, written
	}
	rest := r.text[r.at:]
	end := strings.IndexFunc(rest, func(c rune) bool { return unicode.IsSpace(c) || c == ')' || c == ']' })
	if end < 0 {
		end = len(rest)
	}
	if end == 0 {
		r.fail("a value is missing at %q", rest)
	}
	r.at += end
	return rest[:end], rest[:end]
}

// quoted reads the JSON string that s begins with.
func quoted(s string) (value string, length int, ok bool) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			err := json.Unmarshal([]byte(s[:i+1]), &value)
			return value, i + 1, err == nil
		}
	}
	return "", 0, false
}
