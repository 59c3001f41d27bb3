package schema

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

func TestLookup_knowsEveryResourceType(t *testing.T) {
	t.Parallel()
	var got []fhir.Type
	for name, typ := range r4().types {
		if typ.Class == Resource {
			got = append(got, fhir.Type(name))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(fhir.Types(), got); diff != "" {
		t.Error(diff)
	}
}

// TestTable_isClosed keeps the generated text honest: each name in it leads somewhere.
func TestTable_isClosed(t *testing.T) {
	t.Parallel()
	for name, typ := range r4().types {
		if typ.Class == 0 {
			t.Errorf("%s has no class", name)
		}
		if typ.Base == nil && name != "Resource" && name != "Element" {
			t.Errorf("%s has no base", name)
		}
		for _, e := range typ.Elements {
			if !e.Choice && len(e.Types) != 1 {
				t.Errorf("%s.%s has the types %v but is no choice", name, e.Name, e.Types)
			}
			for _, target := range e.Types {
				if _, ok := Lookup(target); !ok {
					t.Errorf("%s.%s is of the unknown type %q", name, e.Name, target)
				}
			}
		}
	}
}

func TestType_element(t *testing.T) {
	t.Parallel()
	tests := []struct {
		typ, name string
		want      Element
	}{
		{"Patient", "name", Element{Name: "name", Repeats: true, Summary: true, Types: []string{"HumanName"}}},
		{"Patient", "id", Element{Name: "id", Summary: true, Types: []string{"id"}}},
		{"Patient", "contact", Element{Name: "contact", Repeats: true, Types: []string{"Patient.contact"}}},
		{"Patient.contact", "modifierExtension", Element{Name: "modifierExtension", Repeats: true, Summary: true, Types: []string{"Extension"}}},
		{"Patient", "deceased", Element{Name: "deceased", Choice: true, Summary: true, Types: []string{"boolean", "dateTime"}}},
		{"Patient", "gender", Element{
			Name: "gender", Summary: true, Types: []string{"code"},
			ValueSet: "http://hl7.org/fhir/ValueSet/administrative-gender", System: "http://hl7.org/fhir/administrative-gender",
		}},
		{"Questionnaire.item", "item", Element{Name: "item", Repeats: true, Types: []string{"Questionnaire.item"}}},
		{"Observation", "status", Element{
			Name: "status", Required: true, Summary: true, Types: []string{"code"},
			ValueSet: "http://hl7.org/fhir/ValueSet/observation-status", System: "http://hl7.org/fhir/observation-status",
		}},
		{"Task", "intent", Element{ // codes of two systems
			Name: "intent", Required: true, Summary: true, Types: []string{"code"}, ValueSet: "http://hl7.org/fhir/ValueSet/task-intent",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.typ+"."+tt.name, func(t *testing.T) {
			t.Parallel()
			typ, ok := Lookup(tt.typ)
			if !ok {
				t.Fatal("no such type")
			}
			got, ok := typ.Element(tt.name)
			if !ok {
				t.Fatal("no such element")
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Error(diff)
			}
		})
	}
	patient, _ := Lookup("Patient")
	if e, ok := patient.Element("deceasedBoolean"); ok {
		t.Errorf("deceasedBoolean is a JSON name, and yet found as %v", e)
	}
}

func TestType_allStartsWithTheBase(t *testing.T) {
	t.Parallel()
	period, _ := Lookup("Period")
	var got []string
	for e := range period.All() {
		got = append(got, e.Name)
	}
	if diff := cmp.Diff([]string{"id", "extension", "start", "end"}, got); diff != "" {
		t.Error(diff)
	}
	for e := range period.All() {
		if e.Name != "id" {
			t.Errorf("went on to %s after break", e.Name)
		}
		break
	}
}

func TestElement_member(t *testing.T) {
	t.Parallel()
	observation, _ := Lookup("Observation")
	value, _ := observation.Element("value")
	got := []string{value.Member("Quantity"), value.Member("dateTime")}
	if diff := cmp.Diff([]string{"valueQuantity", "valueDateTime"}, got); diff != "" {
		t.Error(diff)
	}
	if code, _ := observation.Element("code"); code.Member("CodeableConcept") != "code" {
		t.Error("an element that is no choice has one name")
	}
}

func TestType_json(t *testing.T) {
	t.Parallel()
	want := map[string]tape.Kind{
		"boolean": tape.Bool, "positiveInt": tape.Number, "decimal": tape.Number, "code": tape.String,
		"dateTime": tape.String, "xhtml": tape.String, "Quantity": tape.Object, "Patient.contact": tape.Object,
	}
	for name, kind := range want {
		if typ, _ := Lookup(name); typ.JSON() != kind {
			t.Errorf("%s is a JSON %s, want %s", name, typ.JSON(), kind)
		}
	}
}

func TestLookupFold(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"DateTime": "dateTime", "datetime": "dateTime", "code": "code", "Code": "code", "patient": "Patient"} {
		if typ, ok := LookupFold(name); !ok || typ.Name != want {
			t.Errorf("LookupFold(%q) = %v, %v; want %s", name, typ, ok, want)
		}
	}
	if _, ok := LookupFold("patient.contact"); ok {
		t.Error("nested elements are no types of their own")
	}
}

func TestType_fhirType(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Patient.contact": "BackboneElement", "Timing.repeat": "Element", "Age": "Age"} {
		if typ, _ := Lookup(name); typ.FHIRType() != want {
			t.Errorf("%s is a %s, want %s", name, typ.FHIRType(), want)
		}
	}
	if age, _ := Lookup("Age"); !age.Is("Quantity") || age.Is("Range") {
		t.Error("an Age is a Quantity and no Range")
	}
}

func BenchmarkRead(b *testing.B) {
	for b.Loop() {
		read(text)
	}
}
