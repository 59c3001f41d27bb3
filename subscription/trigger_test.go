package subscription

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
)

const fhirPath = "https://medplum.com/fhir/StructureDefinition/fhir-path-criteria-expression"

func trigger(code string) string { return ext(us+"subscription-trigger", `"valueCode":"`+code+`"`) }

func follow(code string) string {
	return ext(us+"subscription-trigger-parameter", `"valueString":"`+code+`"`)
}

func interaction(code string) string {
	return ext(med+"subscription-supported-interaction", `"valueCode":"`+code+`"`)
}

func fhirPathCriteria(expression string) string {
	return ext(fhirPath, `"valueString":"`+expression+`"`)
}

// on is a Subscription with criteria and extensions.
func on(criteria string, ee ...string) string {
	return strings.Replace(rootExt(ee...), "DiagnosticReport?status=final", criteria, 1)
}

func TestParse_readsTriggers(t *testing.T) {
	cu := Interactions{Create: true, Update: true}
	cud := Interactions{Create: true, Update: true, Delete: true}
	tests := []struct {
		name string
		body string
		want Subscription // of which these four are compared
	}{
		{"none", on("Patient"), Subscription{Interactions: cu}},
		{"matches", on("Patient", trigger("matches")), Subscription{Interactions: cu}},
		{"enters", on("Patient?active=true", trigger("enters")), Subscription{Trigger: Enters, Interactions: cu}},
		{"enters on the channel", strings.Replace(chExt(trigger("enters")), "DiagnosticReport", "DiagnosticReport", 1), Subscription{Trigger: Enters, Interactions: cu}},
		{"said twice", on("Patient", trigger("enters"), trigger("enters")), Subscription{Trigger: Enters, Interactions: cu}},
		{"leaves adds delete", on("Patient?active=true", trigger("leaves")), Subscription{Trigger: Leaves, Interactions: cud}},
		{"leaves adds delete to those named", on("Patient?active=true", trigger("leaves"), interaction("update")), Subscription{Trigger: Leaves, Interactions: Interactions{Update: true, Delete: true}}},
		{"changes", on("Patient", trigger("changes"), follow("gender"), follow("_tag"), follow("gender")), Subscription{Trigger: Changes, Parameters: []string{"gender", "_tag"}, Interactions: cu}},
		{"changes of several types", on("[Patient,Practitioner]", trigger("changes"), follow("gender")), Subscription{Trigger: Changes, Parameters: []string{"gender"}, Interactions: cu}},
		{"changes of all types", on("[*]", trigger("changes"), follow("_tag")), Subscription{Trigger: Changes, Parameters: []string{"_tag"}, Interactions: cu}},
		{"enters in the medplum dialect", on("Patient", trigger("enters"), ext(us+"subscription-dialect", `"valueCode":"medplum"`)), Subscription{Trigger: Enters, Interactions: cud}},
		{"FHIRPath", on("Patient", fhirPathCriteria("%current.active != %previous.active")), Subscription{Expression: "%current.active != %previous.active", Interactions: cu}},
		{"FHIRPath with www.", on("Patient", strings.Replace(fhirPathCriteria("true"), "https://", "http://www.", 1)), Subscription{Expression: "true", Interactions: cu}},
	}
	for _, tt := range tests {
		s, err := Parse(fhir.Key{}, 1, document(t, tt.body), testOptions(t))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := Subscription{Trigger: s.Trigger, Parameters: s.Parameters, Expression: s.Expression, Interactions: s.Interactions}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestParse_refusesTriggers(t *testing.T) {
	at := func(i int, member string) []issue {
		return []issue{{fhir.BusinessRule, "Subscription.extension[" + string(rune('0'+i)) + "]" + member}}
	}
	tests := []struct {
		name string
		body string
		want []issue
	}{
		{"unknown", on("Patient", trigger("becomes")), at(0, ".valueCode")},
		{"a string", on("Patient", ext(us+"subscription-trigger", `"valueString":"enters"`)), at(0, "")},
		{"contradicting", on("Patient", trigger("enters"), trigger("leaves")), at(1, ".valueCode")},
		{"contradicting the default", on("Patient", trigger("matches"), trigger("leaves")), at(1, ".valueCode")},
		{"leaves to the letter of R4", on("Patient?active=true", ext(us+"subscription-dialect", `"valueCode":"fhir"`), trigger("leaves")), at(1, ".valueCode")},
		{"changes of what", on("Patient", trigger("changes")), at(0, ".valueCode")},
		{"a parameter without a trigger", on("Patient", follow("gender")), at(0, ".valueString")},
		{"a parameter of another trigger", on("Patient", trigger("enters"), follow("gender")), at(1, ".valueString")},
		{"an unknown parameter", on("Patient", trigger("changes"), follow("nonsense")), at(1, ".valueString")},
		{"an empty parameter", on("Patient", trigger("changes"), follow("gender"), follow("")), []issue{{fhir.Value, "Subscription.extension[2].valueString"}}},
		{"another type's parameter", on("Patient", trigger("changes"), follow("gender"), follow("status")), at(2, ".valueString")},
		{"a parameter of one of the types", on("[Patient,Observation]", trigger("changes"), follow("gender")), at(1, ".valueString")},
		{"a parameter of some types", on("[*]", trigger("changes"), follow("gender")), at(1, ".valueString")},
		{"a parameter without values", on("Patient", trigger("changes"), follow("_text")), at(1, ".valueString")},
		{"a parameter with a modifier", on("Patient", trigger("changes"), follow("name:exact")), at(1, ".valueString")},
		{"enters by nothing but deletes", on("Patient", interaction("delete"), trigger("enters")), at(0, ".valueCode")},
		{"changes by creates", on("Patient", interaction("create"), trigger("changes"), follow("gender")), at(0, ".valueCode")},
		{"no FHIRPath", on("Patient", fhirPathCriteria("%current.")), at(0, ".valueString")},
		{"FHIRPath with an unknown function", on("Patient", fhirPathCriteria("nosuch()")), at(0, ".valueString")},
		{"FHIRPath as code", on("Patient", ext(fhirPath, `"valueCode":"true"`)), at(0, "")},
		{"two different FHIRPaths", on("Patient", fhirPathCriteria("true"), fhirPathCriteria("false")), at(1, ".valueString")},
	}
	for _, tt := range tests {
		_, err := Parse(fhir.Key{}, 1, document(t, tt.body), testOptions(t))
		if diff := cmp.Diff(tt.want, issues(err)); diff != "" {
			t.Errorf("%s: %s\n%v", tt.name, diff, err)
		}
	}
}
