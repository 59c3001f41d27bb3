package criteria

import (
	"encoding/binary"
	"slices"
	"strings"

	"fhirhook/fhir"
)

// Marks and Reaches are the two halves of a store's index, as keys (key.go) are of the predicate index, and
// differ from those in that they don't depend on an Env, for what is stored outlives it, and in that they
// have an order. This holds: if a value of a term matches a subject, then one of the subject's marks for
// that parameter lies within one of the term's reaches. The reverse need not hold; what is found is verified.

// MarkClass says in which of a parameter's orders a mark stands.
type MarkClass uint8

// The classes.
const (
	MarkText  MarkClass = iota + 1 // Text, compared whole: codes without their system, ids, URLs
	MarkStart                      // Order: how a text begins, folded
	MarkPoint                      // Order: the lower end of a subject's only value, where its upper end is near
	MarkLow                        // Order: the lower end of any other value
	MarkHigh                       // Order: its upper end
)

// Mark is where one value of a subject's parameter stands.
type Mark struct {
	Class MarkClass
	Text  string // of MarkText
	Order uint64 // of the others
}

// Reach is a part of an order: a Text, or all from Low to High, both included.
type Reach struct {
	Class     MarkClass
	Text      string
	Low, High uint64
}

// Holds tells whether a mark lies within the reach.
func (r Reach) Holds(m Mark) bool {
	return r.Class == m.Class && r.Text == m.Text && r.Low <= m.Order && m.Order <= r.High
}

// Marked tells whether subjects have marks for the parameter.
func (p *Param) Marked() bool {
	switch p.Kind {
	case Token, Reference, URI, String, Date, Number, Quantity:
		return true
	default:
		return false
	}
}

// near is how far the ends of a point of time may lie apart: less than the span of most stays and longer
// than a month, so that dates written as one are points.
const near = 32 * 24 * 60 * 60

// Marker makes marks. It keeps its memory from one parameter to the next and belongs to one goroutine.
type Marker struct {
	x       values
	subject Subject
}

// Subject prepares a resource for AppendMarks, until the next call. Marks are of its texts, which keep all of it in memory.
func (m *Marker) Subject(r *fhir.Resource) *Subject {
	m.subject = Subject{resource: r}
	if len(r.JSON) > 0 {
		m.subject.root = r.Doc().Shared().Root()
	}
	return &m.subject
}

// AppendMarks adds the marks of all elements that a parameter selects in a subject; there may be repetitions.
func (m *Marker) AppendMarks(out []Mark, s *Subject, p *Param) []Mark {
	x := &m.x
	x.begin(p)
	for l := range p.Leaves(s.root) {
		x.add(s, l)
	}
	switch p.Kind {
	case Token:
		_, loose := p.tokenForms()
		for i := range x.codes {
			if code := x.codes[i].code; code != "" {
				out = append(out, Mark{Class: MarkText, Text: looseCode(code, loose)})
			}
		}
	case Reference:
		for i := range x.targets {
			out = x.targets[i].appendMarks(out)
		}
	case URI:
		for i := range x.addresses {
			out = appendURLMarks(out, x.addresses[i].whole)
			if t := targetOf(x.addresses[i].url); t.rest && t.base != "" {
				out = append(out, Mark{Class: MarkText, Text: string(t.kind) + "/" + t.id})
			}
		}
	case String:
		for i := range x.phrases {
			out = x.phrases[i].appendMarks(out)
		}
	case Date:
		for _, d := range x.dates {
			out = appendEnds(out, d.low.order(), d.high.order(), len(x.dates) == 1 && d.isNear())
		}
	case Number:
		for _, n := range x.spans {
			out = n.appendMarks(out, len(x.spans) == 1)
		}
	case Quantity:
		for i := range x.amounts {
			out = x.amounts[i].appendMarks(out, len(x.amounts) == 1)
		}
	}
	return out
}

