package criteria

import (
	"fmt"
	"slices"
	"strings"

	"fhirhook/criteria/fhirpath"
	"fhirhook/fhir/schema"
	"fhirhook/fhir/tape"
)

// partial is a path on its way: where it leads so far, and what may be said about it.
type partial struct {
	path
	at     *schema.Type
	outer  bool // a step before the last may select several
	many   bool // the last step may
	joined bool // it came out of a union, so counting (an index) has no meaning
}

// enter follows an element into each of its types.
func (p partial) enter(e *schema.Element) ([]partial, error) {
	if p.at.Class == schema.Primitive {
		var err error
		if p, err = p.sibling(); err != nil {
			return nil, err
		}
	}
	var out []partial
	for _, name := range e.Types {
		t, ok := schema.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("%s is not a type", name)
		}
		next := partial{at: t, outer: p.outer || p.many, many: e.Repeats, joined: p.joined}
		next.fromRoot = p.fromRoot
		next.typ, next.system = t.FHIRType(), ""
		if name == "Resource" {
			next.typ = "" // told by the value
		}
		if name == "code" {
			next.system = e.System
		}
		next.steps = append(slices.Clone(p.steps), step{name: e.Member(name), nth: -1})
		out = append(out, next)
	}
	return out, nil
}

// sibling leads to the object that holds a primitive's id and extensions (R4 json.html#primitive).
func (p partial) sibling() (partial, error) {
	if len(p.steps) == 0 {
		return p, fmt.Errorf("extensions of a primitive can't be reached from inside its own condition")
	}
	p.steps = slices.Clone(p.steps)
	last := &p.steps[len(p.steps)-1]
	if last.name == "" || len(last.keep) > 0 {
		return p, fmt.Errorf("extensions of a primitive behind a condition on it are not supported")
	}
	last.name = "_" + last.name
	return p, nil
}

// nth keeps one element. What is counted is the whole of what was selected, so there must be one array.
func nth(ps []partial, n int) ([]partial, error) {
	out := make([]partial, 0, len(ps))
	for _, p := range ps {
		if p.outer || p.joined {
			return nil, fmt.Errorf("an index is only supported where one array can be counted, not behind elements that repeat or a union")
		}
		last := len(p.steps) - 1
		if last < 0 || p.steps[last].nth >= 0 {
			p.steps = append(slices.Clone(p.steps), step{nth: n})
		} else {
			p.steps = slices.Clone(p.steps)
			p.steps[last].nth = n
		}
		p.many = false
		out = append(out, p)
	}
	return out, nil
}

// where keeps the elements that pass.
func (p partial) where(k check) partial {
	last := len(p.steps) - 1
	if last < 0 || p.steps[last].nth >= 0 {
		p.steps = append(slices.Clone(p.steps), step{keep: []check{k}, nth: -1})
		return p
	}
	p.steps = slices.Clone(p.steps)
	p.steps[last].keep = append(slices.Clone(p.steps[last].keep), k)
	return p
}

// cast keeps what is of a type: exactly it, as HL7's own expressions mean it where a choice has both uri
// and canonical; or, if nothing can be exactly that, what is derived from it.
func cast(ps []partial, name string) ([]partial, error) {
	want, ok := schema.LookupFold(name)
	if !ok {
		return nil, fmt.Errorf("%s is not a FHIR type", name)
	}
	var exact, derived, inline []partial
	var have []string
	for _, p := range ps {
		have = append(have, p.at.FHIRType())
		switch {
		case p.at.FHIRType() == want.Name:
			exact = append(exact, p)
		case p.at.Is(want.Name):
			derived = append(derived, p)
		case p.at.Name == "Resource" && want.Class == schema.Resource:
			p = p.where(check{op: isResource, literal: want.Name})
			p.at, p.typ = want, want.Name
			inline = append(inline, p)
		}
	}
	switch {
	case len(ps) == 0:
		return nil, nil
	case len(exact) > 0:
		return append(exact, inline...), nil
	case len(derived)+len(inline) > 0:
		return append(derived, inline...), nil
	}
	slices.Sort(have)
	return nil, fmt.Errorf("it is never of type %s, only %s", want.Name, strings.Join(slices.Compact(have), " or "))
}

func extension(e *fhirpath.Expr, from []partial, url string) ([]partial, error) {
	var out []partial
	for _, p := range from {
		element, ok := p.at.Element("extension")
		if !ok {
			continue
		}
		next, err := p.enter(element)
		if err != nil {
			return nil, at(e, "%v", err)
		}
		for _, n := range next {
			urlPath := path{steps: []step{{name: "url", nth: -1}}, typ: "uri"}
			out = append(out, n.where(check{op: equals, paths: []path{urlPath}, literal: url, kind: tape.String}))
		}
	}
	if len(out) == 0 && len(from) > 0 {
		return nil, at(e, "%s has no extensions", from[0].at.Name)
	}
	return limit(out)
}

func limit(ps []partial) ([]partial, error) {
	if len(ps) > maxPaths {
		return nil, fmt.Errorf("the expression has more than %d alternatives: say which types are meant with ofType()", maxPaths)
	}
	return ps, nil
}
