package webhook_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// description is an OpenAPI document as far as the tests look.
type description struct {
	Paths      map[string]map[string]json.RawMessage
	Components map[string]map[string]struct {
		Properties map[string]json.RawMessage
	}
}

func (w *world) description() (d description, text string) {
	w.t.Helper()
	recorded := httptest.NewRecorder()
	w.fhir.OpenAPI(recorded, httptest.NewRequest("GET", "/openapi.json", nil))
	if err := json.Unmarshal(recorded.Body.Bytes(), &d); err != nil {
		w.t.Fatal(err)
	}
	return d, recorded.Body.String()
}

// Every path and method that is described is served, every other method is refused, and no reference leads nowhere.
func TestOpenAPI_isWhatIsServed(t *testing.T) {
	w := newWorld(t)
	d, text := w.description()
	id, count := w.hook(hook), 0
	for path, item := range d.Paths {
		if !strings.HasPrefix(path, "/webhook") {
			continue
		}
		if string(item["servers"]) != `[{"url":"`+site+`"}]` {
			t.Errorf("%s lies at %s", path, item["servers"])
		}
		var allowed []string
		for method := range item {
			if method != "servers" {
				allowed = append(allowed, strings.ToUpper(method))
				count++
			}
		}
		if slices.Contains(allowed, "GET") {
			allowed = append(allowed, "HEAD")
		}
		slices.Sort(allowed)
		at := strings.ReplaceAll(path, "{id}", id)
		if got := w.must(http.StatusNoContent, "OPTIONS", at, "").header.Get("Allow"); got != "OPTIONS, "+strings.Join(allowed, ", ") {
			t.Errorf("%s allows %s, and %v are described", path, got, allowed)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			if got := w.do(method, at, "").status == http.StatusMethodNotAllowed; got == slices.Contains(allowed, method) {
				t.Errorf("%s %s: refused %v", method, path, got)
			}
			if path == "/webhooks/{id}" && method == "DELETE" {
				id = w.hook(hook)
				at = strings.ReplaceAll(path, "{id}", id)
			}
		}
	}
	if count != 10 {
		t.Errorf("%d operations are described", count)
	}
	for _, ref := range regexp.MustCompile(`"#/components/(\w+)/([\w-]+)"`).FindAllStringSubmatch(text, -1) {
		if _, ok := d.Components[ref[1]][ref[2]]; !ok {
			t.Errorf("%s leads nowhere", ref[0])
		}
	}
}

// The schemas have the members of the answers, and no answer has others.
func TestOpenAPI_schemasAreWhatIsAnswered(t *testing.T) {
	w := newWorld(t)
	d, _ := w.description()
	id := w.hook(`{"url":"https://r.example/in","events":"*","secret":"x","description":"d","organization":"o"}`)
	answers := map[string]answer{
		"webhook":            w.must(http.StatusOK, "GET", "/webhooks/"+id, ""),
		"webhooks":           w.must(http.StatusOK, "GET", "/webhooks?_count=1", ""),
		"webhook-ping":       w.must(http.StatusOK, "POST", "/webhooks/"+id+"/ping", ""),
		"webhook-deliveries": w.must(http.StatusOK, "GET", "/webhooks/"+id+"/deliveries", ""),
		"webhook-rotated":    w.must(http.StatusOK, "POST", "/webhooks/"+id+"/rotate-secret", ""),
		"problem":            w.must(http.StatusUnprocessableEntity, "POST", "/webhooks", "{}"),
	}
	for name, a := range answers {
		for member := range a.json(t) {
			if _, ok := d.Components["schemas"][name].Properties[member]; !ok {
				t.Errorf("%s: %s is answered and not described", name, member)
			}
		}
	}
	written := slices.Sorted(maps.Keys(d.Components["schemas"]["webhook-patch"].Properties))
	if diff := cmp.Diff([]string{"active", "description", "dialect", "events", "organization", "secret", "url"}, written); diff != "" {
		t.Error(diff)
	}
}
