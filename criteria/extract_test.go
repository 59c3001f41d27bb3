package criteria

import (
	"testing"

	"fhirhook/fhir/tape"
)

// observation has something for most of Observation's parameters. All people are invented.
const observation = `{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","lastUpdated":"2026-01-02T03:04:05.000Z","profile":["http://hl7.org/fhir/StructureDefinition/bp"],"tag":[{"system":"urn:tags","code":"t1"}]},
"identifier":[{"system":"urn:ids","value":"42"}],"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],
"code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}],"text":"Blood pressure"},
"subject":{"reference":"Patient/p1","display":"Ada Muster"},"encounter":{"reference":"Encounter/e1"},
"effectiveDateTime":"2026-01-02","issued":"2026-01-02T03:04:05Z",
"performer":[{"reference":"Practitioner/d1"},{"reference":"Organization/g1"}],
"valueQuantity":{"value":1.10,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"},
"interpretation":[{"text":"high"}],"device":{"reference":"Device/1"},
"hasMember":[{"reference":"Observation/o2"}],
"component":[{"code":{"text":"systolic"},"valueQuantity":{"value":120,"unit":"mmHg"}},{"code":{"text":"diastolic"},"valueQuantity":{"value":80,"unit":"mmHg"}},{"code":{"text":"cuff"},"valueCodeableConcept":{"text":"small"}}]}`

func parse(t testing.TB, text string) tape.Node {
	t.Helper()
	doc, err := tape.Parse([]byte(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	return doc.Root()
}

// BenchmarkLeaves extracts all parameters of an Observation.
func BenchmarkLeaves(b *testing.B) {
	root := parse(b, observation)
	var params []*Param
	for p := range R4().Params("Observation") {
		params = append(params, p)
	}
	var count int
	b.ReportAllocs()
	for b.Loop() {
		count = 0
		for _, p := range params {
			for range p.Leaves(root) {
				count++
			}
		}
	}
	b.ReportMetric(float64(len(params)), "params")
	b.ReportMetric(float64(count), "leaves")
}
