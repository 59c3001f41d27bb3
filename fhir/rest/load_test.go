package rest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store/storetest"
)

// TestTransaction_loadsAWholeRecordAtOnce sends a patient's record of 5,000 entries as Synthea writes them: by urn:uuid,
// with references in both directions and practitioners by condition. It becomes one transaction of the log.
func TestTransaction_loadsAWholeRecordAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(201, "PUT", "/Practitioner/p", `{"resourceType":"Practitioner","id":"p","identifier":[{"system":"http://hl7.org/fhir/sid/us-npi","value":"99"}]}`)
	const observations = 4_900
	entries := []string{post("urn:uuid:patient", `{"resourceType":"Patient"}`)}
	for i := range 99 {
		entries = append(entries, post(fmt.Sprintf("urn:uuid:e%d", i), fmt.Sprintf(`{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"urn:uuid:patient"},`+
			`"participant":[{"individual":{"reference":"Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|99"}}],"reasonReference":[{"reference":"urn:uuid:o%d"}]}`, i)))
	}
	for i := range observations {
		entries = append(entries, post(fmt.Sprintf("urn:uuid:o%d", i), fmt.Sprintf(`{"resourceType":"Observation","status":"final","code":{"text":"%d"},"valueQuantity":{"value":%d.50},`+
			`"subject":{"reference":"urn:uuid:patient"},"encounter":{"reference":"urn:uuid:e%d"}}`, i, i, i%99)))
	}
	r := h.must(200, "POST", "", bundleOf("transaction", entries...), "Prefer: return=minimal")
	h.equal("5000", fmt.Sprint(r.count("entry")))
	all := h.changes()
	if len(all) != 5001 || all[1].End != all[5000].Seq {
		t.Errorf("%d rows, the first of them ends at %d", len(all), all[1].End)
	}
	for _, c := range all[1:] {
		if strings.Contains(string(c.Resource.JSON), "urn:uuid:") || strings.Contains(string(c.Resource.JSON), "Practitioner?") {
			t.Fatalf("a reference is left: %s", c.Resource.JSON)
		}
	}
}

// TestTransaction_conflictsByIdentity refuses entries that turn out to be about the same resource.
func TestTransaction_conflictsByIdentity(t *testing.T) {
	t.Parallel()
	create := func(condition, resource string) string {
		return `{"resource":` + resource + `,"request":{"method":"POST","url":"Patient","ifNoneExist":"` + condition + `"}}`
	}
	x := `{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"1"}],"gender":"male"}`
	y := `{"resourceType":"Patient","identifier":[{"system":"urn:y","value":"1"}],"gender":"female"}`
	put := `{"resource":{"resourceType":"Patient","id":"there"},"request":{"method":"PUT","url":"Patient/there"}}`
	for _, tt := range []struct {
		name    string
		entries []string
		status  int
	}{
		{"the same in other words", []string{create("identifier=urn:x|1", x), create("identifier=1&gender=male", x)}, 400},
		{"one selects the other's", []string{create("identifier=urn:x|1", x), create("identifier=1", y)}, 400},
		{"a plain create that a condition selects", []string{create("identifier=urn:x|1", x), post("urn:uuid:1", x)}, 400},
		{"two resources", []string{create("identifier=urn:x|1", x), create("identifier=urn:y|1", y)}, 200},
		{"found twice", []string{create("_id=there", x), create("gender=other", x)}, 400},
		{"found and updated", []string{create("_id=there", x), put}, 400},
		{"deleted by condition and updated", []string{ask("DELETE", "Patient?gender=other"), put}, 400},
		{"deleted twice", []string{ask("DELETE", "Patient?gender=other"), ask("DELETE", "Patient/there")}, 400},
		{"deleted by condition, then created", []string{create("gender=other", x), ask("DELETE", "Patient?gender=other")}, 200},
	} {
		for _, turned := range []bool{false, true} {
			h := newHarness(t)
			h.must(201, "PUT", "/Patient/there", `{"resourceType":"Patient","id":"there","gender":"other"}`)
			before := h.rows()
			if turned {
				tt.entries[0], tt.entries[1] = tt.entries[1], tt.entries[0]
			}
			r := h.do("POST", "", bundleOf("transaction", tt.entries...))
			if r.status != tt.status || tt.status == 400 && h.rows() != before {
				t.Errorf("%s: %d %s", tt.name, r.status, r.body)
			}
		}
	}
}

