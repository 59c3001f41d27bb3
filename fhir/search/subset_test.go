package search_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

func TestSearch_showsASubset(t *testing.T) {
	w := newWorld(t)
	w.put(t, `{"resourceType":"Patient","id":"a","implicitRules":"http://example.org/rules","meta":{"tag":[{"code":"x"}]},
		"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Ada</div>"},
		"contained":[{"resourceType":"Organization","id":"o"}],"extension":[{"url":"http://example.org/e","valueBoolean":true}],
		"modifierExtension":[{"url":"http://example.org/m","valueBoolean":true}],
		"_birthDate":{"extension":[{"url":"http://example.org/t","valueString":"x"}]},"birthDate":"1815-12-10",
		"deceasedBoolean":false,"name":[{"family":"Lovelace","given":["Ada",null],"_given":[null,{"id":"g"}]}],
		"maritalStatus":{"text":"m"},"photo":[{"url":"http://example.org/p","data":"AAAA"}],
		"contact":[{"name":{"family":"B"}}],"link":[{"other":{"reference":"Patient/b"},"type":"seealso"}],"unknown":1}`)
	w.put(t, `{"resourceType":"Observation","id":"a","status":"final","code":{"text":"c"},"valueQuantity":{"value":1.00},"note":[{"text":"n"}],
		"component":[{"code":{"text":"cc"},"valueString":"v","referenceRange":[{"text":"r"}]}]}`)
	w.put(t, `{"resourceType":"DocumentReference","id":"a","status":"current","content":[{"attachment":{"url":"http://example.org/d","data":"AAAA"}},{"attachment":{"data":"AAAA"}}],
		"context":{"encounter":[{"reference":"Encounter/1"}]}}`)
	tests := []struct {
		typ   fhir.Type
		param criteria.Pair
		want  string // META stands for the stamped meta, up to its tags
	}{
		{"Patient", pair("_elements", "name,deceased"), `{"resourceType":"Patient","id":"a","implicitRules":"http://example.org/rules",META"tag":[{"code":"x"},SUBSETTED]},` +
			`"modifierExtension":[{"url":"http://example.org/m","valueBoolean":true}],"deceasedBoolean":false,"name":[{"family":"Lovelace","given":["Ada",null],"_given":[null,{"id":"g"}]}]}`},
		{"Patient", pair("_elements", "birthDate, link"), `{"resourceType":"Patient","id":"a","implicitRules":"http://example.org/rules",META"tag":[{"code":"x"},SUBSETTED]},` +
			`"modifierExtension":[{"url":"http://example.org/m","valueBoolean":true}],"_birthDate":{"extension":[{"url":"http://example.org/t","valueString":"x"}]},"birthDate":"1815-12-10","link":[{"other":{"reference":"Patient/b"},"type":"seealso"}]}`},
		{"Patient", pair("_summary", "text"), `{"resourceType":"Patient","id":"a","implicitRules":"http://example.org/rules",META"tag":[{"code":"x"},SUBSETTED]},` +
			`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Ada</div>"},"modifierExtension":[{"url":"http://example.org/m","valueBoolean":true}]}`},
		{"Patient", pair("_summary", "true"), `{"resourceType":"Patient","id":"a","implicitRules":"http://example.org/rules",META"tag":[{"code":"x"},SUBSETTED]},` +
			`"modifierExtension":[{"url":"http://example.org/m","valueBoolean":true}],"_birthDate":{"extension":[{"url":"http://example.org/t","valueString":"x"}]},"birthDate":"1815-12-10",` +
			`"deceasedBoolean":false,"name":[{"family":"Lovelace","given":["Ada",null],"_given":[null,{"id":"g"}]}],"link":[{"other":{"reference":"Patient/b"},"type":"seealso"}]}`},
		{"Observation", pair("_elements", "value[x]"), `{"resourceType":"Observation","id":"a",META"tag":[SUBSETTED]},"status":"final","code":{"text":"c"},"valueQuantity":{"value":1.00}}`},
		{"Observation", pair("_elements", "valueQuantity"), `{"resourceType":"Observation","id":"a",META"tag":[SUBSETTED]},"status":"final","code":{"text":"c"},"valueQuantity":{"value":1.00}}`},
		{"Observation", pair("_elements", "id"), `{"resourceType":"Observation","id":"a",META"tag":[SUBSETTED]},"status":"final","code":{"text":"c"}}`},
		{"Observation", pair("_summary", "true"), `{"resourceType":"Observation","id":"a",META"tag":[SUBSETTED]},"status":"final","code":{"text":"c"},"valueQuantity":{"value":1.00},"component":[{"code":{"text":"cc"},"valueString":"v"}]}`},
		{"DocumentReference", pair("_summary", "true"), `{"resourceType":"DocumentReference","id":"a",META"tag":[SUBSETTED]},"status":"current","content":[{"attachment":{"url":"http://example.org/d"}}]}`},
	}
	for _, tt := range tests {
		t.Run(string(tt.typ)+" "+tt.param.Name+"="+tt.param.Value, func(t *testing.T) {
			page := w.search(t, tt.typ, tt.param)
			m := page.Matches[0]
			want := strings.Replace(tt.want, "META", `"meta":{"versionId":"1","lastUpdated":"`+fhir.Instant(m.Updated)+`",`, 1)
			want = strings.Replace(want, "SUBSETTED", `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`, 1)
			if strings.HasSuffix(want, `"tag":[]`) {
				t.Fatal("the test's own want is wrong")
			}
			if diff := cmp.Diff(want, string(m.JSON)); diff != "" {
				t.Error(diff)
			}
			if m.VersionID() != "1" || m.Updated.IsZero() {
				t.Errorf("%s lost its version or time", m.Key)
			}
		})
	}
}

func TestSearch_summaryOfData(t *testing.T) {
	w := newWorld(t)
	w.put(t, `{"resourceType":"Patient","id":"a","meta":{"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]},"text":{"status":"generated"},"photo":[{"data":"AAAA"}],"_photo":null}`)
	got := string(w.search(t, "Patient", pair("_summary", "data")).Matches[0].JSON)
	if strings.Contains(got, `"text"`) || !strings.Contains(got, `"photo":[{"data":"AAAA"}]`) || strings.Count(got, "SUBSETTED") != 1 {
		t.Errorf("got %s", got)
	}
}

// Whole resources are the stored ones, byte for byte, and what is included is never cut.
func TestSearch_withoutASubsetIsWhole(t *testing.T) {
	w := newWorld(t)
	w.put(t, `{"resourceType":"Patient","id":"a","text":{"status":"generated"},"unknown":[1.0]}`)
	w.put(t, `{"resourceType":"Observation","id":"o","status":"final","subject":{"reference":"Patient/a"},"note":[{"text":"n"}]}`)
	stored := string(w.search(t, "Patient", pair("_summary", "false")).Matches[0].JSON)
	if !strings.Contains(stored, `"unknown":[1.0]`) {
		t.Errorf("stored is %s", stored)
	}
	for _, p := range []criteria.Pair{pair("_elements", "status"), pair("_summary", "true"), pair("_summary", "data")} {
		page := w.search(t, "Observation", p, pair("_include", "Observation:subject"))
		if len(page.Included) != 1 || string(page.Included[0].JSON) != stored {
			t.Errorf("%v: included is %v", p, page.Included)
		}
	}
}
