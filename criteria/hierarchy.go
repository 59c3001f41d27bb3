package criteria

import (
	"slices"
	"strings"

	"fhirhook/fhir"
)

// hierarchyValue is :below and :above on references. Below a resource are it and all that is part of it, step
// by step (R4 search.html#hierarchy): Procedure?location:below=42 finds what happened in any room of ward 42.
type hierarchyValue struct {
	*referenceValue
	below bool
	steps map[fhir.Type]string // of each type with a hierarchy the parameter that leads upwards
}

// hierarchies are the types that a reference parameter may lead to and that have a hierarchy, with the
// parameter that leads upwards in it: partof or part-of. A parameter that leads from a type to itself is that
// type's hierarchy as far as it goes.
func (p *Param) hierarchies() map[fhir.Type]string {
	steps := map[fhir.Type]string{}
	for _, t := range p.Targets {
		if t == p.Type {
			steps[t] = p.Code
		} else if code := partOf[t]; code != "" {
			steps[t] = code
		}
	}
	return steps
}

// partOf are the parameters by which R4's types are parts of their own kind.
var partOf = map[fhir.Type]string{
	"CarePlan": "part-of", "Communication": "part-of", "Encounter": "part-of", "Location": "partof",
	"MedicationStatement": "part-of", "Organization": "partof", "Procedure": "part-of", "ResearchStudy": "partof", "Task": "part-of",
}

func parseHierarchy(p *Param, s, modifier string) (Value, *fhir.Error) {
	parsed, err := parseReference(s, "")
	if err != nil {
		return nil, err
	}
	v := &hierarchyValue{parsed.(*referenceValue), modifier == modifierBelow, p.hierarchies()}
	switch {
	case !v.bare && (!v.rest || v.history != "" || v.version != ""):
		return nil, fhir.Errorf(fhir.Value, "", "%q is no place in a hierarchy: with :%s write id or Type/id", clip(v.whole), modifier)
	case !v.bare && v.steps[v.kind] == "":
		var types []fhir.Type
		for t := range v.steps {
			types = append(types, t)
		}
		slices.Sort(types)
		return nil, fhir.Errorf(fhir.NotSupported, "", "%s has no hierarchy that %s leads into: with :%s it takes a %s", v.kind, p.Code, modifier, strings.Join(names(types), " or "))
	}
	return v, nil
}

func (v *hierarchyValue) check(*Subject) {}

func (v *hierarchyValue) matches(s *Subject, x *values) bool {
	if !v.bare && !s.own(v.base) { // of another server's hierarchy only the resource itself is known
		return v.referenceValue.matches(s, x)
	}
	for i := range x.targets {
		t := &x.targets[i]
		if !t.rest || !s.own(t.base) || v.steps[t.kind] == "" {
			continue
		}
		if v.bare && v.under(s, x.param, t, fhir.Key{Type: t.kind, ID: v.whole}) {
			return true
		}
		if !v.bare && t.kind == v.kind && v.under(s, x.param, t, fhir.Key{Type: v.kind, ID: v.id}) {
			return true
		}
	}
	return false
}

// under tells whether one of the target and the sought lies above the other, in the order of the modifier.
func (v *hierarchyValue) under(s *Subject, p *Param, t *target, sought fhir.Key) bool {
	lower, upper := fhir.Key{Type: t.kind, ID: t.id}, sought
	if !v.below {
		lower, upper = upper, lower
	}
	return s.reaches(lower, upper, v.steps[t.kind])
}

// reaches tells whether upwards from a resource, itself included, another of its type is reached.
func (s *Subject) reaches(from, to fhir.Key, code string) bool {
	seen := map[string]bool{from.ID: true}
	for next := []string{from.ID}; len(next) > 0; {
		id := next[0]
		if next = next[1:]; id == to.ID {
			return true
		}
		at := s.look().current(s.env, s.resource.Key.Tenant, from.Type, id)
		if at == nil || s.look().table == nil {
			continue
		}
		p, ok := s.look().table.Param(from.Type, code)
		if !ok {
			continue
		}
		for up := range at.Targets(p) {
			if up.Type == from.Type && !seen[up.ID] {
				seen[up.ID] = true
				next = append(next, up.ID)
			}
		}
	}
	return false
}
