package rest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/patch"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// maxIssues bounds how many faults of a transaction are told at once.
const maxIssues = 20

// transaction carries out all entries or none (R4 http.html#trules): deletes, then creates, then updates, then
// reads, whatever the order in the Bundle. Everything that can be judged without the store is judged before the
// transaction begins.
func (s *Server) transaction(ctx context.Context, c *call, nodes []tape.Node) (answer, error) {
	plan, err := s.plan(ctx, c, nodes)
	if err != nil {
		return answer{}, err
	}
	agreement, err := s.agreement(ctx, plan)
	if err != nil {
		return answer{}, err
	}
	var answers []answer
	_, err = s.DB.Update(ctx, c.origin, func(tx store.Writer) error {
		run := transactionRun{Server: s, plan: plan, tx: tx, answers: make([]answer, len(plan.parts)), keys: make([]fhir.Key, len(plan.parts)), gone: map[int][]fhir.Key{}, agreement: agreement}
		answers = run.answers
		spent := newSearchTime(c.within) // of all entries together
		plan.call.spent = spent
		for _, p := range plan.parts {
			p.call.spent = spent
		}
		return run.all(ctx)
	})
	if err != nil {
		return answer{}, err
	}
	b := bundle{kind: "transaction-response", entries: make([]entry, len(answers))}
	for i, p := range plan.parts {
		b.entries[i] = entryOf(p, answers[i], c.base)
		if p.searches() {
			b.entries[i] = s.runPart(ctx, i, p) // what is committed can't fail any more, so this fails alone
			continue
		}
		s.note(p.call, i, p.method, answers[i], nil)
	}
	return answer{status: http.StatusOK, body: b.json()}, nil
}

// transactionPlan is a transaction that is checked as far as it can be without the store.
type transactionPlan struct {
	call   *call
	parts  []part
	writes []write // of the same index; zero for reads
}

func (s *Server) plan(ctx context.Context, c *call, nodes []tape.Node) (transactionPlan, error) {
	plan := transactionPlan{call: c, parts: make([]part, len(nodes)), writes: make([]write, len(nodes))}
	var problems []*fhir.Error
	for i, n := range nodes {
		err := s.planPart(ctx, &plan, c, i, n)
		if err == nil {
			continue
		}
		_, e := classify(atEntry(i, err))
		if e.Kind == fhir.Internal || ctx.Err() != nil {
			return plan, err
		}
		if problems = append(problems, e); len(problems) == maxIssues {
			break
		}
	}
	if len(problems) == 0 {
		problems = plan.sameTwice()
	}
	return plan, fhir.Join(problems)
}

func (s *Server) planPart(ctx context.Context, plan *transactionPlan, c *call, i int, n tape.Node) (err error) {
	p, err := s.part(c, i, n)
	plan.parts[i] = p
	switch {
	case err != nil:
		return err
	case p.writes():
		plan.writes[i], err = newWrite(p.call)
		return err
	case p.searches():
		// It runs again behind the commit, where it sees what the transaction wrote; a search that can't run
		// must show before.
		return c.within.search(ctx, func(ctx context.Context) error {
			_, err := p.route.run(s, ctx, p.call)
			return err
		})
	default:
		return nil
	}
}

func (p part) writes() bool { return p.route.code.writes() }

// searches tells reads that don't run inside the transaction: a search walks more than a transaction should.
func (p part) searches() bool {
	return p.route.code == searchType || p.route.code == searchSystem || p.route.code == capability
}

// sameTwice finds entries that mean the same thing by their text; what conditions select shows later.
func (plan transactionPlan) sameTwice() []*fhir.Error {
	var problems []*fhir.Error
	fullURLs, conditions := map[string]int{}, map[string]int{}
	twice := func(seen map[string]int, what string, i int, member, text string) {
		first, ok := seen[what]
		if !ok {
			seen[what] = i
			return
		}
		problems = append(problems, fhir.Errorf(fhir.Invalid, entryExpression(i, member),
			"entry %d and entry %d %s: a transaction touches each resource once", first, i, text))
	}
	for i, p := range plan.parts {
		if p.fullURL != "" && p.writes() {
			twice(fullURLs, p.fullURL, i, entryRoot+".fullUrl", "have the same fullUrl")
		}
		if p.route.code == create && p.call.cond.hasNoneExist {
			twice(conditions, string(p.call.target.typ)+"?"+p.call.cond.ifNoneExist, i, entryRequest+".ifNoneExist", "have the same ifNoneExist")
		}
	}
	return problems
}

// transactionRun is one run of a transaction's function.
type transactionRun struct {
	*Server
	plan      transactionPlan
	agreement *agreement
	tx        store.Writer
	answers   []answer
	keys      []fhir.Key         // what each write but a delete is about, conditions resolved
	gone      map[int][]fhir.Key // what each delete has deleted
}

func (run *transactionRun) all(ctx context.Context) error {
	steps := []func(context.Context) error{run.choose, run.deletes, run.identify, run.unique}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	resources, err := run.resources(ctx)
	if err != nil {
		return err
	}
	for _, codes := range [][]interaction{{create}, {update, patchOne}} {
		for i, p := range run.plan.parts {
			if !slices.Contains(codes, p.route.code) || run.answers[i].status != 0 {
				continue
			}
			if err := run.store(i, resources[i]); err != nil {
				return atEntry(i, err)
			}
		}
	}
	return run.reads(ctx)
}

