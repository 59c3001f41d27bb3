package criteria

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// searchParameter is a resource with sound members, but for those given: each as "name":value, and without
// the member where the value is nothing.
func searchParameter(t testing.TB, members ...string) tape.Node {
	t.Helper()
	all := map[string]string{
		"url": `"http://example.org/sp/nickname"`, "status": `"active"`, "code": `"nickname"`, "base": `["Patient"]`,
		"type": `"string"`, "expression": `"Patient.name.where(use='nickname').given"`,
	}
	for _, m := range members {
		name, value, _ := strings.Cut(m, ":")
		all[name] = value
	}
	text := `{"resourceType":"SearchParameter"`
	for name, value := range all {
		if value != "" {
			text += `,"` + name + `":` + value
		}
	}
	doc, err := tape.Parse([]byte(text+"}"), 0)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return doc.Root()
}

func definition(t testing.TB, members ...string) Definition {
	t.Helper()
	def, problems := ReadDefinition(searchParameter(t, members...))
	if err := fhir.Join(problems); err != nil {
		t.Fatal(err)
	}
	return def
}

func extended(t testing.TB, defs ...Definition) *Definitions {
	t.Helper()
	d, rejected := R4().Extend(defs, nil)
	for _, r := range rejected {
		t.Fatalf("definition %d: %v", r.Index, r.Err())
	}
	return d
}

const compositeOf = `component:[{"definition":"http://hl7.org/fhir/SearchParameter/clinical-code","expression":"code"},{"definition":"`

// TestExtend_refuses: what can't have effect is refused with the element to blame.
func TestExtend_refuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		members []string
		at      string // behind SearchParameter.
		want    string
	}{
		{"no url", []string{"url:"}, "url", "is missing"},
		{"a url that is none", []string{"url:7"}, "url", "must be a JSON string"},
		{"no code", []string{"code:"}, "code", "is missing"},
		{"a code with a colon", []string{`code:"a:b"`}, "code", "can't be a parameter's name"},
		{"a code with a dot", []string{`code:"a.b"`}, "code", "can't be a parameter's name"},
		{"a code with a digit in front", []string{`code:"1a"`}, "code", "can't be a parameter's name"},
		{"a code that is too long", []string{`code:"` + strings.Repeat("a", 65) + `"`}, "code", "1 to 64"},
		{"a code of R4", []string{`code:"family"`}, "code", "has a search parameter family already (http://hl7.org/fhir/SearchParameter/individual-family)"},
		{"a code with an underscore in front", []string{`code:"_mine"`}, "code", "for FHIR itself"},
		{"R4's url for another code", []string{`url:"http://hl7.org/fhir/SearchParameter/individual-family"`}, "url", "parameter family"},
		{"no type", []string{"type:"}, "type", "is missing"},
		{"an unknown type", []string{`type:"text"`}, "type", "not a type of search parameters"},
		{"special", []string{`type:"special"`}, "type", "can't be evaluated"},
		{"no base", []string{"base:"}, "base", "is missing"},
		{"an empty base", []string{"base:[]"}, "base", "must not be empty"},
		{"a base that is no list", []string{`base:"Patient"`}, "base", "must be a JSON array"},
		{"an unknown base", []string{`base:["Patient","Pacient"]`}, "base[1]", "did you mean Patient?"},
		{"a data type as base", []string{`base:["HumanName"]`}, "base[0]", "not a resource type"},
		{"an unknown target", []string{`type:"reference"`, `expression:"Patient.managingOrganization"`, `target:["Org"]`}, "target[0]", "not a resource type"},
		{"no expression", []string{"expression:"}, "expression", "is missing"},
		{"bad grammar", []string{`expression:"Patient.name.where("`}, "expression", "expected"},
		{"a function outside the subset", []string{`expression:"Patient.name.given.lower()"`}, "expression", "column 1: the function lower"},
		{"an unknown element", []string{`expression:"Patient.nickname"`}, "expression", "Patient has no element nickname"},
		{"nothing about one of the bases", []string{`base:["Patient","Person"]`}, "expression", "no part of the expression is about Person"},
		{"an expression that costs too much", []string{`expression:"Patient.extension.value.extension.value.extension.value"`}, "expression", "alternatives"},
		{"elements that the type can't use", []string{`type:"date"`}, "expression", "a date parameter can't be made of string"},
		{"a condition as a string", []string{`expression:"Patient.name.exists()"`}, "expression", "can't be made of boolean"},
		{"a modifier extension", []string{`modifierExtension:[{"url":"http://example.org/x","valueBoolean":true}]`}, "modifierExtension", "leave it out"},
		{"components of what is no composite", []string{compositeOf + `x","expression":"code"}]`}, "component", "only a composite"},
		{"a composite without components", []string{`type:"composite"`}, "component", "needs components"},
		{"a component without a definition", []string{`type:"composite"`, `component:[{"expression":"use"}]`}, "component[0].definition", "is missing"},
		{"a component that is none", []string{`type:"composite"`, `component:["use"]`}, "component[0]", "must be a JSON object"},
		{"a component that doesn't resolve", []string{
			`type:"composite"`, `base:["Observation"]`, `expression:"Observation"`,
			compositeOf + `http://example.org/nothing","expression":"value"}]`,
		}, "component[1].definition", "http://example.org/nothing is not a search parameter of Observation"},
		{"a component's expression", []string{
			`type:"composite"`, `base:["Observation"]`, `expression:"Observation"`,
			compositeOf + `http://hl7.org/fhir/SearchParameter/Observation-value-quantity","expression":"values"}]`,
		}, "component[1].expression", "no element values"},
		{"a component of the wrong type", []string{
			`type:"composite"`, `base:["Observation"]`, `expression:"Observation"`,
			compositeOf + `http://hl7.org/fhir/SearchParameter/Observation-value-quantity","expression":"status"}]`,
		}, "component[1].expression", "a quantity parameter can't be made of code"},
		{"a composite of composites", []string{
			`type:"composite"`, `base:["Observation"]`, `expression:"Observation"`,
			compositeOf + `http://hl7.org/fhir/SearchParameter/Observation-code-value-quantity","expression":"value"}]`,
		}, "component[1].definition", "is a composite itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			def, problems := ReadDefinition(searchParameter(t, tt.members...))
			if len(problems) == 0 {
				d, rejected := R4().Extend([]Definition{def}, nil)
				if len(rejected) != 1 {
					t.Fatalf("%+v is accepted", def)
				}
				problems = rejected[0].Problems
				if diffs := R4().Differences(d); len(diffs) > 0 {
					t.Errorf("it has effect all the same: %v", diffs)
				}
			}
			if len(problems) != 1 {
				t.Fatalf("%d problems: %v", len(problems), fhir.Join(problems))
			}
			e := problems[0]
			if e.Expression != "SearchParameter."+tt.at || !strings.Contains(e.Diagnostic, tt.want) || e.Kind != fhir.BusinessRule {
				t.Errorf("kind %d, %s: %s\nwant %s: …%s…", e.Kind, e.Expression, e.Diagnostic, tt.at, tt.want)
			}
		})
	}
}

