package criteria

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
)

// compileText compiles one expression and prints its paths.
func compileText(typ fhir.Type, expression string) ([]string, error) {
	p, err := R4().Compile(typ, Definition{Code: "x", Kind: Token, Expression: expression})
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, path := range p.paths {
		texts = append(texts, path.String())
	}
	return texts, nil
}

func TestCompile_constructs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		typ        fhir.Type
		expression string
		want       []string
	}{
		{"plain path", "Patient", "Patient.name.family", []string{"name.family:string"}},
		{"an inherited element", "Patient", "Resource.meta.tag", []string{"meta.tag:Coding"}},
		{"an element of DomainResource", "Patient", "DomainResource.text.div", []string{"text.div:xhtml"}},
		{"the resource", "Observation", "Observation", []string{":Observation"}},
		{"no head", "InsurancePlan", "name | alias", []string{"name:string", "alias:string"}},
		{"a union keeps what is about the type", "Person", "Patient.birthDate | Person.birthDate | RelatedPerson.birthDate", []string{"birthDate:date"}},
		{"repeated paths are one", "Patient", "Patient.active | Patient.active", []string{"active:boolean"}},
		{"a code knows its system", "Patient", "Patient.gender", []string{"gender:code(http://hl7.org/fhir/administrative-gender)"}},
		{"a choice without a cast", "Media", "Media.created", []string{"createdDateTime:dateTime", "createdPeriod:Period"}},
		{"as, infix", "Observation", "(Observation.value as Quantity)", []string{"valueQuantity:Quantity"}},
		{"as, function", "Condition", "Condition.onset.as(Age) | Condition.onset.as(Range)", []string{"onsetAge:Age", "onsetRange:Range"}},
		{"ofType", "Observation", "Observation.value.ofType(CodeableConcept).text", []string{"valueCodeableConcept.text:string"}},
		{"ofType with a namespace", "Observation", "Observation.value.ofType(FHIR.Quantity)", []string{"valueQuantity:Quantity"}},
		{"types in any case", "Observation", "Observation.value.as(DateTime)", []string{"valueDateTime:dateTime"}},
		{"a cast goes on", "Observation", "(Observation.value as CodeableConcept).text", []string{"valueCodeableConcept.text:string"}},
		{"a cast means exactly that type", "ConceptMap", "(ConceptMap.source as uri)", []string{"sourceUri:uri"}},
		{"or what is derived, where nothing can be exact", "Condition", "Condition.onset as Quantity", []string{"onsetAge:Age"}},
		{"casts that do nothing", "Patient", "Patient.name as HumanName", []string{"name:HumanName"}},
		{"parentheses around a union", "Observation", "(Observation.code | Observation.category).coding", []string{"code.coding:Coding", "category.coding:Coding"}},
		{"where on a code", "Patient", "Patient.telecom.where(system='phone').value", []string{`telecom{system:code(http://hl7.org/fhir/contact-point-system) = "phone"}.value:string`}},
		{"where, the literal first", "Patient", "Patient.telecom.where('phone' = system)", []string{`telecom{system:code(http://hl7.org/fhir/contact-point-system) = "phone"}:ContactPoint`}},
		{"where on a longer path", "Patient", "Patient.identifier.where(type.coding.code = 'MR').value", []string{`identifier{type.coding.code:code = "MR"}.value:string`}},
		{"where on a boolean", "Condition", "Condition.code.coding.where(userSelected)", []string{`code.coding{userSelected:boolean = "true"}:Coding`}},
		{
			"where with and, or, not", "Patient", "Patient.name.where(use = 'official' and (family.exists() or given.empty().not()))",
			[]string{`name{(use:code(http://hl7.org/fhir/name-use) = "official" and (family:string exists or not not given:string exists))}:HumanName`},
		},
		{"where on the type at hand only", "Observation", "Observation.value.where(unit = 'kg')", []string{`valueQuantity{unit:string = "kg"}:Quantity`}},
		{"where $this", "Patient", "Patient.name.given.where($this = 'Ada')", []string{`name.given{:string = "Ada"}:string`}},
		{
			"two wheres", "Patient", "Patient.name.where(use='official').where(family='X')",
			[]string{`name{use:code(http://hl7.org/fhir/name-use) = "official"}{family:string = "X"}:HumanName`},
		},
		{"where on the resource", "Patient", "Patient.where(active = true).name", []string{`${active:boolean = "true"}.name:HumanName`}},
		{"resolve() is", "Observation", "Observation.subject.where(resolve() is Patient)", []string{"subject{:Reference -> Patient}:Reference"}},
		{"resolve() on a path", "Appointment", "Appointment.participant.where(actor.resolve() is Location).actor", []string{"participant{actor:Reference -> Location}.actor:Reference"}},
		{"resolve() on some types of a choice", "Consent", "Consent.source.where(resolve() is Consent)", []string{"sourceReference{:Reference -> Consent}:Reference"}},
		{"is", "Patient", "Patient.where(deceased is boolean)", []string{"${deceasedBoolean:boolean of deceasedBoolean:boolean|deceasedDateTime:dateTime}:Patient"}},
		{"an index", "Bundle", "Bundle.entry[0].resource", []string{"entry[0].resource:"}},
		{"first()", "Patient", "Patient.name.first().family", []string{"name[0].family:string"}},
		{"an index behind where counts what passed", "Patient", "Patient.name.where(use='official')[1]", []string{`name{use:code(http://hl7.org/fhir/name-use) = "official"}[1]:HumanName`}},
		{"where behind an index", "Patient", "Patient.name[0].where(use='official')", []string{`name[0].${use:code(http://hl7.org/fhir/name-use) = "official"}:HumanName`}},
		{"an inline resource of a type", "Bundle", "Bundle.entry.resource.ofType(Patient).name", []string{"entry.resource{is Patient}.name:HumanName"}},
		{"extension", "Patient", "Patient.extension('urn:x').value.ofType(string)", []string{`extension{url:uri = "urn:x"}.valueString:string`}},
		{
			"extension in an extension", "Patient", "Patient.extension.where(url='urn:x').extension.where(url = 'y').value as Coding",
			[]string{`extension{url:uri = "urn:x"}.extension{url:uri = "y"}.valueCoding:Coding`},
		},
		{"extension of a primitive", "Patient", "Patient.birthDate.extension('urn:x').value as dateTime", []string{`_birthDate.extension{url:uri = "urn:x"}.valueDateTime:dateTime`}},
		{
			"hasExtension", "QuestionnaireResponse", "QuestionnaireResponse.item.where(hasExtension('urn:x')).answer.value.ofType(Reference)",
			[]string{`item{extension{url:uri = "urn:x"}:Extension exists}.answer.valueReference:Reference`},
		},
		{"recursive elements", "Questionnaire", "Questionnaire.item.item.item.linkId", []string{"item.item.item.linkId:string"}},
		{"an element of another element's structure", "Observation", "Observation.component.referenceRange.low", []string{"component.referenceRange.low:Quantity"}},
		{
			"a condition", "Patient", "Patient.deceased.exists() and Patient.deceased != false",
			[]string{`(deceasedBoolean:boolean|deceasedDateTime:dateTime exists and not deceasedBoolean:boolean|deceasedDateTime:dateTime = "false"):boolean`},
		},
		{"%resource", "MolecularSequence", "%resource.referenceSeq.chromosome", []string{"%referenceSeq.chromosome:CodeableConcept"}},
		{"identifiers in back quotes", "Patient", "Patient.`name`.`family`", []string{"name.family:string"}},
		{"escapes in strings", "Patient", `Patient.name.where(family = 'O\'Nil\\')`, []string{`name{family:string = "O'Nil\\"}:HumanName`}},
		{"a nested element", "Location", "Location.position", []string{"position:BackboneElement"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := compileText(tt.typ, tt.expression)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCompile_refuses: what can't be evaluated is refused with a reason that a person can act on.
func TestCompile_refuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		typ        fhir.Type
		expression string
		want       string // in the error
	}{
		{"an unknown element", "Patient", "Patient.nam", "column 1: Patient has no element nam"},
		{"a JSON name", "Observation", "Observation.valueQuantity", "write value.ofType(Quantity)"},
		{"another type only", "Patient", "Practitioner.name", "no part of the expression is about Patient"},
		{"an unknown type", "Pacient", "Pacient.name", "Pacient is not a resource type"},
		{"a data type", "HumanName", "family", "HumanName is not a resource type"},
		{"an impossible cast", "Observation", "Observation.value as Address", "never of type Address"},
		{"a cast to nothing", "Observation", "Observation.value as Nonsense", "Nonsense is not a FHIR type"},
		{"an unsupported function", "Patient", "Patient.name.given.lower()", "the function lower"},
		{"resolve() as a path", "Patient", "Patient.managingOrganization.resolve().name", "resolve() is only supported"},
		{"resolve() on what is no reference", "Patient", "Patient.name.where(resolve() is Patient)", "is no reference"},
		{"resolve() is a data type", "Patient", "Patient.link.other.where(resolve() is Quantity)", "Quantity is not a resource type"},
		{"an index behind repeating elements", "Patient", "Patient.name.given[0]", "one array"},
		{"an index on a union", "Patient", "(Patient.name | Patient.contact.name)[0]", "one array"},
		{"a comparison of an object", "Patient", "Patient.name.where(period = 'x')", "a Period can't be compared"},
		{"a comparison of two paths", "Patient", "Patient.name.where(family = given)", "can only be compared with"},
		{"a type's name in a condition", "Patient", "Patient.name.where(Patient.active = true)", "without the resource type"},
		{"an object as a condition", "Patient", "Patient.name.where(period)", "is no condition"},
		{"a date", "Patient", "Patient.birthDate = @2000", `'@' is not supported`},
		{"arithmetic", "Patient", "Patient.multipleBirth + 1", `'+' is not supported`},
		{"comparison operators", "Patient", "Patient.name.where(id > 1)", `'>' is not supported`},
		{"other variables", "Patient", "%context.name", "only %resource is supported"},
		{"$index", "Patient", "Patient.name.where($index = 0)", "only $this is supported"},
		{"a literal", "Patient", "'x'", "selects no element"},
		{"an open string", "Patient", "Patient.name.where(use='x)", "closing '"},
		{"an open parenthesis", "Patient", "(Patient.name", "expected )"},
		{"too much", "Patient", "Patient.name Patient.name", "expected an operator or the end"},
		{"an empty part", "Patient", "Patient.name | ", "expected a name, not the end"},
		{"a function in a choice that multiplies", "Patient", "Patient.extension.value.extension.value.extension.value", "alternatives"},
		{"conditions that multiply", "Patient", "Patient.extension.where(" + strings.Repeat("value.extension.exists(", 8) + "url='x'" + strings.Repeat(")", 9), "too complex"},
		{"%resource in a condition", "Patient", "Patient.name.where(%resource.active)", "inside a condition"},
		{"nesting", "Patient", strings.Repeat("(", 1000) + "Patient" + strings.Repeat(")", 1000), "nested too deeply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := compileText(tt.typ, tt.expression)
			if err == nil {
				t.Fatalf("compiled to %.500s", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
			if fhir.KindOf(err) != fhir.BusinessRule {
				t.Errorf("the error is of kind %d, so that a client would not read it", fhir.KindOf(err))
			}
		})
	}
}

func TestCompile_keepsTheTextOfTheTypesOwnParts(t *testing.T) {
	t.Parallel()
	p, err := R4().Compile("Person", Definition{Expression: "Patient.name | (Person.name) | Person.link.where( assurance = 'level1' ) | Practitioner.name"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "(Person.name) | Person.link.where( assurance = 'level1' )"; p.Expression != want {
		t.Errorf("Expression is %q, want %q", p.Expression, want)
	}
}

func TestCompile_components(t *testing.T) {
	t.Parallel()
	tests := []struct {
		typ  fhir.Type
		code string
		want []string // governing parameter and paths
	}{
		{"Observation", "combo-code-value-quantity", []string{"combo-code code:CodeableConcept", "combo-value-quantity valueQuantity:Quantity"}},
		{"Observation", "code-value-date", []string{"code code:CodeableConcept", "value-date valueDateTime:dateTime valuePeriod:Period"}},
		{"DocumentReference", "relationship", []string{"relatesto target:Reference", "relation code:code(http://hl7.org/fhir/document-relationship-type)"}},
		{"MolecularSequence", "chromosome-variant-coordinate", []string{"chromosome %referenceSeq.chromosome:CodeableConcept", "variant-start start:integer", "variant-end end:integer"}},
		{"ValueSet", "context-type-quantity", []string{"context-type code:Coding", "context-quantity valueQuantity:Quantity valueRange:Range"}},
		{"Group", "characteristic-value", []string{
			"characteristic code:CodeableConcept",
			"value valueCodeableConcept:CodeableConcept valueBoolean:boolean valueQuantity:Quantity valueRange:Range valueReference:Reference",
		}},
	}
	for _, tt := range tests {
		p, ok := R4().Param(tt.typ, tt.code)
		if !ok {
			t.Fatalf("%s has no %s", tt.typ, tt.code)
		}
		var got []string
		for _, c := range p.Components {
			text := c.Param.Code
			for _, path := range c.paths {
				text += " " + path.String()
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s.%s: %s", tt.typ, tt.code, diff)
		}
	}
	_, err := R4().Compile("Observation", Definition{Kind: Composite, Expression: "Observation", Components: []ComponentDefinition{{URL: "urn:nobody", Expression: "code"}}})
	if err == nil || !strings.Contains(err.Error(), "urn:nobody is not a search parameter of Observation") {
		t.Errorf("a component without a definition gave %v", err)
	}
}

// FuzzCompile: no expression may panic, hang or compile to something that extraction can't walk.
func FuzzCompile(f *testing.F) {
	for _, def := range readTable(r4Text) {
		if len(def.Expression) < 120 {
			f.Add(def.Expression)
		}
	}
	f.Add("Patient.where(name.exists(given.where($this='x').empty()) or %resource.active.not())[0].`id`.extension('x').value.as(Coding)")
	root := parse(f, observation)
	f.Fuzz(func(t *testing.T, expression string) {
		for _, typ := range []fhir.Type{"Observation", "Patient", "Bundle"} {
			p, err := R4().Compile(typ, Definition{Expression: expression})
			if err != nil {
				if fhir.KindOf(err) != fhir.BusinessRule {
					t.Fatalf("unreadable error %v", err)
				}
				continue
			}
			for l := range p.Leaves(root) {
				if l.Computed == "" && !l.Node.Exists() {
					t.Fatalf("%q selects what is not there", expression)
				}
			}
			if p.Expression == "" {
				continue
			}
			again, err := R4().Compile(typ, Definition{Expression: p.Expression})
			if err != nil {
				t.Fatalf("its own part %q does not compile: %v", p.Expression, err)
			}
			if joinPaths(again.paths) != joinPaths(p.paths) {
				t.Fatalf("its own part %q means something else", p.Expression)
			}
		}
	})
}
