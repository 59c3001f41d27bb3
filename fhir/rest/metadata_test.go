package rest

import (
	"encoding/json"
	"slices"
	"testing"

	models "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// TestMetadata_holdsItsInvariants checks R4's conformance of CapabilityStatement, and that it says what the
// tables say.
func TestMetadata_holdsItsInvariants(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.must(200, "GET", "/metadata", "")
	c, err := models.UnmarshalCapabilityStatement(r.body)
	if err != nil {
		t.Fatal(err)
	}
	if c.FhirVersion != models.FHIRVersion4_0_1 || c.Kind != models.CapabilityStatementKindInstance || c.Date == "" || len(c.Format) == 0 || len(c.Rest) != 1 {
		t.Errorf("cpb-1 or a required element: %s", r.body[:500])
	}
	if c.Implementation == nil || c.Implementation.Description == "" || *c.Implementation.Url != h.http.URL+Prefix || c.Software == nil || c.Software.Name == "" {
		t.Errorf("cpb-2 or cpb-14: %+v", c.Implementation)
	}
	if string(r.body[1:15]) != `"resourceType"` {
		t.Errorf("begins with %s", r.body[:20])
	}
	rest := c.Rest[0]
	var types []fhir.Type
	for _, res := range rest.Resource {
		types = append(types, fhir.Type(res.Type.Code()))
		var codes []string
		for _, i := range res.Interaction {
			codes = append(codes, i.Code.Code())
		}
		slices.Sort(codes)
		if want := []string{"create", "delete", "history-instance", "history-type", "patch", "read", "search-type", "update", "vread"}; !slices.Equal(codes, want) {
			t.Errorf("%s: %v", res.Type.Code(), codes)
		}
		seen := map[string]bool{}
		for _, p := range res.SearchParam {
			if seen[p.Name] {
				t.Errorf("%s: %s twice (cpb-12)", res.Type.Code(), p.Name)
			}
			seen[p.Name] = true
			def, ok := criteria.R4().Param(fhir.Type(res.Type.Code()), p.Name)
			if !ok || def.URL != *p.Definition {
				t.Errorf("%s.%s is not in the table", res.Type.Code(), p.Name)
			}
		}
		if !seen["_id"] || !seen["_lastUpdated"] {
			t.Errorf("%s lacks the common parameters", res.Type.Code())
		}
	}
	if !slices.Equal(types, fhir.Types()) {
		t.Errorf("types %v", types)
	}
	var system []string
	for _, i := range rest.Interaction {
		system = append(system, i.Code.Code())
	}
	slices.Sort(system)
	if want := []string{"batch", "history-system", "search-system", "transaction"}; !slices.Equal(system, want) {
		t.Errorf("system %v", system)
	}
}

// TestMetadata_saysWhatWorks sends a value to each search parameter that it lists: none may be refused as
// unknown or not offered.
func TestMetadata_saysWhatWorks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var c struct {
		Rest []struct {
			Resource []struct {
				Type                            string
				SearchParam                     []struct{ Name, Type string }
				SearchInclude, SearchRevInclude []string
			}
		}
	}
	if err := json.Unmarshal(h.must(200, "GET", "/metadata", "").body, &c); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"number": "1", "date": "2020-01-01", "string": "x", "token": "x", "reference": "Patient/1", "quantity": "1", "uri": "urn:x",
	}
	n, included := 0, 0
	for _, r := range c.Rest[0].Resource {
		query := "/" + r.Type + "?_id=none"
		for _, in := range r.SearchInclude {
			query += "&_include=" + in
		}
		for _, in := range r.SearchRevInclude[:min(len(r.SearchRevInclude), 300)] {
			query += "&_revinclude=" + in
		}
		h.must(200, "GET", query, "", "Prefer: handling=strict")
		included += len(r.SearchInclude)
		if r.Type == "Patient" && (!slices.Contains(r.SearchInclude, "Patient:organization") || !slices.Contains(r.SearchRevInclude, "Observation:subject") || !slices.Contains(r.SearchRevInclude, "Provenance:target")) {
			t.Errorf("of Patient %q and %q can be included", r.SearchInclude, r.SearchRevInclude)
		}
		for _, p := range r.SearchParam {
			n++
			if got := h.do("GET", "/"+r.Type+"?"+p.Name+"="+values[p.Type], "", "Prefer: handling=strict"); got.status != 200 {
				t.Errorf("%s?%s: %d %s", r.Type, p.Name, got.status, got.at("issue", 0, "diagnostics"))
			}
		}
	}
	if n < 1000 {
		t.Errorf("only %d parameters", n)
	}
	if included < 500 {
		t.Errorf("only %d inclusions", included)
	}
}
