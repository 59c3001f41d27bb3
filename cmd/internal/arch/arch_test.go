package arch_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the module's folder as seen from this one.
const root = "../../.."

const module = "fhirhook"

// rule is one row of the layering: a package, its level, and which other modules it may import.
// Imports inside the module go to lower levels only.
type rule struct {
	level   int
	foreign []string // module path prefixes
}

// layers is the layering of docs/architecture.md. Echo, bbolt and the client that calls Subscription
// endpoints each appear in one package of the server.
var layers = map[string]rule{
	"fhir/tape":             {level: 0},
	"fhir":                  {level: 1, foreign: []string{"github.com/google/uuid"}},
	"channel":               {level: 0},
	"channel/settings":      {level: 0, foreign: []string{"go.yaml.in/yaml/"}},
	"channel/channeltest":   {level: 1},
	"channel/resthook":      {level: 1, foreign: []string{"go.yaml.in/yaml/", "golang.org/x/oauth2"}},
	"fhir/schema":           {level: 2},
	"fhir/validate":         {level: 3},
	"criteria/fhirpath":     {level: 0},
	"criteria":              {level: 3, foreign: []string{"github.com/cockroachdb/apd/", "golang.org/x/text/"}},
	"fhir/store":            {level: 2},
	"fhir/store/durable":    {level: 0},
	"fhir/store/retention":  {level: 3},
	"fhir/store/seal":       {level: 1},
	"fhir/store/bolt":       {level: 3, foreign: []string{"go.etcd.io/bbolt", "github.com/google/uuid"}},
	"fhir/store/storetest":  {level: 3, foreign: []string{"github.com/google/go-cmp/", "pgregory.net/rapid", "github.com/google/uuid"}},
	"fhir/patch":            {level: 3},
	"fhir/auth":             {level: 4, foreign: []string{"github.com/go-jose/", "github.com/hashicorp/golang-lru/", "golang.org/x/time/rate"}},
	"fhir/search":           {level: 5},
	"subscription":          {level: 5, foreign: []string{"golang.org/x/time/rate"}},
	"subscription/operate":  {level: 7},
	"subscription/trail":    {level: 6},
	"subscription/webhook":  {level: 7},
	"fhir/audit":            {level: 7},
	"fhir/quota":            {level: 5},
	"fhir/rest/peer":        {level: 0},
	"fhir/rest":             {level: 6, foreign: []string{"github.com/labstack/echo/", "github.com/samply/golang-fhir-models/", "github.com/google/uuid", "github.com/klauspost/compress/"}},
	"cmd/internal/arch":     {level: 7},
	"cmd/internal/client":   {level: 7},
	"cmd/internal/edge":     {level: 7, foreign: []string{"github.com/hashicorp/golang-lru/", "golang.org/x/crypto/acme"}},
	"cmd/internal/generate": {level: 7},
	"cmd/internal/listen":   {level: 7},
	"cmd/internal/load":     {level: 7, foreign: []string{"github.com/google/uuid", "github.com/klauspost/compress/"}},
	"cmd/internal/profile":  {level: 0},
	"cmd/internal/bench":    {level: 9, foreign: []string{"github.com/labstack/echo/", "go.etcd.io/bbolt", "github.com/klauspost/compress/", "golang.org/x/sys/unix"}},
	"cmd/internal/app":      {level: 8, foreign: []string{"github.com/prometheus/client_golang/"}},
	"cmd/internal/e2e":      {level: 9},
	"cmd/fhirhook":          {level: 10, foreign: []string{"github.com/alecthomas/kong", "go.yaml.in/yaml/"}},

	"docs/receivers/go":       {level: 0},
	"docs/receivers/go/serve": {level: 9},

	"subscription/expression": {level: 1, foreign: []string{"github.com/gofhir/fhirpath/", "github.com/antlr4-go/antlr/"}},
}

// TestArch_importsPointDown parses imports itself: a list made by another process would not be seen by the
// test cache.
func TestArch_importsPointDown(t *testing.T) {
	t.Parallel()
	for pkg, files := range packages(t) {
		r, ok := layers[pkg]
		if !ok {
			t.Errorf("package %s is not in the layering table: give it a level", pkg)
			continue
		}
		for _, file := range files {
			for _, imported := range imports(t, file) {
				if problem := r.judge(pkg, imported); problem != "" {
					t.Errorf("%s: %s", strings.TrimPrefix(file, root+"/"), problem)
				}
			}
		}
	}
}

func (r rule) judge(pkg, imported string) string {
	if inner, ok := strings.CutPrefix(imported, module+"/"); ok {
		target, known := layers[inner]
		switch {
		case !known:
			return "imports " + inner + ", which is not in the layering table"
		case target.level >= r.level:
			return "level " + strconv.Itoa(r.level) + " imports " + inner + " of level " + strconv.Itoa(target.level)
		}
		return ""
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return "" // standard library
	}
	if slices.ContainsFunc(r.foreign, func(prefix string) bool { return strings.HasPrefix(imported, prefix) }) {
		return ""
	}
	return pkg + " may not import " + imported
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// packages lists the non-test Go files of each package of the module.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "bench" && path == root+"/bench") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			dir, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			found[filepath.ToSlash(dir)] = append(found[filepath.ToSlash(dir)], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 5 {
		t.Fatalf("found only %d packages: the walk is broken", len(found))
	}
	return found
}
