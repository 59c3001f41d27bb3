package criteria

import "testing"

func TestTargetIs(t *testing.T) {
	t.Parallel()
	const contained = `{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p"},{"resourceType":"Group","id":"g"}],"subject":`
	tests := []struct {
		ref, typ string
		want     bool
	}{
		{`{"reference":"Patient/1"}`, "Patient", true},
		{`{"reference":"Patient/1"}`, "Group", false},
		{`{"reference":"Patient/1"}`, "Resource", true},
		{`{"reference":"Patient/1"}`, "DomainResource", true},
		{`{"reference":"Bundle/1"}`, "DomainResource", false},
		{`{"reference":"Nonsense/1"}`, "Resource", false},
		{`{"reference":"Patient/1/_history/2"}`, "Patient", true},
		{`{"reference":"https://example.org/fhir/Patient/1"}`, "Patient", true},
		{`{"reference":"http://example.org/Patient/1/_history/2"}`, "Patient", true},
		{`{"reference":"http://Patient/1"}`, "Patient", false},
		{`{"reference":"ftp://example.org/Patient/1"}`, "Patient", false},
		{`{"reference":"x/Patient/1"}`, "Patient", false},
		{`{"reference":"Patient"}`, "Patient", false},
		{`{"reference":"Patient/"}`, "Patient", false},
		{`{"reference":"Patient/a b"}`, "Patient", false},
		{`{"reference":"Patient/1?x=y"}`, "Patient", false},
		{`{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}`, "Patient", false},
		{`{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520","type":"Patient"}`, "Patient", true},
		{`{"type":"http://hl7.org/fhir/StructureDefinition/Patient","identifier":{"value":"1"}}`, "Patient", true},
		{`{"type":"Group","reference":"Patient/1"}`, "Patient", false},
		{`{"reference":"#p"}`, "Patient", true},
		{`{"reference":"#g"}`, "Patient", false},
		{`{"reference":"#q"}`, "Patient", false},
		{`{"reference":"#"}`, "Observation", true},
		{`{"reference":"\u0023p"}`, "Patient", true},
		{`{"reference":"\u0050atient/1"}`, "Patient", true},
		{`{"reference":""}`, "Patient", false},
		{`{"reference":3}`, "Patient", false},
		{`{"display":"Ada"}`, "Patient", false},
		{`"Patient/1"`, "Patient", true},
		{`"http://hl7.org/fhir/ValueSet/x"`, "ValueSet", true},
		{`null`, "Patient", false},
		{`[]`, "Patient", false},
	}
	for _, tt := range tests {
		t.Run(tt.ref+" is "+tt.typ, func(t *testing.T) {
			t.Parallel()
			root := parse(t, contained+tt.ref+"}")
			if got := targetIs(root.Get("subject"), root, tt.typ); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
