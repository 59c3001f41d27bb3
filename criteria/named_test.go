package criteria

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTerm_namesTheResourcesThatItIsAbout(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"entity=Patient/1":                                   "[{Patient 1}]",
		"entity=Patient/1/_history/2,Observation/x":          "[{Patient 1} {Observation x}]",
		"entity:Patient=1":                                   "[{Patient 1}]",
		"entity=https://clinic.example/fhir/R4/Patient/1":    "[{Patient 1}]",
		"entity=https://elsewhere.example/fhir/R4/Patient/1": "any",
		"entity=1":              "any",
		"entity=Patient/1,1":    "any",
		"entity:missing=false":  "any",
		"entity:identifier=x":   "any",
		"entity:Patient.name=x": "any",
		"outcome=0":             "any",
	} {
		term := query(t, "AuditEvent?"+text).Terms()[0]
		got := "any"
		if names, ok := term.Named(testEnv); ok {
			got = fmt.Sprint(names)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestTerm_instantsAreWhereItHolds compares the bounds with the term itself.
func TestTerm_instantsAreWhereItHolds(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 5*3600)
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		text := ""
		for i := range rapid.IntRange(1, 2).Draw(t, "values") {
			if i > 0 {
				text += ","
			}
			text += rapid.SampledFrom([]string{"", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}).Draw(t, "prefix") +
				rapid.SampledFrom([]string{"2026", "2026-08", "2026-08-20", "2026-08-20T10:00", "2026-08-20T10:00:30Z", "2026-08-20T10:00:30.500Z", "2026-08-20T23:00:00-05:00"}).Draw(t, "date")
		}
		q, err := Parse("AuditEvent?date="+text, R4())
		if err != nil {
			t.Fatal(err)
		}
		env := testEnv
		env.Zone = rapid.SampledFrom([]*time.Location{nil, zone}).Draw(t, "zone")
		at := time.Date(2026, 8, 20, 10, 0, 30, 0, time.UTC).Add(time.Duration(rapid.Int64Range(-900, 900).Draw(t, "hours")) * time.Hour).
			Add(time.Duration(rapid.Int64Range(-1500, 1500).Draw(t, "milliseconds")) * time.Millisecond)
		holds := q.Match(resource(outer, `{"resourceType":"AuditEvent","recorded":"`+at.Format("2006-01-02T15:04:05.000Z")+`"}`), env)
		low, high, ok := q.Terms()[0].Instants(env)
		if holds && ok && (at.Unix() < low || at.Unix() > high) {
			t.Fatalf("date=%s holds at %s, which is not in %d to %d", text, at, low, high)
		}
	})
	low, high, ok := query(t, "AuditEvent?date=2026-08-20T10:00:30Z").Terms()[0].Instants(testEnv)
	if diff := cmp.Diff([]int64{1787220030, 1787220030}, []int64{low, high}); diff != "" || !ok {
		t.Error(diff)
	}
}
