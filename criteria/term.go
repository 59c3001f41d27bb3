package criteria

import (
	"slices"
	"strings"

	"fhirhook/fhir"
)

// Value is one of a Term's alternatives.
type Value interface {
	// String writes the value as a search expression has it, escaped, in its canonical form.
	String() string
	// matches tells whether one of a parameter's values in the subject is what the Value means. A Value that
	// has to look further than the subject finds its way through it, too.
	matches(s *Subject, x *values) bool
}

// farValue is a Value that looks at other resources.
type farValue interface {
	Value
	// check looks at what does not depend on the subject, which lends its surroundings only.
	check(s *Subject)
}

// Term is one parameter of a query. It holds if one of its values matches, with :not and :not-in if none does.
type Term struct {
	Name     string // the parameter's code, with what leads to it in a chain (subject:Patient.name) or by _has
	Modifier string // without its colon
	Kind     Kind
	Values   []Value

	param  *Param       // where the query has one type
	table  *Definitions // else
	linked *Linked      // the term is held against other resources
}

// Param is the parameter as it applies to a type; false if it doesn't, and of a Linked term.
func (t *Term) Param(of fhir.Type) (*Param, bool) {
	switch {
	case t.linked != nil:
		return nil, false
	case t.param != nil:
		return t.param, t.param.Type == of || t.param == listParam
	default:
		return t.table.Param(of, t.Name)
	}
}

// far tells whether the term looks at other resources.
func (t *Term) far() bool {
	if t.linked != nil {
		return true
	}
	_, ok := t.Values[0].(farValue)
	return ok
}

func (t *Term) check(s *Subject) {
	if t.linked != nil {
		for k := t.linked; k != nil; k = k.Or {
			k.Inner.check(s)
		}
		return
	}
	for _, v := range t.Values {
		if v, ok := v.(farValue); ok {
			v.check(s)
		}
	}
}

// Holds tells whether the term by itself is true of a subject of a type that it is about.
func (t *Term) Holds(s *Subject) bool {
	if t.linked != nil {
		return t.linked.holds(s)
	}
	p, ok := t.Param(s.resource.Key.Type)
	if !ok {
		return false
	}
	x := s.values(p)
	found := slices.ContainsFunc(t.Values, func(v Value) bool { return v.matches(s, x) })
	return found != (t.Modifier == modifierNot || t.Modifier == modifierNotIn)
}

// pair is the term as a decoded query parameter.
func (t *Term) pair() Pair {
	name := t.Name
	if t.Modifier != "" {
		name += ":" + t.Modifier
	}
	values := make([]string, len(t.Values))
	for i, v := range t.Values {
		values[i] = v.String()
	}
	return Pair{name, strings.Join(values, ",")}
}

// canonical is pair with the alternatives sorted and each there once.
func (t *Term) canonical() Pair {
	if len(t.Values) == 1 {
		return t.pair()
	}
	p := t.pair()
	alternatives := split(p.Value, ',')
	slices.Sort(alternatives)
	p.Value = strings.Join(slices.Compact(alternatives), ",")
	return p
}

// parseTerm compiles one parameter. The term is nil where no value is left, which is no error
// (R4 search.html: empty parameters are ignored).
func parseTerm(p *Param, modifier, value string) (*Term, *fhir.Error) {
	if err := checkModifier(p, modifier); err != nil {
		return nil, err
	}
	if err := checkEscapes(value); err != nil {
		return nil, err
	}
	t := &Term{Name: p.Code, Modifier: modifier, Kind: p.Kind}
	if modifier == modifierMissing {
		if value == "" {
			return nil, nil
		}
		v, err := parseMissing(value)
		t.Values = []Value{v}
		return t, err
	}
	for _, alternative := range split(value, ',') {
		if alternative == "" {
			continue
		}
		v, err := parseValue(p, modifier, alternative)
		if err != nil {
			return nil, err
		}
		t.Values = append(t.Values, v)
	}
	if t.Values == nil {
		return nil, nil
	}
	return t, nil
}

// parseValue reads one alternative, still escaped, for a parameter that takes the modifier.
func parseValue(p *Param, modifier, s string) (Value, *fhir.Error) {
	switch p.Kind {
	case Number:
		test, err := parseNumberTest(s)
		return &numberValue{test}, err
	case Date:
		return parseDate(s)
	case String:
		return parseStringValue(p, s, modifier)
	case Token:
		return parseTokenValue(p, s, modifier)
	case Reference:
		return parseReferenceValue(p, s, modifier)
	case Composite:
		return parseComposite(p, s)
	case Quantity:
		return parseQuantity(s)
	case URI:
		return parseURI(s, modifier)
	default:
		if p.Usage != "nearby" {
			return nil, fhir.Errorf(fhir.NotSupported, "", "%s is a special parameter, and nothing here knows how to evaluate it", p.Code)
		}
		return parseNear(s)
	}
}

func parseStringValue(p *Param, s, modifier string) (Value, *fhir.Error) {
	switch {
	case p.Expression == "":
		return parseSpoken(p, s)
	case modifier == modifierText:
		return parseWorded(s)
	default:
		return parseString(s, modifier)
	}
}

func parseTokenValue(p *Param, s, modifier string) (Value, *fhir.Error) {
	switch modifier {
	case modifierText:
		return parseLabel(s)
	case modifierOfType:
		return parseOfType(s)
	case modifierIn, modifierNotIn:
		return parseMember(s)
	case modifierAbove, modifierBelow:
		if p.mediaTypes() {
			return parseMedia(s, modifier)
		}
		return parseSubsumed(p, s, modifier)
	default:
		return parseToken(s)
	}
}

func parseReferenceValue(p *Param, s, modifier string) (Value, *fhir.Error) {
	switch modifier {
	case modifierIdentifier:
		v, err := parseToken(s)
		return identifierValue{v}, err
	case modifierAbove, modifierBelow:
		if modifier == modifierBelow && p.canonicals() {
			return parseCanonicalBelow(s)
		}
		return parseHierarchy(p, s, modifier)
	default:
		return parseReference(s, modifier)
	}
}
