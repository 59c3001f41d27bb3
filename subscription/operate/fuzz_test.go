package operate

import (
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/rest"
)

// FuzzInput: the parameters of an operation are read, each of them known, or refused.
func FuzzInput(f *testing.F) {
	for _, s := range []string{
		`{"resourceType":"Parameters","parameter":[{"name":"rate","valueDecimal":1.5},{"name":"since","valueInstant":"2026-01-01T00:00:00Z"}]}`,
		`{"resourceType":"Parameters","parameter":{}}`,
		`{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient"}}]}`,
		`{"resourceType":"Parameters","parameter":[{"name":"rate","valueDecimal":1e400,"valueString":"x"}]}`,
		`{"resourceType":"Patient"}`,
	} {
		f.Add("rate=5", []byte(s))
	}
	known := []string{"rate", "since", "resource", "dryRun"}
	f.Fuzz(func(t *testing.T, query string, body []byte) {
		pairs, err := criteria.ParsePairs(query)
		if err != nil {
			return
		}
		in, err := fhir.Read(body, 20)
		if err != nil {
			return
		}
		got, err := read(rest.OperationRequest{Query: pairs, Body: in}, known...)
		if err != nil && fhir.KindOf(err) == fhir.Internal {
			t.Errorf("%q, %q: %v is no refusal", query, body, err)
		}
		if err == nil && len(got) < len(pairs) {
			t.Errorf("%q, %q: %d parameters of %d", query, body, len(got), len(pairs))
		}
	})
}

// FuzzPlace: what is taken for the place of a page is written and read again as the same.
func FuzzPlace(f *testing.F) {
	f.Add(place{Lane: "a", Below: 7}.String())
	f.Add("e30")
	f.Add("eyJ0IjotMX0")
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parsePlace(s)
		if !ok {
			return
		}
		if again, ok := parsePlace(p.String()); !ok || again.String() != p.String() {
			t.Errorf("%q is %+v, and %+v when it is read again", s, p, again)
		}
	})
}
