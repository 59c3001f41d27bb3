package criteria

import (
	"iter"
	"slices"
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// Linked is a term that is held against other resources: those that the subject refers to (a chain), or those
// that refer to it (_has). It holds if it holds for one of them (R4 search.html#chaining, #has).
type Linked struct {
	Reverse bool        // _has
	Code    string      // the reference parameter: of the subject in a chain, of the others in _has
	Types   []fhir.Type // of the others, sorted; never empty
	Inner   *Term       // what is held against the others
	Or      *Linked     // the same chain into types in which the parameter is of another kind; nil: there are none

	table *Definitions
}

// Linked returns what a chain or _has is about; nil for other terms.
func (t *Term) Linked() *Linked { return t.linked }

func (k *Linked) holds(s *Subject) bool {
	for ; k != nil; k = k.Or {
		for other := range k.others(s) {
			if k.Inner.Holds(other) {
				return true
			}
		}
	}
	return false
}

// others yields the resources at the other end.
func (k *Linked) others(s *Subject) iter.Seq[*Subject] {
	if k.Reverse {
		return k.referrers(s)
	}
	return func(yield func(*Subject) bool) {
		p, ok := k.table.Param(s.resource.Key.Type, k.Code)
		if !ok || p.Kind != Reference {
			return
		}
		for other := range s.referred(p, k.Types) {
			if !yield(other) {
				return
			}
		}
	}
}

// referrers yields the resources that refer to the subject. To a contained resource none from outside can.
func (k *Linked) referrers(s *Subject) iter.Seq[*Subject] {
	return func(yield func(*Subject) bool) {
		if s.embedded {
			return
		}
		of := k.Types[0]
		p, ok := k.table.Param(of, k.Code)
		if !ok {
			return
		}
		keys := []string{s.resource.Key.String()}
		if url := text(s.root.Get("url")); url != "" && p.canonicals() {
			keys = append(keys, url)
		}
		for other := range s.look().having(s.env, of, p, keys) {
			if other.RefersTo(p, s) && !yield(other) {
				return
			}
		}
	}
}

// RefersTo tells whether the subject refers to another by a parameter: by its address, whatever the version,
// or by its canonical URL.
func (s *Subject) RefersTo(p *Param, o *Subject) bool {
	return slices.ContainsFunc(s.values(p).targets, func(t target) bool {
		key := o.resource.Key
		if t.rest && t.kind == key.Type && t.id == key.ID && s.own(t.base) {
			return true
		}
		return t.canonical && o.root.Get("url").Is(t.url) && (t.version == "" || o.root.Get("version").Is(t.version))
	})
}

// referred yields the resources of some types that the subject refers to by a parameter, contained ones and
// parts of a Bundle included. A reference to a version leads to the current one (R4 search.html#versions).
func (s *Subject) referred(p *Param, types []fhir.Type) iter.Seq[*Subject] {
	return func(yield func(*Subject) bool) {
		for _, l := range s.values(p).leaves {
			for _, other := range s.resolve(l, types) {
				if slices.Contains(types, other.resource.Key.Type) && !yield(other) {
					return
				}
			}
		}
	}
}

func (s *Subject) resolve(l Leaf, types []fhir.Type) []*Subject {
	if kind := text(l.Node.Get("resourceType")); kind != "" {
		return one(s.inside(l.Node, nil))
	}
	t, ok := pointsTo(l)
	switch {
	case !ok:
		return nil
	case strings.HasPrefix(t.whole, "#"):
		return one(s.contained(t.whole[1:]))
	case t.rest && s.own(t.base):
		if !slices.Contains(types, t.kind) {
			return nil
		}
		return one(s.look().current(s.env, s.resource.Key.Tenant, t.kind, t.id))
	case !t.canonical:
		return nil
	}
	url, fragment, _ := strings.Cut(t.url, "#")
	if fragment != "" {
		return nil
	}
	var all []*Subject
	for _, kind := range types {
		all = append(all, one(s.look().canonical(s.env, kind, url, t.version))...)
	}
	return all
}

func one(s *Subject) []*Subject {
	if s == nil {
		return nil
	}
	return []*Subject{s}
}

// contained finds a contained resource; "" is the one that contains them.
func (s *Subject) contained(id string) *Subject {
	top := s
	if s.container != nil {
		top = s.container
	}
	if id == "" {
		return top
	}
	for n := range top.root.Get("contained").Elements() {
		if n.Get("id").Is(id) {
			return top.inside(n, top)
		}
	}
	return nil
}

// inside makes a subject of a resource inside the subject's, which has no address of its own. Its #id lead to
// what the container contains, or what it contains itself.
func (s *Subject) inside(n tape.Node, container *Subject) *Subject {
	start, _ := n.Span()
	if o := s.parts[start]; o != nil {
		return o
	}
	s.look() // what stems from one subject shares it
	key := fhir.Key{Tenant: s.resource.Key.Tenant, Type: fhir.Type(text(n.Get("resourceType"))), ID: text(n.Get("id"))}
	o := NewSubject(&fhir.Resource{Key: key, Version: s.resource.Version, Updated: s.resource.Updated}, s.env)
	o.root, o.container, o.embedded = n, container, true
	if s.parts == nil {
		s.parts = map[int]*Subject{}
	}
	s.parts[start] = o
	return o
}
