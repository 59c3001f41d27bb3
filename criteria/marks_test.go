package criteria

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fhirhook/fhir"
)

// What a term matches has a mark where the term reaches: else the index of a store would lose it. Marks are
// made without an Env, as a store makes them, and sought in several.
func TestMarks_lieWithinTheReachesOfWhatMatches(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	served := 0
	var marker Marker
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(typePool).Draw(t, "type")
		r := &fhir.Resource{Key: fhir.Key{Type: fhir.Type(kind)}, JSON: []byte(drawResource(t, kind))}
		env := testEnv
		env.Zone = rapid.SampledFrom([]*time.Location{nil, time.UTC, berlin}).Draw(t, "zone")
		marked, subject := NewSubject(r, Env{}), NewSubject(r, env)
		for range 8 {
			one := drawPair(t, kind)
			pairs := []Pair{one}
			if rapid.Bool().Draw(t, "two on one parameter") {
				if p, ok := R4().Param(fhir.Type(kind), one.Name); ok {
					pairs = append(pairs, Pair{one.Name, drawValue(t, p)})
				}
			}
			q, err := Parse(expression(kind, pairs...), R4())
			if err != nil {
				t.Fatalf("%v: %v", pairs, err)
			}
			if len(q.Terms()) == 0 || !q.Matches(subject) {
				continue
			}
			terms := make([]*Term, len(q.Terms()))
			for i := range terms {
				terms[i] = &q.Terms()[i]
			}
			reaches, ok := Reaches(terms, fhir.Type(kind), env)
			if !ok {
				continue
			}
			served++
			p, _ := terms[0].Param(fhir.Type(kind))
			marks := marker.AppendMarks(nil, marked, p)
			if !slices.ContainsFunc(reaches, func(r Reach) bool { return slices.ContainsFunc(marks, r.Holds) }) {
				t.Fatalf("%v matches %s and none of %+v is within %+v", pairs, r.JSON, marks, reaches)
			}
		}
	})
	if served < 20 {
		t.Errorf("only %d matching terms had reaches: the test says nothing", served)
	}
}

func TestDecimal_orderFollowsCompare(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) decimal {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,6})?`).Draw(t, "number")
		w, ok := parseWritten(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		return w.decimal()
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		if c := a.compare(b); c < 0 && a.order() > b.order() || c == 0 && a.order() != b.order() || c > 0 && a.order() < b.order() {
			t.Fatalf("%+v and %+v compare %d, their orders are %x and %x", a, b, c, a.order(), b.order())
		}
	})
}
