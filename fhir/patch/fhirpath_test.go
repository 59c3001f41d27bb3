package patch

import (
	"strings"
	"testing"

	"fhirhook/fhir"
)

// op writes an operation; each argument is name=value with the value's member, as in path:valueString="x".
func op(kind string, parts ...string) string {
	all := []string{`{"name":"type","valueCode":"` + kind + `"}`}
	for _, p := range parts {
		name, value, _ := strings.Cut(p, ":")
		all = append(all, `{"name":"`+name+`",`+value+`}`)
	}
	return `{"name":"operation","part":[` + strings.Join(all, ",") + `]}`
}

func path(s string) string { return `path:"valueString":"` + s + `"` }

func parameters(operations ...string) string {
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(operations, ",") + `]}`
}

func readPath(t *testing.T, s string) (Patch, error) {
	t.Helper()
	in, err := fhir.Read([]byte(s), 0)
	if err != nil {
		t.Fatal(err)
	}
	return FHIRPath(in)
}

const patient = `{"resourceType":"Patient","id":"1","active":true,"name":[{"use":"official","family":"F","given":["A","B","C"],"_given":[null,{"id":"b"},null]},{"use":"usual","given":["Z"]}],"birthDate":"1970-01-01","deceasedBoolean":false,"extension":[{"url":"urn:x","valueString":"v"}]}`

