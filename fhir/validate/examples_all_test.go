//go:build all

package validate_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
	"fhirhook/fhir/validate"
)

// defective are HL7's examples that are refused, each with the path of its defect. Those with strict set are
// well shaped, and lack something that R4 requires.
var defective = map[string]struct {
	path   string
	strict bool
	why    string
}{
	"SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json": {
		"SearchParameter.id", false, "the id has 68 characters, and an id has at most 64",
	},
	"ImplementationGuide-fhir.json": {
		"ImplementationGuide.manifest.resource[11904].reference.reference", false, "names the SearchParameter with the id of 68 characters; also lacks name and status",
	},
	"ig-r4.json": {
		"ImplementationGuide.manifest.resource[11904].reference.reference", false, "the same text as ImplementationGuide-fhir.json",
	},
	"Questionnaire-qs1.json": {"Questionnaire.item[0].item[0].linkId", true, "items for display have no linkId"},
	"SearchParameter-codesystem-extensions-CodeSystem-author.json":    {"SearchParameter.base", true, noBase},
	"SearchParameter-codesystem-extensions-CodeSystem-effective.json": {"SearchParameter.base", true, noBase},
	"SearchParameter-codesystem-extensions-CodeSystem-end.json":       {"SearchParameter.base", true, noBase},
	"SearchParameter-codesystem-extensions-CodeSystem-keyword.json":   {"SearchParameter.base", true, noBase},
	"SearchParameter-codesystem-extensions-CodeSystem-workflow.json":  {"SearchParameter.base", true, noBase},
	"SearchParameter-valueset-extensions-ValueSet-author.json":        {"SearchParameter.base", true, noBase},
	"SearchParameter-valueset-extensions-ValueSet-effective.json":     {"SearchParameter.base", true, noBase},
	"SearchParameter-valueset-extensions-ValueSet-end.json":           {"SearchParameter.base", true, noBase},
	"SearchParameter-valueset-extensions-ValueSet-keyword.json":       {"SearchParameter.base", true, noBase},
	"SearchParameter-valueset-extensions-ValueSet-workflow.json":      {"SearchParameter.base", true, noBase},
}

const noBase = "defines a parameter for no resource type"

