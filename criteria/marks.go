package criteria

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

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

// Reaches returns where a type's subjects that the terms can match have their marks, for terms that are all
// about one parameter and must all hold; false if the index can't tell.
func Reaches(terms []*Term, of fhir.Type, env Env) ([]Reach, bool) {
	var all []Reach
	served := false
	for _, t := range terms {
		reaches, ok := t.Reaches(of, env)
		if !ok {
			continue
		}
		if served {
			reaches = both(all, reaches)
		}
		all, served = reaches, true
	}
	return all, served
}

// both narrows what two terms on one parameter allow. A lone value has to satisfy both; of several, each term may
// be satisfied by another, so of those the first term's are taken as they are.
func both(a, b []Reach) []Reach {
	pa, pb := points(a), points(b)
	if len(pa) != 1 || len(pb) != 1 {
		return a
	}
	out := slices.Clone(a)
	for i := range out {
		if out[i].Class == MarkPoint {
			out[i].Low, out[i].High = max(pa[0].Low, pb[0].Low), min(pa[0].High, pb[0].High)
		}
	}
	return slices.DeleteFunc(out, func(r Reach) bool { return r.Low > r.High })
}

func points(all []Reach) []Reach {
	var out []Reach
	for _, r := range all {
		if r.Class == MarkPoint {
			out = append(out, r)
		}
	}
	return out
}

// Reaches returns where the marks lie of a type's subjects that the term can match; false if any may.
func (t *Term) Reaches(of fhir.Type, env Env) ([]Reach, bool) {
	p, ok := t.Param(of)
	if !ok || !p.Marked() {
		return nil, false
	}
	var out []Reach
	for _, v := range t.Values {
		if out, ok = t.appendReaches(out, p, v, env); !ok {
			return nil, false
		}
	}
	return out, true
}

func (t *Term) appendReaches(out []Reach, p *Param, v Value, env Env) ([]Reach, bool) {
	plainly := t.Modifier == ""
	switch v := v.(type) {
	case *tokenValue:
		_, loose := p.tokenForms()
		return append(out, Reach{Class: MarkText, Text: looseCode(v.code, loose)}), plainly && v.code != ""
	case *referenceValue:
		return append(out, Reach{Class: MarkText, Text: v.mark()}), plainly || fhir.Type(t.Modifier).Known()
	case *uriValue:
		return append(out, Reach{Class: MarkText, Text: v.url}), plainly
	case *stringValue:
		return v.appendReaches(out)
	case *dateValue:
		out, ok := v.appendReaches(out, env)
		return out, ok && plainly
	case *numberValue:
		out, ok := v.appendReaches(out)
		return out, ok && plainly
	case *quantityValue:
		out, ok := v.appendReaches(out)
		return out, ok && plainly
	default:
		return out, false
	}
}

func (v *referenceValue) mark() string {
	switch {
	case v.rest && v.version == "":
		return v.id
	case v.bare:
		return v.whole
	default:
		return v.url
	}
}

// appendReaches of a string: of :exact too, for what is the same begins the same.
func (v *stringValue) appendReaches(out []Reach) ([]Reach, bool) {
	if v.modifier != "" && v.modifier != modifierExact {
		return out, false
	}
	sought := plainOf(v.text)
	if sought.joined == "" { // nothing but punctuation is compared with the punctuation
		return out, false
	}
	forms := []string{sought.joined, sought.spaced}
	for _, form := range slices.Compact(forms) {
		out = append(out, Reach{Class: MarkStart, Low: startOrder(form, 0), High: startOrder(form, 0xff)})
	}
	return out, true
}

// edges adds the parts of the orders of values' ends that are not empty, which the zero Reach is.
func edges(out []Reach, point, low, high Reach) []Reach {
	point.Class, low.Class, high.Class = MarkPoint, MarkLow, MarkHigh
	for _, r := range [...]Reach{point, low, high} {
		if r.High != 0 {
			out = append(out, r)
		}
	}
	return out
}

const (
	least = uint64(0)
	most  = ^uint64(0)
)

func (v *dateValue) appendReaches(out []Reach, env Env) ([]Reach, bool) {
	zone := env.zone()
	s := v.utc
	if !v.civil.zoned && zone != time.UTC {
		s = v.civil.interval(zone)
	}
	if v.prefix == AP {
		s = s.widened(momentOf(env.Now))
	}
	// Marks of dates that name no zone were made as if it were UTC.
	slack := int64(0)
	if zone != time.UTC {
		slack = 24 * 60 * 60
	}
	before := func(m moment, sec int64) uint64 { return m.plus(-sec - slack).order() }
	behind := func(m moment) uint64 { return m.plus(slack).order() }
	switch v.prefix {
	case EQ:
		in := Reach{Low: before(s.low, 0), High: behind(s.high)}
		return edges(out, in, in, Reach{}), true
	case GT, GE: // the upper end lies behind s.low
		return edges(out, Reach{Low: before(s.low, near), High: most}, Reach{}, Reach{Low: before(s.low, 0), High: most}), true
	case SA:
		in := Reach{Low: before(s.high, 0), High: most}
		return edges(out, in, in, Reach{}), true
	case LT, LE:
		in := Reach{Low: least, High: behind(s.high)}
		return edges(out, in, in, Reach{}), true
	case EB:
		in := Reach{Low: least, High: behind(s.low)}
		return edges(out, in, Reach{}, in), true
	case AP:
		return edges(out, Reach{Low: before(s.low, near), High: behind(s.high)}, Reach{}, Reach{Low: before(s.low, 0), High: most}), true
	default:
		return out, false
	}
}

func (t *numberTest) appendReaches(out []Reach) ([]Reach, bool) {
	at := t.at.order()
	above, below := Reach{Low: at, High: most}, Reach{Low: least, High: at}
	switch t.prefix {
	case EQ:
		in := Reach{Low: t.low.order(), High: t.high.order()}
		return edges(out, in, in, Reach{}), true
	case GT, GE:
		return edges(out, above, Reach{}, above), true
	case SA:
		return edges(out, above, above, Reach{}), true
	case LT, LE:
		return edges(out, below, below, Reach{}), true
	case EB:
		return edges(out, below, Reach{}, below), true
	case AP:
		return edges(out, Reach{Low: t.low.order(), High: t.high.order()}, Reach{}, Reach{Low: t.low.order(), High: most}), true
	default:
		return out, false
	}
}

// ReachOfKey returns where the marks lie of subjects that have a key (AppendKeys) of the parameter; false if
// any may.
func (p *Param) ReachOfKey(key string) (Reach, bool) {
	switch p.Kind {
	case URI:
		return Reach{Class: MarkText, Text: key}, true
	case Reference:
		if t := targetOf(key); t.rest {
			return Reach{Class: MarkText, Text: t.id}, true
		}
		return Reach{Class: MarkText, Text: key}, true
	default:
		return Reach{}, false
	}
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