func TestFHIRPath_appliesEachOperation(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, patch, before, after string }{
		{"replace", op("replace", path("Patient.birthDate"), `value:"valueDate":"1980"`), `"1970-01-01"`, `"1980"`},
		{"replace by index", op("replace", path("Patient.name[1].given[0]"), `value:"valueString":"Y"`), `"Z"`, `"Y"`},
		{"replace by where", op("replace", path("Patient.name.where(use = 'official').family"), `value:"valueString":"G"`), `"F"`, `"G"`},
		{"replace with a code as a string", op("replace", path("name[0].use"), `value:"valueString":"old"`), `"official"`, `"old"`},
		{"replace a choice by another type", op("replace", path("Patient.deceased"), `value:"valueDateTime":"2020"`), `"deceasedBoolean":false`, `"deceasedDateTime":"2020"`},
		{"replace in an extension", op("replace", path("Patient.extension('urn:x').value"), `value:"valueString":"w"`), `"v"`, `"w"`},
		{"replace a choice by its type", op("replace", path("Patient.deceased.ofType(boolean)"), `value:"valueBoolean":true`), `"deceasedBoolean":false`, `"deceasedBoolean":true`},
		{"add a single element", op("add", path("Patient"), `name:"valueString":"gender"`, `value:"valueCode":"male"`), `"valueString":"v"}]}`, `"valueString":"v"}],"gender":"male"}`},
		{"add to a list", op("add", path("Patient.name[1]"), `name:"valueString":"given"`, `value:"valueString":"Y"`), `["Z"]`, `["Z","Y"]`},
		{"add beside extensions", op("add", path("Patient.name[0]"), `name:"valueString":"given"`, `value:"valueString":"D"`), `"given":["A","B","C"],"_given":[null,{"id":"b"},null]`, `"given":["A","B","C","D"],"_given":[null,{"id":"b"},null,null]`},
		{"add a complex value", op("add", path("Patient"), `name:"valueString":"identifier"`, `value:"valueIdentifier":{"value":"1.50"}`), `"valueString":"v"}]}`, `"valueString":"v"}],"identifier":[{"value":"1.50"}]}`},
		{"add parts", op("add", path("Patient"), `name:"valueString":"contact"`, `value:"part":[{"name":"name","valueHumanName":{"text":"N"}},{"name":"gender","valueCode":"male"},{"name":"relationship","valueCodeableConcept":{"text":"R"}}]`), `"valueString":"v"}]}`, `"valueString":"v"}],"contact":[{"name":{"text":"N"},"gender":"male","relationship":[{"text":"R"}]}]}`},
		{"add a choice", op("add", path("Patient"), `name:"valueString":"multipleBirth"`, `value:"valueInteger":2`), `"valueString":"v"}]}`, `"valueString":"v"}],"multipleBirthInteger":2}`},
		{"insert", op("insert", path("Patient.name[0].given"), `value:"valueString":"X"`, `index:"valueInteger":1`), `["A","B","C"],"_given":[null,{"id":"b"},null]`, `["A","X","B","C"],"_given":[null,null,{"id":"b"},null]`},
		{"insert into nothing", op("insert", path("Patient.telecom"), `value:"valueContactPoint":{"value":"1"}`, `index:"valueInteger":0`), `"valueString":"v"}]}`, `"valueString":"v"}],"telecom":[{"value":"1"}]}`},
		{"delete", op("delete", path("Patient.birthDate")), `"birthDate":"1970-01-01",`, ``},
		{"delete in a list", op("delete", path("Patient.name[0].given[1]")), `["A","B","C"],"_given":[null,{"id":"b"},null]`, `["A","C"]`},
		{"delete before an extension", op("delete", path("Patient.name[0].given.first()")), `["A","B","C"],"_given":[null,{"id":"b"},null]`, `["B","C"],"_given":[{"id":"b"},null]`},
		{"delete the last of a list", op("delete", path("Patient.name.where(use='usual').given.single()")), `"usual","given":["Z"]`, `"usual"`},
		{"delete of nothing", op("delete", path("Patient.gender")), ``, ``},
		{"move", op("move", path("Patient.name[0].given"), `source:"valueInteger":1`, `destination:"valueInteger":0`), `["A","B","C"],"_given":[null,{"id":"b"},null]`, `["B","A","C"],"_given":[{"id":"b"},null,null]`},
		{"several, in order", op("delete", path("Patient.name[0]")) + "," + op("replace", path("Patient.name[0].given[0]"), `value:"valueString":"Y"`), patient[strings.Index(patient, `{"use":"official"`):strings.Index(patient, `{"use":"usual"`)] + `{"use":"usual","given":["Z"]}`, `{"use":"usual","given":["Y"]}`},
		{"an extension beside a primitive", op("replace", path("Patient.birthDate"), `value:"valueDate":"1980","_valueDate":{"id":"x"}`), `"birthDate":"1970-01-01","deceasedBoolean":false,"extension":[{"url":"urn:x","valueString":"v"}]}`, `"birthDate":"1980","deceasedBoolean":false,"extension":[{"url":"urn:x","valueString":"v"}],"_birthDate":{"id":"x"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := readPath(t, parameters(tt.patch))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(patient, tt.before) {
				t.Fatal("the test's own text is wrong")
			}
			want := strings.Replace(patient, tt.before, tt.after, 1)
			r, err := Apply(p, parse(t, patient), parse(t, patient), most)
			if err != nil || string(r.Shown) != want {
				t.Errorf("%v\ngot  %s\nwant %s", err, r.Shown, want)
			}
		})
	}
}

func TestFHIRPath_refuses(t *testing.T) {
	t.Parallel()
	date := `value:"valueDate":"1980"`
	tests := []struct {
		name, patch string
		kind        fhir.Kind
	}{
		{"no operations", `{"resourceType":"Parameters"}`, fhir.Required},
		{"another resource", `{"resourceType":"Patient"}`, fhir.Invalid},
		{"another parameter", `{"resourceType":"Parameters","parameter":[{"name":"x"}]}`, fhir.Value},
		{"no type", parameters(`{"name":"operation","part":[{"name":"path","valueString":"Patient.active"}]}`), fhir.Required},
		{"unknown type", parameters(op("upsert", path("Patient.active"))), fhir.Value},
		{"no path", parameters(op("delete")), fhir.Required},
		{"no value", parameters(op("replace", path("Patient.active"))), fhir.Required},
		{"an empty value", parameters(op("replace", path("Patient.active"), `value:"id":"x"`)), fhir.Required},
		{"a part that has no meaning", parameters(op("delete", path("Patient.active"), `index:"valueInteger":0`)), fhir.Invalid},
		{"an unknown part", parameters(op("delete", path("Patient.active"), `x:"valueInteger":0`)), fhir.Value},
		{"a part twice", parameters(op("delete", path("Patient.active"), path("Patient.active"))), fhir.Invalid},
		{"a negative index", parameters(op("insert", path("Patient.name"), `value:"valueHumanName":{}`, `index:"valueInteger":-1`)), fhir.Value},
		{"an index that is a string", parameters(op("insert", path("Patient.name"), `value:"valueHumanName":{}`, `index:"valueString":"1"`)), fhir.Value},
		{"a path that can't be read", parameters(op("delete", path("Patient..active"))), fhir.Value},
		{"an element that isn't one", parameters(op("delete", path("Patient.nome"))), fhir.Value},
		{"another resource's element", parameters(op("delete", path("Observation.status"))), fhir.Value},
		{"a function that isn't offered", parameters(op("delete", path("Patient.name.resolve()"))), fhir.Value},
		{"a union", parameters(op("delete", path("Patient.name | Patient.active"))), fhir.Value},
		{"several elements", parameters(op("replace", path("Patient.name.given"), `value:"valueString":"x"`)), fhir.BusinessRule},
		{"delete of several", parameters(op("delete", path("Patient.name"))), fhir.BusinessRule},
		{"single of several", parameters(op("delete", path("Patient.name.single()"))), fhir.BusinessRule},
		{"replace of nothing", parameters(op("replace", path("Patient.gender"), `value:"valueCode":"male"`)), fhir.BusinessRule},
		{"the whole resource", parameters(op("delete", path("Patient"))), fhir.BusinessRule},
		{"add of what is there", parameters(op("add", path("Patient"), `name:"valueString":"birthDate"`, date)), fhir.BusinessRule},
		{"add of a choice that is there", parameters(op("add", path("Patient"), `name:"valueString":"deceased"`, `value:"valueDateTime":"2020"`)), fhir.BusinessRule},
		{"add to a primitive", parameters(op("add", path("Patient.active"), `name:"valueString":"x"`, date)), fhir.BusinessRule},
		{"add of no element", parameters(op("add", path("Patient"), `name:"valueString":"birthday"`, date)), fhir.Value},
		{"a value of another type", parameters(op("replace", path("Patient.birthDate"), `value:"valueBoolean":true`)), fhir.Value},
		{"a choice of another type", parameters(op("replace", path("Patient.deceased"), `value:"valueString":"x"`)), fhir.Value},
		{"a value that is not of its type", parameters(op("replace", path("Patient.active"), `value:"valueBoolean":"true"`)), fhir.Value},
		{"parts for a primitive", parameters(op("replace", path("Patient.active"), `value:"part":[]`)), fhir.Value},
		{"insert behind the end", parameters(op("insert", path("Patient.name"), `value:"valueHumanName":{}`, `index:"valueInteger":3`)), fhir.BusinessRule},
		{"insert into what is no list", parameters(op("insert", path("Patient.birthDate"), date, `index:"valueInteger":0`)), fhir.BusinessRule},
		{"insert without a list", parameters(op("insert", path("Patient.name[0]"), `value:"valueHumanName":{}`, `index:"valueInteger":0`)), fhir.Value},
		{"move from behind the end", parameters(op("move", path("Patient.name"), `source:"valueInteger":2`, `destination:"valueInteger":0`)), fhir.BusinessRule},
		{"move to behind the end", parameters(op("move", path("Patient.name"), `source:"valueInteger":0`, `destination:"valueInteger":2`)), fhir.BusinessRule},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := readPath(t, tt.patch)
			if err == nil {
				_, err = Apply(p, parse(t, patient), parse(t, patient), most)
			}
			if fhir.KindOf(err) != tt.kind {
				t.Errorf("kind %d, want %d: %v", fhir.KindOf(err), tt.kind, err)
			}
		})
	}
}

// TestApply_keepsSecrets is invariant 8 for patches: a masked place may be replaced or removed, and not be a source.
func TestApply_keepsSecrets(t *testing.T) {
	t.Parallel()
	stored := `{"resourceType":"Subscription","id":"s","reason":"r","channel":{"type":"rest-hook","header":["A: hunter2","B: two"]}}`
	shown := strings.NewReplacer("hunter2", "********", "two", "********").Replace(stored)
	apply := func(p Patch, err error) (Result, error) {
		if err != nil {
			t.Fatal(err)
		}
		return Apply(p, parse(t, stored), parse(t, shown), most)
	}
	json := func(s string) (Result, error) { return apply(JSON(parse(t, s))) }
	for _, s := range []string{
		`[{"op":"test","path":"/channel/header/0","value":"A: hunter2"}]`,
		`[{"op":"test","path":"/channel/header/0","value":"A: ********"}]`,
		`[{"op":"test","path":"/channel","value":{}}]`,
		`[{"op":"test","path":"","value":{}}]`,
		`[{"op":"copy","from":"/channel/header/0","path":"/reason"}]`,
		`[{"op":"copy","from":"/channel","path":"/x"}]`,
		`[{"op":"move","from":"/channel/header/0","path":"/reason"}]`,
		`[{"op":"move","from":"/channel/header","path":"/x"}]`,
	} {
		if r, err := json(s); fhir.KindOf(err) != fhir.BusinessRule || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v %s", s, err, r.Shown)
		}
	}
	p, err := readPath(t, parameters(op("move", path("Subscription.channel.header"), `source:"valueInteger":0`, `destination:"valueInteger":1`)))
	if _, err := apply(p, err); fhir.KindOf(err) != fhir.BusinessRule {
		t.Errorf("move: %v", err)
	}
	p, err = readPath(t, parameters(op("replace", path("Subscription.where(channel.header[0] = 'A: hunter2').reason"), `value:"valueString":"found"`)))
	if _, err := apply(p, err); fhir.KindOf(err) != fhir.BusinessRule {
		t.Errorf("a condition sees the secret: %v", err)
	}
	r, err := json(`[{"op":"replace","path":"/reason","value":"q"},{"op":"remove","path":"/channel/header/0"}]`)
	if err != nil || string(r.Shown) != `{"resourceType":"Subscription","id":"s","reason":"q","channel":{"type":"rest-hook","header":["B: ********"]}}` ||
		string(r.Full) != strings.Replace(string(r.Shown), "********", "two", 1) {
		t.Errorf("%v\n%s\n%s", err, r.Shown, r.Full)
	}
}
