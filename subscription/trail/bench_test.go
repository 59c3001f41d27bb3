package trail_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/subscription/trail"
)

// BenchmarkTrail searches a log of 200,000 attempts of 1,000 Subscriptions in 10 days.
func BenchmarkTrail(b *testing.B) {
	const lanes, each, days = 1000, 20, 10
	db, err := bolt.Open(b.TempDir(), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	lease, err := db.Lease(context.Background(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	for l := range lanes {
		err := db.Queue().Update(context.Background(), lease, func(q store.QueueWriter) error {
			lane := store.Lane{Tenant: tenant, Subscription: fmt.Sprintf("018f3c1e-0000-7000-8000-%012d", l)}
			if err := q.PutLane(store.LaneRecord{Lane: lane, Next: 1, Head: 1}); err != nil {
				return err
			}
			for i := range each * days {
				a := store.Attempt{
					Lane: lane, Number: uint64(i + 1), ID: "c66zchodrbhrrqbstyx6gj3v7aoqzxkl", Focus: fhir.Key{Tenant: tenant, Type: "Patient", ID: fmt.Sprint(i)}, Version: 1,
					Interaction: fhir.Create, Try: 1, Time: noon.AddDate(0, 0, i/each-days).Add(time.Duration(i*lanes+l) * time.Millisecond), Duration: time.Millisecond, Status: 200, State: store.Delivered,
				}
				if err := q.Record(a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	e := search.New(db, criteria.R4(), search.Options{Virtuals: []search.Virtual{trail.New(trail.Options{Queue: db.Queue(), Site: site})}})
	one := "018f3c1e-0000-7000-8000-000000000500"
	for _, bb := range []struct {
		name   string
		params []criteria.Pair
	}{
		{"all/counted", nil},
		{"all/firstPage", []criteria.Pair{pair("_total", "none")}},
		{"all/newest", []criteria.Pair{pair("_total", "none"), pair("_sort", "-date")}},
		{"subscription/counted", []criteria.Pair{pair("entity", "Subscription/"+one), pair("_sort", "-date")}},
		{"subscription/newest", []criteria.Pair{pair("entity", "Subscription/"+one), pair("_sort", "-date"), pair("_total", "none")}},
		{"day/counted", []criteria.Pair{pair("date", "2026-04-28")}},
		{"failed/counted", []criteria.Pair{pair("outcome", "8")}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := e.Search(context.Background(), search.Request{Tenant: tenant, Type: fhir.AuditEvent, Params: bb.params, Now: noon}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	id := trail.ID(store.Attempt{Lane: store.Lane{Tenant: tenant, Subscription: one}, Number: 1, Time: noon.AddDate(0, 0, -days).Add(500 * time.Millisecond)}, 0)
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			r, err := e.Search(context.Background(), search.Request{Tenant: tenant, Type: fhir.AuditEvent, Params: []criteria.Pair{pair("_id", id)}, Now: noon})
			if err != nil || r.Total != 1 {
				b.Fatal(r.Total, err)
			}
		}
	})
}
