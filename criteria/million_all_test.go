//go:build all

package criteria

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir"
)

// TestSet_equalsTheLinearLoopAMillionTimes holds 1,000 random queries of every kind against 1,000 random resources,
// by the predicate index and one by one.
func TestSet_equalsTheLinearLoopAMillionTimes(t *testing.T) {
	t.Parallel()
	const each = 1000
	queries := rapid.Custom(drawQuery)
	resources := rapid.Custom(func(t *rapid.T) *fhir.Resource {
		kind := rapid.SampledFrom(typePool).Draw(t, "type")
		return &fhir.Resource{Key: fhir.Key{Type: fhir.Type(kind)}, JSON: []byte(drawResource(t, kind))}
	})
	var set Set
	byID := map[string]*Query{}
	for i := range each {
		id := fmt.Sprintf("s%04d", i)
		byID[id] = queries.Example(i)
		set.Add(id, byID[id])
	}
	matches := 0
	for i := range each {
		r := resources.Example(i)
		var want []string
		for id, q := range byID {
			if q.Match(r, testEnv) {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		matches += len(want)
		if diff := cmp.Diff(want, set.Match(r, testEnv)); diff != "" {
			t.Fatalf("on %s (-loop +set):\n%s", r.JSON, diff)
		}
	}
	t.Logf("%d evaluations, %d matches, 0 differences", each*each, matches)
	if matches < each {
		t.Errorf("only %d matches: the criteria say too little about these resources", matches)
	}
}
