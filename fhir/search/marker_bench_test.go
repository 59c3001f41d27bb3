package search

import (
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// BenchmarkMarker is what the index has to work out for one row, its parse included.
func BenchmarkMarker(b *testing.B) {
	m := newMarker(criteria.R4())
	body := []byte(`{"resourceType":"Observation","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8302-2","display":"Body Height"}],"text":"Body Height"},"subject":{"reference":"Patient/p1"},"encounter":{"reference":"Encounter/e1"},"effectiveDateTime":"2017-06-07T00:23:20+02:00","issued":"2017-06-07T00:23:20.871+02:00","valueQuantity":{"value":172.4,"unit":"cm","system":"http://unitsofmeasure.org","code":"cm"}}`)
	var all []posting
	b.ReportAllocs()
	for b.Loop() {
		r := &fhir.Resource{Key: fhir.Key{Tenant: "t", Type: "Observation", ID: "1"}, JSON: body}
		all = m.append(all[:0], 1, r)
	}
	b.ReportMetric(float64(len(new(sorter).sorted(all))), "postings/row")
}
