//go:build all

package e2e_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// largestExample keeps out Bundles of megabytes, which would be delivered once for each of their values.
const largestExample = 64 << 10

// searchCase is a search that one or more examples answer, or that none does.
type searchCase struct {
	criteria string // Type?param=value
	own      map[string]bool
}

// TestCases_searchAndSubscriptionAgreeOnEveryParameter makes a case of each value that an example has for a
// search parameter, and one that nothing has. First all cases subscribe, then the examples are written, then all
// cases search. Those that a case was made from must be found and notified; and what is found must be exactly
// what was notified.
func TestCases_searchAndSubscriptionAgreeOnEveryParameter(t *testing.T) {
	t.Parallel()
	var examples []fhir.Incoming
	for _, example := range clinicalExamples(t) {
		if len(example.Doc.Bytes()) <= largestExample && example.Type != fhir.Subscription {
			examples = append(examples, example)
		}
	}
	cases, parameters := makeCases(examples)
	server := start(t, t.TempDir())
	r := newReceiver(t, nil)
	caseOf := map[string]*searchCase{}
	inParallel(4, cases, func(c *searchCase) string {
		text, _ := json.Marshal(c.criteria)
		body := strings.Replace(seed0Plain, "ENDPOINT", r.URL, 1)
		return server.create("Subscription", strings.Replace(body, `"DiagnosticReport?status=completed"`, string(text), 1))
	}, func(c *searchCase, id string) { caseOf[id] = c })

	for _, example := range examples {
		path := "/" + string(example.Type) + "/" + example.ID
		if a, err := server.request(http.MethodPut, path, string(example.Doc.Bytes())); err != nil || a.status >= http.StatusMultipleChoices {
			t.Fatalf("PUT %s: %v %d %.300s", path, err, a.status, a.body)
		}
	}
	found := map[*searchCase]map[string]bool{}
	inParallel(4, cases, func(c *searchCase) map[string]bool { return searchIDs(t, server, c.criteria) },
		func(c *searchCase, ids map[string]bool) { found[c] = ids })

	owed := 0
	for _, ids := range found {
		owed += len(ids)
	}
	notified := map[*searchCase]map[string]bool{}
	each := func(got []notification) bool { // a receiver that is busy with all of them may get one twice
		events := map[string]bool{}
		for _, n := range got {
			events[n.id] = true
		}
		return len(events) >= owed
	}
	for _, n := range r.await(t, "what the searches find", func(got []notification) bool { return len(got) >= owed && each(got) }) {
		c := caseOf[n.subscription]
		if notified[c] == nil {
			notified[c] = map[string]bool{}
		}
		id, _, _ := strings.Cut(n.resource, "/_history/")
		notified[c][id] = true
	}
	for _, c := range cases {
		for id := range c.own {
			if !found[c][id] {
				t.Errorf("GET %s does not find %s, which it was made from", c.criteria, id)
			}
		}
		if len(c.own) == 0 && len(found[c]) > 0 {
			t.Errorf("GET %s finds %v, and nothing has that value", c.criteria, slices.Collect(maps.Keys(found[c])))
		}
		if !maps.Equal(found[c], notified[c]) {
			t.Errorf("%s: found %v, notified %v", c.criteria, found[c], notified[c])
		}
	}
	t.Logf("%d cases over %d search parameters, %d matches: search and subscription agree", len(cases), parameters, owed)
}

// makeCases lists the cases in a fixed order, and counts the parameters that have a value.
func makeCases(examples []fhir.Incoming) (cases []*searchCase, parameters int) {
	byCriteria := map[string]*searchCase{}
	exercised := map[string]bool{}
	for _, example := range examples {
		for param := range criteria.R4().Params(example.Type) {
			if param.Code == "_lastUpdated" { // the server's own
				continue
			}
			for _, value := range ownValues(param, example.Doc.Root()) {
				name := string(example.Type) + "?" + param.Code + "="
				exercised[name] = true
				c := byCriteria[name+value]
				if c == nil {
					c = &searchCase{criteria: name + url.QueryEscape(value), own: map[string]bool{}}
					byCriteria[name+value] = c
				}
				c.own[string(example.Type)+"/"+example.ID] = true
				if none := noValue(param.Kind); none != "" && byCriteria[name+none] == nil {
					byCriteria[name+none] = &searchCase{criteria: name + url.QueryEscape(none)}
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byCriteria)) {
		cases = append(cases, byCriteria[name])
	}
	return cases, len(exercised)
}

// noValue is a value that no example has.
func noValue(kind criteria.Kind) string {
	switch kind {
	case criteria.Token:
		return "urn:nowhere|no-such-code"
	case criteria.Reference:
		return "Patient/nobody-at-all"
	case criteria.String:
		return "zzxq no such text"
	case criteria.Date:
		return "1211-11-11"
	case criteria.Number:
		return "-98765.4321"
	case criteria.Quantity:
		return "-98765.4321||no-such-unit"
	case criteria.URI:
		return "urn:nowhere:at-all"
	default:
		return ""
	}
}

// searchIDs runs a search that fits on one page.
func searchIDs(t *testing.T, server *process, query string) map[string]bool {
	ids := map[string]bool{}
	path := "/" + query + "&_count=1000&_elements=id"
	if strings.HasPrefix(query, "AuditEvent?") {
		path += "&type:not=transmit" // attempts are shown as AuditEvents, which no write made and nobody is notified of
	}
	a, err := server.request(http.MethodGet, path, "")
	if err != nil || a.status != http.StatusOK {
		t.Errorf("GET %s: %v %d %.300s", query, err, a.status, a.body)
		return ids
	}
	doc, err := tape.Parse(a.body, 0)
	if err != nil {
		t.Errorf("GET %s: %v", query, err)
		return ids
	}
	for entry := range doc.Root().Get("entry").Elements() {
		resource := entry.Get("resource")
		ids[resource.Get("resourceType").Text()+"/"+resource.Get("id").Text()] = true
	}
	return ids
}

// inParallel works on items from several goroutines and keeps the results from one at a time.
func inParallel[T, R any](workers int, items []T, work func(T) R, keep func(T, R)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	queue := make(chan T)
	for range workers {
		wg.Go(func() {
			for item := range queue {
				result := work(item)
				mu.Lock()
				keep(item, result)
				mu.Unlock()
			}
		})
	}
	for _, item := range items {
		queue <- item
	}
	close(queue)
	wg.Wait()
}
