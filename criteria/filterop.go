package criteria

import (
	"slices"
	"strings"

	"fhirhook/fhir"
)

// filterOperators are those of R4 search_filter.html.
var filterOperators = []string{"eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb", "in", "ni", "re"}

// operators lists what each kind of parameter takes.
var operators = map[Kind][]string{
	Number:    {"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr"},
	Quantity:  {"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr"},
	Date:      {"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb", "po", "pr"},
	String:    {"eq", "ne", "co", "sw", "ew", "pr"},
	Token:     {"eq", "ne", "ss", "sb", "in", "ni", "pr"},
	Reference: {"eq", "ne", "re", "pr"},
	URI:       {"eq", "ne", "co", "sw", "ew", "pr"},
}

// filterTerm compiles parameter operator value.
func (b *builder) filterTerm(name, op, value string) (*Term, *fhir.Error) {
	if err := refused(name); err != nil {
		return nil, err
	}
	if slices.Contains([]string{parameterHas, parameterList, parameterFilter, parameterText, parameterContent}, name) {
		return nil, fhir.Errorf(fhir.NotSupported, "", "%s can't stand in a filter: give it as a parameter of the search", name)
	}
	p, err := b.param(name)
	switch {
	case err != nil:
		return nil, err
	case !slices.Contains(filterOperators, op):
		return nil, fhir.Errorf(fhir.NotSupported, "", "%q is not an operator of filters: %s", clip(op), strings.Join(filterOperators, ", "))
	case len(operators[p.Kind]) == 0:
		return nil, fhir.Errorf(fhir.NotSupported, "", "%s is a %s parameter, and those can't stand in a filter: give it as a parameter of the search", name, p.Kind)
	case !slices.Contains(operators[p.Kind], op):
		return nil, fhir.Errorf(fhir.NotSupported, "", "the operator %s is not offered on %s, a %s parameter: %s are", op, name, p.Kind, strings.Join(operators[p.Kind], ", "))
	}
	t := &Term{Name: name, Kind: p.Kind}
	v, err := filterOperand(t, p, op, value)
	if err != nil {
		return nil, err
	}
	t.Values = []Value{v}
	b.bind(t, p)
	return t, nil
}

// filterOperand makes the Value of an operator; ni is the negation of in.
func filterOperand(t *Term, p *Param, op, value string) (Value, *fhir.Error) {
	if op == "pr" {
		v, err := parseMissing(value)
		if err != nil {
			return nil, fhir.Errorf(fhir.Value, "", "%q is not what pr takes: write true or false", clip(value))
		}
		return missingValue{!v.(missingValue).missing}, nil
	}
	escaped := strings.NewReplacer(`\`, `\\`, ",", `\,`, "$", `\$`).Replace(value) // a | parts here as there
	switch p.Kind {
	case Number, Quantity:
		if err := startsAsNumber(value); err != nil {
			return nil, err
		}
		return parseValue(p, "", op+escaped)
	case Date:
		if err := startsAsNumber(value); err != nil {
			return nil, err
		}
		if op != "po" {
			return parseDate(op + value)
		}
		v, err := parseDate(value)
		if err != nil {
			return nil, err
		}
		return &overlapValue{v.(*dateValue)}, nil
	case String:
		return &textTest{op, value, plainOf(value)}, nil
	case URI:
		return &uriTest{op, value}, nil
	case Reference:
		v, err := parseReference(escaped, "")
		if err != nil || op != "ne" {
			return v, err
		}
		return &otherReference{v.(*referenceValue)}, nil
	}
	switch op {
	case "ss", "sb":
		modifier := modifierBelow // the value subsumes what is below it
		if op == "sb" {
			modifier = modifierAbove
		}
		if err := checkModifier(p, modifier); err != nil {
			return nil, err
		}
		return parseTokenValue(p, escaped, modifier)
	case "in", "ni":
		if err := checkModifier(p, modifierIn); err != nil {
			return nil, err
		}
		if op == "ni" {
			t.Modifier = modifierNotIn
		}
		return parseMember(escaped)
	}
	v, err := parseToken(escaped)
	return &codeTest{v, op == "ne"}, err
}

// startsAsNumber refuses a prefix, for the operator stands for it.
func startsAsNumber(s string) *fhir.Error {
	if s == "" || s[0] >= 'a' && s[0] <= 'z' {
		return fhir.Errorf(fhir.Value, "", "%q has to begin with a digit or a sign: the operator stands before it, and there is no other prefix", clip(s))
	}
	return nil
}

// textTest compares whole texts, their beginnings, ends or parts, as string search does.
type textTest struct {
	op, text string
	plain    plain
}

func (v *textTest) String() string { return escape(v.text) }

func (v *textTest) matches(_ *Subject, x *values) bool {
	compare := map[string]func(text, sought string) bool{
		"co": strings.Contains, "sw": strings.HasPrefix, "ew": strings.HasSuffix,
	}[v.op]
	if compare == nil {
		compare = func(text, sought string) bool { return text == sought }
	}
	for i := range x.phrases {
		if v.plain.compareIn(x.phrases[i].plain, compare) != (v.op == "ne") {
			return true
		}
	}
	return false
}

// uriTest compares whole URIs, their beginnings, ends or parts.
type uriTest struct{ op, text string }

func (v *uriTest) String() string { return escape(v.text) }

func (v *uriTest) matches(s *Subject, x *values) bool {
	for i := range x.addresses {
		a := &x.addresses[i]
		have, sought := strings.ToLower(a.whole), strings.ToLower(v.text)
		var is bool
		switch v.op {
		case "co":
			is = strings.Contains(have, sought)
		case "sw":
			is = strings.HasPrefix(have, sought)
		case "ew":
			is = strings.HasSuffix(have, sought)
		default:
			is = have == sought || strings.ToLower(a.url) == sought || s.localForm(a.url) == v.text
		}
		if is != (v.op == "ne") {
			return true
		}
	}
	return false
}

// codeTest compares codes without their case.
type codeTest struct {
	*tokenValue
	not bool
}

func (v *codeTest) matches(_ *Subject, x *values) bool {
	for i := range x.codes {
		c := x.codes[i]
		if strings.EqualFold(c.code, v.code) {
			c.code = v.code
		}
		if v.is(&c) != v.not {
			return true
		}
	}
	return false
}

// otherReference is true of a reference to something else.
type otherReference struct{ *referenceValue }

func (v *otherReference) matches(s *Subject, x *values) bool {
	return slices.ContainsFunc(x.targets, func(t target) bool { return !v.is(s, x.param, &t) })
}

// overlapValue is po: the time that the value stands for and an element's have a moment in common.
type overlapValue struct{ *dateValue }

func (v *overlapValue) matches(s *Subject, x *values) bool {
	sought := v.civil.interval(s.env.zone())
	return slices.ContainsFunc(x.dates, func(t interval) bool {
		return !t.high.before(sought.low) && !sought.high.before(t.low)
	})
}
