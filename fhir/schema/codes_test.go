package schema

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCodes(t *testing.T) {
	t.Parallel()
	gender, ok := Codes("http://hl7.org/fhir/ValueSet/administrative-gender")
	if !ok {
		t.Fatal("the genders are not known")
	}
	if diff := cmp.Diff([]string{"female", "male", "other", "unknown"}, slices.Sorted(gender.All())); diff != "" {
		t.Error(diff)
	}
	if !gender.Has([]byte("male")) || gender.Has([]byte("Male")) || gender.Len() != 4 {
		t.Error("Has ignores case, or Len is wrong")
	}
	if !gender.HasIn("http://hl7.org/fhir/administrative-gender", "male") || gender.HasIn("urn:other", "male") {
		t.Error("HasIn ignores the system")
	}
	for _, open := range []string{"mimetypes", "currencies", "ucum-units", "languages"} {
		if _, ok := Codes("http://hl7.org/fhir/ValueSet/" + open); ok {
			t.Errorf("%s can't be listed in full, and yet it is known", open)
		}
	}
}

// TestCodes_coverRequiredBindings: each bound set is known but for those that R4 leaves to others.
func TestCodes_coverRequiredBindings(t *testing.T) {
	t.Parallel()
	missing := map[string]bool{}
	for _, typ := range r4().types {
		for _, e := range typ.Elements {
			if e.ValueSet == "" {
				continue
			}
			if set, ok := Codes(e.ValueSet); !ok {
				missing[e.ValueSet] = true
			} else if set.Len() == 0 {
				t.Errorf("%s is empty", e.ValueSet)
			}
		}
	}
	const hl7 = "http://hl7.org/fhir/ValueSet/"
	want := map[string]bool{hl7 + "currencies": true, hl7 + "mimetypes": true, hl7 + "ucum-units": true, "http://loinc.org/vs/LL379-9": true}
	if diff := cmp.Diff(want, missing); diff != "" {
		t.Error(diff)
	}
}
