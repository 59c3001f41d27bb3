package rest

import (
	"context"
	"net/http"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/search"
)

// search answers a searchset (R4 http.html#search). What the parameters mean is the Searcher's; here is only
// the form of the answer.
func (s *Server) search(ctx context.Context, c *call) (answer, error) {
	path := ""
	if c.target.typ != "" {
		path = "/" + string(c.target.typ)
	}
	return s.searchAround(ctx, c, c.target.typ, search.Compartment{}, path)
}

// searchAround is a search of a type ("" for all), maybe in a compartment; path is what its links go to, below
// [base].
func (s *Server) searchAround(ctx context.Context, c *call, t fhir.Type, around search.Compartment, path string) (answer, error) {
	// A page has no tag, so If-None-Match holds for every page (RFC 9110 section 13.1.2).
	if err := c.cond.refuse(c.code, "If-None-Match"); err != nil {
		return answer{}, err
	}
	if err := c.permit(auth.Search, t); err != nil {
		return answer{}, err
	}
	page, err := s.Search.Search(ctx, search.Request{
		Tenant: c.tenant, Type: t, Params: c.target.query, Compartment: around, Strict: c.prefer.strict, Bases: []string{c.base}, Sees: c.sight(t),
	})
	if err != nil {
		return answer{}, err
	}
	url := c.base + path
	page.Self = append(page.Self, c.extra...)
	b := bundle{kind: "searchset", links: []link{{"self", withQuery(url, page.Self)}}}
	if page.TotalKnown {
		b.total = &page.Total
	}
	if page.Next != nil {
		b.links = append(b.links, link{"next", withQuery(url, append(page.Next, c.extra...))})
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
