package criteria

import (
	"slices"
	"strings"

	"fhirhook/fhir"
)

// mostHops is how many references one parameter may follow.
const mostHops = 10

// chain compiles reference.rest and reference:Type.rest; rest may be a chain again.
func (b *builder) chain(head, rest string, pair Pair) (*Term, *fhir.Error) {
	code, typed, _ := strings.Cut(head, ":")
	_, inner, err := b.hop(code, typed, rest)
	if err != nil {
		return nil, err
	}
	var k *Linked
	for _, types := range slices.Backward(inner.byKind(parameterName(rest))) {
		inner.types = types
		t, err := inner.term(Pair{rest, pair.Value})
		if err != nil || t == nil {
			return nil, within(err)
		}
		k = &Linked{Code: code, Types: types, Inner: t, Or: k, table: b.table}
	}
	t := k.Inner
	return &Term{Name: head + "." + t.Name, Modifier: t.Modifier, Kind: t.Kind, Values: t.Values, linked: k}, nil
}

// byKind groups the builder's types by what a parameter is in them: performer is a reference of a ServiceRequest
// and a code of a Task. The value has to be one of each kind.
func (b *builder) byKind(code string) [][]fhir.Type {
	var groups [][]fhir.Type
	var firsts []*Param
	for _, t := range b.types {
		p, _ := b.table.Param(t, code) // nil for _has and _list, in all types
		i := slices.IndexFunc(firsts, func(first *Param) bool { return p == first || p != nil && first != nil && sameKinds(p, first) })
		if i < 0 {
			firsts, groups, i = append(firsts, p), append(groups, nil), len(groups)
		}
		groups[i] = append(groups[i], t)
	}
	return groups
}

// hop goes from the types of b to those that a reference parameter of theirs may lead to and that have what
// rest begins with.
func (b *builder) hop(code, typed, rest string) (*Linked, builder, *fhir.Error) {
	none := builder{}
	p, err := b.param(code)
	switch {
	case err != nil:
		return nil, none, err
	case p.Kind != Reference:
		return nil, none, fhir.Errorf(fhir.NotSupported, "", "%s.%s chains from %s, which is a %s parameter: only reference parameters can be chained", p.Code, clip(rest), p.Code, p.Kind)
	case b.hops == mostHops:
		return nil, none, fhir.Errorf(fhir.TooCostly, "", "it follows more than %d references", mostHops)
	}
	targets := b.targets(code)
	if typed != "" {
		if !slices.Contains(targets, fhir.Type(typed)) {
			if !fhir.Type(typed).Known() {
				return nil, none, fhir.Errorf(fhir.NotSupported, "", "in %s:%s, %q is not a resource type%s", code, clip(typed), clip(typed), suggestion(typed, names(targets)))
			}
			return nil, none, fhir.Errorf(fhir.NotSupported, "", "%s never refers to a %s; it may refer to %s", code, typed, listTypes(targets))
		}
		targets = []fhir.Type{fhir.Type(typed)}
	}
	var having []fhir.Type
	for _, t := range targets {
		if b.table.has(t, rest) {
			having = append(having, t)
		}
	}
	if len(having) == 0 {
		return nil, none, b.deadEnd(code, rest, targets)
	}
	next := builder{types: having, table: b.table, hops: b.hops + 1}
	return &Linked{Code: code, Types: having, table: b.table}, next, nil
}

// deadEnd says why none of a reference's targets can go on with rest.
func (b *builder) deadEnd(code, rest string, targets []fhir.Type) *fhir.Error {
	head := parameterName(rest)
	for _, t := range targets {
		if p, ok := b.table.Param(t, head); ok {
			return fhir.Errorf(fhir.NotSupported, "", "%q chains from %s, which is a %s parameter of %s: only reference parameters can be chained", clip(rest), head, p.Kind, t)
		}
	}
	if len(targets) == 1 {
		one := builder{types: targets, table: b.table}
		return within(one.unknown(head))
	}
	return fhir.Errorf(fhir.NotSupported, "", "%q is a search parameter of none of the types that %s may refer to: %s", clip(head), code, listTypes(targets))
}

// within keeps a lenient search from leaving out a parameter of which only the inner part is unknown.
func within(err *fhir.Error) *fhir.Error {
	if err != nil {
		err.Err = nil
	}
	return err
}

// targets are the types that a reference parameter of the builder's types may lead to, sorted.
func (b *builder) targets(code string) []fhir.Type {
	types := b.types
	if len(types) == 0 {
		types = fhir.Types()
	}
	var all []fhir.Type
	for _, t := range types {
		if p, ok := b.table.Param(t, code); ok {
			if len(p.Targets) == 0 {
				return anyTargets()
			}
			all = append(all, p.Targets...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// has tells whether a type has what a parameter's name begins with; in front of a chain that is a reference.
func (d *Definitions) has(t fhir.Type, name string) bool {
	switch head := parameterName(name); head {
	case parameterHas, parameterList:
		return true
	default:
		p, ok := d.Param(t, head)
		return ok && (p.Kind == Reference || !strings.Contains(name, "."))
	}
}

// reverse compiles _has:Type:reference:rest; rest may begin with _has again, or be a chain.
func (b *builder) reverse(pair Pair) (*Term, *fhir.Error) {
	parts := strings.SplitN(pair.Name, ":", 4)
	if len(parts) < 4 || parts[3] == "" {
		return nil, fhir.Errorf(fhir.Value, "", "%q is not complete: write _has:Type:reference:parameter=value, as in _has:Observation:patient:code=1234-5", clip(pair.Name))
	}
	of, code, rest := fhir.Type(parts[1]), parts[2], parts[3]
	if !of.Known() {
		return nil, unknownType(parts[1])
	}
	inner := builder{types: []fhir.Type{of}, table: b.table, hops: b.hops + 1}
	p, err := inner.param(code)
	switch {
	case err != nil:
		return nil, within(err)
	case p.Kind != Reference:
		return nil, fhir.Errorf(fhir.NotSupported, "", "%s of %s is a %s parameter: _has goes through reference parameters", p.Code, of, p.Kind)
	case len(b.types) > 0 && !slices.ContainsFunc(b.types, p.mayTarget):
		return nil, fhir.Errorf(fhir.NotSupported, "", "%s of %s never refers to a %s; it may refer to %s", p.Code, of, listTypes(b.types), listTypes(p.Targets))
	case b.hops == mostHops:
		return nil, fhir.Errorf(fhir.TooCostly, "", "it follows more than %d references", mostHops)
	}
	t, err := inner.term(Pair{rest, pair.Value})
	if err != nil || t == nil {
		return nil, within(err)
	}
	k := &Linked{Reverse: true, Code: code, Types: inner.types, Inner: t, table: b.table}
	name := parameterHas + ":" + string(of) + ":" + code + ":" + t.Name
	return &Term{Name: name, Modifier: t.Modifier, Kind: t.Kind, Values: t.Values, linked: k}, nil
}

func names(types []fhir.Type) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = string(t)
	}
	return out
}
