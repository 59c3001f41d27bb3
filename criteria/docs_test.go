package criteria

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
)

var update = flag.Bool("update", false, "write docs/search.md anew")

const docsFile = "../docs/search.md"

// TestDocs_sayWhatIsSupported keeps the tables of docs/search.md, which stand between markers, as the code has
// it: go test ./criteria -run TestDocs -update writes them.
func TestDocs_sayWhatIsSupported(t *testing.T) {
	content, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for name, table := range map[string]string{
		"kinds": kindsTable(), "examples": examplesTable(t), "hierarchies": hierarchiesTable(), "filter": filterTable(), "units": unitsList(),
	} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		head, rest, ok := strings.Cut(text, begin)
		_, tail, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("no markers for %s", name)
		}
		text = head + begin + table + end + tail
	}
	if *update {
		if err := os.WriteFile(docsFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(text, string(content)); diff != "" && !*update {
		t.Errorf("docs/search.md is not what the code does (-code +file); run the test with -update:\n%s", diff)
	}
}

// kindsTable tells which modifiers all parameters of a kind take, and which only some.
func kindsTable() string {
	var b strings.Builder
	b.WriteString("| kind | parameters | prefixes | modifiers | on some of them |\n|---|---|---|---|---|\n")
	for k := Number; k <= Special; k++ {
		urls, all := map[string]bool{}, 0
		count := map[string]int{}
		for _, of := range fhir.Types() {
			for p := range R4().Params(of) {
				if p.Kind != k || p.Expression == "" {
					continue
				}
				urls[p.URL] = true
				all++
				for _, m := range p.Modifiers() {
					count[m]++
				}
			}
		}
		var always, some []string
		for _, m := range slices.Sorted(maps.Keys(count)) {
			if count[m] == all {
				always = append(always, "`:"+m+"`")
			} else {
				some = append(some, "`:"+m+"`")
			}
		}
		if k == Reference {
			always = append(always, "`:[type]`")
		}
		comparisons := ""
		if k == Number || k == Date || k == Quantity {
			comparisons = "`" + strings.Join(prefixes[:], "` `") + "`"
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s |\n", k, len(urls), comparisons, strings.Join(always, " "), strings.Join(some, " "))
	}
	return b.String()
}

// examplesTable shows expressions and what becomes of them; the code says so.
func examplesTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| expression | meaning, or why it is refused |\n|---|---|\n")
	for _, row := range rows(t, "testdata/docs.tsv") {
		meaning := ""
		_, err := Parse(row[0], R4())
		switch e, refused := errors.AsType[*fhir.Error](err); {
		case refused && len(row) > 1:
			t.Errorf("%s is refused, and explained as %q", row[0], row[1])
		case refused:
			meaning = "refused: " + e.Diagnostic
		case len(row) != 2:
			t.Errorf("%s is accepted, and not explained", row[0])
		default:
			meaning = row[1]
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(row[0], "|", `\|`), strings.ReplaceAll(meaning, "|", `\|`))
	}
	return b.String()
}

// hierarchiesTable lists the parameters that lead into a hierarchy of resources.
func hierarchiesTable() string {
	var b strings.Builder
	b.WriteString("| type | parts are found by |\n|---|---|\n")
	for _, t := range slices.Sorted(maps.Keys(partOf)) {
		p, ok := R4().Param(t, partOf[t])
		if !ok || !slices.Contains(p.Targets, t) {
			continue
		}
		fmt.Fprintf(&b, "| %s | `%s` |\n", t, p.Code)
	}
	return b.String()
}

func filterTable() string {
	var b strings.Builder
	b.WriteString("| kind | operators |\n|---|---|\n")
	for k := Number; k <= Special; k++ {
		list := "none: give it as a parameter of the search"
		if len(operators[k]) > 0 {
			list = "`" + strings.Join(operators[k], "` `") + "`"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", k, list)
	}
	return b.String()
}

func unitsList() string {
	var units []string
	for _, u := range slices.Sorted(maps.Keys(kilometres)) {
		if u != "" {
			units = append(units, "`"+u+"`")
		}
	}
	return strings.Join(units, ", ") + "\n"
}

// Every type that the table of hierarchies names has one, and no parameter named so is left out.
func TestHierarchies_areThoseOfR4(t *testing.T) {
	for _, of := range fhir.Types() {
		for _, code := range []string{"partof", "part-of"} {
			p, ok := R4().Param(of, code)
			if has := ok && slices.Contains(p.Targets, of); has != (partOf[of] == code) {
				t.Errorf("%s by %s: %v, and the table says %q", of, code, has, partOf[of])
			}
		}
	}
}
