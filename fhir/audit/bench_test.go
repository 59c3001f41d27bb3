package audit_test

import (
	"context"
	"fmt"
	"testing"

	"fhirhook/fhir/rest"
	"fhirhook/fhir/search"
)

// BenchmarkRecord is what a request pays for being recorded.
func BenchmarkRecord(b *testing.B) {
	w := newWorld(b)
	d := []rest.Deed{deed("default", "7")}
	d[0].Query = "Observation?patient=7&code=http://loinc.org%7C8302-2"
	b.ReportAllocs()
	for b.Loop() {
		w.log.Record(d)
	}
}

// BenchmarkWalk looks for what one Patient's events are among 100,000 of a day.
func BenchmarkWalk(b *testing.B) {
	w := newWorld(b)
	for i := range 100_000 {
		w.log.Record([]rest.Deed{deed("default", fmt.Sprint(i))})
	}
	for _, named := range []string{"entity", "all"} {
		b.Run(named, func(b *testing.B) {
			e := search.Extent{Tenant: "default"}
			if named == "entity" {
				e.Named = only("77777")
			}
			for b.Loop() {
				n := 0
				for _, err := range w.trail.Walk(context.Background(), e) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if named == "entity" && n != 1 {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "events/s")
		})
	}
}
