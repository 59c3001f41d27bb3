package criteria

import (
	"strings"

	"fhirhook/fhir"
)

// compositeValue is a tuple, one value for each component, joined with $. All of them must hold within one
// element of those that the composite is about (R4 search.html#composite).
type compositeValue struct{ parts []Value }

func parseComposite(p *Param, s string) (Value, *fhir.Error) {
	parts := split(s, '$')
	if len(parts) != len(p.Components) {
		return nil, fhir.Errorf(fhir.Value, "", "%q has %d parts, and %s takes %d joined with $: %s",
			clip(s), len(parts), p.Code, len(p.Components), componentNames(p))
	}
	v := &compositeValue{}
	for i, part := range parts {
		governing := p.Components[i].Param
		if part == "" {
			return nil, fhir.Errorf(fhir.Value, "", "part %d of %q is empty; %s takes %s", i+1, clip(s), p.Code, componentNames(p))
		}
		value, err := parseValue(governing, "", part)
		if err != nil {
			return nil, err
		}
		v.parts = append(v.parts, value)
	}
	return v, nil
}

func componentNames(p *Param) string {
	names := make([]string, len(p.Components))
	for i, c := range p.Components {
		names[i] = c.Param.Code + " (" + c.Param.Kind.String() + ")"
	}
	return strings.Join(names, "$")
}

func (v *compositeValue) String() string {
	parts := make([]string, len(v.parts))
	for i, p := range v.parts {
		parts[i] = p.String()
	}
	return strings.Join(parts, "$")
}

func (v *compositeValue) matches(s *Subject, x *values) bool {
	for _, tuple := range x.tuples {
		if len(tuple) == len(v.parts) && v.in(s, tuple) {
			return true
		}
	}
	return false
}

func (v *compositeValue) in(s *Subject, tuple []*values) bool {
	for i, part := range v.parts {
		if !part.matches(s, tuple[i]) {
			return false
		}
	}
	return true
}
