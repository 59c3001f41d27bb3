package criteria

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"fhirhook/fhir"
)

// at is the resource of a key; nil if there is none.
func (w *testWorld) at(key fhir.Key) *fhir.Resource {
	for _, r := range w.all {
		if r.Key == key {
			return r
		}
	}
	return nil
}

// reached are the keys of the resources that the ways of a query lead back to from those that changed.
func reached(t *rapid.T, q *Query, world *testWorld, changed []*fhir.Resource) map[fhir.Key]bool {
	env := world.env()
	found := map[fhir.Key]bool{}
	for _, way := range q.Ways() {
		seen := map[fhir.Key]bool{}
		for _, r := range changed {
			s := NewSubject(r, env)
			if !way.Query.Matches(s) {
				continue
			}
			if s.Err() != nil {
				t.Fatal(s.Err())
			}
			clear(seen)
			for x, err := range way.Back(s, world) {
				if err != nil {
					t.Fatal(err)
				}
				if !q.About(x.Key.Type) || seen[x.Key] && way.Direct() {
					t.Fatalf("%s: %s was yielded (before: %t)", q, x.Key, seen[x.Key])
				}
				seen[x.Key], found[x.Key] = true, true
			}
		}
	}
	return found
}

// Whatever changes: who is found since, without having changed, is reached from what changed.
func TestWay_reachesAllThatAreFoundSince(t *testing.T) {
	entered := 0
	rapid.Check(t, func(t *rapid.T) {
		_, before := drawLinkedWorld(t)
		_, other := drawLinkedWorld(t)
		after := &testWorld{}
		var changed []*fhir.Resource
		for _, kind := range modelKinds {
			for _, id := range []string{"0", "1", "2", "3"} {
				key := fhir.Key{Type: fhir.Type(kind), ID: id}
				was, is := before.at(key), before.at(key)
				if rapid.IntRange(0, 2).Draw(t, "change") == 0 {
					is = other.at(key)
				}
				if is == nil {
					continue
				}
				after.all = append(after.all, is)
				if was == nil || !bytes.Equal(was.JSON, is.JSON) {
					changed = append(changed, is)
				}
			}
		}
		for range rapid.IntRange(20, 40).Draw(t, "queries") { // few of them find anything since
			kind := rapid.SampledFrom(modelKinds).Draw(t, "kind")
			var pairs []Pair
			for range rapid.IntRange(1, 2).Draw(t, "terms") {
				pairs = append(pairs, drawTest(t, kind, 3).pair())
			}
			q, err := Parse(expression(kind, pairs...), R4())
			if err != nil {
				t.Fatal(err)
			}
			found := reached(t, q, after, changed)
			for _, r := range after.all {
				if slices.Contains(changed, r) || q.Matches(NewSubject(r, before.env())) || !q.Matches(NewSubject(r, after.env())) {
					continue
				}
				if entered++; !found[r.Key] {
					t.Fatalf("%s finds %s since, and no way from %v leads to it", q, r.JSON, changed)
				}
			}
		}
	})
	if entered < 5 {
		t.Errorf("%d resources were found since: the test says nothing", entered)
	}
}

func TestQuery_ways(t *testing.T) {
	for expression, want := range map[string][]string{
		"Patient?gender=male": nil,
		"Observation?subject:Patient.gender=male&status=final":         {"Patient?gender=male"},
		"Observation?subject:Patient.organization.name=x":              {"Patient?organization.name=x", "Organization?name=x"},
		"Patient?_has:Observation:patient:code=1":                      {"Observation?code=1"},
		"Patient?_has:Observation:patient:encounter:Encounter.class=x": {"Observation?encounter:Encounter.class=x", "Encounter?class=x"},
		"Patient?general-practitioner.name=x":                          {"[Organization,Practitioner]?name=x"},
		"Patient?_has:CarePlan:patient:activity-reference.performer=x": {
			"CarePlan?activity-reference.performer=x", "[DeviceRequest,ServiceRequest]?performer=x", "Task?performer=x",
		},
	} {
		var got []string
		for _, way := range query(t, expression).Ways() {
			got = append(got, way.Query.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}
