package search

import (
	"errors"
	"strconv"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// results are the result parameters of a search, apart from its filters.
type results struct {
	filters  []criteria.Pair // what is left for criteria
	count    int
	total    bool // count all matches
	sortText string
	sort     []sortKey
	summary  string // "" for false
	elements []string
	include  []inclusion
	page     string
	explain  bool

	self map[int]criteria.Pair // what was used, by its place in the request
}

// The codes of _summary.
const (
	summaryTrue  = "true"
	summaryText  = "text"
	summaryData  = "data"
	summaryCount = "count"
)

// parseResults takes the result parameters out of a request. Parameters without a value are left out, as R4
// search.html#escaping has it for all.
func parseResults(pairs []criteria.Pair) (*results, error) {
	r := &results{count: defaultCount, total: true, self: map[int]criteria.Pair{}}
	seen := map[string]bool{}
	for i, p := range pairs {
		name, modifier, modified := strings.Cut(p.Name, ":")
		read, ok := readers[name]
		if !ok {
			r.filters = append(r.filters, p)
			r.self[i] = p
			continue
		}
		if name == paramFormat || name == paramPretty || p.Value == "" && !modified {
			continue // theirs to read who write the answer
		}
		repeats := name == paramInclude || name == paramRevinclude
		if modified && !(repeats && modifier == iterate) {
			return nil, fhir.Errorf(fhir.NotSupported, "http."+name, "%s takes no modifier %q", name, ":"+modifier)
		}
		if seen[name] && !repeats {
			return nil, fhir.Errorf(fhir.Invalid, "http."+name, "%s is there more than once: give it one value", name)
		}
		seen[name] = true
		if p.Value == "" {
			continue
		}
		used := p
		if err := read(r, &used); err != nil {
			return nil, err
		}
		r.self[i] = used
	}
	return r, r.check()
}

// check refuses what contradicts itself.
func (r *results) check() error {
	if r.summary == summaryText && len(r.include) > 0 {
		return fhir.Errorf(fhir.Invalid, "http."+paramSummary, "_summary=text can't be had together with _include or _revinclude (R4 search.html#summary)")
	}
	if r.summary != "" && len(r.elements) > 0 {
		return fhir.Errorf(fhir.Invalid, "http."+paramElements, "_elements and _summary both say what to show: give one of them")
	}
	if r.count == 0 {
		r.summary = summaryCount
	}
	return nil
}

// usedPairs are the parameters in the order of the request, without those that criteria ignored.
func (r *results) usedPairs(n int, ignored []criteria.Ignored) []criteria.Pair {
	left := map[criteria.Pair]bool{}
	for _, i := range ignored {
		left[criteria.Pair{Name: i.Name, Value: i.Value}] = true
	}
	used := make([]criteria.Pair, 0, n)
	for i := range n {
		if p, ok := r.self[i]; ok && !left[p] && p.Value != "" {
			used = append(used, p)
		}
	}
	return used
}

// readers read one parameter each; they may put right in the pair what was really used.
var readers = map[string]func(*results, *criteria.Pair) error{
	paramCount:         (*results).readCount,
	paramTotal:         (*results).readTotal,
	paramSort:          (*results).readSort,
	paramSummary:       (*results).readSummary,
	paramElements:      (*results).readElements,
	paramInclude:       (*results).readInclude,
	paramRevinclude:    (*results).readInclude,
	paramContained:     (*results).readContained,
	paramContainedType: (*results).readContained,
	paramPage:          (*results).readPage,
	paramExplain:       (*results).readExplain,
	paramFormat:        nil,
	paramPretty:        nil,
}

// readCount caps the count: a server may return fewer, never more (R4 search.html#count).
func (r *results) readCount(p *criteria.Pair) error {
	n, err := strconv.ParseUint(p.Value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange): // a sign is no digit, so this one is only too large
		n = maxCount
	case err != nil:
		return fhir.Errorf(fhir.Value, "http."+paramCount, "%q is not a number of results: write a whole number from 0", clip(p.Value))
	}
	r.count = int(min(n, maxCount))
	p.Value = strconv.Itoa(r.count)
	return nil
}

func (r *results) readTotal(p *criteria.Pair) error {
	switch p.Value {
	case "none":
		r.total = false
	case "accurate", "estimate": // an exact one is the best estimate
	default:
		return oneOf(p, "none", "estimate", "accurate")
	}
	return nil
}

func (r *results) readSummary(p *criteria.Pair) error {
	switch p.Value {
	case "false":
	case summaryTrue, summaryText, summaryData, summaryCount:
		r.summary = p.Value
	default:
		return oneOf(p, summaryTrue, summaryText, summaryData, summaryCount, "false")
	}
	return nil
}

func (r *results) readElements(p *criteria.Pair) error {
	for name := range strings.SplitSeq(p.Value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			r.elements = append(r.elements, strings.TrimSuffix(name, "[x]"))
		}
	}
	return nil
}

// readContained takes what is the default anyhow, and refuses searching inside contained resources.
func (r *results) readContained(p *criteria.Pair) error {
	if p.Name == paramContained && p.Value == "false" || p.Name == paramContainedType && p.Value == "container" {
		return nil
	}
	return fhir.Errorf(fhir.NotSupported, "http."+p.Name, "%s=%s: searching inside contained resources is not offered", p.Name, clip(p.Value))
}

func (r *results) readPage(p *criteria.Pair) error {
	r.page = p.Value
	return nil
}

func (r *results) readExplain(p *criteria.Pair) error {
	switch p.Value {
	case "true":
		r.explain = true
	case "false":
	default:
		return oneOf(p, "true", "false")
	}
	return nil
}

func oneOf(p *criteria.Pair, values ...string) error {
	return fhir.Errorf(fhir.Value, "http."+p.Name, "%s=%s is not known: write one of %s", p.Name, clip(p.Value), strings.Join(values, ", "))
}

func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
