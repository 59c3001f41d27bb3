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
	// matches tells whether one of a parameter's values in the subject is what the Value means. A Value
	// that has to look further than the subject (chains, _has) will find its way through it, too.
	matches(s *Subject, x *values) bool
}

// Term is one parameter of a query. It holds if one of its values matches, with :not if none does.
type Term struct {
	Name     string // the parameter's code
	Modifier string // without its colon
	Kind     Kind
	Values   []Value

	param *Param       // where the query has one type
	table *Definitions // else
}

// Param is the parameter as it applies to a type.
func (t *Term) Param(of fhir.Type) (*Param, bool) {
	if t.param != nil {
		return t.param, t.param.Type == of
	}
	return t.table.Param(of, t.Name)
}

// Holds tells whether the term by itself is true of a subject of a type that it is about.
func (t *Term) Holds(s *Subject) bool {
	p, ok := t.Param(s.resource.Key.Type)
	if !ok {
		return false
	}
	x := s.values(p)
	found := slices.ContainsFunc(t.Values, func(v Value) bool { return v.matches(s, x) })
	return found != (t.Modifier == modifierNot)
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
		return parseString(s, modifier)
	case Token:
		return parseTokenValue(s, modifier)
	case Reference:
		return parseReferenceValue(s, modifier)
	case Composite:
		return parseComposite(p, s)
	case Quantity:
		return parseQuantity(s)
	case URI:
		return parseURI(s, modifier)
	default:
		return nil, fhir.Errorf(fhir.NotSupported, "", "%s is not supported yet", p.Code)
	}
}

func parseTokenValue(s, modifier string) (Value, *fhir.Error) {
	switch modifier {
	case modifierText:
		return parseLabel(s)
	case modifierOfType:
		return parseOfType(s)
	case modifierAbove, modifierBelow:
		return parseMedia(s, modifier)
	default:
		return parseToken(s)
	}
}

func parseReferenceValue(s, modifier string) (Value, *fhir.Error) {
	switch modifier {
	case modifierIdentifier:
		v, err := parseToken(s)
		return identifierValue{v}, err
	case modifierBelow:
		return parseCanonicalBelow(s)
	default:
		return parseReference(s, modifier)
	}
}
