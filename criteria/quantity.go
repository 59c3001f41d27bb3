package criteria

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// currencies is the code system of Money.currency.
const currencies = "urn:iso:std:iso:4217"

// unit is what a quantity is measured in. Codes are compared as they are: UCUM is case-sensitive, and
// converting units is left to the client (R4 search.html#quantity allows both).
type unit struct{ system, code, name string }

// amount is an element that a quantity parameter selects.
type amount struct {
	span
	units []unit // a Range may have two
}

// quantityValue is [prefix]number, number|system|code or number||code. In the last form code is the code or
// the unit.
type quantityValue struct {
	numberTest
	system, code string
	hasUnit      bool
}

func parseQuantity(s string) (Value, *fhir.Error) {
	parts := split(s, '|')
	if len(parts) != 1 && len(parts) != 3 {
		return nil, fhir.Errorf(fhir.Value, "", "%q is not a quantity: write 5.4, 5.4|system|code or 5.4||unit", clip(s))
	}
	test, err := parseNumberTest(parts[0])
	if err != nil {
		return nil, err
	}
	v := &quantityValue{numberTest: test}
	if len(parts) == 3 {
		v.system, v.code = unescape(parts[1]), unescape(parts[2])
		v.hasUnit = v.system != "" || v.code != ""
	}
	return v, nil
}

func (v *quantityValue) String() string {
	if !v.hasUnit {
		return v.numberTest.String()
	}
	return v.numberTest.String() + "|" + escape(v.system) + "|" + escape(v.code)
}

func (v *quantityValue) matches(_ *Subject, x *values) bool {
	for i := range x.amounts {
		if v.sameUnit(x.amounts[i].units) && v.holds(x.amounts[i].span) {
			return true
		}
	}
	return false
}

func (v *quantityValue) sameUnit(units []unit) bool {
	if !v.hasUnit {
		return true
	}
	for _, u := range units {
		switch {
		case v.system == "" && v.code != u.code && v.code != u.name:
			return false
		case v.system != "" && v.system != u.system:
			return false
		case v.system != "" && v.code != "" && v.code != u.code:
			return false
		}
	}
	return len(units) > 0
}

// amountOf reads an element that a quantity parameter selects. SampledData has no value of its own that a
// search could mean, so it gives none.
func amountOf(l Leaf) (amount, bool) {
	switch l.Type {
	case "Quantity", "SimpleQuantity", "Age", "Duration", "Count", "Distance", "MoneyQuantity":
		s, ok := quantitySpan(l.Node)
		return amount{s, []unit{unitOf(l.Node)}}, ok
	case "Money":
		d, ok := nodeDecimal(l.Node.Get("value"))
		currency := l.Node.Get("currency").Text()
		return amount{pointSpan(d), []unit{{currencies, currency, currency}}}, ok
	case "Range":
		s, units, ok := rangeOf(l.Node)
		return amount{s, units}, ok
	default:
		return amount{}, false
	}
}

func unitOf(n tape.Node) unit {
	return unit{text(n.Get("system")), text(n.Get("code")), text(n.Get("unit"))}
}

// quantitySpan takes a comparator for what it says: <5 is the range of all numbers below 5. R4 is silent
// here. So a laboratory's "<5" is found by eb5 and lt5, by gt4 too (it may be 4.5), not by 5 or gt5.
func quantitySpan(n tape.Node) (span, bool) {
	d, ok := nodeDecimal(n.Get("value"))
	if !ok {
		return span{}, false
	}
	s := pointSpan(d)
	switch text(n.Get("comparator")) {
	case "<":
		s.low, s.high.open = bound{infinite: true}, true
	case "<=":
		s.low = bound{infinite: true}
	case ">":
		s.high, s.low.open = bound{infinite: true}, true
	case ">=":
		s.high = bound{infinite: true}
	}
	return s, true
}

// rangeOf reads a Range: both ends belong to it, and a missing end is open.
func rangeOf(n tape.Node) (span, []unit, bool) {
	s := span{bound{infinite: true}, bound{infinite: true}}
	var units []unit
	low, hasLow := nodeDecimal(n.Path("low", "value"))
	if hasLow {
		s.low, units = bound{at: low}, append(units, unitOf(n.Get("low")))
	}
	high, hasHigh := nodeDecimal(n.Path("high", "value"))
	if hasHigh {
		s.high, units = bound{at: high}, append(units, unitOf(n.Get("high")))
	}
	if !hasLow && !hasHigh || hasLow && hasHigh && low.compare(high) > 0 {
		return span{}, nil, false // nothing, or upside down (rng-2)
	}
	return s, units, true
}

// text is a string's text, and nothing of any other JSON.
func text(n tape.Node) string {
	if n.Kind() != tape.String {
		return ""
	}
	return n.Text()
}
