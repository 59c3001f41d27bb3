package criteria_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// TestMembership_canBeEvaluated compiles every parameter of the table; none looks at other resources.
func TestMembership_canBeEvaluated(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]fhir.Type{"Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"}, criteria.Compartments()); diff != "" {
		t.Error(diff)
	}
	for _, around := range criteria.Compartments() {
		for _, member := range fhir.Types() {
			m, err := criteria.R4().Membership(around, "1", member)
			if err != nil || (m != nil) != criteria.InCompartment(around, member) {
				t.Errorf("%s in the compartment of a %s: %v, %v", member, around, m, err)
			}
		}
	}
}

func TestMembership_Holds(t *testing.T) {
	t.Parallel()
	env := criteria.Env{Bases: []string{"https://own.example/fhir/R4"}}
	for _, tt := range []struct {
		typ  fhir.Type
		id   string
		json string
		want bool
	}{
		{"Patient", "1", `{"resourceType":"Patient","id":"1"}`, true},
		{"Patient", "2", `{"resourceType":"Patient","id":"2"}`, false},
		{"Patient", "2", `{"resourceType":"Patient","id":"2","link":[{"other":{"reference":"Patient/1"},"type":"seealso"}]}`, true},
		{"Observation", "1", `{"resourceType":"Observation","id":"1"}`, false},
		{"Observation", "a", `{"resourceType":"Observation","subject":{"reference":"Patient/1"}}`, true},
		{"Observation", "a", `{"resourceType":"Observation","subject":{"reference":"Patient/1/_history/3"}}`, true},
		{"Observation", "a", `{"resourceType":"Observation","subject":{"reference":"https://own.example/fhir/R4/Patient/1"}}`, true},
		{"Observation", "a", `{"resourceType":"Observation","subject":{"reference":"https://other.example/fhir/R4/Patient/1"}}`, false},
		{"Observation", "a", `{"resourceType":"Observation","subject":{"reference":"Patient/12"}}`, false},
		{"Observation", "a", `{"resourceType":"Observation","subject":{"reference":"Group/1"}}`, false},
		{"Observation", "a", `{"resourceType":"Observation","subject":{"reference":"#1"},"contained":[{"resourceType":"Patient","id":"1"}]}`, false},
		{"Observation", "a", `{"resourceType":"Observation","subject":{"display":"Patient/1"}}`, false},
		{"Observation", "a", `{"resourceType":"Observation","performer":[{"reference":"Practitioner/1"},{"reference":"Patient/1"}]}`, true},
		{"Observation", "a", `{"resourceType":"Observation","note":[{"authorReference":{"reference":"Patient/1"}}]}`, false},
		{"Medication", "1", `{"resourceType":"Medication","id":"1"}`, false},
	} {
		m, err := criteria.R4().Membership("Patient", "1", tt.typ)
		if err != nil {
			t.Fatal(err)
		}
		r := &fhir.Resource{Key: fhir.Key{Type: tt.typ, ID: tt.id}, Version: 1, JSON: []byte(tt.json)}
		if got := m.Holds(criteria.NewSubject(r, env)); got != tt.want {
			t.Errorf("%s: %t", tt.json, got)
		}
	}
}