// TestTransaction_findsItsOwnByAnIndex: with an index, what a transaction is about to write is found as well.
func TestTransaction_findsItsOwnByAnIndex(t *testing.T) {
	t.Parallel()
	db := storetest.Rerun(storetest.NewModel())
	index := search.NewIndex(db, criteria.R4(), search.IndexOptions{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- index.Run(ctx) }() // stops when ctx ends
	t.Cleanup(func() {
		stop()
		<-ended
	})
	h := newHarness(t, func(o *Options) { o.DB, o.Search = db, search.New(db, criteria.R4(), search.Options{Index: index}) })
	h.db = db
	h.must(201, "PUT", "/Organization/o", `{"resourceType":"Organization","id":"o","identifier":[{"value":"7"}]}`)
	r := h.must(200, "POST", "", bundleOf("transaction",
		post("urn:uuid:1", `{"resourceType":"Patient","generalPractitioner":[{"reference":"Practitioner?identifier=7"}],"managingOrganization":{"reference":"Organization?identifier=8"}}`),
		post("urn:uuid:2", `{"resourceType":"Practitioner","identifier":[{"value":"7"}]}`),
		`{"resource":{"resourceType":"Organization","id":"o","identifier":[{"value":"8"}]},"request":{"method":"PUT","url":"Organization/o"}}`))
	h.contains(r.at("entry", 0, "resource", "generalPractitioner", 0, "reference"), "Practitioner/"+r.at("entry", 1, "resource", "id"))
	h.equal("Organization/o", r.at("entry", 0, "resource", "managingOrganization", "reference"))
	h.must(412, "POST", "", bundleOf("transaction",
		post("urn:uuid:1", `{"resourceType":"Patient","managingOrganization":{"reference":"Organization?identifier=8"}}`),
		`{"resource":{"resourceType":"Organization","id":"o","identifier":[{"value":"9"}]},"request":{"method":"PUT","url":"Organization/o"}}`))
}

// TestDelete_multipleWhereAllowed deletes all matches, alone and in Bundles, up to a bound.
func TestDelete_multipleWhereAllowed(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.DeleteMultiple = true })
	fill := func(n int) {
		var entries []string
		for i := range n {
			entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":"%d","gender":"male"},"request":{"method":"PUT","url":"Patient/%d"}}`, i, i))
		}
		h.must(200, "POST", "", bundleOf("transaction", entries...))
	}
	left := func() string { return h.must(200, "GET", "/Patient?_summary=count", "").at("total") }
	fill(3)
	h.must(412, "DELETE", "/Patient?gender=male", "", `If-Match: W/"1"`)
	h.equal("3", left())
	r := h.must(204, "DELETE", "/Patient?gender=male", "")
	h.equal("", r.header.Get("ETag"))
	h.equal("0", left())
	h.must(204, "DELETE", "/Patient?gender=male", "")
	fill(2)
	h.equal("204 No Content", h.must(200, "POST", "", bundleOf("transaction", ask("DELETE", "Patient?gender=male"))).at("entry", 0, "response", "status"))
	h.equal("0", left())
	fill(2)
	h.must(400, "POST", "", bundleOf("transaction", ask("DELETE", "Patient?gender=male"), ask("DELETE", "Patient/1")))
	fill(maxDeleted + 1)
	before := h.rows()
	h.must(422, "DELETE", "/Patient?gender=male", "")
	h.equal(before, h.rows())
	h.contains(string(h.must(200, "GET", "/metadata", "").body), `"conditionalDelete":"multiple"`)
}
