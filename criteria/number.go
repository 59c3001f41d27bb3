package criteria

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// bound is an end of a span.
type bound struct {
	at       decimal
	infinite bool
	open     bool // at itself lies outside
}

// span is the range of numbers that an element stands for: a point for most, more for a Range and for a
// Quantity with a comparator.
type span struct{ low, high bound }

func pointSpan(d decimal) span { return span{bound{at: d}, bound{at: d}} }

func nodeDecimal(n tape.Node) (decimal, bool) {
	if n.Kind() != tape.Number {
		return decimal{}, false
	}
	w, ok := parseWritten(n.Text())
	if !ok {
		return decimal{}, false
	}
	return w.decimal(), true
}

// numberTest compares spans with a number.
//
// eq and ne respect the precision that the number is written with: 100 is [99.5,100.5), 5.40 is
// [5.395,5.405), and 1e2, whose last digit counts hundreds, is [50,150). All others take it as exact
// (R4 search.html#number, #prefix). A decimal in a resource is a point.
type numberTest struct {
	prefix    Prefix
	text      string // the number as it is written
	at        decimal
	low, high decimal // of eq and ne: low <= x < high; of ap: low <= x <= high
}

const longestNumber = 400 // characters; beyond it is no measurement, and arithmetic on it costs

func parseNumberTest(s string) (numberTest, *fhir.Error) {
	prefix, text, err := cutPrefix(s)
	if err != nil {
		return numberTest{}, err
	}
	w, ok := parseWritten(text)
	switch {
	case !ok:
		return numberTest{}, fhir.Errorf(fhir.Value, "", "%q is not a number: write digits with an optional sign, decimal point and exponent, as in -5.40 or 8e-1", clip(text))
	case len(text) > longestNumber:
		return numberTest{}, fhir.Errorf(fhir.Value, "", "the number %q is longer than %d characters", clip(text), longestNumber)
	}
	t := numberTest{prefix: prefix, text: text, at: w.decimal()}
	switch prefix {
	case EQ, NE:
		t.low, t.high = w.scaled(10, -5), w.scaled(10, +5)
	case AP: // 10 % of the number, as R4 recommends
		t.low, t.high = w.scaled(9, 0), w.scaled(11, 0)
		if w.neg {
			t.low, t.high = t.high, t.low
		}
	}
	return t, nil
}

func (t *numberTest) String() string { return t.prefix.text() + t.text }

// holds is the executable form of R4's prefix definitions.
func (t *numberTest) holds(s span) bool {
	above := s.high.infinite || s.high.at.compare(t.at) > 0
	below := s.low.infinite || s.low.at.compare(t.at) < 0
	switch t.prefix {
	case EQ:
		return t.within(s)
	case NE:
		return !t.within(s)
	case GT:
		return above
	case LT:
		return below
	case GE, LE:
		exact := !s.low.infinite && !s.high.infinite && s.low.at == t.at && s.high.at == t.at
		return exact || t.prefix == GE && above || t.prefix == LE && below
	case SA:
		c := s.low.at.compare(t.at)
		return !s.low.infinite && (c > 0 || c == 0 && s.low.open)
	case EB:
		c := s.high.at.compare(t.at)
		return !s.high.infinite && (c < 0 || c == 0 && s.high.open)
	case AP:
		low, high := s.low.at.compare(t.high), s.high.at.compare(t.low)
		return (s.low.infinite || low < 0 || low == 0 && !s.low.open) &&
			(s.high.infinite || high > 0 || high == 0 && !s.high.open)
	default:
		return false
	}
}

func (t *numberTest) within(s span) bool {
	if s.low.infinite || s.high.infinite {
		return false
	}
	c := s.high.at.compare(t.high)
	return s.low.at.compare(t.low) >= 0 && (c < 0 || c == 0 && s.high.open)
}

// numberValue is a value of a number parameter.
type numberValue struct{ numberTest }

func (v *numberValue) matches(_ *Subject, x *values) bool {
	for _, s := range x.spans {
		if v.holds(s) {
			return true
		}
	}
	return false
}

// spanOf reads an element that a number parameter selects: integer, decimal, Range.
func spanOf(l Leaf) (span, bool) {
	if l.Type == "Range" {
		s, _, ok := rangeOf(l.Node)
		return s, ok
	}
	d, ok := nodeDecimal(l.Node)
	return pointSpan(d), ok
}