// examples yields HL7's examples that can be read as resources.
func examples(t *testing.T, visit func(name string, body []byte, doc *tape.Doc)) {
	t.Helper()
	const folder = "../../.cache/r4/package"
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(names) < 5000 {
		t.Fatalf("%d examples in %s (%v): run `make all-test`, which fetches them", len(names), folder, err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := tape.Parse(body, 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if doc.Root().Get("resourceType").Exists() { // package.json is none
			visit(filepath.Base(name), body, doc)
		}
	}
}

// TestExamples_areAcceptedButForTheirDefects: each of HL7's examples passes in both modes, or has the defect
// that is listed.
func TestExamples_areAcceptedButForTheirDefects(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	examples(t, func(name string, _ []byte, doc *tape.Doc) {
		in := fhir.Incoming{Type: fhir.Type(doc.Root().Get("resourceType").Text()), Doc: doc}
		known, listed := defective[name]
		for _, mode := range []validate.Mode{validate.Structure, validate.Strict} {
			problems := mode.Validate(in)
			wrong := listed && (!known.strict || mode == validate.Strict)
			switch {
			case len(problems) == 0 && wrong:
				t.Errorf("%s is accepted under %s, and its defect is listed: %s", name, mode, known.why)
			case len(problems) > 0 && !wrong:
				t.Errorf("%s is refused under %s: %v", name, mode, problems[0])
			case wrong && problems[0].Expression != known.path:
				t.Errorf("%s: the path is %s, want %s", name, problems[0].Expression, known.path)
			}
		}
		if listed {
			found[name] = true
		}
	})
	for name := range defective {
		if !found[name] {
			t.Errorf("%s is listed, and no example", name)
		}
	}
}

// TestExamples_mutationIsRefusedAtItsPlace breaks every example in one place, in each of several ways, and wants
// an error that names that place.
func TestExamples_mutationIsRefusedAtItsPlace(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	tried := map[string]int{}
	examples(t, func(name string, body []byte, doc *tape.Doc) {
		const large = 200_000
		if _, listed := defective[name]; listed || len(body) > large {
			return
		}
		for _, m := range mutations {
			var v any
			if err := json.Unmarshal(body, &v); err != nil {
				t.Fatal(err)
			}
			spots := places(v.(map[string]any), doc.Root().Get("resourceType").Text())
			spots = m.among(spots)
			if len(spots) == 0 {
				continue
			}
			spot := spots[random.IntN(len(spots))]
			m.change(spot)
			changed, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			in, err := fhir.Read(changed, 0)
			if err != nil {
				continue // refused before: an id or meta of the wrong type
			}
			tried[m.name]++
			want := m.path(spot)
			problems := validate.Structure.Validate(in)
			hit := false
			for _, p := range problems {
				hit = hit || p.Expression == want || strings.HasPrefix(p.Expression, want+"[")
			}
			if !hit {
				t.Errorf("%s: %s at %s: got %v, want an error there", name, m.name, want, problems)
			}
		}
	})
	for _, m := range mutations {
		if tried[m.name] < 1000 {
			t.Errorf("%s was tried %d times only", m.name, tried[m.name])
		}
	}
}

// place is a member of an object, with its simple FHIRPath. Choices and siblings of primitives are left out, for
// their paths differ from their names.
type place struct {
	owner map[string]any
	name  string
	path  string // of the owner
}

func places(object map[string]any, path string) []place {
	var found []place
	for name, v := range object {
		if name == "resourceType" || strings.HasPrefix(name, "_") || strings.HasPrefix(name, "value") || name == "id" || choiceLike(name) {
			continue
		}
		found = append(found, place{object, name, path})
		switch v := v.(type) {
		case map[string]any:
			found = append(found, places(v, path+"."+name)...)
		case []any:
			for i, e := range v {
				if inner, ok := e.(map[string]any); ok {
					found = append(found, places(inner, path+"."+name+"["+itoa(i)+"]")...)
				}
			}
		}
	}
	return found
}

func itoa(i int) string { b, _ := json.Marshal(i); return string(b) }

// choiceLike tells names that may be those of a choice: a path has them without their type.
func choiceLike(name string) bool {
	for _, typ := range []string{
		"Boolean", "Integer", "String", "Code", "Uri", "Date", "DateTime", "Instant", "Time", "Decimal", "Period", "Range", "Quantity", "Coding",
		"CodeableConcept", "Reference", "Identifier", "Age", "Timing", "Attachment", "Money", "Duration", "Canonical", "Markdown", "Ratio", "Oid",
		"PositiveInt", "UnsignedInt", "Expression", "Url", "Id", "HumanName", "Address", "ContactPoint", "SampledData",
		"Annotation", "Meta", "Dosage", "Base64Binary", "DataRequirement",
	} {
		if strings.HasSuffix(name, typ) {
			return true
		}
	}
	return false
}

type mutation struct {
	name   string
	among  func([]place) []place
	change func(place)
	path   func(place) string
}

func all(p []place) []place { return p }

func only(keep func(v any) bool) func([]place) []place {
	return func(p []place) (out []place) {
		for _, x := range p {
			if keep(x.owner[x.name]) {
				out = append(out, x)
			}
		}
		return out
	}
}

func isArray(v any) bool  { _, ok := v.([]any); return ok }
func isSingle(v any) bool { return !isArray(v) }

func member(p place) string { return p.path + "." + p.name }

func put(v any) func(place) { return func(p place) { p.owner[p.name] = v } }

var mutations = []mutation{
	{"rename", all, func(p place) {
		p.owner[p.name+"x"] = p.owner[p.name]
		delete(p.owner, p.name)
	}, func(p place) string { return member(p) + "x" }},
	{"add a member", all, func(p place) { p.owner["unheardOf"] = 1 }, func(p place) string { return p.path + ".unheardOf" }},
	{"null", all, put(nil), member},
	{"empty array", all, put([]any{}), member},
	{"empty object", only(isSingle), put(map[string]any{}), member},
	{"array of a single", only(isSingle), func(p place) { p.owner[p.name] = []any{p.owner[p.name]} }, member},
	{"single of an array", only(isArray), func(p place) { p.owner[p.name] = p.owner[p.name].([]any)[0] }, member},
	{"array in an array", only(isArray), func(p place) { p.owner[p.name] = []any{p.owner[p.name]} }, member},
	{"another type", all, func(p place) {
		wrong := any(map[string]any{"unheardOf": true})
		switch v := p.owner[p.name].(type) {
		case map[string]any:
			wrong = "text"
		case []any:
			wrong = []any{true}
			if _, ok := v[0].(bool); ok {
				wrong = []any{"text"}
			}
		}
		p.owner[p.name] = wrong
	}, member},
	{"empty string", only(isSingle), put(""), member},
}
