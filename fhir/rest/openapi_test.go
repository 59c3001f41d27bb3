package rest

import (
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOpenAPI_listsWhatIsRouted: each route and operation is in the document, every $ref leads somewhere, and
// every name in a path is declared.
func TestOpenAPI_listsWhatIsRouted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	w := httptest.NewRecorder()
	h.server.OpenAPI(w, httptest.NewRequest("GET", "/openapi.json", nil))
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ OperationID, Summary string }
		Components map[string]map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	h.equal("3.1.0", doc.OpenAPI)
	h.equal("application/json", w.Header().Get("Content-Type"))
	ids := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, o := range methods {
			if ids[o.OperationID] || o.Summary == "" {
				t.Errorf("%s %s: operationId %q, summary %q", method, path, o.OperationID, o.Summary)
			}
			ids[o.OperationID] = true
		}
		for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
			if doc.Components["parameters"][m[1]] == nil {
				t.Errorf("%s: %s is not declared", path, m[1])
			}
		}
	}
	for _, r := range h.server.routes {
		path := braced(r.path)
		if path == "" {
			path = "/"
		}
		if _, ok := doc.Paths[path][strings.ToLower(r.method)]; !ok {
			t.Errorf("%s %s is missing", r.method, path)
		}
	}
	for _, path := range []string{"/{type}/{id}/$everything", "/{type}/$everything", "/{type}/{id}/$meta", "/{type}/$meta", "/$meta"} {
		if _, ok := doc.Paths[path]["get"]; !ok {
			t.Errorf("%s is missing", path)
		}
	}
	for _, ref := range regexp.MustCompile(`"#/components/(\w+)/(\w+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		if doc.Components[ref[1]][ref[2]] == nil {
			t.Errorf("%s leads nowhere", ref[0])
		}
	}
	again := httptest.NewRecorder()
	h.server.OpenAPI(again, httptest.NewRequest("GET", "/openapi.json", nil))
	h.equal(w.Body.String(), again.Body.String())
}

// TestOpenAPI_describesWhatStandsBeside: paths of others say where they lie, and their components join the rest.
func TestOpenAPI_describesWhatStandsBeside(t *testing.T) {
	t.Parallel()
	for base, root := range map[string]string{"": "/", "https://h.example/fhir/R4": "https://h.example", "https://h.example/other": "/"} {
		h := newHarness(t)
		h.server.base = base
		h.server.Beside = []Fragment{{
			Paths:      map[string]map[string]any{"/beside/{id}": {"get": node{"summary": "x"}}},
			Components: map[string]map[string]any{"schemas": {"thing": node{"type": "object"}}, "examples": {"one": node{}}},
		}}
		w := httptest.NewRecorder()
		h.server.OpenAPI(w, httptest.NewRequest("GET", "/openapi.json", nil))
		var doc struct {
			Paths      map[string]map[string]any
			Components map[string]map[string]any
		}
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"get": map[string]any{"summary": "x"}, "servers": []any{map[string]any{"url": root}}}
		if diff := cmp.Diff(want, doc.Paths["/beside/{id}"]); diff != "" {
			t.Errorf("base %q: -want +got\n%s", base, diff)
		}
		for section, names := range map[string][]string{"schemas": {"thing", "resource"}, "examples": {"one"}, "parameters": {"id"}} {
			for _, name := range names {
				if doc.Components[section][name] == nil {
					t.Errorf("%s/%s is missing", section, name)
				}
			}
		}
	}
}
