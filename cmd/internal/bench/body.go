package bench

import (
	"fmt"
	"strings"
)

// reportHead and reportTail are around the conclusion of what is written: with an ordinary one it is about a
// kilobyte, as a laboratory sends it.
const (
	reportHead = `{"resourceType":"DiagnosticReport","status":%q,"identifier":[{"system":"http://lab.example.org/reports","value":"2031-000417"}],` +
		`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"HM","display":"Hematology"}]}],` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"58410-2","display":"CBC panel - Blood by Automated count"}],"text":"Complete blood count"},` +
		`"subject":{"reference":"Patient/mara-lindqvist","display":"Mara Lindqvist"},"effectiveDateTime":"2031-04-17T08:30:00+02:00","issued":"2031-04-17T09:12:44.120+02:00",` +
		`"performer":[{"reference":"Organization/lab-north","display":"Laboratory North"}],` +
		`"result":[{"reference":"Observation/hb-1"},{"reference":"Observation/wbc-1"},{"reference":"Observation/plt-1"},{"reference":"Observation/hct-1"}],` +
		`"conclusion":"`
	smallHead  = `{"resourceType":"DiagnosticReport","status":%q,"code":{"text":"CBC"},"conclusion":"`
	reportTail = `"}`
	conclusion = `Haemoglobin, leukocytes and platelets are within the reference ranges. No further action is needed before the next visit. `
)

// The status of reports that Subscriptions of the benchmark ask for, and of those that nobody asks for.
const (
	wantedStatus = "final"
	quietStatus  = "amended"
)

// Matching is the criteria that wanted reports meet.
const Matching = "DiagnosticReport?status=" + wantedStatus

// leastBody is the smallest body, in bytes.
const leastBody = 128

// Body is a DiagnosticReport of so many bytes; wanted ones meet Matching.
func Body(size int, wanted bool) ([]byte, error) {
	status := quietStatus
	if wanted {
		status = wantedStatus
	}
	if size < leastBody {
		return nil, fmt.Errorf("a body of %d bytes is too small: %d at least", size, leastBody)
	}
	head := fmt.Sprintf(reportHead, status)
	if len(head)+len(conclusion)+len(reportTail) > size {
		head = fmt.Sprintf(smallHead, status)
	}
	room := size - len(head) - len(reportTail)
	text := strings.Repeat(conclusion, room/len(conclusion)+1)[:room]
	if text[len(text)-1] == ' ' {
		text = text[:len(text)-1] + "." // FHIR strings should not end with white space
	}
	return []byte(head + text + reportTail), nil
}

// Others returns n criteria of the same type that no report of the benchmark meets, each another one, over the
// parameters that Subscriptions commonly use.
func Others(n int) []string {
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
