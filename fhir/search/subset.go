package search

import (
	"bytes"
	"slices"
	"sync"

	"fhirhook/fhir"
	"fhirhook/fhir/schema"
	"fhirhook/fhir/tape"
)

// subsetted marks a resource that isn't all there (R4 search.html#summary), so that nobody writes it back.
const (
	subsettedSystem = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
	subsettedCode   = "SUBSETTED"
	subsettedTag    = `{"system":"` + subsettedSystem + `","code":"` + subsettedCode + `"}`
)

// subset says what is shown of a resource. Elements that must be there, and those that change the meaning of
// others (implicitRules, modifierExtension), always stay.
type subset struct {
	keep func(*schema.Element) bool // of the resource's own elements
	deep bool                       // keep decides on elements of elements, too
}

// subset returns what the result parameters ask for, false for all.
func (r *results) subset() (subset, bool) {
	switch {
	case len(r.elements) > 0:
		return subset{keep: r.wants}, true
	case r.summary == summaryTrue:
		return subset{keep: func(e *schema.Element) bool { return e.Summary }, deep: true}, true
	case r.summary == summaryText:
		return subset{keep: func(e *schema.Element) bool { return e.Name == "text" }}, true
	case r.summary == summaryData:
		return subset{keep: func(e *schema.Element) bool { return e.Name != "text" }}, true
	default:
		return subset{}, false
	}
}

// wants tells whether _elements names the element; a choice may be named by its FHIR or its JSON name.
func (r *results) wants(e *schema.Element) bool {
	if slices.Contains(r.elements, e.Name) {
		return true
	}
	return e.Choice && slices.ContainsFunc(e.Types, func(t string) bool { return slices.Contains(r.elements, e.Member(t)) })
}

// checkResults refuses inclusions that lead nowhere and elements that no type has.
func (e *Engine) checkResults(r *results, p *plan) error {
	for _, in := range r.include {
		if err := in.check(e.defs); err != nil {
			return err
		}
	}
	for _, name := range r.elements {
		known := slices.ContainsFunc(p.types, func(t fhir.Type) bool {
			shape, ok := schema.Lookup(string(t))
			if !ok {
				return false
			}
			_, known := members(shape)[name]
			_, choice := shape.Element(name)
			return known || choice || name == "resourceType"
		})
		if !known {
			return fhir.Errorf(fhir.Value, "http."+paramElements, "%q is not an element of %s: name elements at the top of the resource", clip(name), typeNames(p.types))
		}
	}
	return nil
}

func typeNames(types []fhir.Type) string {
	if len(types) == 1 {
		return string(types[0])
	}
	return "any of the types searched"
}

// show replaces each match by what is to be shown of it.
func (r *results) show(matches []*fhir.Resource) {
	s, ok := r.subset()
	if !ok {
		return
	}
	for i, m := range matches {
		matches[i] = &fhir.Resource{Key: m.Key, Version: m.Version, Updated: m.Updated, JSON: s.resource(m)}
	}
}

// member is what a JSON member name means in a type.
type member struct {
	element *schema.Element
	typ     string
}

var memberCache sync.Map // *schema.Type → map[string]member

// members finds the elements of a type by their JSON names.
func members(t *schema.Type) map[string]member {
	if cached, ok := memberCache.Load(t); ok {
		return cached.(map[string]member)
	}
	all := map[string]member{}
	for e := range t.All() {
		for _, typ := range e.Types {
			all[e.Member(typ)] = member{e, typ}
		}
	}
	memberCache.Store(t, all)
	return all
}

// resource is the resource's JSON with only what is to be shown, and tagged.
func (s subset) resource(r *fhir.Resource) []byte {
	shape, ok := schema.Lookup(string(r.Key.Type))
	if !ok {
		return r.JSON
	}
	return s.object(nil, r.Doc().Root(), shape, true)
}

// object appends an object of a type.
func (s subset) object(out []byte, n tape.Node, t *schema.Type, top bool) []byte {
	known := members(t)
	out = append(out, '{')
	from := len(out)
	for name, v := range n.Members() {
		m, ok := known[plainName(name)]
		before := len(out)
		if before > from {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = append(out, name...)
		out = append(out, '"', ':')
		value := len(out)
		switch {
		case top && name == "resourceType", top && name == "id":
			out = append(out, v.Raw()...)
		case top && name == "meta":
			out = appendTagged(out, v)
		case !ok || !s.shows(m.element):
		case s.deep && plainName(name) == name:
			out = s.value(out, v, m.typ)
		default:
			out = append(out, v.Raw()...)
		}
		if len(out) == value {
			out = out[:before]
		}
	}
	return append(out, '}')
}

func (s subset) shows(e *schema.Element) bool {
	switch e.Name {
	case "id", "implicitRules", "modifierExtension":
		return true
	default:
		return e.Required || s.keep(e)
	}
}

// value appends a value of a type without what is not to be shown in it; nothing if nothing is left. An
// extension that is shown is whole, for its value is not marked as part of any summary.
func (s subset) value(out []byte, v tape.Node, typ string) []byte {
	t, ok := schema.Lookup(typ)
	if !ok || typ == "Extension" || t.Class != schema.Complex && t.Class != schema.Nested {
		return append(out, v.Raw()...)
	}
	switch v.Kind() {
	case tape.Object:
		from := len(out)
		if out = s.object(out, v, t, false); bytes.Equal(out[from:], []byte("{}")) {
			return out[:from]
		}
		return out
	case tape.Array:
		from := len(out)
		out = append(out, '[')
		for e := range v.Elements() {
			before := len(out)
			if before > from+1 {
				out = append(out, ',')
			}
			value := len(out)
			if out = s.value(out, e, typ); len(out) == value {
				out = out[:before]
			}
		}
		if len(out) == from+1 {
			return out[:from]
		}
		return append(out, ']')
	default:
		return append(out, v.Raw()...)
	}
}

// plainName is the name of the element that a member belongs to: _birthDate holds extensions of birthDate
// (R4 json.html#primitive).
func plainName(name string) string {
	if len(name) > 1 && name[0] == '_' {
		return name[1:]
	}
	return name
}

// appendTagged appends a meta with the tag put in; a stored resource always has one.
func appendTagged(out []byte, meta tape.Node) []byte {
	tags := meta.Get("tag")
	for tag := range tags.Elements() {
		if tag.Get("system").Is(subsettedSystem) && tag.Get("code").Is(subsettedCode) {
			return append(out, meta.Raw()...)
		}
	}
	raw := meta.Raw()
	if tags.Kind() != tape.Array {
		out = append(out, raw[:len(raw)-1]...)
		if meta.Len() > 0 {
			out = append(out, ',')
		}
		return append(out, `"tag":[`+subsettedTag+`]}`...)
	}
	start, _ := meta.Span()
	_, end := tags.Span()
	cut := end - start - 1 // the ] of tag
	out = append(out, raw[:cut]...)
	if tags.Len() > 0 {
		out = append(out, ',')
	}
	out = append(out, subsettedTag...)
	return append(out, raw[cut:]...)
}
