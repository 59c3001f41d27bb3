package tape_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"fhirhook/fhir/tape"
)

// observation is an ordinary resource, indented as clients send it.
const observation = `{
  "resourceType": "Observation",
  "id": "b7d2c6a0-3c5e-4e0b-9a53-4f7d31c2a9e1",
  "meta": {
    "versionId": "1",
    "lastUpdated": "2024-03-05T09:30:00.000Z",
    "profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"]
  },
  "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Blutdruck, sitzend: 107 \u2215 60 mm[Hg] — unauffällig</p></div>"},
  "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:uuid:187e0c12-8dd2-67e2-99b2-bf273c878281"}],
  "status": "final",
  "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs", "display": "Vital Signs"}]}],
  "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9", "display": "Blood pressure panel"}], "text": "Blood pressure"},
  "subject": {"reference": "Patient/ada", "display": "Ada Example"},
  "effectiveDateTime": "2024-03-05T09:15:00+01:00",
  "performer": [{"reference": "Practitioner/emil"}],
  "component": [
    {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}, "valueQuantity": {"value": 107.0, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}},
    {"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4"}]}, "valueQuantity": {"value": 60, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}
  ]
}`

func BenchmarkParse(b *testing.B) {
	compact, err := tape.Parse([]byte(observation), 0)
	if err != nil {
		b.Fatal(err)
	}
	wide := func(n int) []byte {
		var s strings.Builder
		s.WriteByte('{')
		for i := range n {
			fmt.Fprintf(&s, `%c"member%d":%d`, " ,"[min(i, 1)], i, i)
		}
		return []byte(s.String() + "}")
	}
	for _, tt := range []struct {
		name string
		src  []byte
	}{
		{"indented", []byte(observation)},
		{"compact", compact.Bytes()},
		{"narrative", []byte(`{"div":"` + strings.Repeat("<p>Befund: unauffällig, keine Auffälligkeiten</p>", 200) + `"}`)},
		{"wide=1e4", wide(1e4)},
		{"wide=1e5", wide(1e5)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(int64(len(tt.src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tape.Parse(tt.src, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParse_wide reads objects of more and more members; ns/member must not grow with them.
func BenchmarkParse_wide(b *testing.B) {
	for _, members := range []int{5_000, 50_000, 500_000} {
		b.Run(strconv.Itoa(members), func(b *testing.B) {
			src := wide(members, `"n%d":0`)
			for b.Loop() {
				if _, err := tape.Parse(src, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*members), "ns/member")
		})
	}
}
