//go:build all

package rest

import (
	"os"
	"path/filepath"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// TestExamples_roundTripTokenForToken sends each of HL7's examples and reads it back.
func TestExamples_roundTripTokenForToken(t *testing.T) {
	files, err := filepath.Glob("../../.cache/r4/package/*.json")
	if err != nil || len(files) < 5000 {
		t.Fatalf("%d examples, %v: make all-test fetches them", len(files), err)
	}
	var h *harness
	sent := 0
	for i, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in, err := fhir.Read(body, 0)
		if err != nil || in.Type == fhir.Subscription {
			continue // package.json and .index.json; the server owns a Subscription's status
		}
		if h == nil || i%300 == 0 {
			h = newHarness(t, func(o *Options) { o.MaxBody = 64 << 20 }) // so that little is kept at a time
		}
		sent++
		id := h.must(201, "POST", "/"+string(in.Type), string(body), "Prefer: return=minimal").header.Get("Location")
		got, err := tape.Parse(h.must(200, "GET", id[len(h.http.URL+Prefix):], "", "Accept: "+FHIRJSON).body, 0)
		if err != nil || !fhir.SameContent(in.Doc, got) {
			t.Errorf("%s came back changed (%v)", filepath.Base(file), err)
		}
	}
	if t.Logf("%d examples", sent); sent < 5000 {
		t.Errorf("only %d were sent", sent)
	}
}
