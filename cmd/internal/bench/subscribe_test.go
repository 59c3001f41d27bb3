package bench_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"fhirhook/cmd/internal/bench"
)

// report is what is written: about a kilobyte, as a laboratory sends it.
const report = `{"resourceType":"DiagnosticReport","status":"final","identifier":[{"system":"http://lab.example.org/reports","value":"2031-000417"}],` +
	`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"HM","display":"Hematology"}]}],` +
	`"code":{"coding":[{"system":"http://loinc.org","code":"58410-2","display":"CBC panel - Blood by Automated count"}],"text":"Complete blood count"},` +
	`"subject":{"reference":"Patient/mara-lindqvist","display":"Mara Lindqvist"},"effectiveDateTime":"2031-04-17T08:30:00+02:00","issued":"2031-04-17T09:12:44.120+02:00",` +
	`"performer":[{"reference":"Organization/lab-north","display":"Laboratory North"}],` +
	`"result":[{"reference":"Observation/hb-1"},{"reference":"Observation/wbc-1"},{"reference":"Observation/plt-1"},{"reference":"Observation/hct-1"}],` +
	`"conclusion":"Haemoglobin, leukocytes and platelets are within the reference ranges. No further action is needed before the next visit."}`

// matching is a criteria that the report meets.
const matching = "DiagnosticReport?status=final"

// others returns n criteria of the same type that the report doesn't meet, each another one, over the
// parameters that Subscriptions commonly use.
func others(n int) []string {
	forms := []string{
		"DiagnosticReport?subject=Patient/someone-%d",
		"DiagnosticReport?status=final&code=http://loinc.org|%d-9",
		"DiagnosticReport?identifier=http://lab.example.org/reports|1999-%d",
		"DiagnosticReport?performer=Organization/lab-%d&status=final,amended",
	}
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(forms[i%len(forms)], i)
	}
	return all
}

// subscribe creates a Subscription for each criteria, with a secret, as seed 0 has it.
func subscribe(b *testing.B, p *bench.Process, endpoint string, criteria ...string) {
	b.Helper()
	for _, c := range criteria {
		body := fmt.Sprintf(`{"resourceType":"Subscription","status":"requested","reason":"benchmark","criteria":%q,`+
			`"channel":{"type":"rest-hook","endpoint":%q,"payload":"application/fhir+json"},`+
			`"extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"a-long-enough-secret"}]}`, c, endpoint)
		response, err := http.Post(p.Base+"/Subscription", "application/fhir+json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusCreated {
			b.Fatalf("Subscription %s: status %d\n%s", c, response.StatusCode, text)
		}
	}
}
