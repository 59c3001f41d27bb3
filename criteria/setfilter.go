package criteria

import (
	"slices"
	"strings"

	"fhirhook/fhir"
)

// setFilter is ValueSet.compose.include.filter (R4 valueset-filter-operator.html).
type setFilter struct{ property, op, value string }

// onConcept tells whether the filter is about the concept itself and not about one of its properties.
func (f setFilter) onConcept() bool { return f.property == "concept" || f.property == "code" }

func (f setFilter) hierarchical() bool {
	return slices.Contains([]string{"is-a", "descendent-of", "is-not-a", "generalizes"}, f.op)
}

func (f setFilter) check() *fhir.Error {
	switch f.op {
	case "is-a", "descendent-of", "is-not-a", "generalizes":
		if f.onConcept() || f.property == "parent" {
			return nil
		}
	case "=", "in", "not-in":
		return nil
	case "exists":
		if f.value == "true" || f.value == "false" {
			return nil
		}
	}
	return fhir.Errorf(fhir.NotSupported, "", "has the filter %s %s %s, which can't be evaluated here", clip(f.property), clip(f.op), clip(f.value))
}

func (f setFilter) holds(c *codeSystem, code string) bool {
	switch f.op {
	case "is-a":
		return c.below(code, f.value)
	case "descendent-of":
		return c.form(code) != c.form(f.value) && c.below(code, f.value)
	case "is-not-a":
		return !c.below(code, f.value)
	case "generalizes":
		return c.below(f.value, code)
	}
	have := f.values(c, code)
	switch f.op {
	case "=":
		return slices.Contains(have, c.form(f.value))
	case "exists":
		return len(have) > 0 == (f.value == "true")
	}
	found := false
	for want := range strings.SplitSeq(f.value, ",") {
		found = found || slices.Contains(have, c.form(strings.TrimSpace(want)))
	}
	return found == (f.op == "in")
}

// values are what a concept has for the filter's property, in the form of codes.
func (f setFilter) values(c *codeSystem, code string) []string {
	at := c.concepts[c.form(code)]
	switch {
	case f.onConcept():
		return []string{c.form(code)}
	case at == nil:
		return nil
	case f.property == "parent":
		return at.parents
	}
	var have []string
	for _, p := range at.properties {
		if p.code == f.property {
			have = append(have, c.form(p.value))
		}
	}
	return have
}
