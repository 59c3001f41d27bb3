package search

import (
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store/storetest"
)

// FuzzResults: result parameters are read or refused, within their bounds.
func FuzzResults(f *testing.F) {
	for _, s := range []string{"_count=10&_sort=-date,_id&_total=none", "_summary=count", "_elements=id,name&_include:iterate=Observation:subject:Patient", "_revinclude=*:*&_page=x", "_contained=both", "_explain=true&_count=-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		pairs, err := criteria.ParsePairs(query)
		if err != nil {
			return
		}
		r, err := parseResults(pairs)
		if err != nil {
			if fhir.KindOf(err) == fhir.Internal {
				t.Errorf("%q: %v is no refusal", query, err)
			}
			return
		}
		if r.count < 0 || len(r.filters) > len(pairs) {
			t.Errorf("%q: count %d, %d filters of %d", query, r.count, len(r.filters), len(pairs))
		}
	})
}

// FuzzPageLink: what isn't a page link of this search is refused, and what is comes back.
func FuzzPageLink(f *testing.F) {
	e := New(storetest.NewModel(), criteria.R4(), Options{})
	req, r := &Request{Tenant: fhir.DefaultTenant, Type: "Patient"}, &results{}
	good := e.seal(cursor{At: 7, Now: 1, Type: "Patient", ID: "1"}, req, r)
	f.Add(good)
	f.Add(good + "A")
	f.Add("AAAAAAAAAAAAAAAAe30")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := e.open(s, req, r)
		switch {
		case err != nil && fhir.KindOf(err) != fhir.Value:
			t.Errorf("%q: %v is no refusal", s, err)
		case err == nil && c != (cursor{At: 7, Now: 1, Type: "Patient", ID: "1"}):
			t.Errorf("%q opens as %+v, which was never sealed", s, c)
		}
	})
}

// FuzzPosting: a block of the index is read to its end or refused, whatever lies on the disk.
func FuzzPosting(f *testing.F) {
	block := appendPosting(nil, posting{}, posting{field: 1, value: 2, seq: 3})
	f.Add(appendPosting(block, posting{field: 1, value: 2, seq: 3}, posting{field: 1, value: 9, seq: 4}))
	f.Add([]byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, block []byte) {
		var p posting
		for len(block) > 0 {
			next, rest, err := takePosting(block, p)
			if err != nil {
				return
			}
			if len(rest) >= len(block) {
				t.Fatalf("nothing was taken of %x", block)
			}
			p, block = next, rest
		}
	})
}
