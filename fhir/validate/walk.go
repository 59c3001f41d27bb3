package validate

import (
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// run is one validation.
type run struct {
	mode      Mode
	root      string  // what paths begin with
	skip      *member // whose value is left alone; nil for none
	path      []step
	contained bool // inside a contained resource
	secret    bool // inside a Subscription
	shape     []*fhir.Error
	strict    []*fhir.Error
}

// resource checks a value that may be a resource of any type.
func (r *run) resource(n tape.Node) {
	if n.Kind() != tape.Object {
		r.fail(fhir.Structure, "a resource is a JSON object, and this is a JSON %s", n.Kind())
		return
	}
	if n.Len() == 0 {
		r.fail(fhir.Structure, "an object without members: leave the element out")
		return
	}
	name := n.Get("resourceType")
	if name.Kind() != tape.String {
		r.under("resourceType").fail(fhir.Required, `the member "resourceType" is missing or no string: name the type of the resource there`)
		r.leave()
		return
	}
	s, ok := shapes()[string(name.Content())]
	if !ok || !s.resource {
		r.under("resourceType").fail(fhir.Value, "%s is not a resource type of FHIR R4%s", clip(name.Raw()), suggestion(name.Text(), resourceNames()))
		r.leave()
		return
	}
	r.typed(n, s)
}

// typed checks a resource of a known type.
func (r *run) typed(n tape.Node, s *shape) {
	secret := r.secret
	r.secret = secret || s.name == string(fhir.Subscription)
	r.object(n, s)
	r.secret = secret
}

// object checks an object's members, and what the type asks for besides.
func (r *run) object(n tape.Node, s *shape) {
	if n.Len() == 0 {
		r.fail(fhir.Structure, "an object without members: leave the element out")
		return
	}
	seen := uint64(0)
	for w := n.Walk(); w.Next(); {
		m := s.member(w.Name().Content())
		if m == nil {
			if !s.resource || !w.Name().Is("resourceType") {
				r.unknown(s, w.Name().Text())
			}
			if r.full() {
				return
			}
			continue
		}
		if m.choice && seen&m.bit != 0 {
			r.chosenTwice(n, s, m)
		}
		seen |= m.bit
		r.path = append(r.path, step{name: m.element.Name, index: none})
		r.member(n, m, w.Value())
		r.leave()
		if r.full() {
			return
		}
	}
	if s.rule == extensionRule {
		r.extension(s, seen)
	}
	if r.mode == Strict && s.required&^seen != 0 {
		r.missing(s, s.required&^seen)
	}
}

// member checks one member's value: as often as its element may be there.
func (r *run) member(owner tape.Node, m *member, v tape.Node) {
	switch kind := v.Kind(); {
	case m == r.skip:
	case kind == tape.Null:
		r.fail(fhir.Structure, "null is no value: leave %s out", m.name)
	case !m.repeats && kind == tape.Array:
		r.fail(fhir.Structure, "%s can't repeat: write the value without the array", m.name)
	case !m.repeats:
		r.value(m, v)
	case kind != tape.Array:
		r.fail(fhir.Structure, "%s may repeat, so it must be an array, even of one: write [ ] around the value", m.name)
	case v.Len() == 0:
		r.fail(fhir.Structure, "an empty array: leave %s out", m.name)
	default:
		r.values(owner, m, v)
	}
}

// values checks the elements of an array.
func (r *run) values(owner tape.Node, m *member, v tape.Node) {
	partner := aligned{owner: owner, member: m, at: none}
	i := int32(0)
	for w := v.Walk(); w.Next() && !r.full(); i++ {
		r.path[len(r.path)-1].index = i
		if w.Value().Kind() == tape.Null {
			r.null(m, partner.to(i))
			continue
		}
		r.value(m, w.Value())
	}
}

// aligned walks the partner of an array beside it: _given for given, and the other way round.
type aligned struct {
	owner  tape.Node
	member *member
	walk   tape.Walk
	at     int32 // place of the walk; none before it has begun
}

// to is what stands at place i of the partner; i never goes back.
func (a *aligned) to(i int32) tape.Node {
	if a.at == none {
		name := "_" + a.member.name
		if a.member.base != nil {
			name = a.member.base.name
		}
		a.walk = a.owner.Get(name).Walk()
	}
	for ; a.at < i; a.at++ {
		if !a.walk.Next() {
			return tape.Node{}
		}
	}
	return a.walk.Value()
}

// null checks a null in an array. It is legal in one place only: where the arrays of a repeating primitive and of
// its extensions are aligned, and the other has something at the same index (R4 json.html#primitive). An array
// that is shorter than the other is as if it were filled up: well-known clients leave trailing nulls out.
func (r *run) null(m *member, partner tape.Node) {
	switch {
	case m.what == primitive && partner.Kind() == tape.Object:
	case m.what == sibling && partner.Exists(): // if it is null too, that is said there
	case m.what == primitive:
		r.fail(fhir.Structure, "null stands for a value that has only extensions, and _%s has none at this place: leave it out", m.name)
	case m.what == sibling:
		r.fail(fhir.Structure, "null stands for a value without extensions, and %s has no value at this place: leave it out", m.base.name)
	default:
		r.fail(fhir.Structure, "null is no value: leave it out")
	}
}

// value checks one value, which is not null.
func (r *run) value(m *member, v tape.Node) {
	kind := v.Kind()
	switch {
	case m.what == primitive:
		r.primitive(m, v)
	case m.what == anyResource:
		r.inner(m, v)
	case kind != tape.Object && m.what == sibling:
		r.fail(fhir.Structure, "%s must be an object with id or extension, and this is a JSON %s", m.name, kind)
	case kind != tape.Object:
		r.fail(fhir.Structure, "%s must be a JSON object (%s), and this is a JSON %s", m.name, m.typ.FHIRType(), kind)
	default:
		r.object(v, m.shape)
		if r.mode == Strict && m.codes != nil {
			r.bound(m, v)
		}
	}
}

// inner checks a resource inside a resource.
func (r *run) inner(m *member, v tape.Node) {
	contains := m.name == "contained"
	if contains && r.contained {
		r.fail(fhir.Structure, "a contained resource can't contain another: put both into the outermost resource (R4 dom-2)")
		return
	}
	before := r.contained
	r.contained = contains
	r.resource(v)
	r.contained = before
}

// primitive checks the JSON type and the format.
func (r *run) primitive(m *member, v tape.Node) {
	kind := v.Kind()
	if kind != m.kind {
		r.fail(wrongKind(kind), "%s is a %s, so it must be a JSON %s, and this is a JSON %s%s", m.name, m.typ.Name, m.kind, kind, hint(m.kind, v))
		return
	}
	if m.format == noFormat {
		return
	}
	if m.kind == tape.String && v.Is("") {
		r.fail(fhir.Value, "an empty string: leave the element out")
		return
	}
	text := v.Content()
	if problem := m.format.check(text); problem != "" {
		r.fail(fhir.Value, "%s is not a %s: %s", r.quote(v), m.format.name(m.typ.Name), problem)
		return
	}
	if r.mode == Strict && m.codes != nil && !m.codes.Has(text) {
		r.code(m, v)
	}
}

// wrongKind is the kind of error for a value of another JSON type than a primitive's: an object or array there
// is another structure, the others are other values.
func wrongKind(k tape.Kind) fhir.Kind {
	if k == tape.Object || k == tape.Array {
		return fhir.Structure
	}
	return fhir.Value
}

// hint helps where quotes are all that is wrong.
func hint(want tape.Kind, v tape.Node) string {
	switch {
	case want == tape.String && (v.Kind() == tape.Number || v.Kind() == tape.Bool):
		return ": put it in quotes"
	case want != tape.String && v.Kind() == tape.String:
		return ": write it without quotes"
	default:
		return ""
	}
}

// chosenTwice says that a choice was made more than once: value[x] is valueString or valueQuantity, and
// _valueString goes with valueString alone.
func (r *run) chosenTwice(n tape.Node, s *shape, m *member) {
	plain := m
	if m.base != nil {
		plain = m.base
	}
	for w := n.Walk(); w.Next(); {
		other := s.member(w.Name().Content())
		if other == m {
			return // the rest comes later
		}
		if other != nil && other.element == m.element && other != plain && other.base != plain {
			r.under(m.element.Name).fail(fhir.Structure, "%s and %s exclude each other: %s[x] is one value of one type", other.name, m.name, m.element.Name)
			r.leave()
			return
		}
	}
}

// extension checks what makes an extension (R4 extensibility.html, ext-1).
func (r *run) extension(s *shape, seen uint64) {
	if seen&s.url == 0 {
		r.under("url").fail(fhir.Required, "an extension without url: say there what it means")
		r.leave()
	}
	switch value, more := seen&s.value != 0, seen&s.extension != 0; {
	case value && more:
		r.fail(fhir.Structure, "an extension has a value or extensions of its own, not both (R4 ext-1)")
	case !value && !more:
		r.fail(fhir.Structure, "an extension needs a value, as in valueString, or extensions of its own (R4 ext-1)")
	}
}
