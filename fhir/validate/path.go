package validate

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// step is one element of the way from the root.
type step struct {
	name  string
	index int32 // none unless it repeats
}

const none = -1

// under goes to an element, until leave.
func (r *run) under(name string) *run {
	r.path = append(r.path, step{name: name, index: none})
	return r
}

func (r *run) leave() { r.path = r.path[:len(r.path)-1] }

// expression is where the walk is, as the simple FHIRPath that OperationOutcome.issue.expression asks for:
// element names and indexes. A choice has its FHIR name there, Observation.value.
func (r *run) expression() string {
	var b strings.Builder
	b.WriteString(r.root)
	for _, s := range r.path {
		b.WriteByte('.')
		b.WriteString(s.name)
		if s.index != none {
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(int(s.index)))
			b.WriteByte(']')
		}
	}
	return b.String()
}

// fail notes what is wrong with the shape where the walk is.
func (r *run) fail(kind fhir.Kind, format string, args ...any) {
	if !r.full() {
		r.shape = append(r.shape, fhir.Errorf(kind, r.expression(), format, args...))
	}
}

// lack notes what only Strict asks for.
func (r *run) lack(kind fhir.Kind, format string, args ...any) {
	if !r.full() {
		r.strict = append(r.strict, fhir.Errorf(kind, r.expression(), format, args...))
	}
}

func (r *run) full() bool { return len(r.shape)+len(r.strict) >= MaxIssues }

// problems puts the shape first: it decides on the status.
func (r *run) problems() []*fhir.Error { return append(r.shape, r.strict...) }

// quote shows a value as it was sent, but nothing of a Subscription: it may be a secret.
func (r *run) quote(v tape.Node) string {
	if r.secret {
		return "the value"
	}
	return clip(v.Raw())
}

// clip shortens what a client sent to what fits in a sentence.
func clip[T string | []byte](text T) string {
	const most = 80
	if len(text) <= most {
		return string(text)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return string(text[:cut]) + "…"
}

// identifier writes an element's name as FHIRPath does: with backticks where it is no plain identifier.
func identifier(name string) string {
	for i := range len(name) {
		c := name[i] | 0x20
		if !(c >= 'a' && c <= 'z' || name[i] == '_' || i > 0 && name[i] >= '0' && name[i] <= '9') {
			return "`" + clip(strings.ReplaceAll(name, "`", "")) + "`"
		}
	}
	if name == "" {
		return "``"
	}
	return clip(name)
}
