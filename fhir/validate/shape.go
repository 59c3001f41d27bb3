package validate

import (
	"maps"
	"slices"
	"strconv"
	"sync"

	"fhirhook/fhir"
	"fhirhook/fhir/schema"
	"fhirhook/fhir/tape"
)

// shape is a type as the walk needs it: its members by the names that they have in JSON.
type shape struct {
	name     string
	resource bool // has resourceType
	rule     rule
	members  map[string]*member
	likely   [slots]*member    // some of the members, where slot says: most names are found there
	elements []*schema.Element // by number
	required uint64            // the elements that Strict asks for
	// Of an Extension: what it must have one of.
	url, value, extension uint64
}

const slots = 64

// slot spreads names by what mostly tells FHIR's names of one type apart.
func slot(name []byte) uint {
	if len(name) == 0 {
		return 0
	}
	return (uint(len(name))*11 + uint(name[0])*5 + uint(name[len(name)-1])*3) % slots
}

// member finds the member with a name, nil if there is none.
func (s *shape) member(name []byte) *member {
	if m := s.likely[slot(name)]; m != nil && m.name == string(name) {
		return m
	}
	return s.members[string(name)]
}

// rule is what a type asks for besides its members.
type rule uint8

const (
	noRule rule = iota
	extensionRule
)

// member is a name that may stand in an object.
type member struct {
	name    string
	element *schema.Element
	base    *member // of _name: name
	bit     uint64  // of its element: one for all types of a choice
	repeats bool
	choice  bool
	what    what
	kind    tape.Kind       // of a primitive
	format  format          // of a primitive
	shape   *shape          // of a complex value, and of _name
	typ     *schema.Type    // of the value
	codes   *schema.CodeSet // of a required binding; nil for none
}

// what is what a member's value is.
type what uint8

const (
	primitive what = iota
	complexValue
	anyResource
	sibling // _name: id and extensions of a primitive
)

// shapes are made for all types at once, at the first use: they refer to each other. It takes some milliseconds.
var shapes = sync.OnceValue(func() map[string]*shape {
	c := compiler{made: make(map[string]*shape, 1024)}
	for _, t := range fhir.Types() {
		c.shape(string(t))
	}
	return c.made
})

func shapeOf(name string) (*shape, bool) {
	s, ok := shapes()[name]
	return s, ok
}

type compiler struct{ made map[string]*shape }

// maxElements is how many elements the bits of an object's walk can tell apart.
const maxElements = 64

// shape makes the shape of a type and of all that it leads to.
func (c compiler) shape(name string) *shape {
	if s, ok := c.made[name]; ok {
		return s
	}
	t, ok := schema.Lookup(name)
	if !ok {
		panic("validate: the table of R4's types lacks " + name)
	}
	s := &shape{name: name, resource: t.Class == schema.Resource, members: map[string]*member{}}
	c.made[name] = s
	s.elements = slices.Collect(t.All())
	if len(s.elements) > maxElements {
		panic("validate: " + name + " has " + strconv.Itoa(len(s.elements)) + " elements")
	}
	for i, e := range slices.Backward(s.elements) { // the first elements win a slot
		bit := uint64(1) << i
		for _, typeName := range e.Types {
			c.member(s, e, bit, typeName)
		}
		if e.Required && !serverOwned(t, e) {
			s.required |= bit
		}
		if name == "Extension" {
			s.rule = extensionRule
			switch e.Name {
			case "url":
				s.url = bit
			case "value":
				s.value = bit
			case "extension":
				s.extension = bit
			}
		}
	}
	return s
}

// serverOwned are the elements of a Subscription that a client may leave out whatever the mode: the server
// decides on the status, and seed clients give no reason.
func serverOwned(t *schema.Type, e *schema.Element) bool {
	return t.Name == string(fhir.Subscription) && (e.Name == "status" || e.Name == "reason")
}

func (c compiler) member(s *shape, e *schema.Element, bit uint64, typeName string) {
	t, ok := schema.Lookup(typeName)
	if !ok {
		panic("validate: the table of R4's types lacks " + typeName)
	}
	m := &member{name: e.Member(typeName), element: e, bit: bit, repeats: e.Repeats, choice: e.Choice, typ: t}
	if e.ValueSet != "" {
		m.codes, _ = schema.Codes(e.ValueSet)
	}
	s.members[m.name] = m
	s.likely[slot([]byte(m.name))] = m
	switch {
	case t.Is("Resource"):
		m.what = anyResource
	case t.Class != schema.Primitive:
		m.what, m.shape = complexValue, c.shape(typeName)
	default:
		m.what, m.kind, m.format = primitive, t.JSON(), formats[typeName]
		if s.name == "Reference" && e.Name == "reference" {
			m.format = referenceFormat
		}
		// The id of an element and the XHTML of a narrative are attributes in all but name: they have no extensions.
		if e.Name != "id" && typeName != "xhtml" {
			s.members["_"+m.name] = &member{
				name: "_" + m.name, element: e, base: m, bit: bit, repeats: e.Repeats, choice: e.Choice,
				what: sibling, shape: c.shape("Element"), typ: t,
			}
		}
	}
}

// names are the members' names, sorted.
func (s *shape) names() []string { return slices.Sorted(maps.Keys(s.members)) }
