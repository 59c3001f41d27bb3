//go:build all

package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fhirhook/cmd/internal/app"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// examplesFolder holds HL7's example package, which `make all-test` fetches.
const examplesFolder = "../../../.cache/r4/package"

// definitional types make up most of the package and say nothing of patients; the rest are the clinical ones.
var definitional = []fhir.Type{
	"SearchParameter", "ValueSet", "CodeSystem", "StructureDefinition", "ConceptMap", "OperationDefinition",
	"CapabilityStatement", "CompartmentDefinition", "ImplementationGuide", "NamingSystem", "StructureMap",
}

// clinicalExamples reads the examples that a hospital's server would hold.
func clinicalExamples(t *testing.T) []fhir.Incoming {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(examplesFolder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("HL7's examples are not in %s: run make all-test, which fetches them (%v)", examplesFolder, err)
	}
	var examples []fhir.Incoming
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), "-")
		if kind := fhir.Type(name); !kind.Known() || slices.Contains(definitional, kind) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		example, err := fhir.Read(text, 0)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		examples = append(examples, example)
	}
	const inPackage = 725 // counted once; fewer means that the selection is broken
	if len(examples) < inPackage {
		t.Fatalf("%d clinical examples, want at least %d", len(examples), inPackage)
	}
	return examples
}

// TestExamples_roundTripAndAreFoundByTheirOwnValues stores each clinical example, reads it back token for token,
// and finds it by a search for each value that any of its search parameters has.
func TestExamples_roundTripAndAreFoundByTheirOwnValues(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), func(o *app.Options) { o.MaxBody = o.MaxBundle })
	examples := clinicalExamples(t)
	var stored []fhir.Incoming // as the server has them: lastUpdated is its own
	var subscriptions int
	for _, example := range examples {
		if example.Type == fhir.Subscription {
			subscriptions++ // the server owns status and error, and refuses the examples' past and unreachable ones
			continue
		}
		path := "/" + string(example.Type) + "/" + example.ID
		a, err := server.request(http.MethodPut, path, string(example.Doc.Bytes()))
		if err != nil || a.status != http.StatusCreated && a.status != http.StatusOK {
			t.Errorf("PUT %s: %v %d %.300s", path, err, a.status, a.body)
			continue
		}
		back := server.must(http.StatusOK, http.MethodGet, path+"?_format=json", "") // a Binary's content, otherwise
		doc, err := tape.Parse(back.body, 0)
		if err != nil {
			t.Errorf("GET %s: %v", path, err)
			continue
		}
		if !fhir.SameContent(doc, example.Doc) {
			t.Errorf("GET %s differs from what was PUT", path)
		}
		example.Doc = doc
		stored = append(stored, example)
	}
	t.Logf("%d clinical examples round-trip token for token (%d Subscriptions aside)", len(stored), subscriptions)

	searches, parameters := searchEach(t, server, stored)
	t.Logf("%d searches over %d search parameters found the example that they were made from", searches, parameters)
}

// searchEach runs one search for each distinct value and wants the example among the answer.
func searchEach(t *testing.T, server *process, examples []fhir.Incoming) (searches int64, parameters int) {
	t.Helper()
	exercised := map[string]bool{}
	var count atomic.Int64
	var wg sync.WaitGroup
	queries := make(chan [2]string, 64)
	for range 4 {
		wg.Go(func() {
			for q := range queries {
				count.Add(1)
				findIn(t, server, q[0], q[1])
			}
		})
	}
	seen := map[string]bool{}
	for _, example := range examples {
		for param := range criteria.R4().Params(example.Type) {
			for _, value := range ownValues(param, example.Doc.Root()) {
				query := "/" + string(example.Type) + "?" + url.QueryEscape(param.Code) + "=" + url.QueryEscape(value) +
					"&_count=1000&_elements=id"
				if seen[example.ID+query] {
					continue
				}
				seen[example.ID+query] = true
				exercised[string(example.Type)+"."+param.Code] = true
				queries <- [2]string{query, string(example.Type) + "/" + example.ID}
			}
		}
	}
	close(queries)
	wg.Wait()
	return count.Load(), len(exercised)
}

func findIn(t *testing.T, server *process, query, want string) {
	a, err := server.request(http.MethodGet, query, "")
	if err != nil || a.status != http.StatusOK {
		t.Errorf("GET %s: %v %d %.300s", query, err, a.status, a.body)
		return
	}
	doc, err := tape.Parse(a.body, 0)
	if err != nil {
		t.Errorf("GET %s: %v", query, err)
		return
	}
	for entry := range doc.Root().Get("entry").Elements() {
		resource := entry.Get("resource")
		if resource.Get("resourceType").Text()+"/"+resource.Get("id").Text() == want {
			return
		}
	}
	t.Errorf("GET %s does not find %s", query, want)
}