func TestExtend_addsReplacesAndShares(t *testing.T) {
	t.Parallel()
	nickname := definition(t)
	height := definition(t, `url:"urn:height"`, `code:"height"`, `base:["Observation"]`, `type:"quantity"`,
		`expression:"Observation.where(code.coding.exists(code='8302-2')).value as Quantity"`)
	family := definition(t, `url:"http://hl7.org/fhir/SearchParameter/individual-family"`, `code:"family"`, `expression:"Patient.name.where(use='official').family"`)
	anywhere := definition(t, `url:"urn:mark"`, `code:"mark"`, `base:["Resource"]`, `type:"token"`, `expression:"Resource.meta.tag"`)
	same := definition(t, `url:"urn:alias"`, `code:"gender"`, `type:"token"`, `expression:"Patient.gender"`)
	d := extended(t, nickname, height, family, anywhere, same)

	for _, tt := range []struct{ search, resource string }{
		{"Patient?nickname=Bob", `{"resourceType":"Patient","id":"1","name":[{"use":"nickname","given":["Bobby"]}]}`},
		{"Patient?family=Ada", `{"resourceType":"Patient","id":"1","name":[{"use":"official","family":"Adams"}]}`},
		{"Observation?height=gt1.7", `{"resourceType":"Observation","id":"1","code":{"coding":[{"code":"8302-2"}]},"valueQuantity":{"value":1.8}}`},
		{"[Patient,Observation]?mark=x", `{"resourceType":"Patient","id":"1","meta":{"tag":[{"code":"x"}]}}`},
		{"Patient?gender=male", `{"resourceType":"Patient","id":"1","gender":"male"}`},
	} {
		q, err := Parse(tt.search, d)
		if err != nil {
			t.Fatalf("%s: %v", tt.search, err)
		}
		if !q.Match(resource(t, tt.resource), testEnv) {
			t.Errorf("%s does not find %s", tt.search, tt.resource)
		}
	}
	if q, err := Parse("Patient?family=Ada", d); err != nil || q.Match(resource(t, `{"resourceType":"Patient","id":"1","name":[{"use":"maiden","family":"Adams"}]}`), testEnv) {
		t.Errorf("R4's own definition of family is still in force: %v", err)
	}
	if _, err := Parse("Patient?nickname=Bob", R4()); err == nil {
		t.Error("R4 itself was changed")
	}
	before, _ := R4().Param("Patient", "gender")
	if after, _ := d.Param("Patient", "gender"); after != before {
		t.Error("a definition that says what R4 says replaced R4's")
	}
	got := R4().Differences(d)
	want := []Difference{{"Observation", "height"}, {"Patient", "family"}, {"Patient", "nickname"}}
	marks := 0
	for i := 0; i < len(got); i++ {
		if got[i].Code == "mark" {
			marks++
			got = append(got[:i], got[i+1:]...)
			i--
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || marks != len(fhir.Types()) {
		t.Errorf("%d types have mark; %s", marks, diff)
	}
}

// A composite stands on definitions of the same lot, wherever they stand in it, and goes with them.
func TestExtend_compositeOfCustomComponents(t *testing.T) {
	t.Parallel()
	part := definition(t, `url:"urn:part"`, `code:"part"`, `base:["Observation"]`, `type:"token"`, `expression:"Observation.bodySite"`)
	whole := definition(t, `url:"urn:whole"`, `code:"whole"`, `base:["Observation"]`, `type:"composite"`, `expression:"Observation"`,
		compositeOf+`urn:part","expression":"bodySite"}]`)
	d := extended(t, whole, part)
	q, err := Parse("Observation?whole=a$b", d)
	if err != nil {
		t.Fatal(err)
	}
	if !q.Match(resource(t, `{"resourceType":"Observation","id":"1","code":{"coding":[{"code":"a"}]},"bodySite":{"coding":[{"code":"b"}]}}`), testEnv) {
		t.Error("it is not found")
	}
	_, rejected := R4().Extend([]Definition{whole}, nil)
	if len(rejected) != 1 || !strings.Contains(rejected[0].Err().Error(), "urn:part is not a search parameter") {
		t.Errorf("without its component: %v", rejected)
	}
}

func TestExtend_theFirstOfTwoWins(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, second string
		want         string
	}{
		{"the same code", `url:"urn:other"`, "already (http://example.org/sp/nickname)"},
		{"the same url", `expression:"Patient.name.family"`, "another SearchParameter with the url"},
	}
	for _, tt := range tests {
		second := definition(t, tt.second, `expression:"Patient.name.family"`)
		d, rejected := R4().Extend([]Definition{definition(t), second}, nil)
		if len(rejected) != 1 || rejected[0].Index != 1 || !strings.Contains(rejected[0].Err().Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, rejected)
		}
		if p, _ := d.Param("Patient", "nickname"); p == nil || !strings.Contains(p.Expression, "where") {
			t.Errorf("%s: the first is not in force: %+v", tt.name, p)
		}
	}
}

