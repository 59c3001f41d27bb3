package criteria

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
)

func TestTable_hasEveryOfficialParameter(t *testing.T) {
	t.Parallel()
	want := map[string]string{}
	f, err := os.Open("testdata/r4-counts.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if base, counts, ok := strings.Cut(lines.Text(), "\t"); ok && !strings.HasPrefix(base, "#") {
			want[base] = counts
		}
	}
	defs := readTable(r4Text)
	counts := map[string]*[Special + 1]int{}
	pairs := map[string]bool{}
	for _, def := range defs {
		for _, base := range def.Bases {
			if counts[string(base)] == nil {
				counts[string(base)] = new([Special + 1]int)
			}
			counts[string(base)][def.Kind]++
			pairs[string(base)+" "+def.Code] = true
		}
	}
	got := map[string]string{}
	for base, n := range counts {
		got[base] = strings.ReplaceAll(strings.Trim(fmt.Sprint(n[1:]), "[]"), " ", "/")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(defs) != 1375+1 || len(pairs) != 1706+1 {
		t.Errorf("%d definitions and %d pairs, want 1375 and 1706 and _filter", len(defs), len(pairs))
	}
}

// TestR4_compilesEveryExpression: R4 panics where one does not compile, so what is left to see is that
// each has paths, and that only those without an expression have none.
func TestR4_compilesEveryExpression(t *testing.T) {
	t.Parallel()
	types, params := 0, 0
	for _, typ := range fhir.Types() {
		types++
		for p := range R4().Params(typ) {
			params++
			none := slices.Contains([]string{"_text", "_content", "_query", "_filter"}, p.Code)
			if none != (len(p.paths) == 0) || none != (p.Expression == "") {
				t.Errorf("%s.%s: %d paths from %q", typ, p.Code, len(p.paths), p.Expression)
			}
			if p.Type != typ || p.Kind == 0 || p.URL == "" {
				t.Errorf("%s.%s is incomplete: %+v", typ, p.Code, p)
			}
			if (p.Kind == Composite) != (len(p.Components) > 1) {
				t.Errorf("%s.%s of kind %v has %d components", typ, p.Code, p.Kind, len(p.Components))
			}
			for _, c := range p.Components {
				if len(c.paths) == 0 || c.Param.Kind == Composite || c.Param.Type != typ {
					t.Errorf("%s.%s: component %s has %d paths", typ, p.Code, c.Param.Code, len(c.paths))
				}
			}
		}
	}
	// 1697 pairs of concrete types, 9 of Resource for each of the 146, and _text but for Binary, Bundle and Parameters.
	if want := 1697 + 9*146 + 143; types != 146 || params != want {
		t.Errorf("%d types with %d parameters, want 146 and %d", types, params, want)
	}
}

func TestDefinitions_inheritedParameters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		typ  fhir.Type
		code string
		want bool
	}{
		{"Patient", "_id", true},
		{"Patient", "_text", true},
		{"Bundle", "_lastUpdated", true},
		{"Bundle", "_text", false},
		{"Binary", "_text", false},
		{"Parameters", "_text", false},
		{"Parameters", "_tag", true},
		{"Patient", "nonsense", false},
		{"Nonsense", "_id", false},
	}
	for _, tt := range tests {
		if p, ok := R4().Param(tt.typ, tt.code); ok != tt.want {
			t.Errorf("Param(%s, %s) = %v, %v", tt.typ, tt.code, p, ok)
		}
	}
}

func TestDefinitions_paramsAreSorted(t *testing.T) {
	t.Parallel()
	var codes []string
	for p := range R4().Params("Subscription") {
		codes = append(codes, p.Code)
	}
	want := []string{
		"_content", "_filter", "_id", "_lastUpdated", "_profile", "_query", "_security", "_source", "_tag", "_text",
		"contact", "criteria", "payload", "status", "type", "url",
	}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Error(diff)
	}
}

func TestDefinitions_facts(t *testing.T) {
	t.Parallel()
	patient, _ := R4().Param("Patient", "phonetic")
	near, _ := R4().Param("Location", "near")
	if patient.Usage != "phonetic" || near.Usage != "nearby" || near.Kind != Special {
		t.Errorf("phonetic is %q, near is %q", patient.Usage, near.Usage)
	}
	subject, _ := R4().Param("DiagnosticReport", "subject")
	if diff := cmp.Diff([]fhir.Type{"Group", "Device", "Patient", "Location"}, subject.Targets); diff != "" {
		t.Error(diff)
	}
	focus, _ := R4().Param("MessageHeader", "focus")
	if len(focus.Targets) != 145 || slices.Contains(focus.Targets, fhir.Parameters) {
		t.Errorf("a reference to anything has %d targets", len(focus.Targets))
	}
	name, _ := R4().Param("Person", "phonetic")
	if name.Expression != "Person.name" || name.URL != "http://hl7.org/fhir/SearchParameter/individual-phonetic" {
		t.Errorf("of a definition for several types Person has %q (%s)", name.Expression, name.URL)
	}
}

func TestParseKind(t *testing.T) {
	t.Parallel()
	for k := Number; k <= Special; k++ {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k, got, ok)
		}
	}
	if _, ok := ParseKind("Token"); ok {
		t.Error("kinds are written in lower case")
	}
}

func BenchmarkR4(b *testing.B) {
	for b.Loop() {
		if _, err := compileTable(readTable(r4Text)); err != nil {
			b.Fatal(err)
		}
	}
}
