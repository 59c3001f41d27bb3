package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// OwnIndex is the index of the search parameters that clients define. It stands beside the Index, and is made
// anew from the log, in the background, when a tenant's definitions change: what R4 defines is found as quickly
// meanwhile, and what they define is found by the other terms of a search, or by a walk. A restart goes on
// where it stopped. Where nothing is defined it does nothing.
type OwnIndex struct {
	db        store.DB
	catalogue *Catalogue
	tenants   func(context.Context) ([]string, error)
	o         IndexOptions

	mu  sync.RWMutex // guards now; Run alone writes it
	now *generation  // nil: nothing is defined, as far as Run has come
	end store.Seq    // of the log, when Run last looked
}

// generation is the index for the definitions of one moment.
type generation struct {
	index  *Index
	since  map[string]store.Seq // by tenant, the newest SearchParameter
	params map[scope]map[string]*criteria.Param
	built  bool // it has come near the end of the log
	began  time.Time
}

// NewOwnIndex makes the index of what the clients of some tenants define. Nothing happens before Run.
func NewOwnIndex(db store.DB, c *Catalogue, tenants func(context.Context) ([]string, error), o IndexOptions) *OwnIndex {
	return &OwnIndex{db: apart{db, ownShelves}, catalogue: c, tenants: tenants, o: o.withDefaults()}
}

// OwnProgress is how far the index of clients' definitions has come.
type OwnProgress struct {
	Parameters int       // that are indexed: each for a tenant and a type
	Done, Of   store.Seq // rows of the log
	Built      bool      // searches by these parameters use the index
}

// Progress tells how far it has come.
func (x *OwnIndex) Progress() OwnProgress {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.now == nil {
		return OwnProgress{Built: true}
	}
	p := OwnProgress{Done: x.now.index.Place(), Of: x.end, Built: x.now.built}
	for _, params := range x.now.params {
		p.Parameters += len(params)
	}
	return p
}

