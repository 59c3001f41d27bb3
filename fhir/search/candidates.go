package search

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// The bounds of planning.
const (
	firstPeek = 1 << 10 // postings of each term that are looked at first; then eight times as many, and so on
	lastPeek  = 1 << 20 // beyond it no term is selective
	maxTail   = 10_000  // rows behind the index that a search reads from the log; beyond it, it walks
)

// access is how the candidates of a type are found.
type access struct {
	rows    []store.Seq // the index's candidates; nil with walked
	walked  bool
	terms   []string // that the index was asked for, with how many rows each has
	residue []string // that are decided by looking at the candidates alone
	reason  string   // why it is walked
}

// tail is what was written behind the index: the newest version of each resource, by type.
type tail map[fhir.Type][]*fhir.Resource

// prepare decides for each type how its candidates are found, and finds those that the index knows.
// Everything is as of a place; the index may be behind it, or beyond.
func (p *plan) prepare(ctx context.Context, e *Engine, s state, at store.Seq, env criteria.Env) error {
	if p.ids != nil || e.o.Index == nil || len(p.query.Terms()) == 0 && p.members == nil {
		return nil
	}
	in := window{1, at}
	if low, high, ok := p.updated(env); ok {
		var err error
		if in, err = s.window(ctx, low, high, at); err != nil {
			return err
		}
		in.last = min(in.last, at)
	}
	own, place, err := p.ownGroups(ctx, e.o.Own, in, at, env)
	if err != nil {
		return err
	}
	err = e.o.Index.view(ctx, func(l lookup) error {
		place = min(place, l.place)
		p.access = map[fhir.Type]*access{}
		for _, t := range p.types {
			a, err := p.look(e.o.Index, l, t, in, at, env, own[t])
			if err != nil {
				return err
			}
			p.access[t] = a
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.at, p.place = at, place
	for _, a := range p.access { // what one index doesn't know is in the tail for both
		n, _ := slices.BinarySearch(a.rows, place+1)
		a.rows = a.rows[:n]
	}
	for _, a := range p.access {
		if !a.walked && at > place {
			p.tail, err = s.tail(ctx, p.tenant, place, at)
			return err
		}
	}
	return nil
}

// updated is the time that _lastUpdated confines the query to, in seconds.
func (p *plan) updated(env criteria.Env) (low, high int64, ok bool) {
	low, high = math.MinInt64, math.MaxInt64
	for i := range p.query.Terms() {
		term := &p.query.Terms()[i]
		if term.Name != "_lastUpdated" {
			continue
		}
		reaches, served := term.Reaches(p.types[0], env)
		first, last := int64(math.MaxInt64), int64(math.MinInt64)
		for _, r := range reaches {
			if r.Class == criteria.MarkPoint { // an instant is one
				first, last = min(first, int64(r.Low^1<<63)), max(last, int64(r.High^1<<63))
			}
		}
		if served {
			low, high, ok = max(low, first), min(high, last), true
		}
	}
	return low, high, ok
}

// group is the terms of a query about one parameter.
type group struct {
	name      string
	stretches []stretch
	rows      []store.Seq
	complete  bool
	fixed     bool // the rows are from elsewhere
}

// look plans one type: every term that the index serves is looked up, up to a bound that grows until the list
// of one is complete. What is complete is intersected; what is left is for the candidates to show. own are
// the groups that another index has looked up.
func (p *plan) look(x *Index, l lookup, t fhir.Type, in window, at store.Seq, env criteria.Env, own []group) (*access, error) {
	a := &access{}
	walk := func(format string, args ...any) (*access, error) {
		return &access{walked: true, reason: fmt.Sprintf(format, args...)}, nil
	}
	if at < l.floor {
		return walk("the index forgot what was replaced before row %d, and the search is as of row %d", l.floor, at)
	}
	if at > l.place+maxTail {
		return walk("the index is at row %d and the log at row %d", l.place, at)
	}
	groups := p.groups(x.knows, t, env, a)
	for _, g := range own {
		a.residue = slices.DeleteFunc(a.residue, func(name string) bool { return strings.Contains("&"+g.name+"&", "&"+name+"&") })
	}
	groups = append(groups, own...)
	if g, ok := p.memberGroup(x.knows, t, env); ok {
		groups = append(groups, g)
	}
	narrowed := in != window{1, at}
	in.last = min(in.last, l.place)
	if narrowed { // the time is as good as a term
		groups = append(groups, group{name: "_lastUpdated", stretches: []stretch{{field: fieldOf(p.tenant, t, "", 0)}}})
	}
	if len(groups) == 0 {
		return walk("no term of it is in the index")
	}
	for most := firstPeek; ; most *= 8 {
		done := false
		for i := range groups {
			g := &groups[i]
			if done = done || g.fixed; g.fixed {
				continue
			}
			var err error
			if g.rows, g.complete, err = l.rows(g.stretches, in, most); err != nil {
				return nil, err
			}
			done = done || g.complete
		}
		if done {
			break
		}
		all, few, err := l.rows([]stretch{{field: fieldOf(p.tenant, t, "", 0)}}, in, most)
		switch {
		case err != nil:
			return nil, err
		case few:
			return walk("each term that is in the index is true of most of the %d rows", len(all))
		case most >= lastPeek:
			return walk("each term that is in the index is true of more than %d rows", most)
		}
	}
	slices.SortStableFunc(groups, func(a, b group) int { return len(a.rows) - len(b.rows) })
	first := true
	for _, g := range groups {
		if !g.complete {
			a.residue = append(a.residue, g.name)
			continue
		}
		a.terms = append(a.terms, fmt.Sprintf("%s (%d rows)", g.name, len(g.rows)))
		if first {
			a.rows, first = g.rows, false
		} else {
			a.rows = common(a.rows, g.rows)
		}
	}
	return a, nil
}

// groups are the terms that the index serves for a type, one group for each parameter; the rest is residue.
func (p *plan) groups(knows func(*criteria.Param) bool, t fhir.Type, env criteria.Env, a *access) []group {
	byParam := map[*criteria.Param][]*criteria.Term{}
	var order []*criteria.Param
	for i := range p.query.Terms() {
		term := &p.query.Terms()[i]
		param, ok := term.Param(t)
		if !ok || !knows(param) {
			if term.Name != "_lastUpdated" {
				a.residue = append(a.residue, termName(term))
			}
			continue
		}
		if byParam[param] == nil {
			order = append(order, param)
		}
		byParam[param] = append(byParam[param], term)
	}
	var groups []group
	for _, param := range order {
		terms := byParam[param]
		var names []string
		for _, term := range terms {
			names = append(names, termName(term))
		}
		reaches, ok := criteria.Reaches(terms, t, env)
		if !ok {
			a.residue = append(a.residue, names...)
			continue
		}
		groups = append(groups, group{name: strings.Join(names, "&"), stretches: stretchesOf(p.tenant, t, param.Code, reaches)})
	}
	return groups
}

func termName(t *criteria.Term) string {
	values := make([]string, len(t.Values))
	for i, v := range t.Values {
		values[i] = v.String()
	}
	name := t.Name
	if t.Modifier != "" {
		name += ":" + t.Modifier
	}
	return clip(name + "=" + strings.Join(values, ","))
}

// ordered tells whether candidates come in order of type and id.
func (p *plan) ordered() bool {
	for _, a := range p.access {
		if !a.walked {
			return false
		}
	}
	return true
}

// found visits the candidates of a type that the index knows, and what was written behind it.
func (p *plan) found(ctx context.Context, s state, t fhir.Type, a *access, visit func(*fhir.Resource) (bool, error)) (bool, error) {
	own := p.members[t].own // it need not be among what the index found, for nothing in it says so
	if own != "" {
		rows, err := s.live(ctx, []fhir.Key{{Tenant: p.tenant, Type: t, ID: own}})
		if err != nil {
			return false, err
		}
		for _, r := range rows {
			if goOn, err := visit(r); err != nil || !goOn {
				return false, err
			}
		}
	}
	for rows := a.rows; len(rows) > 0; {
		some := rows[:min(batchRows, len(rows))]
		rows = rows[len(some):]
		found, err := s.rows(ctx, scope{p.tenant, t}, some, p.at)
		if err != nil {
			return false, err
		}
		for _, r := range found {
			if r.Key.ID == own {
				continue
			}
			if goOn, err := visit(r); err != nil || !goOn {
				return false, err
			}
		}
	}
	for _, r := range p.tail[t] {
		if r.Key.ID == own {
			continue
		}
		if goOn, err := visit(r); err != nil || !goOn {
			return false, err
		}
	}
	return true, nil
}