func TestExtend_keepsTheParamsThatStay(t *testing.T) {
	t.Parallel()
	other := definition(t, `url:"urn:other"`, `code:"other"`, `expression:"Patient.name.family"`)
	first := extended(t, definition(t), other)
	changed := definition(t, `url:"urn:other"`, `code:"other"`, `expression:"Patient.name.given"`)
	second, rejected := R4().Extend([]Definition{changed, definition(t)}, first)
	if len(rejected) > 0 {
		t.Fatal(rejected)
	}
	a, _ := first.Param("Patient", "nickname")
	b, _ := second.Param("Patient", "nickname")
	if a != b {
		t.Error("nickname is another Param, though it is the same")
	}
	if diff := cmp.Diff([]Difference{{"Patient", "other"}}, first.Differences(second)); diff != "" {
		t.Error(diff)
	}
	third, _ := R4().Extend(nil, second)
	if diff := cmp.Diff([]Difference{{"Patient", "nickname"}, {"Patient", "other"}}, second.Differences(third)); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkExtend(b *testing.B) {
	var defs []Definition
	for i := range 1000 {
		code := "c" + strings.Repeat("x", i%50) + string(rune('a'+i/50))
		defs = append(defs, definition(b, `url:"urn:`+code+`"`, `code:"`+code+`"`))
	}
	last := extended(b, defs...)
	for b.Loop() {
		R4().Extend(defs, last)
	}
}
