package search

import (
	"context"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// Search answers a request from the newest state, or from that of the first page if the request is a page
// link. Its errors are *fhir.Error, but for those of the store and of ctx.
func (e *Engine) Search(ctx context.Context, req Request) (Page, error) {
	r, err := parseResults(req.Params)
	if err != nil {
		return Page{}, err
	}
	if req.Sees != nil {
		e = e.As(req.Sees)
	}
	ctx, cancel := e.deadline(ctx)
	defer cancel()
	s := &searching{engine: e, results: r, budget: budget{e.o.MaxScan, e.o.MaxScan}}
	if err := s.place(ctx, &req); err != nil {
		return Page{}, e.explain(ctx, err)
	}
	e = s.engine
	s.around = req.Compartment
	query, ignored, err := criteria.ParseParams(req.Type, r.filters, e.defs, !req.Strict)
	if err != nil {
		return Page{}, err
	}
	p := newPlan(req.Tenant, query)
	if err := p.limit(req.Compartment, e.defs); err != nil {
		return Page{}, err
	}
	s.plan = p
	if s.order, err = newOrder(r.sort, p.types, e.defs); err != nil {
		return Page{}, err
	}
	s.order.lead = req.lead(p)
	if err := e.checkResults(r, p); err != nil {
		return Page{}, err
	}
	if err := s.begin(ctx, &req); err != nil {
		return Page{}, e.explain(ctx, err)
	}
	page := Page{Self: r.usedPairs(len(req.Params), ignored)}
	for _, i := range ignored {
		page.Issues = append(page.Issues, fhir.Errorf(fhir.NotSupported, "http."+i.Name, "%s; it was left out of the search", i.Reason))
	}
	if err := s.fill(ctx, &page, &req); err != nil {
		return Page{}, e.explain(ctx, err)
	}
	return page, nil
}

// searching is one search under way.
type searching struct {
	engine  *Engine
	plan    *plan
	around  Compartment
	results *results
	order   *order
	env     criteria.Env
	state   state
	budget  budget
	byTime  bool     // the log was read backwards
	looked  []string // what explain says of the Virtuals

	paged  bool
	cursor cursor // where this page begins; of the first one only At and Now
	last   hit    // the last hit of the page before
}

// place finds the place that the search reads at, and the search parameters in force there.
func (s *searching) place(ctx context.Context, req *Request) error {
	now := req.Now
	if now.IsZero() {
		now = time.Now()
	}
	s.cursor = cursor{Now: now.UnixMilli()}
	if s.results.page != "" {
		c, err := s.engine.open(s.results.page, req, s.results)
		if err != nil {
			return err
		}
		s.cursor, s.paged = c, true
	}
	return s.engine.db.View(ctx, func(r store.Reader) error {
		if !s.paged {
			s.cursor.At = r.Last()
		} else if s.cursor.At > r.Last() {
			return fhir.Errorf(fhir.Value, "http."+paramPage, "this page link is from a later state of the store than the present one: start again without %s", paramPage)
		} else if s.cursor.At < r.Horizon() {
			return fhir.Errorf(fhir.Gone, "http."+paramPage, "this page link is so old that the versions it is about are no longer kept: start again without %s", paramPage)
		}
		defs, err := s.engine.catalogue.At(r, req.Tenant, s.cursor.At)
		s.engine = s.engine.using(defs)
		return err
	})
}

// begin finds the hit that the page begins behind.
func (s *searching) begin(ctx context.Context, req *Request) error {
	s.env = criteria.Env{Now: s.cursor.now(), Bases: req.Bases, Zone: req.Zone}
	s.state = s.engine.view(snapshot{s.engine.db, s.cursor.At}, s.env)
	s.env.Lookup = criteria.NewLookup(newResolver(ctx, s.engine.o.Index, s.state, s.plan.tenant, s.env, &s.budget), s.engine.defs)
	if err := s.plan.query.Check(s.env); err != nil {
		return err
	}
	if !s.paged {
		return nil
	}
	found, err := s.state.live(ctx, []fhir.Key{s.lastKey()})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		shown, err := s.engine.virtual(ctx, s.lastKey())
		if err != nil {
			return err
		}
		if shown != nil {
			found = append(found, shown)
		}
	}
	if len(found) == 0 {
		return fhir.Errorf(fhir.Value, "http."+paramPage, "the page that this link follows is no longer kept: start again without %s", paramPage)
	}
	s.last = s.order.place(criteria.NewSubject(found[0], s.env))
	return nil
}

