package criteria

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// Values are drawn from small pools, so that queries and resources often meet.
var (
	systemPool = []string{"http://a.example", "urn:b", ""}
	codePool   = []string{"x", "X", "y", "final", "male", "a,b", "a|b", `a\b`, "a$b", "+1 (555)", "1555"}
	numberPool = []string{"0", "5", "5.0", "5.4", "-5", "5.40", "100", "99.5", "1e2", "1E-22", "100.5", "1e999999999"}
	datePool   = []string{
		"2013", "2013-01", "2013-01-14", "2013-01-14T10:00Z", "2013-01-14T10:00:00Z", "2013-01-14T10:00:00.5Z",
		"2013-01-14T12:00:00+02:00", "2013-01-14T23:59:60Z", "2014", "0001", "9999-12-31", "2013-01-14T10:00:00",
	}
	textPool = []string{"Eve", "evelyn", "Éve", "Smith-Jones", "jones", "O'Brien", "-", "ﬁ", "İ", "a b  c", "b", "Σς", `a\,b`}
	refPool  = []string{
		"Patient/1", "Patient/2", "Group/1", "1", "2", "https://clinic.example/fhir/R4/Patient/1", "http://CLINIC.example/fhir/R4/Patient/1",
		"https://other.example/Patient/1", "http://other.example:80/Patient/1", "Patient/1/_history/2", "urn:uuid:1", "#1", "Device/1",
	}
	uriPool = []string{
		"http://v.example/a", "http://v.example/a|1", "http://v.example/a|1.0", "http://v.example/a/b", "urn:v:1",
		"https://clinic.example/fhir/R4/ValueSet/1", "ValueSet/1", "http://v.example/a|b|c", "https://clinic.example/fhir/R4/Questionnaire/1|2",
	}
)

// junk is JSON that no element expects everywhere.
var junk = []string{`5`, `"junk"`, `true`, `{}`, `[]`, `[null]`, `{"value":{}}`, `[[1]]`, `{"coding":"x"}`, `{"start":5}`, `""`, `{"low":[]}`}

func jsonText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func drawText(t *rapid.T, pool []string) string {
	return jsonText(rapid.SampledFrom(pool).Draw(t, "text"))
}

func drawCoding(t *rapid.T) string {
	return fmt.Sprintf(`{"system":%s,"code":%s,"display":%s}`, drawText(t, systemPool), drawText(t, codePool), drawText(t, textPool))
}

func drawConcept(t *rapid.T) string {
	return fmt.Sprintf(`{"coding":[%s,%s],"text":%s}`, drawCoding(t), drawCoding(t), drawText(t, textPool))
}

func drawIdentifier(t *rapid.T) string {
	return fmt.Sprintf(`{"type":%s,"system":%s,"value":%s}`, drawConcept(t), drawText(t, systemPool), drawText(t, codePool))
}

func drawReference(t *rapid.T) string {
	return fmt.Sprintf(`{"reference":%s,"identifier":%s}`, drawText(t, refPool), drawIdentifier(t))
}

func drawQuantity(t *rapid.T) string {
	comparator := rapid.SampledFrom([]string{"", `"comparator":"<",`, `"comparator":">=",`}).Draw(t, "comparator")
	return fmt.Sprintf(`{%s"value":%s,"system":%s,"code":%s,"unit":%s}`, comparator,
		rapid.SampledFrom(numberPool).Draw(t, "number"), drawText(t, systemPool), drawText(t, codePool), drawText(t, codePool))
}

func drawPeriod(t *rapid.T) string {
	return fmt.Sprintf(`{"start":%s,"end":%s}`, drawText(t, datePool), drawText(t, datePool))
}

type member struct {
	name string
	draw func(t *rapid.T) string
}

func of(pool []string) func(t *rapid.T) string {
	return func(t *rapid.T) string { return drawText(t, pool) }
}

