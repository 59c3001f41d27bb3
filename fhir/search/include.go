package search

import (
	"context"
	"slices"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// iterate is the modifier by which an inclusion also starts from what was included.
const iterate = "iterate"

// inclusion is one _include or _revinclude: Source:parameter[:Target] (R4 search.html#include).
type inclusion struct {
	reverse bool
	iterate bool
	source  fhir.Type // "" for any, written *
	code    string    // "" for all reference parameters, written *
	target  fhir.Type // "" for any
}

func (r *results) readInclude(p *criteria.Pair) error {
	name, modifier, _ := strings.Cut(p.Name, ":")
	in := inclusion{reverse: name == paramRevinclude, iterate: modifier == iterate}
	if p.Value == "*" {
		r.include = append(r.include, in)
		return nil
	}
	parts := strings.Split(p.Value, ":")
	bad := func(reason string) error {
		return fhir.Errorf(fhir.Value, "http."+name, "%s=%s %s: write Type:parameter or Type:parameter:Type, as in Observation:subject:Patient", name, clip(p.Value), reason)
	}
	if len(parts) < 2 || len(parts) > 3 {
		return bad("has not two or three parts")
	}
	in.source, in.code = fhir.Type(parts[0]), parts[1]
	if !in.source.Known() {
		return bad("does not begin with a resource type")
	}
	switch in.code {
	case "":
		return bad("names no parameter")
	case "*":
		in.code = ""
	}
	if len(parts) == 3 && parts[2] != "" {
		if in.target = fhir.Type(parts[2]); !in.target.Known() {
			return bad("does not end with a resource type")
		}
	}
	r.include = append(r.include, in)
	return nil
}

// check finds out whether the named parameter is a reference.
func (in inclusion) check(defs *criteria.Definitions) error {
	if in.code == "" {
		return nil
	}
	name := paramInclude
	if in.reverse {
		name = paramRevinclude
	}
	p, ok := defs.Param(in.source, in.code)
	switch {
	case !ok:
		return fhir.Errorf(fhir.Value, "http."+name, "%q is not a search parameter of %s", clip(in.code), in.source)
	case p.Kind != criteria.Reference:
		return fhir.Errorf(fhir.Value, "http."+name, "%s of %s is a %s parameter: only references lead to other resources", in.code, in.source, p.Kind)
	}
	return nil
}

// params are the reference parameters of a type that the inclusion follows.
func (in inclusion) params(t fhir.Type, defs *criteria.Definitions) []*criteria.Param {
	if in.source != "" && in.source != t {
		return nil
	}
	if in.code != "" {
		if p, ok := defs.Param(t, in.code); ok {
			return []*criteria.Param{p}
		}
		return nil
	}
	var all []*criteria.Param
	for p := range defs.Params(t) {
		if p.Kind == criteria.Reference {
			all = append(all, p)
		}
	}
	return all
}

// gathering collects what is included on a page: each version once, and no match again.
type gathering struct {
	*searching
	seen map[versioned]bool
	all  []*fhir.Resource
}

type versioned struct {
	key     fhir.Key
	version uint64
}

// included follows the inclusions from the matches, and those with :iterate from what they bring, too.
func (s *searching) included(ctx context.Context, matches []*fhir.Resource) ([]*fhir.Resource, error) {
	if len(s.results.include) == 0 || len(matches) == 0 {
		return nil, nil
	}
	g := &gathering{searching: s, seen: map[versioned]bool{}}
	for _, m := range matches {
		g.seen[versioned{m.Key, m.Version}] = true
	}
	from := matches
	for round := 0; len(from) > 0; round++ { // each round adds something new, and MaxIncluded bounds that
		before := len(g.all)
		for _, reverse := range []bool{false, true} {
			var ins []inclusion
			for _, in := range s.results.include {
				if in.reverse == reverse && (round == 0 || in.iterate) {
					ins = append(ins, in)
				}
			}
			follow := g.forward
			if reverse {
				follow = g.backward
			}
			if len(ins) == 0 {
				continue
			}
			if err := follow(ctx, ins, from); err != nil {
				return nil, err
			}
		}
		from = slices.Clone(g.all[before:])
	}
	slices.SortFunc(g.all, func(a, b *fhir.Resource) int {
		if c := strings.Compare(a.Key.String(), b.Key.String()); c != 0 {
			return c
		}
		return int(int64(a.Version) - int64(b.Version))
	})
	return g.all, nil
}

func (g *gathering) add(r *fhir.Resource) error {
	if r == nil || g.seen[versioned{r.Key, r.Version}] || !g.around.beside(g.plan, criteria.NewSubject(r, g.env), r) {
		return nil
	}
	if len(g.all) == g.engine.o.MaxIncluded {
		return fhir.Errorf(fhir.TooCostly, "http."+paramInclude, "the page would include more than %d resources: ask for fewer matches with _count, or include less", g.engine.o.MaxIncluded)
	}
	g.seen[versioned{r.Key, r.Version}] = true
	g.all = append(g.all, r)
	return nil
}

// forward adds what resources refer to. What isn't there is left out in silence (R4 search.html#include).
func (g *gathering) forward(ctx context.Context, ins []inclusion, from []*fhir.Resource) error {
	var keys []fhir.Key
	wanted := map[fhir.Key]bool{}
	for _, r := range from {
		subject := criteria.NewSubject(r, g.env)
		for _, in := range ins {
			for _, p := range in.params(r.Key.Type, g.engine.defs) {
				if err := g.named(in, subject, p); err != nil {
					return err
				}
				for t := range subject.Targets(p) {
					if in.target != "" && in.target != t.Type {
						continue
					}
					key := fhir.Key{Tenant: g.plan.tenant, Type: t.Type, ID: t.ID}
					if t.Version != 0 {
						old, err := g.state.version(ctx, key, t.Version)
						if err != nil {
							return err
						}
						if err := g.add(old); err != nil {
							return err
						}
						continue
					}
					if !wanted[key] {
						wanted[key] = true
						keys = append(keys, key)
					}
				}
			}
		}
	}
	found, err := g.state.live(ctx, keys)
	if err != nil {
		return err
	}
	for _, r := range found {
		if err := g.add(r); err != nil {
			return err
		}
	}
	return nil
}

// named adds what a subject names by canonical URL.
func (g *gathering) named(in inclusion, subject *criteria.Subject, p *criteria.Param) error {
	named := subject.Named(p)
	if err := subject.Err(); err != nil {
		return err
	}
	for _, r := range named {
		if in.target == "" || in.target == r.Key.Type {
			if err := g.add(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// backward adds what refers to resources: what the index finds, or else one walk over each source type for all
// inclusions together.
func (g *gathering) backward(ctx context.Context, ins []inclusion, from []*fhir.Resource) error {
	targets := g.targetsOf(from)
	for _, t := range fhir.Types() {
		var follow []inclusion
		for _, in := range ins {
			if in.source == "" || in.source == t {
				follow = append(follow, in)
			}
		}
		if len(follow) == 0 {
			continue
		}
		index := g.engine.o.Index
		stretches, ok := g.referring(t, follow, from)
		if !ok {
			index = nil
		}
		look, err := having(ctx, index, g.state, g.cursor.At, scope{g.plan.tenant, t}, stretches)
		if err != nil {
			return err
		}
		err = look.candidates(ctx, g.state, fhir.Key{}, func(r *fhir.Resource) (bool, error) {
			if err := g.budget.spend(); err != nil {
				return false, err
			}
			if g.refers(r, follow, targets) {
				return true, g.add(r)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// referring is where the index has those of a type that refer to resources; false if it has not all of them.
func (g *gathering) referring(t fhir.Type, ins []inclusion, from []*fhir.Resource) (all []stretch, ok bool) {
	for _, in := range ins {
		for _, p := range in.params(t, g.engine.defs) {
			if index := g.engine.o.Index; index == nil || !index.knows(p) {
				return nil, false
			}
			for _, r := range from {
				if in.target != "" && in.target != r.Key.Type {
					continue
				}
				reaches := []criteria.Reach{{Class: criteria.MarkText, Text: r.Key.ID}}
				if url := canonicalURL(r); url != "" {
					if reach, ok := p.ReachOfKey(url); ok {
						reaches = append(reaches, reach)
					}
				}
				all = append(all, stretchesOf(g.plan.tenant, t, p.Code, reaches)...)
			}
		}
	}
	return all, true
}

// targets are what others may refer to: by their addresses, and by their canonical URLs.
type targets struct {
	keys map[fhir.Key]bool
	urls map[string][]*criteria.Subject
}

func (g *gathering) targetsOf(from []*fhir.Resource) targets {
	t := targets{map[fhir.Key]bool{}, map[string][]*criteria.Subject{}}
	for _, r := range from {
		t.keys[r.Key] = true
		if url := canonicalURL(r); url != "" {
			t.urls[url] = append(t.urls[url], criteria.NewSubject(r, g.env))
		}
	}
	return t
}

func canonicalURL(r *fhir.Resource) string { return r.Doc().Root().Get("url").Text() }

func (g *gathering) refers(r *fhir.Resource, ins []inclusion, to targets) bool {
	subject := criteria.NewSubject(r, g.env)
	for _, in := range ins {
		for _, p := range in.params(r.Key.Type, g.engine.defs) {
			for t := range subject.Targets(p) {
				if (in.target == "" || in.target == t.Type) && to.keys[fhir.Key{Tenant: g.plan.tenant, Type: t.Type, ID: t.ID}] {
					return true
				}
			}
			if len(to.urls) > 0 && in.names(subject, p, to) {
				return true
			}
		}
	}
	return false
}

// names tells whether a subject names one of the targets by canonical URL.
func (in inclusion) names(subject *criteria.Subject, p *criteria.Param, to targets) bool {
	for _, key := range subject.AppendKeys(nil, p) {
		for _, other := range to.urls[key] {
			if (in.target == "" || in.target == other.Resource().Key.Type) && subject.RefersTo(p, other) {
				return true
			}
		}
	}
	return false
}
