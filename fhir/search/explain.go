package search

import (
	"fmt"
	"slices"
	"strings"

	"fhirhook/fhir"
)

// explain tells how a search was done, a sentence for each step.
func (s *searching) explain(counted bool) []string {
	p := s.plan
	if s.engine.sees != nil {
		// Numbers of what was looked at would tell how much there is out of sight.
		return []string{"How it was done is only told to those who may see everything."}
	}
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch {
	case s.byTime:
		add("%s: the log was read backwards, in which the newest come first, until the page was full.", p.about(p.types))
	case p.ids != nil:
		add("%s: _id names %d resources, which were read.", p.about(p.types), len(p.ids))
	case p.access != nil:
		lines = append(lines, p.explainAccess()...)
	case s.engine.o.Index == nil:
		add("%s: every resource was looked at, for there is no index.", p.about(p.types))
	default:
		add("%s: every resource was looked at, for there is no parameter that filters.", p.about(p.types))
	}
	if n := p.tailSize(); n > 0 {
		add("The index is at row %d of the log, the search at row %d: %d resources written between them were looked at one by one.", p.place, p.at, n)
	}
	lines = append(lines, s.looked...)
	add("%d resources were looked at in all.", s.engine.o.MaxScan-s.budget.left)
	switch {
	case !s.byTime && !s.order.natural(p.types):
		add("All matches were sorted by %s.", s.results.sortText)
	case counted:
		add("All matches were counted; _total=none lets a walk end with its page.")
	}
	return lines
}

// explainAccess says for each type how it was found. Types that were walked for one reason share a sentence.
func (p *plan) explainAccess() []string {
	var lines []string
	walked := map[string][]fhir.Type{}
	for _, t := range p.types {
		a := p.access[t]
		if a == nil {
			continue
		}
		if a.walked {
			walked[a.reason] = append(walked[a.reason], t)
			continue
		}
		line := fmt.Sprintf("%s: the index gave %s", t, strings.Join(a.terms, ", "))
		if len(a.terms) > 1 {
			line += fmt.Sprintf("; %d rows have them all", len(a.rows))
		}
		if len(a.residue) > 0 {
			line += "; decided by looking: " + strings.Join(a.residue, ", ")
		}
		lines = append(lines, line+".")
	}
	reasons := make([]string, 0, len(walked))
	for reason := range walked {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		lines = append(lines, fmt.Sprintf("%s: every resource was looked at: %s.", p.about(walked[reason]), reason))
	}
	return lines
}

func (p *plan) about(types []fhir.Type) string {
	const most = 5
	names := make([]string, 0, most+1)
	for i, t := range types {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more types", len(types)-most))
			break
		}
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}

func (p *plan) tailSize() int {
	n := 0
	for _, t := range p.types {
		if a := p.access[t]; a != nil && !a.walked {
			n += len(p.tail[t])
		}
	}
	return n
}
