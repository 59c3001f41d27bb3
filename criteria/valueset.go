package criteria

import (
	"slices"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// valueSet is a stored ValueSet, compiled by itself: what it builds on is looked up when it is asked.
type valueSet struct {
	reference string
	listed    map[codeName]struct{} // its expansion, if that is complete; then it has no rules
	include   []setRule
	exclude   []setRule
	problem   *fhir.Error // why it can't be evaluated
}

type codeName struct{ system, code string }

// setRule is an include or exclude: what it says must all be true of a code.
type setRule struct {
	system  systemName
	codes   map[string]struct{} // nil: any that pass the rest
	filters []setFilter
	sets    []string // canonical URLs
}

func compileValueSet(r *fhir.Resource) *valueSet {
	root := r.Doc().Root()
	v := &valueSet{reference: r.Key.String()}
	if listed, ok := expansion(root.Get("expansion")); ok {
		v.listed = listed
		return v
	}
	compose := root.Get("compose")
	if compose.Get("include").Len() == 0 {
		v.problem = fhir.Errorf(fhir.NotSupported, "", "%s has neither a complete expansion nor a compose.include, so what is in it can't be told", v.reference)
		return v
	}
	v.include = v.rules(compose.Get("include"))
	v.exclude = v.rules(compose.Get("exclude"))
	return v
}

// expansion lists the codes of an expansion; false if there is none, or only a part of it.
func expansion(n tape.Node) (map[codeName]struct{}, bool) {
	if n.Get("contains").Len() == 0 {
		return nil, false
	}
	listed, count := map[codeName]struct{}{}, 0
	var add func(tape.Node)
	add = func(contains tape.Node) {
		for c := range contains.Elements() {
			count++
			if code := text(c.Get("code")); code != "" && !c.Get("abstract").Bool() {
				listed[codeName{text(c.Get("system")), code}] = struct{}{}
			}
			add(c.Get("contains"))
		}
	}
	add(n.Get("contains"))
	if total := n.Get("total"); total.Exists() {
		if most, ok := plainNumber(total.Text()); !ok || most > float64(count) {
			return nil, false
		}
	}
	return listed, true
}

func (v *valueSet) rules(n tape.Node) []setRule {
	var rules []setRule
	for e := range n.Elements() {
		rule := setRule{system: systemName{text(e.Get("system")), text(e.Get("version"))}}
		for c := range e.Get("concept").Elements() {
			if rule.codes == nil {
				rule.codes = map[string]struct{}{}
			}
			rule.codes[text(c.Get("code"))] = struct{}{}
		}
		for f := range e.Get("filter").Elements() {
			filter := setFilter{text(f.Get("property")), text(f.Get("op")), text(f.Get("value"))}
			if err := filter.check(); err != nil && v.problem == nil {
				v.problem = fhir.Errorf(fhir.NotSupported, "", "%s %s", v.reference, err.Diagnostic)
			}
			rule.filters = append(rule.filters, filter)
		}
		for s := range e.Get("valueSet").Elements() {
			rule.sets = append(rule.sets, text(s))
		}
		if rule.system.url == "" && len(rule.sets) == 0 && v.problem == nil {
			v.problem = fhir.Errorf(fhir.NotSupported, "", "%s includes something with neither a system nor a valueSet", v.reference)
		}
		rules = append(rules, rule)
	}
	return rules
}

// whole tells whether the rule takes in all codes of its system.
func (r *setRule) whole() bool { return r.codes == nil && len(r.filters) == 0 && len(r.sets) == 0 }

// asksSystem tells whether the rule can be decided only with the code system.
func (r *setRule) asksSystem() bool { return r.whole() || len(r.filters) > 0 }

// mostNested bounds value sets within value sets.
const mostNested = 20

// valueSet is the stored ValueSet at an address; if it can't be evaluated, the evaluation fails.
func (l *Lookup) valueSet(s *Subject, at target) *valueSet {
	v := l.setAt(s, at)
	if v == nil || l.proven[v] {
		return v
	}
	if !l.evaluable(s, v, []*valueSet{v}) {
		return nil
	}
	if l.proven == nil || len(l.proven) >= mostRemembered {
		l.proven = map[*valueSet]bool{}
	}
	l.proven[v] = true
	return v
}

// setAt finds a ValueSet: a literal address comes first, else it is a canonical URL (R4 search.html#modifiers).
func (l *Lookup) setAt(s *Subject, at target) *valueSet {
	if v, ok := l.sets[at]; ok {
		l.may()
		return v
	}
	var found *Subject
	if at.rest && s.own(at.base) && at.kind == fhir.ValueSet {
		found = l.current(s.env, s.resource.Key.Tenant, at.kind, at.id)
	}
	if found == nil && l.err == nil {
		found = l.canonical(s.env, fhir.ValueSet, at.url, at.version)
	}
	switch {
	case l.err != nil:
		return nil
	case found == nil:
		l.fail(fhir.Errorf(fhir.NotSupported, "", "the value set %s is not stored here: store its ValueSet first", clip(at.whole)))
		return nil
	}
	k := versionKey{found.resource.Key, found.resource.Version}
	v := l.compiled.sets[k]
	if v == nil {
		v = compileValueSet(found.resource)
		if l.compiled.sets == nil || len(l.compiled.sets) >= mostCompiled {
			l.compiled.sets = map[versionKey]*valueSet{}
		}
		l.compiled.sets[k] = v
	}
	if l.sets == nil || len(l.sets) >= mostRemembered {
		l.sets = map[target]*valueSet{}
	}
	l.sets[at] = v
	return v
}

// evaluable tells whether all that a value set builds on is there, so that no verdict depends on which codes
// a resource happens to have.
func (l *Lookup) evaluable(s *Subject, v *valueSet, way []*valueSet) bool {
	if v.problem != nil {
		l.fail(v.problem)
		return false
	}
	for _, rules := range [][]setRule{v.include, v.exclude} {
		for i := range rules {
			r := &rules[i]
			if r.asksSystem() {
				c := l.codeSystem(s, r.system)
				if c == nil {
					return false
				}
				if err := r.evaluable(c, v.reference); err != nil {
					l.fail(err)
					return false
				}
			}
			for _, canonical := range r.sets {
				inner := l.setAt(s, canonicalOf(canonical))
				switch {
				case inner == nil:
					return false
				case slices.Contains(way, inner):
					l.fail(fhir.Errorf(fhir.NotSupported, "", "%s includes itself, by way of %s", inner.reference, v.reference))
					return false
				case len(way) == mostNested:
					l.fail(fhir.Errorf(fhir.TooCostly, "", "%s nests more than %d value sets", way[0].reference, mostNested))
					return false
				case !l.evaluable(s, inner, append(way[:len(way):len(way)], inner)):
					return false
				}
			}
		}
	}
	return true
}

func (r *setRule) evaluable(c *codeSystem, in string) *fhir.Error {
	if !c.complete {
		return fhir.Errorf(fhir.NotSupported, "", "%s takes codes from %s, which is not stored completely (%s)", in, c.url, c.reference)
	}
	for _, f := range r.filters {
		if !f.hierarchical() {
			continue
		}
		if err := c.ordered(f.value); err != nil {
			return err
		}
	}
	return nil
}

// holds tells whether a code is in the set. Without a known system (a code element whose binding is not known
// here), any system's will do.
func (v *valueSet) holds(s *Subject, c *coded) bool {
	if c.code == "" || c.rule != byCode && c.rule != byBinding || c.rule == byCode && c.system == "" {
		return false
	}
	if v.listed != nil {
		if c.system != "" {
			_, ok := v.listed[codeName{c.system, c.code}]
			return ok
		}
		for name := range v.listed {
			if name.code == c.code {
				return true
			}
		}
		return false
	}
	in := func(r setRule) bool { return r.holds(s, c) }
	return slices.ContainsFunc(v.include, in) && !slices.ContainsFunc(v.exclude, in)
}

func (r *setRule) holds(s *Subject, c *coded) bool {
	if r.system.url != "" && c.system != "" && c.system != r.system.url {
		return false
	}
	if r.codes != nil {
		if _, ok := r.codes[c.code]; !ok {
			return false
		}
	}
	l := s.look()
	if r.asksSystem() {
		system := l.codeSystem(s, r.system)
		if system == nil || !system.has(c.code) {
			return false
		}
		for _, f := range r.filters {
			if !f.holds(system, c.code) {
				return false
			}
		}
	}
	for _, canonical := range r.sets {
		if inner := l.setAt(s, canonicalOf(canonical)); inner == nil || !inner.holds(s, c) {
			return false
		}
	}
	return true
}
