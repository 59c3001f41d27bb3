package criteria

import (
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
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

// printLeaves writes what a parameter selects, a leaf a line: type, owner's member and value.
func printLeaves(leaves iter.Seq[Leaf]) []string {
	var out []string
	for l := range leaves {
		name, value := l.Name, string(l.Node.Raw())
		if l.Computed != "" {
			name, value = "computed", l.Computed
		}
		out = append(out, l.Type+" "+name+" "+value)
	}
	return out
}

func TestParam_leaves(t *testing.T) {
	t.Parallel()
	const patient = `{"resourceType":"Patient","id":"p1",
"name":[{"use":"official","family":"Muster","given":["Ada",null,"Eva"],"_given":[null,{"id":"x"},null]},{"use":"nickname","given":["Adi"]},{"_family":{"id":"y"}}],
"telecom":[{"system":"phone","value":"1"},{"system":"email","value":"a@example.org"},{"value":"no system"}],"gender":"female","generalPractitioner":[{"reference":"Practitioner/d"}]`
	tests := []struct {
		name, code, resource string
		want                 []string
	}{
		{"primitive arrays, null is no value", "given", patient + "}", []string{`string given "Ada"`, `string given "Eva"`, `string given "Adi"`}},
		{"a primitive with extensions only", "family", patient + "}", []string{`string family "Muster"`}},
		{"where", "email", patient + "}", []string{`ContactPoint telecom {"system":"email","value":"a@example.org"}`}},
		{"the id", "_id", patient + "}", []string{`id id "p1"`}},
		{"nothing", "birthdate", patient + "}", nil},
		{"a computed value, absent", "deceased", patient + "}", []string{"boolean computed false"}},
		{"a computed value, false", "deceased", patient + `,"deceasedBoolean":false}`, []string{"boolean computed false"}},
		{"a computed value, true", "deceased", patient + `,"deceasedBoolean":true}`, []string{"boolean computed true"}},
		{"a computed value, a date", "deceased", patient + `,"deceasedDateTime":"2020"}`, []string{"boolean computed true"}},
		{"members in another order", "gender", `{"gender":"male","resourceType":"Patient"}`, []string{`code gender "male"`}},
		{"a choice by its JSON name", "value-quantity", observation, []string{`Quantity valueQuantity {"value":1.10,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}`}},
		{"two alternatives", "combo-value-concept", observation, []string{`CodeableConcept valueCodeableConcept {"text":"small"}`}},
		{"a choice without a cast", "date", observation, []string{`dateTime effectiveDateTime "2026-01-02"`}},
		{"resolve() is Patient", "patient", observation, []string{`Reference subject {"reference":"Patient/p1","display":"Ada Muster"}`}},
		{"of several references", "performer", observation, []string{`Reference performer {"reference":"Practitioner/d1"}`, `Reference performer {"reference":"Organization/g1"}`}},
		{
			"the first entry", "message", `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"MessageHeader","id":"1"}},{"resource":{"resourceType":"Patient"}}]}`,
			[]string{`MessageHeader resource {"resourceType":"MessageHeader","id":"1"}`},
		},
		{"a first entry without a resource", "message", `{"resourceType":"Bundle","entry":[{},{"resource":{"resourceType":"Patient"}}]}`, nil},
		{"an object where an array should be", "given", `{"resourceType":"Patient","name":{"given":"Ada"}}`, []string{`string given "Ada"`}},
		{"an array where an object should be", "status", `{"resourceType":"Observation","status":[["final"]]}`, nil},
		{"a string where an object should be", "given", `{"resourceType":"Patient","name":"Ada"}`, nil},
		{"null everywhere", "given", `{"resourceType":"Patient","name":[null,{"given":null}]}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := parse(t, tt.resource)
			p, ok := R4().Param(fhir.Type(root.Get("resourceType").Text()), tt.code)
			if !ok {
				t.Fatalf("there is no %s", tt.code)
			}
			if diff := cmp.Diff(tt.want, printLeaves(p.Leaves(root))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLeaf_ownerFindsTheSibling: a value's extensions are beside it, under its name with _.
func TestLeaf_ownerFindsTheSibling(t *testing.T) {
	t.Parallel()
	root := parse(t, `{"resourceType":"Patient","gender":"other","_gender":{"id":"g"},"contact":[{"gender":"male"}]}`)
	p, _ := R4().Param("Patient", "gender")
	for l := range p.Leaves(root) {
		if got := l.Owner.Get("_" + l.Name).Get("id").Text(); got != "g" {
			t.Errorf("the sibling's id is %q", got)
		}
		if l.System != "http://hl7.org/fhir/administrative-gender" {
			t.Errorf("the implicit system is %q", l.System)
		}
	}
}

func TestParam_leavesOfNothing(t *testing.T) {
	t.Parallel()
	for p := range R4().Params("Patient") {
		for l := range p.Leaves(tape.Node{}) {
			t.Errorf("%s of an absent resource has %v", p.Code, l)
		}
	}
}

func TestParam_leavesStopsWhenAsked(t *testing.T) {
	t.Parallel()
	root := parse(t, observation)
	for p := range R4().Params("Observation") {
		n := 0
		for range p.Leaves(root) {
			n++
			break
		}
		if n > 1 {
			t.Errorf("%s went on", p.Code)
		}
	}
}

func TestComponent_leaves(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code, resource string
		want           []string // focus, then the components' values in it
	}{
		{"component-code-value-quantity", observation, []string{
			"component", `{"text":"systolic"}`, `{"value":120,"unit":"mmHg"}`,
			"component", `{"text":"diastolic"}`, `{"value":80,"unit":"mmHg"}`,
			"component", `{"text":"cuff"}`,
		}},
		{"combo-code-value-concept", observation, []string{
			"", `{"coding":[{"system":"http://loinc.org","code":"85354-9"}],"text":"Blood pressure"}`,
			"component", `{"text":"systolic"}`, "component", `{"text":"diastolic"}`,
			"component", `{"text":"cuff"}`, `{"text":"small"}`,
		}},
		{
			"relationship", `{"resourceType":"DocumentReference","relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/1"}}]}`,
			[]string{"relatesTo", `{"reference":"DocumentReference/1"}`, `"replaces"`},
		},
		{
			"referenceseqid-variant-coordinate", `{"resourceType":"MolecularSequence","referenceSeq":{"referenceSeqId":{"text":"NC_1"}},"variant":[{"start":1,"end":2}]}`,
			[]string{"variant", `{"text":"NC_1"}`, "1", "2"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			t.Parallel()
			root := parse(t, tt.resource)
			p, ok := R4().Param(fhir.Type(root.Get("resourceType").Text()), tt.code)
			if !ok {
				t.Fatal("there is no such parameter")
			}
			var got []string
			for focus := range p.Foci(root) {
				got = append(got, focus.Name)
				for _, c := range p.Components {
					for l := range c.Leaves(focus.Node, root) {
						got = append(got, string(l.Node.Raw()))
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCompile_evaluates sees that what compiles beyond HL7's own expressions also means what FHIRPath says.
func TestCompile_evaluates(t *testing.T) {
	t.Parallel()
	const resource = `{"resourceType":"Patient","active":true,"multipleBirthInteger":2,
"extension":[{"url":"urn:race","extension":[{"url":"text","valueString":"x"}]},{"url":"urn:place","valueAddress":{"city":"Ulm"}}],
"birthDate":"2000-01-01","_birthDate":{"extension":[{"url":"urn:time","valueDateTime":"2000-01-01T10:00:00Z"}]},
"name":[{"use":"official","family":"A","given":["B","C"]},{"use":"nickname","given":["D"]},{"use":"official","given":["E"]}],
"contained":[{"resourceType":"Practitioner","id":"d"}],
"generalPractitioner":[{"reference":"#d"},{"reference":"#e"},{"type":"Organization","identifier":{"value":"1"}}]}`
	tests := []struct {
		expression string
		want       []string
	}{
		{"Patient.name.where(use='official')[1].given", []string{`string given "E"`}},
		{"Patient.name[1].where(use='nickname').given", []string{`string given "D"`}},
		{"Patient.name[1].where(use='official').given", nil},
		{"Patient.name[9]", nil},
		{"Patient[0].active", []string{"boolean active true"}},
		{"Patient[1].active", nil},
		{"Patient.name.where(given = 'D').use", []string{`code use "nickname"`}},
		{"Patient.name.where(given = 'B').use", nil}, // two values are not equal to one
		{"Patient.name.where(given.where($this = 'B').exists()).use", []string{`code use "official"`}},
		{"Patient.name.where(family != 'A').use", nil}, // nor is nothing unequal to something
		{"Patient.name.where(family.empty()).use", []string{`code use "nickname"`, `code use "official"`}},
		{"Patient.name.where(family = 'A' or use = 'nickname').use", []string{`code use "official"`, `code use "nickname"`}},
		{"Patient.name.where((family = 'A').not()).use", nil},
		{"Patient.where(active).multipleBirth as integer", []string{"integer multipleBirthInteger 2"}},
		{"Patient.where(multipleBirth = 2).active", []string{"boolean active true"}},
		{"Patient.where(multipleBirth = '2').active", nil},
		{"Patient.where(multipleBirth is boolean).active", nil},
		{"Patient.where(multipleBirth is integer).active", []string{"boolean active true"}},
		{"Patient.extension('urn:race').extension('text').value", []string{`string valueString "x"`}},
		{"Patient.extension('urn:place').value.ofType(Address).city", []string{`string city "Ulm"`}},
		{"Patient.birthDate.extension('urn:time').value", []string{`dateTime valueDateTime "2000-01-01T10:00:00Z"`}},
		{"Patient.where(birthDate.hasExtension('urn:time')).active", []string{"boolean active true"}},
		{"Patient.generalPractitioner.where(resolve() is Practitioner)", []string{`Reference generalPractitioner {"reference":"#d"}`}},
		{"Patient.generalPractitioner.where(resolve() is Organization).identifier.value", []string{`string value "1"`}},
		{"Patient.contained.ofType(Practitioner).id", []string{`id id "d"`}},
		{"Patient.contained.ofType(Organization).id", nil},
		{"Patient.contained", []string{`Practitioner contained {"resourceType":"Practitioner","id":"d"}`}},
		{"Patient.active and Patient.birthDate.exists()", []string{"boolean computed true"}},
		{"Patient.deceased = true", nil},
		{"Patient.deceased = true or Patient.active", []string{"boolean computed true"}},
		{"Patient.deceased = true and Patient.active", nil},
		{"Patient.deceased = true and Patient.name.empty()", []string{"boolean computed false"}},
	}
	root := parse(t, resource)
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			t.Parallel()
			p, err := R4().Compile("Patient", Definition{Expression: tt.expression})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, printLeaves(p.Leaves(root))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzLeaves: whatever JSON is stored as whatever type, extraction neither panics nor yields what is not
// part of the document.
func FuzzLeaves(f *testing.F) {
	f.Add([]byte(observation))
	f.Add([]byte(`{"resourceType":"Patient","name":[[{"given":[null,["x"]]}],"y",3],"deceasedBoolean":null,"link":{"other":{"reference":"#"}}}`))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":3}}]}`))
	f.Add([]byte(`{"resourceType":"DocumentReference","relatesTo":[null,{"code":{},"target":[{"reference":"\u0023a"}]}],"contained":[{"id":"a"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := tape.Parse(body, 0)
		if err != nil {
			return
		}
		root := doc.Root()
		typ := fhir.Type(root.Get("resourceType").Text())
		if !typ.Known() {
			typ = "Observation"
		}
		for p := range R4().Params(typ) {
			for l := range p.Leaves(root) {
				if l.Computed == "" && (l.Node.Kind() == tape.Null || l.Node.Kind() == tape.Array || !l.Node.Exists()) {
					t.Fatalf("%s.%s yields a JSON %s", typ, p.Code, l.Node.Kind())
				}
				for _, c := range p.Components {
					for l := range c.Leaves(l.Node, root) {
						if !l.Node.Exists() {
							t.Fatalf("%s.%s: a component yields nothing", typ, p.Code)
						}
					}
				}
			}
		}
	})
}