func (x *OwnIndex) current() *generation {
	if x == nil {
		return nil
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.now
}

// Run follows the log until ctx ends.
func (x *OwnIndex) Run(ctx context.Context) error {
	for {
		err := x.follow(ctx)
		switch {
		case ctx.Err() != nil:
			if g := x.current(); g != nil {
				return g.index.leave(ctx)
			}
			return nil
		case errors.Is(err, store.ErrClosed):
			return err
		}
		x.o.Log.Error("search.parameters.index", "error", err)
		x.become(nil) // begun anew, for it is not known what was written
		pause(ctx, retryAfter)
	}
}

func (x *OwnIndex) follow(ctx context.Context) error {
	for {
		last, busy, err := x.step(ctx)
		if err != nil {
			return err
		}
		if !busy {
			if err := x.db.Wait(ctx, last); err != nil {
				return err
			}
			pause(ctx, gather)
		}
	}
}

// step does one short piece of work, and tells whether there may be more, and how far the log reached before.
func (x *OwnIndex) step(ctx context.Context) (last store.Seq, busy bool, err error) {
	last, err = x.renew(ctx)
	g := x.current()
	if err != nil || g == nil {
		return last, false, err
	}
	if busy, err = g.index.step(ctx); err != nil {
		return last, false, err
	}
	if place := g.index.Place(); !g.built && place+absorbRows >= last {
		x.mu.Lock()
		g.built = true
		x.mu.Unlock()
		x.o.Log.Info("search.parameters.indexed", "rows", place, "took", x.o.Clock().Sub(g.began).Round(time.Millisecond))
	}
	return last, busy, nil
}

// renew begins another generation if the definitions have changed.
func (x *OwnIndex) renew(ctx context.Context) (last store.Seq, err error) {
	tenants, err := x.tenants(ctx)
	if err != nil {
		return 0, err
	}
	now := x.current()
	next := &generation{since: map[string]store.Seq{}, params: map[scope]map[string]*criteria.Param{}, began: x.o.Clock()}
	err = x.db.View(ctx, func(r store.Reader) error {
		last = r.Last()
		for _, tenant := range tenants {
			since, err := lastDefined(r, tenant, last)
			if err != nil {
				return err
			}
			if since > 0 {
				next.since[tenant] = since
			}
		}
		x.mu.Lock()
		x.end = last
		x.mu.Unlock()
		if now != nil && sameSince(now.since, next.since) {
			return nil
		}
		for tenant, since := range next.since {
			defs, err := x.catalogue.At(r, tenant, since)
			if err != nil {
				return err
			}
			next.define(tenant, x.catalogue.Base(), defs)
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case now == nil && len(next.params) == 0, now != nil && sameSince(now.since, next.since):
		return last, nil
	}
	meaning := next.meaning()
	if now != nil {
		if now.index.meaning == meaning { // a draft, or a text
			next.index, next.built, next.began = now.index, now.built, now.began
			next.index.marker.renew(next.of)
			x.become(next)
			return last, nil
		}
		now.index.retire()
	}
	next.index = newIndexOf(x.db, meaning, newSparseMarker(next.of), x.o)
	x.become(nil)
	if err := next.index.begin(ctx); err != nil {
		return 0, err
	}
	if len(next.params) > 0 {
		x.o.Log.Info("search.parameters.indexing", "from", next.index.Place(), "to", last)
		x.become(next)
	}
	return last, nil
}

func (x *OwnIndex) become(g *generation) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.now = g
}

func sameSince(a, b map[string]store.Seq) bool {
	if len(a) != len(b) {
		return false
	}
	for tenant, since := range a {
		if b[tenant] != since {
			return false
		}
	}
	return true
}

// define takes in what a tenant's table has beside those of all tenants.
func (g *generation) define(tenant string, base, defs *criteria.Definitions) {
	for _, d := range base.Differences(defs) {
		p, ok := defs.Param(d.Type, d.Code)
		if !ok || !indexed(p) {
			continue
		}
		s := scope{tenant, d.Type}
		if g.params[s] == nil {
			g.params[s] = map[string]*criteria.Param{}
		}
		g.params[s][d.Code] = p
	}
}

// of lists the parameters of a scope.
func (g *generation) of(s scope) []*criteria.Param {
	var all []*criteria.Param
	for _, p := range g.params[s] {
		all = append(all, p)
	}
	return all
}

// meaning is Index.meaning for what clients define.
func (g *generation) meaning() string {
	var parts []string
	for s, params := range g.params {
		for _, p := range params {
			parts = append(parts, s.tenant+"\x00"+p.Fingerprint())
		}
	}
	slices.Sort(parts)
	return fmt.Sprintf("%s-own-%016x", layout, number(strings.Join(parts, "\n")))
}

// knows tells whether it has a parameter of a tenant, meaning the same.
func (g *generation) knows(tenant string, t fhir.Type, p *criteria.Param) bool {
	own := g.params[scope{tenant, t}][p.Code]
	return own != nil && (own == p || own.Fingerprint() == p.Fingerprint())
}

// ownGroups are the terms of a type that this index serves, looked up, and the place that it is at. There are none where it
// can't say how things stood at the place that the search is about, or knows too much or too little of them.
func (p *plan) ownGroups(ctx context.Context, x *OwnIndex, in window, at store.Seq, env criteria.Env) (map[fhir.Type][]group, store.Seq, error) {
	g := x.current()
	if g == nil {
		return nil, at, nil
	}
	asked := map[fhir.Type][]group{}
	for _, t := range p.types {
		ignored := &access{}
		groups := p.groups(func(param *criteria.Param) bool { return g.knows(p.tenant, t, param) }, t, env, ignored)
		if len(groups) > 0 {
			asked[t] = groups
		}
	}
	if len(asked) == 0 {
		return nil, at, nil
	}
	place, found := at, map[fhir.Type][]group{}
	err := g.index.view(ctx, func(l lookup) error {
		if at < l.floor || at > l.place+maxTail {
			return nil
		}
		in.last = min(in.last, l.place)
		for t, groups := range asked {
			for _, group := range groups {
				var err error
				if group.rows, group.complete, err = l.rows(group.stretches, in, lastPeek); err != nil {
					return err
				}
				if group.fixed = true; group.complete {
					found[t] = append(found[t], group)
					place = min(place, l.place)
				}
			}
		}
		return nil
	})
	return found, place, err
}
