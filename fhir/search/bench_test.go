package search_test

import (
	"context"
	"fmt"
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
)

// BenchmarkSearch is what searches cost without an index, over 10,000 observations.
func BenchmarkSearch(b *testing.B) {
	db, err := bolt.Open(b.TempDir(), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	const n = 10_000
	_, err = db.Update(b.Context(), store.Origin{}, func(tx store.Writer) error {
		for i := range n {
			in := read(b, fmt.Sprintf(`{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"c%d"}]},"subject":{"reference":"Patient/p%d"},"effectiveDateTime":"2024-03-05T09:15:00+01:00","valueQuantity":{"value":%d,"unit":"mmHg"}}`, i%100, i%1000, i))
			if _, err := store.Create(tx, fhir.Key{Tenant: tenant, Type: "Observation", ID: fmt.Sprintf("o%05d", i)}, in, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	engine := search.New(db, criteria.R4(), search.Options{})
	for name, params := range map[string][]criteria.Pair{
		"id":                  {pair("_id", "o00042")},
		"selective":           {pair("patient", "p7"), pair("code", "c7")},
		"selective, no total": {pair("patient", "p7"), pair("_count", "1"), pair("_total", "none")},
		"sorted":              {pair("status", "final"), pair("_sort", "-date,value-quantity")},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				page, err := engine.Search(context.Background(), search.Request{Tenant: tenant, Type: "Observation", Params: params})
				if err != nil || len(page.Matches) == 0 {
					b.Fatalf("%d matches, %v", len(page.Matches), err)
				}
			}
		})
	}
}
