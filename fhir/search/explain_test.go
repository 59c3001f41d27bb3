package search_test

import (
	"strings"
	"testing"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir/search"
)

func TestSearch_explainsItsPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		w.put(t, `{"resourceType":"Observation","id":"`+id+`","status":"final","code":{"coding":[{"code":"`+id+`"}]},"subject":{"reference":"Patient/1"}}`)
	}
	index := search.NewSmallIndex(w.db, w.defs, time.Hour, nil)
	if err := index.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := index.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.put(t, `{"resourceType":"Observation","id":"e","status":"final","code":{"coding":[{"code":"a"}]}}`)
	tests := []struct {
		params  []criteria.Pair
		index   *search.Index
		wanted  string
		matches int
	}{
		{[]criteria.Pair{pair("code", "a"), pair("patient", "1"), pair("status:not", "x")}, index, "Observation: the index gave code=a (1 rows), patient=1 (4 rows); 1 rows have them all; decided by looking: status:not=x. " +
			"The index is at row 4 of the log, the search at row 5: 1 resources written between them were looked at one by one. 2 resources were looked at in all.", 1},
		{[]criteria.Pair{pair("code:text", "x")}, index, "Observation: every resource was looked at: no term of it is in the index. 5 resources", 0},
		{[]criteria.Pair{pair("_id", "a,b")}, index, "_id names 2 resources", 2},
		{nil, index, "there is no parameter that filters", 5},
		{[]criteria.Pair{pair("code", "a")}, nil, "there is no index", 2},
		{[]criteria.Pair{pair("_sort", "-_lastUpdated"), pair("_total", "none"), pair("_count", "2")}, index, "the log was read backwards", 2},
		{[]criteria.Pair{pair("_sort", "-_id")}, index, "sorted by -_id", 5},
		{[]criteria.Pair{pair("_lastUpdated", "lt2000")}, index, "the index gave _lastUpdated (0 rows)", 0},
	}
	for _, tt := range tests {
		engine := search.New(w.db, w.defs, search.Options{Index: tt.index})
		page, err := engine.Search(t.Context(), search.Request{Tenant: tenant, Type: "Observation", Params: append(tt.params, pair("_explain", "true"))})
		if err != nil {
			t.Fatal(err)
		}
		if plan := strings.Join(page.Plan, " "); !strings.Contains(plan, tt.wanted) || len(page.Matches) != tt.matches {
			t.Errorf("%v: %d matches, %s", tt.params, len(page.Matches), plan)
		}
	}
	page := w.search(t, "Observation", pair("code", "a"))
	if page.Plan != nil {
		t.Errorf("nobody asked for %q", page.Plan)
	}
}
