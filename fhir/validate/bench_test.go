package validate_test

import (
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/validate"
)

// observation is what laboratory systems send all day, about 1.5 KB.
const observation = `{"resourceType":"Observation","id":"9b3c1f6e-0000-4000-8000-000000000001","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},
"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"laboratory"}]}],
"code":{"coding":[{"system":"http://loinc.org","code":"2339-0","display":"Glucose"}],"text":"Glucose"},
"subject":{"reference":"Patient/52c0ee5d-8e44-4c6f-8f5f-1a2b3c4d5e6f"},"encounter":{"reference":"Encounter/0e0f0a0b-8e44-4c6f-8f5f-1a2b3c4d5e6f"},
"effectiveDateTime":"2011-08-04T14:35:11-04:00","issued":"2011-08-04T14:35:11.123-04:00",
"valueQuantity":{"value":88.16,"unit":"mg/dL","system":"http://unitsofmeasure.org","code":"mg/dL"},
"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4","display":"Diastolic Blood Pressure"}],"text":"Diastolic Blood Pressure"},
"valueQuantity":{"value":75,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},
{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic Blood Pressure"}],"text":"Systolic Blood Pressure"},
"valueQuantity":{"value":131,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}],
"extension":[{"url":"http://example.org/fhir/StructureDefinition/device","valueReference":{"reference":"Device/12","display":"analyser"}}]}`

func BenchmarkValidate(b *testing.B) {
	in := read(b, observation)
	for _, mode := range []validate.Mode{validate.Structure, validate.Strict} {
		b.Run(mode.String(), func(b *testing.B) {
			b.SetBytes(int64(len(in.Doc.Bytes())))
			b.ReportAllocs()
			for b.Loop() {
				if problems := mode.Validate(in); len(problems) > 0 {
					b.Fatal(problems)
				}
			}
		})
	}
}

// BenchmarkRead is what parsing alone costs, to compare.
func BenchmarkRead(b *testing.B) {
	body := []byte(observation)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := fhir.Read(body, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// TestValidate_allocatesNothing for what is right.
func TestValidate_allocatesNothing(t *testing.T) {
	in := read(t, observation)
	validate.Strict.Validate(in) // makes the tables
	if n := testing.AllocsPerRun(100, func() { validate.Strict.Validate(in) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
