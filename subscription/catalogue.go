package subscription

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"fhirhook/channel/resthook"
	"fhirhook/fhir"
)

// change is a kind of change: what happened to resources of a type.
type change struct {
	of   fhir.Type
	what fhir.Interaction
}

// calling is one thing that changes of a kind are called.
type calling struct {
	change
	entry int // place in the dialect's catalogue, or generic
}

// generic is the entry of the name that is left where no catalogue entry fits.
const generic = -1

// interactions are all that a change can be.
var interactions = []fhir.Interaction{fhir.Create, fhir.Update, fhir.Delete}

// index finds the events of a dialect by what patterns say, all of it folded. A name without callings is one that
// the operator declares and that no change goes by.
type index struct {
	exact    map[string][]calling          // by name
	families map[string][]calling          // by what stands before a dot
	verbs    map[string][]calling          // of the catalogue, by what stands behind a dot
	words    map[string][]fhir.Interaction // of generic names: created …
	services map[string]bool               // nouns that stand for their family without .*
	entries  map[change][]int              // the catalogue entries that a change can be called by, in their order
}

// indexOf reads a dialect. Entries that can't be reached, for one before them fits all that they do, are left out:
// no change goes by their name.
func indexOf(d resthook.Dialect) *index {
	x := &index{
		exact: map[string][]calling{}, families: map[string][]calling{}, verbs: map[string][]calling{},
		words: map[string][]fhir.Interaction{}, services: map[string]bool{}, entries: map[change][]int{},
	}
	for _, t := range fhir.Types() {
		if service := d.Names.Service(string(t)); service != "" {
			x.services[service] = true
		}
		for _, i := range interactions {
			for _, name := range d.Names.Generic(string(t), i.String()) {
				x.add(name, calling{change{t, i}, generic})
				if _, word, _ := strings.Cut(name, "."); !slices.Contains(x.words[word], i) {
					x.words[word] = append(x.words[word], i)
				}
			}
		}
	}
	for n, e := range d.Events {
		for _, i := range interactions {
			c := change{fhir.Type(e.Type), i}
			if !e.About(string(c.of), i.String()) || x.closed(d, c) {
				continue
			}
			x.entries[c] = append(x.entries[c], n)
			o := calling{c, n}
			name := resthook.Fold(e.Name)
			x.add(name, o)
			if noun, word, _ := strings.Cut(name, "."); d.Names.Plural && x.words[word] != nil {
				x.services[noun] = true // the dialect's own nouns are services as much as its plurals
			}
			for at := range dots(name) {
				x.verbs[name[at+1:]] = append(x.verbs[name[at+1:]], o)
			}
		}
	}
	for _, name := range d.Declares {
		x.declare(resthook.Fold(name))
	}
	return x
}

// closed tells whether the catalogue entries so far leave no change of a kind for others.
func (x *index) closed(d resthook.Dialect, c change) bool {
	return slices.ContainsFunc(x.entries[c], func(n int) bool { return d.Events[n].Criteria == "" })
}

func (x *index) add(name string, o calling) {
	x.exact[name] = append(x.exact[name], o)
	for at := range dots(name) {
		x.families[name[:at]] = append(x.families[name[:at]], o)
	}
}

func (x *index) declare(name string) {
	know := func(in map[string][]calling, name string) {
		if _, ok := in[name]; !ok {
			in[name] = nil
		}
	}
	know(x.exact, name)
	for at := range dots(name) {
		know(x.families, name[:at])
		know(x.verbs, name[at+1:])
	}
}

// dots yields where the dots of a name are.
func dots(name string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range len(name) {
			if name[i] == '.' && !yield(i) {
				return
			}
		}
	}
}

// named is what a pattern stands for.
type named struct {
	callings []calling
	wide     Interactions // generic names of every type
	anyType  bool         // the pattern names no type: callings are what the catalogue has of it
}

// find looks a pattern up: *, family.*, *.verb, or a name; false if it is none that any event goes by.
func (x *index) find(pattern string) (named, bool) {
	p := resthook.Fold(pattern)
	if p == "*" || p == "*.*" {
		return named{wide: Interactions{true, true, true}, anyType: true}, true
	}
	if p == resthook.PingEvent {
		return named{}, true // tests are sent to everybody
	}
	if family, ok := strings.CutSuffix(p, ".*"); ok {
		callings, known := x.families[family]
		return named{callings: callings}, known
	}
	if verb, ok := strings.CutPrefix(p, "*."); ok {
		n := named{anyType: true}
		for _, i := range x.words[verb] {
			n.wide.add(i)
		}
		var known bool
		n.callings, known = x.verbs[verb]
		return n, known || n.wide != Interactions{}
	}
	if _, whole := x.exact[p]; x.services[p] && !whole {
		return named{callings: x.families[p]}, true
	}
	callings, known := x.exact[p]
	return named{callings: callings}, known
}

// ownFamilies lists the families of the catalogue and of the declared names, for a person who looks for the right one.
func ownFamilies(d resthook.Dialect) []string {
	families := map[string]bool{}
	for _, e := range d.Events {
		family, _, _ := strings.Cut(e.Name, ".")
		families[family] = true
	}
	for _, name := range d.Declares {
		family, _, _ := strings.Cut(name, ".")
		families[family] = true
	}
	return slices.Sorted(maps.Keys(families))
}
