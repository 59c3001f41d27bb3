package criteria

import (
	"errors"
	"slices"
	"strings"

	"fhirhook/fhir"
)

// Ignored is a parameter that a lenient search left out.
type Ignored struct {
	Name, Value string
	Reason      string // for a person
}

// Parse compiles a search expression as Subscription.criteria has it: Type, Type?parameters, [*] for all
// types or [TypeA,TypeB], each with parameters behind a question mark or without. A / in front is
// tolerated; _format and _pretty have no meaning here and are dropped. All else that is not known or can't
// be evaluated is refused: what Parse left out would make the expression match more than was asked for.
//
// An error is a *fhir.Error about every parameter that is wrong.
func Parse(expression string, d *Definitions) (*Query, error) {
	s := strings.TrimPrefix(strings.TrimSpace(expression), "/")
	head, rawQuery, _ := strings.Cut(s, "?")
	types, refused := parseTypes(head)
	if refused != nil {
		return nil, refused
	}
	pairs, err := ParsePairs(rawQuery)
	if err != nil {
		return nil, err
	}
	pairs = slices.DeleteFunc(pairs, func(p Pair) bool { return p.Name == "_format" || p.Name == "_pretty" })
	b := builder{types: types, table: d, results: true}
	q, err := b.query(pairs)
	if err != nil {
		return nil, err
	}
	// A search ignores a parameter without a value (R4 search.html); criteria that did so would watch more than
	// their author meant.
	for _, p := range pairs {
		if strings.Trim(p.Value, ",") == "" {
			name, _, _ := strings.Cut(p.Name, ":")
			return nil, fhir.Errorf(fhir.Value, "http."+name, "%q has no value: give it one, or leave it out", p.Name)
		}
	}
	q.textual = true
	return q, nil
}

// ParseParams compiles the filters of GET [base]/Type?… (t is "" at [base]?…, where _type names the types
// and only parameters that all of them have apply). The caller has taken the result parameters away.
//
// Lenient is R4's handling=lenient: a parameter whose name is unknown is left out and told of. A modifier
// or a value never is, and neither is a parameter that R4 defines and this engine can't evaluate.
func ParseParams(t fhir.Type, pairs []Pair, d *Definitions, lenient bool) (*Query, []Ignored, error) {
	b := builder{table: d, lenient: lenient}
	if t != "" {
		if !t.Known() {
			return nil, nil, unknownType(string(t))
		}
		b.types = []fhir.Type{t}
		q, err := b.query(pairs)
		return q, b.ignored, err
	}
	var named []Pair
	pairs = slices.Clone(pairs)
	pairs = slices.DeleteFunc(pairs, func(p Pair) bool {
		if p.Name == parameterType && p.Value != "" {
			named = append(named, p)
		}
		return p.Name == parameterType
	})
	switch {
	case len(named) > 1:
		return nil, nil, fhir.Errorf(fhir.Invalid, "http._type", "_type is there %d times: give it once, with commas between the types", len(named))
	case len(named) == 1:
		types, refused := parseTypeList(named[0].Value)
		if refused != nil {
			refused.Expression = "http._type"
			return nil, nil, refused
		}
		b.types = types
	}
	q, err := b.query(pairs)
	if err != nil {
		return nil, b.ignored, err
	}
	q.named = len(named) > 0
	return q, b.ignored, nil
}

// parseTypes reads what stands before the question mark.
func parseTypes(head string) ([]fhir.Type, *fhir.Error) {
	inner, list := strings.CutPrefix(head, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	switch {
	case head == "":
		return nil, fhir.Errorf(fhir.Required, "", "the criteria name no resource type: write Type?parameters, as in Observation?code=…")
	case list && closed && inner == "*":
		return nil, nil
	case list && closed:
		return parseTypeList(inner)
	case fhir.Type(head).Known():
		return []fhir.Type{fhir.Type(head)}, nil
	case strings.Contains(head, ":"):
		return nil, fhir.Errorf(fhir.NotSupported, "", "%q is an absolute URI: subscription topics are not supported, write the search as Type?parameters without a base URL", clip(head))
	case strings.Contains(head, "/"):
		return nil, fhir.Errorf(fhir.NotSupported, "", "%q is a path: criteria are a search over one resource type, Type?parameters", clip(head))
	default:
		return nil, unknownType(head)
	}
}

func parseTypeList(s string) ([]fhir.Type, *fhir.Error) {
	var types []fhir.Type
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		if !fhir.Type(name).Known() {
			return nil, unknownType(name)
		}
		types = append(types, fhir.Type(name))
	}
	slices.Sort(types)
	return slices.Compact(types), nil
}