// members are elements that search parameters look at, by type.
var members = map[string][]member{
	"Observation": {
		{"status", of(codePool)},
		{"code", drawConcept},
		{"identifier", drawIdentifier},
		{"subject", drawReference},
		{"performer", drawReference},
		{"effectiveDateTime", of(datePool)},
		{"effectivePeriod", drawPeriod},
		{"valueQuantity", drawQuantity},
		{"valueString", of(textPool)},
		{"component", func(t *rapid.T) string {
			return fmt.Sprintf(`[{"code":%s,"valueQuantity":%s},{"code":%s,"valueQuantity":%s}]`, drawConcept(t), drawQuantity(t), drawConcept(t), drawQuantity(t))
		}},
		{"meta", func(t *rapid.T) string {
			return fmt.Sprintf(`{"lastUpdated":%s,"tag":[%s],"profile":[%s],"source":%s}`, drawText(t, datePool), drawCoding(t), drawText(t, uriPool), drawText(t, uriPool))
		}},
	},
	"Patient": {
		{"active", of(codePool)},
		{"gender", of(codePool)},
		{"birthDate", of(datePool)},
		{"identifier", drawIdentifier},
		{"name", func(t *rapid.T) string {
			return fmt.Sprintf(`[{"family":%s,"given":[%s,%s]}]`, drawText(t, textPool), drawText(t, textPool), drawText(t, textPool))
		}},
		{"telecom", func(t *rapid.T) string {
			return fmt.Sprintf(`[{"system":"phone","value":%s},{"value":%s}]`, drawText(t, codePool), drawText(t, codePool))
		}},
		{"deceasedBoolean", func(t *rapid.T) string { return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool") }},
		{"generalPractitioner", drawReference},
		{"managingOrganization", drawReference},
	},
	"ValueSet": {
		{"url", of(uriPool)}, {"version", of([]string{"1", "1.0", "2"})}, {"status", of(codePool)}, {"name", of(textPool)}, {"date", of(datePool)},
	},
	"QuestionnaireResponse": {
		{"questionnaire", of(uriPool)}, {"subject", drawReference}, {"authored", of(datePool)}, {"status", of(codePool)},
	},
}

var typePool = []string{"Observation", "Patient", "ValueSet", "QuestionnaireResponse"}

// drawResource draws a resource of a type, now and then with an element of the wrong JSON type.
func drawResource(t *rapid.T, kind string) string {
	id := rapid.SampledFrom([]string{"1", "2", "A", "a"}).Draw(t, "id")
	out := []string{`"resourceType":"` + kind + `"`, `"id":"` + id + `"`}
	for _, m := range members[kind] {
		switch rapid.IntRange(0, 9).Draw(t, m.name) {
		case 0, 1, 2, 3:
		case 4:
			out = append(out, `"`+m.name+`":`+rapid.SampledFrom(junk).Draw(t, "junk"))
		default:
			out = append(out, `"`+m.name+`":`+m.draw(t))
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

// parameters are those that the drawn resources can have values for.
var parameters = map[string][]string{
	"Observation":           {"status", "code", "identifier", "subject", "patient", "performer", "date", "value-quantity", "value-string", "code-value-quantity", "component-code-value-quantity", "_tag", "_profile", "_source", "_lastUpdated", "_id"},
	"Patient":               {"active", "gender", "birthdate", "identifier", "name", "family", "given", "phone", "telecom", "deceased", "general-practitioner", "organization", "_id"},
	"ValueSet":              {"url", "version", "status", "name", "date", "_id"},
	"QuestionnaireResponse": {"questionnaire", "subject", "patient", "authored", "status", "_id"},
}

func drawParam(t *rapid.T, kind string) *Param {
	p, ok := R4().Param(fhirType(kind), rapid.SampledFrom(parameters[kind]).Draw(t, "parameter"))
	if !ok {
		t.Fatal("unknown parameter")
	}
	return p
}

// drawValue draws one alternative for a parameter without modifier, escaped.
func drawValue(t *rapid.T, p *Param) string {
	prefix := func() string {
		return rapid.SampledFrom([]string{"", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}).Draw(t, "prefix")
	}
	pick := func(pool []string) string { return rapid.SampledFrom(pool).Draw(t, "value") }
	switch p.Kind {
	case Date:
		return prefix() + pick(datePool)
	case Number:
		return prefix() + pick(numberPool)
	case Quantity:
		v := prefix() + pick(numberPool)
		if rapid.Bool().Draw(t, "unit") {
			v += "|" + pick(systemPool) + "|" + escape(pick(codePool))
		}
		return v
	case String:
		return escape(pick(textPool))
	case Token:
		codes := codePool
		if p.Code == "_id" {
			codes = []string{"1", "2", "A"}
		}
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			return pick([]string{"http://a.example|", "urn:b|"})
		case 1:
			return pick(systemPool) + "|" + escape(pick(codes))
		default:
			return escape(pick(codes))
		}
	case Reference:
		if p.canonicals() {
			return drawURL(t)
		}
		return pick(refPool)
	case URI:
		return drawURL(t)
	case Composite:
		parts := make([]string, len(p.Components))
		for i, c := range p.Components {
			parts[i] = drawValue(t, c.Param)
		}
		return strings.Join(parts, "$")
	default:
		t.Fatalf("no values for %s", p.Kind)
		return ""
	}
}

func drawURL(t *rapid.T) string {
	s := rapid.SampledFrom(uriPool).Draw(t, "url")
	if i := strings.LastIndexByte(s, '|'); i >= 0 && rapid.Bool().Draw(t, "versioned") {
		return escape(s[:i]) + "|" + s[i+1:]
	}
	return escape(s)
}

// drawPair draws one parameter of a query, with or without a modifier.
func drawPair(t *rapid.T, kind string) Pair {
	p := drawParam(t, kind)
	values := make([]string, rapid.IntRange(1, 3).Draw(t, "alternatives"))
	for i := range values {
		values[i] = drawValue(t, p)
	}
	value := strings.Join(values, ",")
	modifiers := []string{"", "", ""}
	if p.Kind != Composite {
		modifiers = append(modifiers, modifierMissing)
	}
	switch p.Kind {
	case Token:
		modifiers = append(modifiers, modifierNot, modifierText)
	case String:
		modifiers = append(modifiers, modifierExact, modifierContains)
	case Reference:
		if p.selects("Reference") {
			modifiers = append(modifiers, modifierIdentifier)
		}
	}
	switch m := rapid.SampledFrom(modifiers).Draw(t, "modifier"); m {
	case "":
		return Pair{p.Code, value}
	case modifierMissing:
		return Pair{p.Code + ":missing", rapid.SampledFrom([]string{"true", "false"}).Draw(t, "missing")}
	case modifierText:
		return Pair{p.Code + ":text", escape(rapid.SampledFrom(textPool).Draw(t, "label"))}
	case modifierIdentifier:
		return Pair{p.Code + ":identifier", escape(rapid.SampledFrom(codePool).Draw(t, "identifier"))}
	default:
		return Pair{p.Code + ":" + m, value}
	}
}

func expression(kind string, pairs ...Pair) string {
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		parts[i] = encode(p.Name) + "=" + encode(p.Value)
	}
	return kind + "?" + strings.Join(parts, "&")
}
