package webhook

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"fhirhook/fhir/tape"
)

// FuzzBody: whatever is sent, it is refused with a reason, or becomes a Subscription that is a webhook and says what
// was sent; and reading that and writing it back is no change.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"url":"https://r.example/in","events":["patient.*"]}`, `{"url":"u","events":"ping","active":false,"secret":"s","dialect":"kit","description":"d","organization":"o"}`,
		`{"url":"\u0000","events":["a.b","c"],"secret":"generate"}`, `{"events":[],"url":1}`, `{"a~/b":null}`, `[`, `{"webhook":"h","event":"ping"}`,
	} {
		f.Add([]byte(seed), uint8(0))
	}
	f.Add([]byte(`{"id":"h","url":"u","events":"*","status":"off","warnings":[1]}`), uint8(1))
	f.Add([]byte(`{"url":null,"active":null}`), uint8(2))
	const there = `{"resourceType":"Subscription","id":"h","status":"active","reason":"r","criteria":"[*]","channel":{"type":"rest-hook","endpoint":"e","extension":[{"url":"https://example.org/x"}]},` +
		`"extension":[{"url":"http://fhirhook.dev/StructureDefinition/subscription-event","valueString":"a.*"},{"url":"https://fhirhook.dev/StructureDefinition/subscription-secret","valueString":"********"}]}`
	f.Fuzz(func(t *testing.T, body []byte, how uint8) {
		request := [][2]string{{"POST", "/webhooks"}, {"PUT", "/webhooks/h"}, {"PATCH", "/webhooks/h"}, {"POST", "/webhook-events"}, {"POST", "/webhooks/h/rotate-secret"}}[how%5]
		var sent []byte
		h := New(Options{Dialect: "kit", FHIR: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodGet:
				_, _ = io.WriteString(w, there)
			case strings.Contains(r.URL.Path, "$"):
				_, _ = io.WriteString(w, `{"resourceType":"Parameters"}`)
			default:
				sent, _ = io.ReadAll(r.Body)
				_, _ = w.Write(sent)
			}
		})})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(request[0], request[1], strings.NewReader(string(body))))
		if !slices.Contains([]int{200, 201, 400, 404, 413, 422}, w.Code) {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if _, err := tape.Parse(w.Body.Bytes(), storedDepth); err != nil {
			t.Fatalf("the answer is no JSON: %v\n%s", err, w.Body)
		}
		if sent == nil {
			return
		}
		doc, err := tape.Parse(sent, storedDepth)
		if err != nil || !isWebhook(doc.Root()) {
			t.Fatalf("what was made of it is no webhook: %v\n%s", err, sent)
		}
		was := formOf(doc.Root(), "kit")
		if again := draft(doc, was, was); string(again.Bytes()) != string(doc.Bytes()) {
			t.Fatalf("%s\nbecame\n%s", doc.Bytes(), again.Bytes())
		}
		root, err := tape.Parse(body, 0)
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string]string{"url": was.url, "description": was.description, "organization": was.organization} {
			if v := root.Root().Get(name); v.Kind() == tape.String && v.Text() != got {
				t.Fatalf("%s: %q was sent, %q is there", name, v.Text(), got)
			}
		}
	})
}