// resources returns what is to be stored, with the references resolved that name entries or conditions.
func (run *transactionRun) resources(ctx context.Context) ([]fhir.Incoming, error) {
	ids := identities{}
	for i, p := range run.plan.parts {
		if p.fullURL != "" && (p.route.code == create || p.route.code == update) {
			ids[p.fullURL] = identity{key: run.keys[i], created: p.route.code == create && run.answers[i].status == 0}
		}
	}
	out := make([]fhir.Incoming, len(run.plan.parts))
	conditional := false
	for i, p := range run.plan.parts {
		if run.plan.writes[i].call == nil || run.plan.writes[i].in.Doc == nil || run.answers[i].status != 0 {
			continue
		}
		in := run.plan.writes[i].in
		found := sites(in)
		var err error
		if out[i], err = spliced(in, ids.edits(found, root(p.fullURL)), run.MaxDepth); err != nil {
			return nil, atEntry(i, err)
		}
		conditional = conditional || slices.ContainsFunc(found, site.conditional)
	}
	if !conditional {
		return out, run.agree(out)
	}
	if err := run.resolveConditions(ctx, out); err != nil {
		return nil, err
	}
	return out, run.agree(out)
}

// conditional tells a reference that is a search, as in Practitioner?identifier=x.
func (s site) conditional() bool {
	if s.kind != referenceSite {
		return false
	}
	typ, query, ok := strings.Cut(s.node.Text(), "?")
	return ok && query != "" && fhir.Type(typ).Known()
}

// concerning says of an error about a condition where the condition stands: it has no URL of its own.
func concerning(err error, where string) error {
	e, ok := errors.AsType[*fhir.Error](err)
	if _, refused := errors.AsType[*auth.RefusedError](err); !ok || refused {
		return under(where, err)
	}
	at := *e
	at.Expression, at.More = where, nil
	for _, more := range e.More {
		also := *more
		also.Expression = where
		at.More = append(at.More, &also)
	}
	return &at
}

// resolveConditions replaces conditional references by what they select once all is written.
func (run *transactionRun) resolveConditions(ctx context.Context, resources []fhir.Incoming) error {
	pending := map[fhir.Key]fhir.Incoming{}
	for i, in := range resources {
		if in.Doc == nil && run.plan.parts[i].route.code != patchOne {
			continue
		}
		if w := run.plan.writes[i]; w.code == patchOne {
			prior, err := run.prior(run.tx, w.call, run.keys[i])
			if err != nil {
				return atEntry(i, err)
			}
			if w.patch, err = repatched(w.patch, in); err == nil {
				in, err = run.patched(run.tx, w, run.keys[i])
				err = run.untold(w.call, prior, err)
			}
			if err != nil {
				return atEntry(i, err)
			}
		}
		pending[run.keys[i]] = in
	}
	after, err := newOverlay(run.tx, pending)
	if err != nil {
		return err
	}
	known := map[string]string{} // the same condition is common: each is searched once
	for i, in := range resources {
		if in.Doc == nil {
			continue
		}
		var edits []tape.Edit
		for _, s := range sites(in) {
			if !s.conditional() {
				continue
			}
			condition := s.node.Text()
			target, ok := known[condition]
			if !ok {
				if target, err = run.resolveCondition(ctx, after, condition); err != nil {
					return atEntry(i, concerning(err, string(in.Type)+s.path(in.Doc.Root())))
				}
				known[condition] = target
			}
			start, end := s.node.Span()
			edits = append(edits, tape.Edit{Start: start, End: end, With: encode(target)})
		}
		if resources[i], err = spliced(in, edits, run.MaxDepth); err != nil {
			return atEntry(i, err)
		}
	}
	return nil
}

func (run *transactionRun) resolveCondition(ctx context.Context, r store.Reader, condition string) (string, error) {
	typ, query, _ := strings.Cut(condition, "?")
	pairs, err := criteria.ParsePairs(query)
	if err != nil {
		return "", err
	}
	match, err := run.one(ctx, r, run.plan.call, fhir.Type(typ), "", pairs)
	if err != nil {
		return "", err
	}
	if match == nil {
		return "", fhir.Errorf(fhir.PreconditionFailed, "", "the conditional reference %s selects nothing, and must select one resource", clip(condition))
	}
	return match.Key.String(), nil
}

// spliced is a resource with edits made.
func spliced(in fhir.Incoming, edits []tape.Edit, depth int) (fhir.Incoming, error) {
	if len(edits) == 0 {
		return in, nil
	}
	return fhir.Read(in.Doc.Splice(edits...), depth)
}

// repatched is a patch whose Parameters had references resolved; in without a document leaves it as it was.
func repatched(p patch.Patch, in fhir.Incoming) (patch.Patch, error) {
	if in.Doc == nil {
		return p, nil
	}
	return patch.FHIRPath(in)
}

// store writes entry i.
func (run *transactionRun) store(i int, in fhir.Incoming) error {
	w := run.plan.writes[i]
	call := *w.call // the answer to a create echoes what was sent, references resolved
	call.in = in
	w.call = &call
	var err error
	switch w.code {
	case update:
		run.answers[i], err = run.put(run.tx, w, run.keys[i])
		return err
	case patchOne:
		if w.patch, err = repatched(w.patch, in); err == nil {
			run.answers[i], err = run.patchIn(run.tx, w, run.keys[i])
		}
		return err
	}
	run.answers[i], err = run.make(run.tx, w, run.keys[i], in)
	return err
}

// reads answers reads from what the transaction has made.
func (run *transactionRun) reads(ctx context.Context) error {
	for i, p := range run.plan.parts {
		var err error
		switch p.route.code {
		case read, vread:
			run.answers[i], err = run.readIn(ctx, run.tx, p.call)
		case historyInstance, historyType, historySystem:
			err = run.plan.call.spent.search(ctx, func(ctx context.Context) error { // it walks, and others wait
				run.answers[i], err = run.historyIn(ctx, run.tx, p.call)
				return err
			})
		}
		if err != nil {
			return atEntry(i, err)
		}
	}
	return nil
}
