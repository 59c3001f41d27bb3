package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// pitfallCriteria are criteria that servers are known to get wrong, with a resource that each finds and one that it
// does not.
var pitfallCriteria = []struct{ name, criteria, yes, no string }{
	{
		"quantity", "Observation?value-quantity=gt5.40|http://unitsofmeasure.org|mmol/L",
		`"status":"final","code":{"text":"x"},"valueQuantity":{"value":5.5,"system":"http://unitsofmeasure.org","code":"mmol/L"}`,
		`"status":"final","code":{"text":"x"},"valueQuantity":{"value":5.5,"system":"http://unitsofmeasure.org","code":"mg/dL"}`,
	},
	{
		"number", "RiskAssessment?probability=gt0.8",
		`"status":"final","subject":{"reference":"Patient/p"},"prediction":[{"probabilityDecimal":0.1},{"probabilityDecimal":0.85}]`,
		`"status":"final","subject":{"reference":"Patient/p"},"prediction":[{"probabilityDecimal":0.80}]`,
	},
	{
		"composite", "Observation?component-code-value-quantity=http://loinc.org|8480-6$gt140",
		`"status":"final","code":{"text":"x"},"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":150}}]`,
		`"status":"final","code":{"text":"x"},"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120}},{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"valueQuantity":{"value":150}}]`,
	},
	{"_lastUpdated", "Patient?_lastUpdated=gt2020-01-01&family=Lately", `"name":[{"family":"Lately"}]`, `"name":[{"family":"Never"}]`},
	{"_lastUpdated of the past", "Patient?_lastUpdated=lt2020-01-01", ``, `"name":[{"family":"Before"}]`},
	{"missing", "Patient?birthdate:missing=true&family=Missing", `"name":[{"family":"Missing"}]`, `"name":[{"family":"Missing"}],"birthDate":"1980-05-17"`},
	{"not missing", "Patient?birthdate:missing=false&family=There", `"name":[{"family":"There"}],"birthDate":"1980-05-17"`, `"name":[{"family":"There"}]`},
	{"not", "Patient?gender:not=male&family=Other", `"name":[{"family":"Other"}],"gender":"female"`, `"name":[{"family":"Other"}],"gender":"male"`},
	{"not, and there is none", "Patient?gender:not=male&family=None", `"name":[{"family":"None"}]`, `"name":[{"family":"None"}],"gender":"male"`},
	{
		"in", "Observation?code:in=http://clinic.example/ValueSet/sugar",
		`"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2345-7"}]}`,
		`"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}`,
	},
	{"tag", "Basic?_tag=urn:clinic|vip", `"code":{"text":"x"},"meta":{"tag":[{"system":"urn:clinic","code":"a"},{"system":"urn:clinic","code":"vip"}]}`, `"code":{"text":"x"},"meta":{"tag":[{"system":"urn:other","code":"vip"}]}`},
	{
		"security not", "Basic?_security:not=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R&_tag=urn:clinic|open",
		`"code":{"text":"x"},"meta":{"tag":[{"system":"urn:clinic","code":"open"}]}`,
		`"code":{"text":"x"},"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}],"tag":[{"system":"urn:clinic","code":"open"}]}`,
	},
	{
		"canonical with a version", "QuestionnaireResponse?questionnaire=http://clinic.example/Questionnaire/a|2",
		`"status":"completed","questionnaire":"http://clinic.example/Questionnaire/a|2"`, `"status":"completed","questionnaire":"http://clinic.example/Questionnaire/a|1"`,
	},
	{
		"canonical without one", "QuestionnaireResponse?questionnaire=http://clinic.example/Questionnaire/b",
		`"status":"completed","questionnaire":"http://clinic.example/Questionnaire/b|7"`, `"status":"completed","questionnaire":"http://clinic.example/Questionnaire/bb"`,
	},
	{"date at lower precision in the criteria", "Patient?birthdate=1980-05", `"birthDate":"1980-05-31"`, `"birthDate":"1980-06-01"`},
	{"date at lower precision in the resource", "Patient?birthdate=1971-03-14", `"birthDate":"1971-03-14"`, `"birthDate":"1971-03"`},
	{
		"date in another zone", "Encounter?date=ge2026-03-02&status=finished",
		`"status":"finished","class":{"code":"AMB"},"period":{"start":"2026-03-01T22:30:00-05:00","end":"2026-03-01T23:30:00-05:00"}`,
		`"status":"finished","class":{"code":"AMB"},"period":{"start":"2026-03-02T00:10:00+02:00","end":"2026-03-02T00:30:00+02:00"}`,
	},
}

// TestPitfall_criteria writes a resource of each kind, and wants the same of the Subscription and of the search.
func TestPitfall_criteria(t *testing.T) {
	x := newTrap(t)
	x.put("ValueSet/sugar", `,"url":"http://clinic.example/ValueSet/sugar","status":"active","compose":{"include":[{"system":"http://loinc.org","concept":[{"code":"2345-7"}]}]}`)
	ids := make([]string, len(pitfallCriteria))
	for i, c := range pitfallCriteria {
		ids[i] = x.create("Subscription", set(fmt.Sprintf("%s/%d", x.r.URL, i), c.criteria, strict))
	}
	x.create("Subscription", set(x.r.URL+"/last", "Patient?family=Sentinel", strict))
	typ := func(i int) string { typ, _, _ := strings.Cut(pitfallCriteria[i].criteria, "?"); return typ }
	for i, c := range pitfallCriteria {
		if c.yes != "" {
			x.put(fmt.Sprintf("%s/yes-%d", typ(i), i), ","+c.yes)
		}
		x.put(fmt.Sprintf("%s/no-%d", typ(i), i), ","+c.no)
	}
	x.put("Patient/sentinel", `,"name":[{"family":"Sentinel"}]`)
	x.r.await(t, "what was written last", func(got []notification) bool { return len(reads(got, "/last")) == 1 })
	for i, c := range pitfallCriteria {
		t.Run(c.name, func(t *testing.T) {
			for name, wanted := range map[string]bool{"yes": c.yes != "", "no": false} {
				reference := fmt.Sprintf("%s/%s-%d", typ(i), name, i)
				total := x.must(http.StatusOK, http.MethodGet, "/Subscription/"+ids[i]+"/$deliveries?resource="+reference, "").json(t)["total"]
				if notified := total == 1.0; notified != wanted {
					t.Errorf("%s: notified of %s: %v, want %v", c.criteria, reference, notified, wanted)
				}
				_, query, _ := strings.Cut(c.criteria, "?")
				parts := strings.Split(query, "&")
				for j, part := range parts {
					key, value, _ := strings.Cut(part, "=")
					parts[j] = key + "=" + url.QueryEscape(value)
				}
				found, _ := x.totalOf(fmt.Sprintf("/%s?_id=%s-%d&%s", typ(i), name, i, strings.Join(parts, "&")))
				if (found == 1) != wanted {
					t.Errorf("%s: finds %d of %s, want %v", c.criteria, found, reference, wanted)
				}
			}
		})
	}
}