// begin empties what the parameter before has left. Nothing but lengths is written, of which the collector need not know.
func (x *values) begin(p *Param) {
	x.param, x.bare = p, true
	x.codes, x.targets, x.phrases, x.dates = x.codes[:0], x.targets[:0], x.phrases[:0], x.dates[:0]
	x.spans, x.amounts, x.addresses = x.spans[:0], x.amounts[:0], x.addresses[:0]
}

func looseCode(code string, loose bool) string {
	if loose {
		return looseContact("phone", code)
	}
	return code
}

func (t *target) appendMarks(out []Mark) []Mark {
	if t.rest {
		out = append(out, Mark{Class: MarkText, Text: t.id})
	}
	if t.canonical || !t.rest {
		out = appendURLMarks(out, t.whole)
	}
	return out
}

func appendURLMarks(out []Mark, whole string) []Mark {
	for i := range len(whole) {
		if whole[i] == '|' {
			out = append(out, Mark{Class: MarkText, Text: whole[:i]})
		}
	}
	return append(out, Mark{Class: MarkText, Text: whole})
}

func (p *phrase) appendMarks(out []Mark) []Mark {
	out = appendStarts(out, p.plain.joined, p.words)
	if p.plain.spaced != p.plain.joined {
		out = appendStarts(out, p.plain.spaced, p.words)
	}
	return out
}

func appendStarts(out []Mark, text string, words bool) []Mark {
	for {
		out = append(out, Mark{Class: MarkStart, Order: startOrder(text, 0)})
		i := strings.IndexByte(text, ' ')
		if !words || i < 0 {
			return out
		}
		text = text[i+1:]
	}
}

// startOrder is the first eight bytes of a text, filled up, as a number that sorts as texts do.
func startOrder(text string, fill byte) uint64 {
	b := [8]byte{fill, fill, fill, fill, fill, fill, fill, fill}
	copy(b[:], text)
	return binary.BigEndian.Uint64(b[:])
}

func appendEnds(out []Mark, low, high uint64, point bool) []Mark {
	if point {
		return append(out, Mark{Class: MarkPoint, Order: low})
	}
	return append(out, Mark{Class: MarkLow, Order: low}, Mark{Class: MarkHigh, Order: high})
}

func (m moment) order() uint64 { return uint64(m.sec) ^ 1<<63 }

func (s interval) isNear() bool {
	return s.low != beginning && s.high != end && s.high.sec-s.low.sec < near
}

func (s span) appendMarks(out []Mark, lone bool) []Mark {
	low, high := s.low.order(0), s.high.order(^uint64(0))
	return appendEnds(out, low, high, lone && low == high)
}

func (b bound) order(infinite uint64) uint64 {
	if b.infinite {
		return infinite
	}
	return b.at.order()
}

// The order of a decimal: its sign, 13 bits of magnitude and 15 digits (fewer than 2^50).
const (
	orderDigits = 15
	orderMid    = 1 << 12
	orderTop    = 1<<13 - 2
)

// order is a number that never sorts otherwise than decimals do; those that it can't tell apart share one.
func (d decimal) order() uint64 {
	const zero = 1 << 63
	if d.digits == "" {
		return zero
	}
	var digits uint64
	for i := range orderDigits {
		digits *= 10
		if i < len(d.digits) {
			digits += uint64(d.digits[i] - '0')
		}
	}
	m := d.mag + orderMid
	switch {
	case m < 1:
		m, digits = 1, 0
	case m > orderTop:
		m, digits = orderTop, 1<<50-1
	}
	o := zero | uint64(m)<<50 | digits
	if d.neg {
		return ^o
	}
	return o
}

// Members names the members of a resource of which the parameter needs one to select anything; false if it may
// select without any.
func (p *Param) Members() ([]string, bool) {
	var names []string
	for i := range p.paths {
		path := &p.paths[i]
		if path.computed != nil || len(path.steps) == 0 || path.steps[0].name == "" {
			return nil, false
		}
		names = append(names, path.steps[0].name)
	}
	slices.Sort(names)
	return slices.Compact(names), true
}
