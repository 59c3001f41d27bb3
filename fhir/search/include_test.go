package search_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// clinic writes a few resources that refer to each other.
func clinic(t *testing.T) *world {
	w := newWorld(t)
	for _, s := range []string{
		`{"resourceType":"Organization","id":"top"}`,
		`{"resourceType":"Organization","id":"mid","partOf":{"reference":"Organization/top"}}`,
		`{"resourceType":"Organization","id":"low","partOf":{"reference":"Organization/mid"}}`,
		`{"resourceType":"Practitioner","id":"emil"}`,
		`{"resourceType":"Patient","id":"ada","managingOrganization":{"reference":"Organization/low"},"generalPractitioner":[{"reference":"Practitioner/emil"},{"reference":"Organization/top"}]}`,
		`{"resourceType":"Patient","id":"ada","active":true,"managingOrganization":{"reference":"Organization/low"},"generalPractitioner":[{"reference":"Practitioner/emil"},{"reference":"Organization/top"}]}`,
		`{"resourceType":"Patient","id":"gone"}`,
		`{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/ada"},"performer":[{"reference":"Practitioner/emil"},{"reference":"#p"}],"contained":[{"resourceType":"Practitioner","id":"p"}]}`,
		`{"resourceType":"Observation","id":"2","subject":{"reference":"https://own.example/fhir/R4/Patient/ada"},"hasMember":[{"reference":"Observation/1"},{"reference":"Observation/2"}]}`,
		`{"resourceType":"Observation","id":"3","subject":{"reference":"https://elsewhere.example/fhir/R4/Patient/ada"}}`,
		`{"resourceType":"Observation","id":"4","subject":{"reference":"Patient/ada/_history/1"}}`,
		`{"resourceType":"Observation","id":"5","subject":{"reference":"Patient/gone"}}`,
		`{"resourceType":"Observation","id":"6","subject":{"identifier":{"value":"x"}}}`,
		`{"resourceType":"Observation","id":"7","subject":{"reference":"Patient/ada/_history/9"}}`,
		`{"resourceType":"Questionnaire","id":"v1","url":"http://q.example/intake","version":"1","status":"active"}`,
		`{"resourceType":"Questionnaire","id":"v2","url":"http://q.example/intake","version":"2","status":"active"}`,
		`{"resourceType":"QuestionnaireResponse","id":"first","questionnaire":"http://q.example/intake|1"}`,
		`{"resourceType":"QuestionnaireResponse","id":"any","questionnaire":"http://q.example/intake"}`,
		`{"resourceType":"QuestionnaireResponse","id":"none","questionnaire":"http://q.example/other"}`,
		`{"resourceType":"Provenance","id":"p","target":[{"reference":"Observation/1"},{"reference":"Observation/4/_history/1"}],"agent":[{"who":{"reference":"Practitioner/emil"}}]}`,
	} {
		w.put(t, s)
	}
	_, err := w.db.Update(t.Context(), store.Origin{}, func(tx store.Writer) error {
		in := read(t, `{"resourceType":"Provenance","target":[{"reference":"Observation/1"}]}`)
		if _, err := store.Create(tx, fhir.Key{Tenant: "other", Type: "Provenance", ID: "theirs"}, in, nil); err != nil {
			return err
		}
		_, err := store.Delete(tx, fhir.Key{Tenant: tenant, Type: "Patient", ID: "gone"}, "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSearch_includes(t *testing.T) {
	w := clinic(t)
	include := func(v string) criteria.Pair { return pair("_include", v) }
	iterate := func(v string) criteria.Pair { return pair("_include:iterate", v) }
	reverse := func(v string) criteria.Pair { return pair("_revinclude", v) }
	const (
		ada  = "Patient/ada/_history/2"
		old  = "Patient/ada/_history/1"
		emil = "Practitioner/emil/_history/1"
		top  = "Organization/top/_history/1"
		mid  = "Organization/mid/_history/1"
		low  = "Organization/low/_history/1"
		prov = "Provenance/p/_history/1"
		obs1 = "Observation/1/_history/1"
		obs2 = "Observation/2/_history/1"
		obs4 = "Observation/4/_history/1"
		obs7 = "Observation/7/_history/1"
	)
	tests := []struct {
		name   string
		typ    fhir.Type
		params []criteria.Pair
		want   []string
	}{
		{"one parameter", "Observation", []criteria.Pair{pair("_id", "1"), include("Observation:subject")}, []string{ada}},
		{"once for several matches", "Observation", []criteria.Pair{pair("_id", "1,2"), include("Observation:subject"), include("Observation:patient")}, []string{ada}},
		{"an absolute reference to here", "Observation", []criteria.Pair{pair("_id", "2"), include("Observation:subject")}, []string{ada}},
		{"an absolute reference elsewhere", "Observation", []criteria.Pair{pair("_id", "3"), include("Observation:subject")}, nil},
		{"a versioned reference", "Observation", []criteria.Pair{pair("_id", "4"), include("Observation:subject")}, []string{old}},
		{"both versions", "Observation", []criteria.Pair{pair("_id", "1,4"), include("Observation:subject")}, []string{old, ada}},
		{"a version that isn't there", "Observation", []criteria.Pair{pair("_id", "7"), include("Observation:subject")}, nil},
		{"a deleted target", "Observation", []criteria.Pair{pair("_id", "5"), include("Observation:subject")}, nil},
		{"an identifier alone", "Observation", []criteria.Pair{pair("_id", "6"), include("Observation:subject")}, nil},
		{"with the target's type", "Patient", []criteria.Pair{pair("_id", "ada"), include("Patient:general-practitioner:Practitioner")}, []string{emil}},
		{"with another type", "Observation", []criteria.Pair{pair("_id", "1"), include("Observation:subject:Group")}, nil},
		{"all parameters", "Observation", []criteria.Pair{pair("_id", "1"), include("Observation:*")}, []string{ada, emil}},
		{"everything", "Patient", []criteria.Pair{pair("_id", "ada"), include("*")}, []string{low, top, emil}},
		{"of another type than the match", "Observation", []criteria.Pair{pair("_id", "1"), include("Patient:organization")}, nil},
		{"a match is not included", "Observation", []criteria.Pair{pair("_id", "1,2"), include("Observation:has-member")}, nil},
		{"itself is not included", "Observation", []criteria.Pair{pair("_id", "2"), include("Observation:has-member")}, []string{obs1}},
		{"without iterate only from matches", "Observation", []criteria.Pair{pair("_id", "1"), include("Observation:subject"), include("Patient:organization")}, []string{ada}},
		{"iterating", "Observation", []criteria.Pair{pair("_id", "1"), include("Observation:subject"), iterate("Patient:organization"), iterate("Organization:partof")}, []string{low, mid, top, ada}},
		{"iterating from the match itself", "Organization", []criteria.Pair{pair("_id", "low"), iterate("Organization:partof")}, []string{mid, top}},
		{"what refers here", "Observation", []criteria.Pair{pair("_id", "1"), reverse("Provenance:target")}, []string{prov}},
		{"what refers to a version", "Observation", []criteria.Pair{pair("_id", "4"), reverse("Provenance:target")}, []string{prov}},
		{"what refers here by one of its kinds", "Practitioner", []criteria.Pair{pair("_id", "emil"), reverse("Observation:performer"), reverse("Provenance:agent")}, []string{obs1, prov}},
		{"what refers here at all", "Patient", []criteria.Pair{pair("_id", "ada"), reverse("Observation:*")}, []string{obs1, obs2, obs4, obs7}},
		{"all that refers here", "Organization", []criteria.Pair{pair("_id", "top"), reverse("*")}, []string{mid, ada}},
		{"with the type of the match", "Patient", []criteria.Pair{pair("_id", "ada"), reverse("Observation:subject:Group")}, nil},
		{"what refers to a deleted one", "Observation", []criteria.Pair{pair("_id", "5"), reverse("Provenance:target")}, nil},
		{"by canonical URL and version", "QuestionnaireResponse", []criteria.Pair{pair("_id", "first,none"), include("QuestionnaireResponse:questionnaire")}, []string{"Questionnaire/v1/_history/1"}},
		{"by canonical URL, the newest", "QuestionnaireResponse", []criteria.Pair{pair("_id", "any"), include("*")}, []string{"Questionnaire/v2/_history/1"}},
		{"by canonical URL, of another type", "QuestionnaireResponse", []criteria.Pair{pair("_id", "any"), include("QuestionnaireResponse:questionnaire:Patient")}, nil},
		{"what names it by canonical URL", "Questionnaire", []criteria.Pair{pair("_id", "v2"), reverse("QuestionnaireResponse:questionnaire")}, []string{"QuestionnaireResponse/any/_history/1"}},
		{"all that names it by canonical URL", "Questionnaire", []criteria.Pair{pair("_id", "v1"), reverse("*")}, []string{"QuestionnaireResponse/any/_history/1", "QuestionnaireResponse/first/_history/1"}},
		{"there and back", "Patient", []criteria.Pair{pair("_id", "ada"), reverse("Observation:subject"), pair("_revinclude:iterate", "Provenance:target")}, []string{obs1, obs2, obs4, obs7, prov}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page := w.search(t, tt.typ, tt.params...)
			var got []string
			for _, r := range page.Included {
				got = append(got, r.VersionedReference())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if page.Total != len(page.Matches) || !page.TotalKnown {
				t.Errorf("%d matches, total %d: what is included doesn't count", len(page.Matches), page.Total)
			}
		})
	}
}

// Each page carries its own (R4 search.html#include), and the includes of the place that the search began at.
func TestSearch_includesPerPage(t *testing.T) {
	w := newWorld(t)
	for _, s := range []string{
		`{"resourceType":"Patient","id":"a"}`, `{"resourceType":"Patient","id":"b"}`,
		`{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/a"}}`,
		`{"resourceType":"Observation","id":"2","subject":{"reference":"Patient/b"}}`,
		`{"resourceType":"Observation","id":"3","subject":{"reference":"Patient/a"}}`,
	} {
		w.put(t, s)
	}
	var got [][]string
	params := []criteria.Pair{pair("_count", "1"), pair("_include", "Observation:subject")}
	for params != nil {
		page := w.search(t, "Observation", params...)
		got = append(got, refs(slices.Concat(page.Matches, page.Included)))
		params = page.Next
		w.put(t, `{"resourceType":"Observation","id":"2","subject":{"reference":"Patient/a"}}`)
	}
	want := [][]string{{"Observation/1", "Patient/a"}, {"Observation/2", "Patient/b"}, {"Observation/3", "Patient/a"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