func (s *searching) lastKey() fhir.Key {
	return fhir.Key{Tenant: s.plan.tenant, Type: s.cursor.Type, ID: s.cursor.ID}
}

// fill runs the search.
func (s *searching) fill(ctx context.Context, page *Page, req *Request) error {
	countOnly := s.results.summary == summaryCount
	counting := countOnly || s.results.total && s.cursor.Total == nil
	hits, total, err := s.hits(ctx, s.results.count+1, counting)
	if err != nil {
		return err
	}
	if s.results.explain {
		page.Plan = s.explain(counting)
	}
	switch {
	case counting:
		page.Total, page.TotalKnown = total, true
	case s.cursor.Total != nil && s.results.total:
		page.Total, page.TotalKnown = *s.cursor.Total, true
	}
	if countOnly {
		return nil
	}
	if len(hits) > s.results.count {
		hits = hits[:s.results.count]
		last := hits[len(hits)-1].resource.Key
		c := cursor{At: s.cursor.At, Now: s.cursor.Now, Type: last.Type, ID: last.ID}
		if page.TotalKnown {
			c.Total = &page.Total
		}
		page.Next = nextPage(page.Self, s.engine.seal(c, req, s.results))
	}
	for _, h := range hits {
		page.Matches = append(page.Matches, h.resource)
	}
	if page.Included, err = s.included(ctx, page.Matches); err != nil {
		return err
	}
	s.results.show(page.Matches)
	return nil
}

// hits finds the first hits behind the last one, and counts all matches if asked to. Where the walk goes in
// the order asked for, it begins where the page does and ends with it.
func (s *searching) hits(ctx context.Context, most int, counting bool) ([]hit, int, error) {
	if err := s.plan.prepare(ctx, s.engine, s.state, s.cursor.At, s.env); err != nil {
		return nil, 0, err
	}
	page, total := first{order: s.order, most: most}, 0
	if s.newestFirst(counting) {
		s.byTime = true
		if err := s.newest(ctx, &page); err != nil {
			return nil, 0, err
		}
		_, err := s.hitVirtuals(ctx, &page, counting)
		return page.sorted(), 0, err
	}
	led, err := s.leading(ctx, &page, counting)
	if err != nil {
		return nil, 0, err
	}
	total += led
	inOrder := s.order.natural(s.plan.types) && s.plan.ordered()
	var after fhir.Key
	if inOrder && s.paged && !counting && s.lastKey() != s.order.lead {
		after = s.lastKey()
	}
	err = s.plan.candidates(ctx, s.state, after, func(r *fhir.Resource) (bool, error) {
		if r.Key == s.order.lead {
			return true, nil
		}
		matches, err := s.weigh(r, &page)
		if matches {
			total++
		}
		return err == nil && (counting || !inOrder || len(page.hits) < most), err
	})
	if err != nil {
		return nil, 0, err
	}
	more, err := s.hitVirtuals(ctx, &page, counting)
	return page.sorted(), total + more, err
}

// leading weighs the resource that comes first whatever its type: the walk would find it too late.
func (s *searching) leading(ctx context.Context, page *first, counting bool) (int, error) {
	if s.order.lead == (fhir.Key{}) || s.paged && !counting {
		return 0, nil
	}
	found, err := s.state.live(ctx, []fhir.Key{s.order.lead})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	matches, err := s.weigh(found[0], page)
	if err != nil || !matches {
		return 0, err
	}
	return 1, nil
}

// weigh looks at a candidate: whether it matches, and if it comes behind the page before, it is offered to this one.
func (s *searching) weigh(r *fhir.Resource, page *first) (matches bool, err error) {
	if err := s.budget.spend(); err != nil {
		return false, err
	}
	subject := criteria.NewSubject(r, s.env)
	if matches := s.plan.matches(subject, r); !matches || subject.Err() != nil {
		return false, subject.Err()
	}
	if h := s.order.place(subject); !s.paged || s.order.compare(s.last, h) < 0 {
		page.offer(h)
	}
	return true, nil
}
