package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// parserName matches functions that make sense of a text.
var parserName = regexp.MustCompile(`^(?i:parse|decode|unmarshal|feed)`)

// fuzzed are the packages with parsers, and the targets that reach them. A package without a target says why it needs none.
var fuzzed = map[string]struct {
	targets []string
	why     string
}{
	"channel/resthook":        {targets: []string{"FuzzParseDialects", "FuzzTemplate", "FuzzParseHeader", "FuzzVerify", "FuzzEndpoint", "FuzzParseOrigins", "FuzzParseProxy", "FuzzParseCodes", "FuzzRetryAfter"}},
	"channel/settings":        {targets: []string{"FuzzDecode"}},
	"cmd/fhirhook":            {targets: []string{"FuzzConfig", "FuzzParseExpires"}},
	"cmd/internal/app":        {why: "flags, which only the operator writes"},
	"cmd/internal/bench":      {why: "what its own processes print"},
	"cmd/internal/client":     {why: "answers of the operator's own server"},
	"cmd/internal/edge":       {targets: []string{"FuzzFramer", "FuzzOrigin"}},
	"cmd/internal/generate":   {why: "HL7's package, at build time"},
	"cmd/internal/listen":     {targets: []string{"FuzzNotification"}},
	"cmd/internal/load":       {targets: []string{"FuzzRecords"}},
	"criteria":                {targets: []string{"FuzzParse", "FuzzMatch", "FuzzCompile", "FuzzLeaves", "FuzzFilter", "FuzzSpoken"}},
	"criteria/fhirpath":       {targets: []string{"FuzzParse"}},
	"fhir":                    {targets: []string{"FuzzRead", "FuzzParseInstant"}},
	"fhir/audit":              {targets: []string{"FuzzID", "FuzzLine"}},
	"fhir/auth":               {targets: []string{"FuzzAuthenticate", "FuzzParseScope", "FuzzParseKeys", "FuzzTokenFile"}},
	"fhir/patch":              {targets: []string{"FuzzApply"}},
	"fhir/rest":               {targets: []string{"FuzzParseTarget", "FuzzEncodeQuery", "FuzzHeaders", "FuzzServer", "FuzzSpan"}},
	"fhir/rest/peer":          {targets: []string{"FuzzClient"}},
	"fhir/search":             {targets: []string{"FuzzResults", "FuzzPageLink", "FuzzPosting"}},
	"fhir/store/bolt":         {targets: []string{"FuzzRow", "FuzzQueueRow"}},
	"fhir/store/seal":         {targets: []string{"FuzzParseMaster"}},
	"fhir/tape":               {targets: []string{"FuzzParse"}},
	"fhir/validate":           {targets: []string{"FuzzValidate"}},
	"subscription":            {targets: []string{"FuzzParseSubscription", "FuzzParseLadder", "FuzzEvents"}},
	"subscription/expression": {targets: []string{"FuzzCompile"}},
	"subscription/operate":    {targets: []string{"FuzzInput", "FuzzPlace"}},
	"subscription/trail":      {targets: []string{"FuzzID"}},
	"subscription/webhook":    {targets: []string{"FuzzBody"}},
}

// TestFuzz_coversEveryParser finds the packages that hold parsers of text or bytes: each must be in the table above, and have the
// targets that stand there; and each target must stand there.
func TestFuzz_coversEveryParser(t *testing.T) {
	t.Parallel()
	declared := map[string][]string{}
	for name, files := range declaredTests(t) {
		for _, file := range files {
			dir, err := filepath.Rel(root, filepath.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "Fuzz") {
				declared[filepath.ToSlash(dir)] = append(declared[filepath.ToSlash(dir)], name)
			}
		}
	}
	for pkg, row := range fuzzed {
		for _, target := range row.targets {
			if !slices.Contains(declared[pkg], target) {
				t.Errorf("%s has no %s", pkg, target)
			}
		}
		if (row.why == "") == (len(row.targets) == 0) {
			t.Errorf("%s: name its targets, or why it needs none", pkg)
		}
	}
	for pkg, targets := range declared {
		for _, target := range targets {
			if !slices.Contains(fuzzed[pkg].targets, target) {
				t.Errorf("%s has %s, which is not in the table", pkg, target)
			}
		}
	}
	seen := 0
	for pkg, files := range packages(t) {
		for _, file := range files {
			for _, name := range parsers(t, file) {
				seen++
				if row, ok := fuzzed[pkg]; !ok || row.why == "" && len(row.targets) == 0 {
					t.Errorf("%s.%s reads a text, and its package has no fuzz target", pkg, name)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d parsers were found: the search is broken", seen)
	}
}

// parsers are the functions of a file that are called like one and take a text or bytes.
func parsers(t *testing.T, file string) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || !parserName.MatchString(fn.Name.Name) {
			continue
		}
		for _, p := range fn.Type.Params.List {
			switch typ := p.Type.(type) {
			case *ast.Ident:
				if typ.Name == "string" {
					names = append(names, fn.Name.Name)
				}
			case *ast.ArrayType:
				if elem, ok := typ.Elt.(*ast.Ident); ok && (elem.Name == "byte" || elem.Name == "string") {
					names = append(names, fn.Name.Name)
				}
			}
		}
	}
	return slices.Compact(names)
}
