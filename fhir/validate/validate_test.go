package validate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
	"fhirhook/fhir/validate"
)

func read(t testing.TB, body string) fhir.Incoming {
	t.Helper()
	in, err := fhir.Read([]byte(body), 0)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return in
}

// told are the problems as kind, path and, behind a bar, part of the text.
func told(problems []*fhir.Error) []string {
	names := map[fhir.Kind]string{
		fhir.Structure: "structure", fhir.Required: "required", fhir.Value: "value",
		fhir.Incomplete: "incomplete", fhir.CodeInvalid: "code-invalid",
	}
	var out []string
	for _, p := range problems {
		out = append(out, names[p.Kind]+" "+p.Expression)
	}
	return out
}

func TestStructure_accepts(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing but a type":                 `{"resourceType":"Patient"}`,
		"a Subscription of seed 0":           `{"resourceType":"Subscription","criteria":"DiagnosticReport?status=completed","status":"active","channel":{"type":"rest-hook","endpoint":"https://example.org/x"},"extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"abc"}]}`,
		"a Subscription without status":      `{"resourceType":"Subscription","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"https://example.org/x"}}`,
		"a DiagnosticReport that is done":    `{"resourceType":"DiagnosticReport","status":"completed","code":{"text":"x"}}`,
		"the type last":                      `{"id":"a","active":true,"resourceType":"Patient"}`,
		"extensions of primitives":           `{"resourceType":"Patient","birthDate":"1970-01","_birthDate":{"extension":[{"url":"urn:a","valueCode":"x"}]},"_gender":{"id":"g"}}`,
		"aligned arrays":                     `{"resourceType":"Patient","name":[{"given":["A",null,"C"],"_given":[null,{"id":"b"},null]}]}`,
		"a shorter array of extensions":      `{"resourceType":"Patient","name":[{"given":["A","B"],"_given":[{"id":"a"}]}]}`,
		"a shorter array of values":          `{"resourceType":"Patient","name":[{"given":["A"],"_given":[null,{"id":"b"}]}]}`,
		"extensions without values":          `{"resourceType":"Patient","name":[{"_given":[{"id":"a"}]}]}`,
		"a choice and its extensions":        `{"resourceType":"Observation","valueString":"a","_valueString":{"id":"v"}}`,
		"an extension of extensions":         `{"resourceType":"Patient","extension":[{"url":"urn:race","extension":[{"url":"text","valueString":"x"}]}]}`,
		"a contained resource":               `{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p"}],"subject":{"reference":"#p"}}`,
		"a reference to the container":       `{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p","link":[{"other":{"reference":"#"}}]}]}`,
		"resources in a Bundle":              `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o"}]}}]}`,
		"a resource as a parameter":          `{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Patient"}},{"name":"b","part":[{"name":"c","valueId":"x"}]}]}`,
		"a recursive structure":              `{"resourceType":"Questionnaire","item":[{"linkId":"1","item":[{"linkId":"2","item":[{"linkId":"3"}]}]}]}`,
		"a reference by identifier":          `{"resourceType":"Observation","subject":{"identifier":{"value":"x"}}}`,
		"decimals as they come":              `{"resourceType":"Observation","valueQuantity":{"value":-1.000E+245}}`,
		"a narrative":                        `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"}}`,
		"escapes that hide a name and value": `{"resourceType":"Patient","\u0061ctive":true,"birthDate":"1970-0\u0031-01"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if problems := validate.Structure.Validate(read(t, body)); len(problems) > 0 {
				t.Errorf("refused: %v", problems)
			}
		})
	}
}

func TestStructure_refuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65)
	tests := []struct{ name, body, want, text string }{
		{"a typo", `{"resourceType":"Patient","contact":[{"nmae":{"text":"x"}}]}`, "structure Patient.contact[0].nmae", `did you mean "name"?`},
		{"another case", `{"resourceType":"Patient","birthdate":"1970"}`, "structure Patient.birthdate", `did you mean "birthDate"?`},
		{"a typo at the root", `{"resourceType":"Observation","staus":"final"}`, "structure Observation.staus", `did you mean "status"?`},
		{"a name that is like none", `{"resourceType":"Patient","shoeSize":42}`, "structure Patient.shoeSize", "has no element"},
		{"a name that is no identifier", `{"resourceType":"Patient","a-b c":42}`, "structure Patient.`a-b c`", "has no element"},
		{"an empty name", `{"resourceType":"Patient","":42}`, "structure Patient.``", "has no element"},
		{"the choice itself", `{"resourceType":"Observation","value":1}`, "structure Observation.value", "valueQuantity"},
		{"an unknown type of a choice", `{"resourceType":"Observation","valueMoney":{}}`, "structure Observation.valueMoney", "value[x]"},
		{"a misspelt type of a choice", `{"resourceType":"Observation","valueQuantitty":{"value":1}}`, "structure Observation.valueQuantitty", `did you mean "valueQuantity"?`},
		{"two of a choice", `{"resourceType":"Observation","valueString":"a","valueInteger":1}`, "structure Observation.value", "exclude each other"},
		{"extensions of another choice", `{"resourceType":"Observation","valueString":"a","_valueInteger":{"id":"x"}}`, "structure Observation.value", "exclude each other"},
		{"extensions of a complex value", `{"resourceType":"Patient","_maritalStatus":{"id":"x"}}`, "structure Patient._maritalStatus", "inside its value"},
		{"extensions of an id", `{"resourceType":"Patient","name":[{"id":"x","_id":{"id":"y"}}]}`, "structure Patient.name[0]._id", "can't have extensions"},
		{"resourceType in a data type", `{"resourceType":"Patient","name":[{"resourceType":"HumanName","text":"x"}]}`, "structure Patient.name[0].resourceType", "only resources"},
		{"a string for a boolean", `{"resourceType":"Patient","active":"true"}`, "value Patient.active", "without quotes"},
		{"a number for a string", `{"resourceType":"Patient","language":1}`, "value Patient.language", "in quotes"},
		{"a string for a decimal", `{"resourceType":"Observation","valueQuantity":{"value":"1.0"}}`, "value Observation.value.value", "JSON number"},
		{"an object for a string", `{"resourceType":"Patient","language":{"x":1}}`, "structure Patient.language", "JSON string"},
		{"a string for an object", `{"resourceType":"Observation","code":"1234-5"}`, "structure Observation.code", "CodeableConcept"},
		{"a single for an array", `{"resourceType":"Patient","name":{"text":"x"}}`, "structure Patient.name", "must be an array"},
		{"an array for a single", `{"resourceType":"Patient","gender":["male"]}`, "structure Patient.gender", "can't repeat"},
		{"an array in an array", `{"resourceType":"Patient","name":[[{"text":"x"}]]}`, "structure Patient.name[0]", "JSON object"},
		{"null", `{"resourceType":"Patient","gender":null}`, "structure Patient.gender", "null"},
		{"null for an array", `{"resourceType":"Patient","name":null}`, "structure Patient.name", "null"},
		{"null for an object", `{"resourceType":"Observation","code":null}`, "structure Observation.code", "null"},
		{"null among objects", `{"resourceType":"Patient","name":[{"text":"x"},null]}`, "structure Patient.name[1]", "null"},
		{"null without extensions", `{"resourceType":"Patient","name":[{"given":["A",null]}]}`, "structure Patient.name[0].given[1]", "_given"},
		{"null beside null", `{"resourceType":"Patient","name":[{"given":["A",null],"_given":[{"id":"a"},null]}]}`, "structure Patient.name[0].given[1]", "_given"},
		{"null for extensions of nothing", `{"resourceType":"Patient","name":[{"_given":[null,{"id":"b"}]}]}`, "structure Patient.name[0].given[0]", "given has no value"},
		{"null for single extensions", `{"resourceType":"Patient","gender":"male","_gender":null}`, "structure Patient.gender", "null"},
		{"extensions that are no object", `{"resourceType":"Patient","_gender":"x"}`, "structure Patient.gender", "id or extension"},
		{"more in extensions than there is", `{"resourceType":"Patient","_gender":{"value":"x"}}`, "structure Patient.gender.value", "Element has no element"},
		{"an empty object", `{"resourceType":"Patient","maritalStatus":{}}`, "structure Patient.maritalStatus", "without members"},
		{"an empty array", `{"resourceType":"Patient","name":[]}`, "structure Patient.name", "empty array"},
		{"an empty string", `{"resourceType":"Patient","language":""}`, "value Patient.language", "empty string"},
		{"empty extensions", `{"resourceType":"Patient","_gender":{}}`, "structure Patient.gender", "without members"},
		{"an empty contained resource", `{"resourceType":"Patient","contained":[{}]}`, "structure Patient.contained[0]", "without members"},
		{"a date that doesn't exist", `{"resourceType":"Patient","birthDate":"1970-02-30"}`, "value Patient.birthDate", "YYYY-MM-DD"},
		{"a dateTime without a zone", `{"resourceType":"Observation","effectiveDateTime":"2020-01-01T10:00:00"}`, "value Observation.effective", "time zone"},
		{"a date for an instant", `{"resourceType":"Observation","issued":"2020-01-01"}`, "value Observation.issued", "instant"},
		{"a code with a space", `{"resourceType":"Patient","gender":" male"}`, "value Patient.gender", "space"},
		{"a long id", `{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"` + long + `"}]}`, "value Patient.contained[0].id", "1 to 64"},
		{"a fraction for a positiveInt", `{"resourceType":"Patient","telecom":[{"rank":1.0}]}`, "value Patient.telecom[0].rank", "whole number"},
		{"zero for a positiveInt", `{"resourceType":"Patient","telecom":[{"rank":0}]}`, "value Patient.telecom[0].rank", "at least 1"},
		{"an integer of 33 bits", `{"resourceType":"Observation","valueInteger":2147483648}`, "value Observation.value", "32 bits"},
		{"a uri with a space", `{"resourceType":"Patient","implicitRules":"http://a b"}`, "value Patient.implicitRules", "%20"},
		{"base64 that is none", `{"resourceType":"Patient","photo":[{"data":"abc"}]}`, "value Patient.photo[0].data", "fours"},
		{"a narrative without div", `{"resourceType":"Patient","text":{"status":"generated","div":"hello"}}`, "value Patient.text.div", "XHTML"},
		{"a narrative of two elements' names", `{"resourceType":"Patient","text":{"status":"generated","div":"<divx>hello</div>"}}`, "value Patient.text.div", "XHTML"},
		{"a reference to no type", `{"resourceType":"Observation","subject":{"reference":"Patiant/1"}}`, "value Observation.subject.reference", `did you mean "Patient"?`},
		{"a reference without id", `{"resourceType":"Observation","subject":{"reference":"Patient"}}`, "value Observation.subject.reference", "Type/id"},
		{"a reference with a bad id", `{"resourceType":"Observation","subject":{"reference":"Patient/a_b"}}`, "value Observation.subject.reference", "Type/id"},
		{"a reference that goes on", `{"resourceType":"Observation","subject":{"reference":"Patient/1/name"}}`, "value Observation.subject.reference", "Type/id"},
		{"an extension without url", `{"resourceType":"Patient","extension":[{"valueString":"x"}]}`, "required Patient.extension[0].url", "url"},
		{"an extension of nothing", `{"resourceType":"Patient","extension":[{"url":"urn:x"}]}`, "structure Patient.extension[0]", "ext-1"},
		{"an extension of both", `{"resourceType":"Patient","extension":[{"url":"urn:x","valueString":"x","extension":[{"url":"y","valueString":"y"}]}]}`, "structure Patient.extension[0]", "not both"},
		{"a modifier extension of nothing", `{"resourceType":"Patient","modifierExtension":[{"url":"urn:x"}]}`, "structure Patient.modifierExtension[0]", "ext-1"},
		{"contained in contained", `{"resourceType":"Patient","contained":[{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"x"}]}]}`, "structure Patient.contained[0].contained[0]", "dom-2"},
		{"contained without type", `{"resourceType":"Patient","contained":[{"id":"x"}]}`, "required Patient.contained[0].resourceType", "resourceType"},
		{"contained of no type", `{"resourceType":"Patient","contained":[{"resourceType":"Patiant"}]}`, "value Patient.contained[0].resourceType", `"Patient"?`},
		{"contained of an abstract type", `{"resourceType":"Patient","contained":[{"resourceType":"DomainResource"}]}`, "value Patient.contained[0].resourceType", "not a resource type"},
		{"contained that is a data type", `{"resourceType":"Patient","contained":[{"resourceType":"HumanName"}]}`, "value Patient.contained[0].resourceType", "not a resource type"},
		{"contained that is no object", `{"resourceType":"Patient","contained":["x"]}`, "structure Patient.contained[0]", "JSON object"},
		{"a typo in a Bundle's resource", `{"resourceType":"Bundle","entry":[{},{"resource":{"resourceType":"Patient","activ":true}}]}`, "structure Bundle.entry[1].resource.activ", `"active"?`},
		{"a typo in a parameter's resource", `{"resourceType":"Parameters","parameter":[{"name":"x","resource":{"resourceType":"Patient","activ":true}}]}`, "structure Parameters.parameter[0].resource.activ", `"active"?`},
		{"a typo in a data type of a data type", `{"resourceType":"Patient","identifier":[{"type":{"coding":[{"sistem":"urn:x"}]}}]}`, "structure Patient.identifier[0].type.coding[0].sistem", `"system"?`},
		{"a typo deep in a recursive structure", `{"resourceType":"Questionnaire","item":[{"item":[{"item":[{"linkid":"3"}]}]}]}`, "structure Questionnaire.item[0].item[0].item[0].linkid", `"linkId"?`},
		{"an element of another type of resource", `{"resourceType":"Observation","birthDate":"1970"}`, "structure Observation.birthDate", "has no element"},
		{"comments of an older version", `{"resourceType":"Patient","fhir_comments":["x"]}`, "structure Patient.fhir_comments", "has no element"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			problems := validate.Structure.Validate(read(t, tt.body))
			at := -1
			for i, got := range told(problems) {
				if got == tt.want {
					at = i
				}
			}
			if at < 0 {
				t.Fatalf("got %v, want %s", problems, tt.want)
			}
			if !strings.Contains(problems[at].Diagnostic, tt.text) {
				t.Errorf("the text is %q, want %q in it", problems[at].Diagnostic, tt.text)
			}
			if strict := validate.Strict.Validate(read(t, tt.body)); !contains(told(strict), tt.want) {
				t.Errorf("under strict: got %v, want %s", strict, tt.want)
			}
			if off := validate.Off.Validate(read(t, tt.body)); len(off) > 0 {
				t.Errorf("off, and yet: %v", off)
			}
		})
	}
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func TestStrict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []string
	}{
		{"seed 0's report: the code is bad, the shape is not", `{"resourceType":"DiagnosticReport","status":"completed","code":{"text":"x"}}`, []string{"code-invalid DiagnosticReport.status"}},
		{"a good report", `{"resourceType":"DiagnosticReport","status":"final","code":{"text":"x"}}`, nil},
		{"missing elements", `{"resourceType":"Observation"}`, []string{"incomplete Observation.status", "incomplete Observation.code"}},
		{"a missing choice", `{"resourceType":"MedicationRequest","status":"active","intent":"order","subject":{"reference":"Patient/1"}}`, []string{"incomplete MedicationRequest.medication"}},
		{"a missing nested element", `{"resourceType":"Patient","link":[{"type":"refer"}]}`, []string{"incomplete Patient.link[0].other"}},
		{"a value with extensions only is there", `{"resourceType":"Observation","_status":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]},"code":{"text":"x"}}`, nil},
		{"a Subscription may leave status and reason to the server", `{"resourceType":"Subscription","criteria":"Patient","channel":{"type":"rest-hook"}}`, nil},
		{"but not its criteria", `{"resourceType":"Subscription","channel":{"type":"rest-hook"}}`, []string{"incomplete Subscription.criteria"}},
		{"a concept outside its value set", `{"resourceType":"AllergyIntolerance","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"activ"}]},"patient":{"reference":"Patient/1"}}`, []string{"code-invalid AllergyIntolerance.clinicalStatus"}},
		{"a concept of another system", `{"resourceType":"AllergyIntolerance","clinicalStatus":{"coding":[{"system":"urn:x","code":"active"}]},"patient":{"reference":"Patient/1"}}`, []string{"code-invalid AllergyIntolerance.clinicalStatus"}},
		{"one good code of several", `{"resourceType":"AllergyIntolerance","clinicalStatus":{"coding":[{"system":"urn:x","code":"a"},{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"patient":{"reference":"Patient/1"}}`, nil},
		{"a set that R4 leaves to others", `{"resourceType":"Binary","contentType":"made/up"}`, nil},
		{"the shape comes first", `{"resourceType":"Observation","status":"fnal","cod":1}`, []string{"structure Observation.cod", "code-invalid Observation.status", "incomplete Observation.code"}},
		{"contained resources too", `{"resourceType":"Patient","contained":[{"resourceType":"Observation","status":"final"}]}`, []string{"incomplete Patient.contained[0].code"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, told(validate.Strict.Validate(read(t, tt.body)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStrict_offersWhatWasMeant(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"resourceType":"Patient","gender":"mael"}`: `did you mean "male"?`,
		`{"resourceType":"Patient","gender":"x"}`:    "it holds female, male, other, unknown",
	} {
		problems := validate.Strict.Validate(read(t, body))
		if len(problems) != 1 || !strings.Contains(problems[0].Diagnostic, want) {
			t.Errorf("%s: %v, want %q", body, problems, want)
		}
	}
}

// TestValidate_quotesNothingOfASubscription keeps secrets out of errors (invariant 8).
func TestValidate_quotesNothingOfASubscription(t *testing.T) {
	t.Parallel()
	subscription := `{"resourceType":"Subscription","status":"s3cret code","channel":{"type":"s3cret  x","endpoint":"https://s3cret x","header":["",{"s":"s3cret"}]},
"extension":[{"url":"urn:x","valueString":["s3cret"]},{"url":"urn:x","valueUri":"s3cret secret"},{"url":"urn:x","valueReference":{"reference":"s3cret"}}]}`
	for _, body := range []string{subscription, `{"resourceType":"Bundle","entry":[{"resource":` + subscription + `}]}`} {
		problems := validate.Strict.Validate(read(t, body))
		if len(problems) < 6 {
			t.Errorf("only %v", problems)
		}
		for _, p := range problems {
			if strings.Contains(p.Error(), "s3cret") {
				t.Errorf("%v", p)
			}
		}
	}
}

func TestValidate_tellsAtMostFifty(t *testing.T) {
	t.Parallel()
	for _, item := range []string{`{"nmae":1}`, `null`, `[]`, `{"given":[1]}`} {
		body := `{"resourceType":"Patient","name":[` + strings.Repeat(item+",", 5000) + item + `]}`
		if got := len(validate.Structure.Validate(read(t, body))); got != validate.MaxIssues {
			t.Errorf("%s: %d problems, want %d", item, got, validate.MaxIssues)
		}
	}
	var members []string
	for i := range 5000 {
		members = append(members, fmt.Sprintf(`"x%d":1`, i))
	}
	if got := len(validate.Structure.Validate(read(t, `{"resourceType":"Patient",`+strings.Join(members, ",")+`}`))); got != validate.MaxIssues {
		t.Errorf("%d problems of names, want %d", got, validate.MaxIssues)
	}
}

// TestValidate_alignedArraysCostTheirLength: walking one array beside the other must not begin anew each time.
func TestValidate_alignedArraysCostTheirLength(t *testing.T) {
	t.Parallel()
	const n = 200_000 // quadratic would be minutes
	body := `{"resourceType":"Patient","name":[{"given":[` + strings.Repeat("null,", n) + `"z"],"_given":[` + strings.Repeat(`{"id":"a"},`, n) + `null]}]}`
	if problems := validate.Structure.Validate(read(t, body)); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
}

func TestParseMode(t *testing.T) {
	t.Parallel()
	for _, m := range []validate.Mode{validate.Off, validate.Structure, validate.Strict} {
		if got, err := validate.ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%s: %v, %v", m, got, err)
		}
	}
	if _, err := validate.ParseMode("none"); err == nil {
		t.Error("none is a mode")
	}
}

// TestEnvelope leaves the entries to Entry, and their resources to Validate.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	bad := `{"resource":{"resourceType":"Patient","activ":true},"request":{"method":"POST","url":"Patient","ifNoneExists":"x"}}`
	in := read(t, `{"resourceType":"Bundle","type":"batch","entry":[`+bad+`]}`)
	if problems := validate.Strict.Envelope(in); len(problems) > 0 {
		t.Errorf("the envelope answers for its entries: %v", problems)
	}
	if diff := cmp.Diff([]string{"structure Bundle.entries"}, told(validate.Structure.Envelope(read(t, `{"resourceType":"Bundle","type":"batch","entries":[]}`)))); diff != "" {
		t.Error(diff)
	}
	entry := in.Doc.Root().Path("entry").At(0)
	if diff := cmp.Diff([]string{"structure Bundle.entry.request.ifNoneExists"}, told(validate.Strict.Entry(entry))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"structure Bundle.entry"}, told(validate.Structure.Entry(tape.Node{}))); diff != "" {
		t.Error(diff)
	}
	if len(validate.Off.Entry(entry)) > 0 || len(validate.Off.Envelope(in)) > 0 {
		t.Error("off checks")
	}
}
