package criteria

import (
	"slices"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Subject is a resource that queries are held against. It extracts and normalises the values of a parameter
// once, however many queries ask. It belongs to one goroutine.
type Subject struct {
	resource *fhir.Resource
	env      Env
	root     tape.Node
	byParam  map[*Param]*values
	bases    []string // Env.Bases as place writes them, made when first asked for
	based    bool

	embedded  bool     // it is a resource inside another
	container *Subject // of a contained one
	parts     map[int]*Subject
	spoken    [2]*speech // of the narrative and of everything, made when first asked for
}

// NewSubject prepares a resource for matching.
func NewSubject(r *fhir.Resource, env Env) *Subject {
	s := &Subject{resource: r, env: env, byParam: map[*Param]*values{}}
	if len(r.JSON) > 0 {
		s.root = r.Doc().Root()
	}
	return s
}

// Root returns the resource's document.
func (s *Subject) Root() tape.Node { return s.root }

// Resource returns the resource.
func (s *Subject) Resource() *fhir.Resource { return s.resource }

func (s *Subject) ownBases() []string {
	if !s.based {
		s.based = true
		s.bases = make([]string, 0, len(s.env.Bases))
		for _, base := range s.env.Bases {
			s.bases = append(s.bases, place(base))
		}
	}
	return s.bases
}

// own tells whether a base, as place writes it, is one of this server's; "" is that of relative references.
func (s *Subject) own(base string) bool { return base == "" || slices.Contains(s.ownBases(), base) }

// localForm is a URL under an own base in its relative form, else "".
func (s *Subject) localForm(url string) string {
	if t := targetOf(url); t.rest && t.base != "" && s.own(t.base) {
		return string(t.kind) + "/" + t.id
	}
	return ""
}

// values is what a parameter selects in a subject, normalised for comparing. Only the list for its kind is
// filled.
type values struct {
	param   *Param
	present bool // there is any value (:missing)
	leaves  []Leaf
	bare    bool // leaves aren't kept

	codes     []coded
	targets   []target
	phrases   []phrase
	dates     []interval
	spans     []span
	amounts   []amount
	addresses []address
	tuples    [][]*values // of a composite: for each focus the values of each component

	labelled   bool
	labelTexts []plain
}

func (s *Subject) values(p *Param) *values {
	if x, ok := s.byParam[p]; ok {
		return x
	}
	x := &values{param: p}
	s.byParam[p] = x
	if p.Kind == Composite {
		for focus := range p.Foci(s.root) {
			x.tuples = append(x.tuples, s.tuple(p, focus.Node))
		}
		return x
	}
	for l := range p.Leaves(s.root) {
		x.add(s, l)
	}
	return x
}

func (s *Subject) tuple(p *Param, focus tape.Node) []*values {
	tuple := make([]*values, len(p.Components))
	for i := range p.Components {
		c := &p.Components[i]
		tuple[i] = &values{param: c.Param}
		for l := range c.Leaves(focus, s.root) {
			tuple[i].add(s, l)
		}
	}
	return tuple
}

// add normalises one element. What the kind cannot use, and JSON of the wrong type, adds nothing.
func (x *values) add(s *Subject, l Leaf) {
	switch x.param.Kind {
	case Token:
		x.codes = codesOf(x.codes, l)
		x.keep(l)
	case Reference:
		if t, ok := pointsTo(l); ok {
			x.targets = append(x.targets, t)
		}
		x.keep(l)
	case String:
		x.phrases = phrasesOf(x.phrases, l)
		x.present = len(x.phrases) > 0
	case Date:
		if i, ok := intervalOf(l, s.env.zone()); ok {
			x.dates, x.present = append(x.dates, i), true
		}
	case Number:
		if n, ok := spanOf(l); ok {
			x.spans, x.present = append(x.spans, n), true
		}
	case Quantity:
		if a, ok := amountOf(l); ok {
			x.amounts, x.present = append(x.amounts, a), true
		}
	case URI:
		if a, ok := addressOf(l); ok {
			x.addresses, x.present = append(x.addresses, a), true
		}
	case Special:
		x.keep(l)
	}
}

// keep remembers an element whose parts modifiers ask for. It has a value if it is a primitive with
// content, or an object with a member that is no extension: a concept may be all text, a reference all
// identifier.
func (x *values) keep(l Leaf) {
	if x.bare {
		return
	}
	has := l.Computed != ""
	switch l.Node.Kind() {
	case tape.Object:
		for name := range l.Node.Members() {
			has = has || name != "extension" && name != "id" && name[0] != '_'
		}
	case tape.String:
		has = !l.Node.Is("")
	case tape.Bool, tape.Number:
		has = true
	}
	if has {
		x.leaves, x.present = append(x.leaves, l), true
	}
}