func unknownType(name string) *fhir.Error {
	var known []string
	for _, t := range fhir.Types() {
		known = append(known, string(t))
	}
	return fhir.Errorf(fhir.NotSupported, "", "%q is not a resource type of FHIR R4%s", clip(name), suggestion(name, known))
}

// mostValues bounds what one query may cost.
const mostValues = 10_000

// builder turns query parameters into a Query.
type builder struct {
	types   []fhir.Type // none: all
	table   *Definitions
	lenient bool
	results bool // result parameters are told of as what they are
	ignored []Ignored
	hops    int // references followed from the query's own types
}

func (b *builder) query(pairs []Pair) (*Query, error) {
	var terms []Term
	var wrong []*fhir.Error
	values := 0
	for _, pair := range pairs {
		t, err := b.term(pair)
		switch {
		case err == nil && t != nil:
			terms = append(terms, *t)
			values += len(t.Values)
		case err == nil: // empty: ignored
		case b.lenient && errors.Is(err, errUnknown):
			b.ignored = append(b.ignored, Ignored{pair.Name, pair.Value, err.Diagnostic})
		default:
			err.Expression = "http." + parameterName(pair.Name)
			wrong = append(wrong, err)
		}
	}
	if err := fhir.Join(wrong); err != nil {
		return nil, err
	}
	if values > mostValues {
		return nil, fhir.Errorf(fhir.TooCostly, "", "the expression has %d values, and more than %d would cost too much at every write: split it", values, mostValues)
	}
	return newQuery(b.types, terms, b.table), nil
}

func (b *builder) term(pair Pair) (*Term, *fhir.Error) {
	if err := refused(pair.Name); err != nil {
		return nil, err
	}
	name, modifier, modified := strings.Cut(pair.Name, ":")
	switch {
	case name == parameterHas:
		return b.reverse(pair)
	case name == parameterList:
		return parseList(modifier, pair.Value)
	}
	if head, rest, chained := strings.Cut(pair.Name, "."); chained {
		return b.chain(head, rest, pair)
	}
	p, err := b.param(name)
	switch {
	case err != nil:
		return nil, err
	case modified && modifier == "":
		return nil, fhir.Errorf(fhir.NotSupported, "", "behind the colon of %q a modifier is missing", clip(pair.Name))
	}
	var t *Term
	if name == parameterFilter {
		t, err = b.filter(modifier, pair.Value)
	} else {
		t, err = parseTerm(p, modifier, pair.Value)
	}
	if err != nil || t == nil {
		return nil, err
	}
	b.bind(t, p)
	return t, nil
}

// bind tells a term which parameter it is about in each of the builder's types.
func (b *builder) bind(t *Term, p *Param) {
	if len(b.types) == 1 {
		t.param = p
	} else {
		t.table = b.table
	}
}

// param finds a parameter that all the types have, with one meaning.
func (b *builder) param(code string) (*Param, *fhir.Error) {
	types := b.types
	if len(types) == 0 {
		types = fhir.Types()
	}
	var first *Param
	var without fhir.Type
	for _, t := range types {
		p, ok := b.table.Param(t, code)
		switch {
		case !ok && without == "":
			without = t
		case ok && first == nil:
			first = p
		case ok && !sameKinds(first, p):
			return nil, fhir.Errorf(fhir.NotSupported, "", "%s is a %s parameter of %s and a %s parameter of %s: search those types one by one", code, first.Kind, first.Type, p.Kind, p.Type)
		}
	}
	switch {
	case first == nil:
		return nil, b.unknown(code)
	case without != "":
		return nil, fhir.Errorf(fhir.NotSupported, "", "%s has no search parameter %s: a search over several types takes only parameters that all of them have", without, code)
	default:
		return first, nil
	}
}

func sameKinds(a, b *Param) bool {
	return a.Kind == b.Kind && slices.EqualFunc(a.Components, b.Components, func(x, y Component) bool {
		return x.Param.Kind == y.Param.Kind
	})
}

// parameterName is a query parameter's name without modifier and chain.
func parameterName(name string) string {
	if i := strings.IndexAny(name, ":."); i > 0 {
		return name[:i]
	}
	return name
}
