package rest

import (
	"context"
	"net/http"

	"fhirhook/fhir"
	"fhirhook/fhir/search"
)

// search answers a searchset (R4 http.html#search). What the parameters mean is the Searcher's; here is only
// the form of the answer.
func (s *Server) search(ctx context.Context, c *call) (answer, error) {
	// A page has no tag, so If-None-Match holds for every page (RFC 9110 section 13.1.2).
	if err := c.cond.refuse(c.code, "If-None-Match"); err != nil {
		return answer{}, err
	}
	page, err := s.Search.Search(ctx, search.Request{
		Tenant: c.tenant, Type: c.target.typ, Params: c.target.query, Strict: c.prefer.strict, Bases: []string{c.base},
	})
	if err != nil {
		return answer{}, err
	}
	url := c.base
	if c.target.typ != "" {
		url += "/" + string(c.target.typ)
	}
	b := bundle{kind: "searchset", links: []link{{"self", withQuery(url, page.Self)}}}
	if page.TotalKnown {
		b.total = &page.Total
	}
	if page.Next != nil {
		b.links = append(b.links, link{"next", withQuery(url, page.Next)})
	}
	for _, r := range page.Matches {
		b.entries = append(b.entries, s.found(c, r, "match"))
	}
	for _, r := range page.Included {
		b.entries = append(b.entries, s.found(c, r, "include"))
	}
	if len(page.Issues) > 0 || len(page.Plan) > 0 {
		b.entries = append(b.entries, entry{resource: hints(page.Issues, page.Plan), mode: "outcome"})
	}
	return answer{status: http.StatusOK, body: b.json()}, nil
}

func (s *Server) found(c *call, r *fhir.Resource, mode string) entry {
	return entry{fullURL: c.base + "/" + r.Key.String(), resource: s.Gate.Redact(r), mode: mode}
}

// hints says what a search left out, and how it was done if that was asked for. In an answer that succeeded
// nothing may be an error (R4 search.html#Errors).
func hints(problems []*fhir.Error, plan []string) []byte {
	var issues []issue
	for _, p := range problems {
		issues = append(issues, newIssue("warning", outcomeOf(p.Kind).Code, p.Diagnostic, p.Expression))
	}
	for _, step := range plan {
		issues = append(issues, newIssue("information", "informational", step, ""))
	}
	return operationOutcome(issues...)
}
