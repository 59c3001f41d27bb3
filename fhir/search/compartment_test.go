package search_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
)

// TestCompartments_canBeEvaluated compiles every parameter of the table.
func TestCompartments_canBeEvaluated(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]fhir.Type{"Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"}, criteria.Compartments()); diff != "" {
		t.Error(diff)
	}
	w := newWorld(t)
	for _, c := range criteria.Compartments() {
		if !criteria.InCompartment(c, c) || criteria.InCompartment(c, "Medication") || !criteria.InCompartment(c, "Observation") {
			t.Errorf("%s: wrong members", c)
		}
		page, err := w.engine.Search(t.Context(), search.Request{Tenant: tenant, Compartment: search.Compartment{Type: c, ID: "1", Start: "2020", End: "2021"}})
		if err != nil || len(page.Matches) != 0 {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestSearch_inACompartment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, body := range []string{
		`{"resourceType":"Patient","id":"1"}`,
		`{"resourceType":"Patient","id":"2","link":[{"other":{"reference":"Patient/1"},"type":"seealso"}]}`,
		`{"resourceType":"Patient","id":"3"}`,
		`{"resourceType":"Observation","id":"a","subject":{"reference":"Patient/1"},"effectiveDateTime":"2020-05"}`,
		`{"resourceType":"Observation","id":"b","performer":[{"reference":"Patient/1"}],"effectiveDateTime":"2021-05"}`,
		`{"resourceType":"Observation","id":"c","subject":{"reference":"Patient/3"}}`,
		`{"resourceType":"Observation","id":"d","subject":{"reference":"https://own.example/fhir/R4/Patient/1"},"performer":[{"reference":"Patient/1"}]}`,
		`{"resourceType":"Medication","id":"m"}`,
	} {
		w.put(t, body)
	}
	for _, tt := range []struct {
		typ    fhir.Type
		params []criteria.Pair
		around search.Compartment
		want   string
	}{
		{"Observation", nil, search.Compartment{Type: "Patient", ID: "1"}, "Observation/a Observation/b Observation/d"},
		{"", nil, search.Compartment{Type: "Patient", ID: "1"}, "Observation/a Observation/b Observation/d Patient/1 Patient/2"},
		{"", []criteria.Pair{pair("_type", "Patient,Medication")}, search.Compartment{Type: "Patient", ID: "1"}, "Patient/1 Patient/2"},
		{"", []criteria.Pair{pair("_type", "Medication")}, search.Compartment{Type: "Patient", ID: "1"}, ""},
		{"Observation", []criteria.Pair{pair("date", "2020")}, search.Compartment{Type: "Patient", ID: "1"}, "Observation/a"},
		{"", nil, search.Compartment{Type: "Patient", ID: "1", Start: "2021"}, "Observation/b Patient/1 Patient/2"},
		{"", nil, search.Compartment{Type: "Patient", ID: "1", End: "2020-12"}, "Observation/a Patient/1 Patient/2"},
		{"Observation", nil, search.Compartment{Type: "Patient", ID: "2"}, ""},
		{"Observation", nil, search.Compartment{Type: "Practitioner", ID: "1"}, ""},
	} {
		page, err := w.engine.Search(context.Background(), search.Request{
			Tenant: tenant, Type: tt.typ, Params: append(slices.Clone(tt.params), pair("_count", "100")), Compartment: tt.around, Bases: []string{"https://own.example/fhir/R4"},
		})
		if err != nil {
			t.Fatalf("%+v: %v", tt, err)
		}
		if got := strings.Join(refs(page.Matches), " "); got != tt.want || page.Total != len(page.Matches) {
			t.Errorf("%s in %+v: got %s (%d), want %s", tt.typ, tt.around, got, page.Total, tt.want)
		}
	}
}
