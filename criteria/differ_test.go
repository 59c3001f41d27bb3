package criteria

import (
	"testing"

	"fhirhook/fhir"
)

func TestSubject_differs(t *testing.T) {
	tests := []struct {
		name, param string
		a, b        string // members
		want        bool
	}{
		{"code", "gender", `"gender":"male"`, `"gender":"female"`, true},
		{"same code", "gender", `"gender":"male"`, `"gender":"male","active":true`, false},
		{"code comes", "gender", ``, `"gender":"male"`, true},
		{"code goes", "gender", `"gender":"male"`, ``, true},
		{"nothing and nothing", "gender", ``, `"active":true`, false},
		{"boolean", "active", `"active":true`, `"active":false`, true},
		{"boolean against none", "active", `"active":false`, ``, true},
		{"condition", "deceased", `"deceasedBoolean":false`, `"deceasedDateTime":"2020"`, true},
		{"condition from another element", "deceased", `"deceasedBoolean":true`, `"deceasedDateTime":"2020"`, false},
		{"identifiers in another order", "identifier", `"identifier":[{"system":"urn:a","value":"1"},{"value":"2"}]`, `"identifier":[{"value":"2"},{"system":"urn:a","value":"1","use":"old"}]`, false},
		{"identifier's system", "identifier", `"identifier":[{"system":"urn:a","value":"1"}]`, `"identifier":[{"system":"urn:b","value":"1"}]`, true},
		{"no two identifiers run together", "identifier", `"identifier":[{"system":"a b","value":"c"}]`, `"identifier":[{"system":"a","value":"b c"}]`, true},
		{"phone written otherwise", "telecom", `"telecom":[{"system":"phone","value":"+1 555-0100"}]`, `"telecom":[{"system":"phone","value":"+15550100"}]`, false},
		{"phone", "telecom", `"telecom":[{"system":"phone","value":"+15550100"}]`, `"telecom":[{"system":"phone","value":"+15550101"}]`, true},
		{"name", "family", `"name":[{"family":"Quell"}]`, `"name":[{"family":"Querl"}]`, true},
		{"name's case and accents", "family", `"name":[{"family":"Müller"}]`, `"name":[{"family":"MULLER"}]`, false},
		{"name twice", "family", `"name":[{"family":"Quell"}]`, `"name":[{"family":"Quell"},{"family":"quell"}]`, false},
		{"date", "birthdate", `"birthDate":"2020-01-01"`, `"birthDate":"2020-01-02"`, true},
		{"date's precision", "birthdate", `"birthDate":"2020"`, `"birthDate":"2020-01-01"`, true},
		{"instant in another zone", "death-date", `"deceasedDateTime":"2020-01-01T00:00:00Z"`, `"deceasedDateTime":"2020-01-01T01:00:00+01:00"`, false},
		{"reference", "organization", `"managingOrganization":{"reference":"Organization/1"}`, `"managingOrganization":{"reference":"Organization/2"}`, true},
		{"reference written otherwise", "organization", `"managingOrganization":{"reference":"Organization/1"}`, `"managingOrganization":{"display":"x","reference":"https://clinic.example/fhir/R4/Organization/1"}`, false},
		{"reference elsewhere", "organization", `"managingOrganization":{"reference":"Organization/1"}`, `"managingOrganization":{"reference":"https://other.example/Organization/1"}`, true},
		{"reference by identifier", "organization", `"managingOrganization":{"identifier":{"value":"1"}}`, `"managingOrganization":{"identifier":{"value":"2"}}`, true},
		{"tag", "_tag", `"meta":{"tag":[{"code":"a"}]}`, `"meta":{"tag":[{"code":"b"}]}`, true},
		{"profile", "_profile", `"meta":{"profile":["http://a"]}`, `"meta":{"profile":["http://b"]}`, true},
	}
	differs := func(code, a, b string, of fhir.Type) bool {
		p, ok := R4().Param(of, code)
		if !ok {
			t.Fatalf("%s has no %s", of, code)
		}
		read := func(members string) *Subject {
			if members != "" {
				members = "," + members
			}
			return NewSubject(resource(t, `{"resourceType":"`+string(of)+`"`+members+`}`), testEnv)
		}
		return read(a).Differs(read(b), p)
	}
	for _, tt := range tests {
		if a, b := differs(tt.param, tt.a, tt.b, "Patient"), differs(tt.param, tt.b, tt.a, "Patient"); a != tt.want || b != tt.want {
			t.Errorf("%s: %t, the other way round %t", tt.name, a, b)
		}
	}
	const kg, g = `"system":"http://unitsofmeasure.org","code":"kg"`, `"system":"http://unitsofmeasure.org","code":"g"`
	component := func(code, value string) string {
		return `"component":[{"code":{"coding":[{"code":"` + code + `"}]},"valueQuantity":{"value":` + value + `}}]`
	}
	for _, tt := range []struct {
		name, param, a, b string
		want              bool
	}{
		{"text of a concept without codes", "code", `"code":{"text":"Fever"}`, `"code":{"text":"Cough"}`, true},
		{"text of a concept with a code", "code", `"code":{"text":"Fever","coding":[{"code":"1"}]}`, `"code":{"text":"fever!","coding":[{"code":"1","display":"x"}]}`, false},
		{"amount", "value-quantity", `"valueQuantity":{"value":1.5,` + kg + `}`, `"valueQuantity":{"value":1.6,` + kg + `}`, true},
		{"amount's unit", "value-quantity", `"valueQuantity":{"value":1.5,` + kg + `}`, `"valueQuantity":{"value":1.5,` + g + `}`, true},
		{"amount with an exponent", "value-quantity", `"valueQuantity":{"value":1.5}`, `"valueQuantity":{"value":15e-1}`, false},
		{"composite's value", "component-code-value-quantity", component("a", "1"), component("a", "2"), true},
		{"composite's code", "component-code-value-quantity", component("a", "1"), component("b", "1"), true},
		{"composite", "component-code-value-quantity", component("a", "1"), component("a", "1") + `,"status":"final"`, false},
	} {
		if got := differs(tt.param, tt.a, tt.b, "Observation"); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
	if !differs("url", `"url":"http://a"`, `"url":"http://b"`, "ValueSet") || !differs("near", `"position":{"latitude":1}`, `"position":{"latitude":2}`, "Location") {
		t.Error("url or near: no difference")
	}
	if differs("probability", `"prediction":[{"probabilityDecimal":0.5}]`, `"prediction":[{"probabilityDecimal":5e-1}]`, "RiskAssessment") ||
		!differs("probability", `"prediction":[{"probabilityDecimal":0.5}]`, `"prediction":[{"probabilityDecimal":0.6}]`, "RiskAssessment") {
		t.Error("probability")
	}
}
