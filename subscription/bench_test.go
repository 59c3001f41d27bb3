package subscription

// The deliverer tests' measure of its own cost, over the embedded engine and with endpoints that cost nothing.

import (
	"context"
	"fmt"
	"testing"
	"time"

	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
)

// BenchmarkDeliverer drains lanes and reports notifications a second, attempt records included.
func BenchmarkDeliverer(b *testing.B) {
	for _, lanes := range []int{1, 100} {
		for name, order := range map[string]Order{"none": Unordered, "resource": ByResource, "subscription": BySubscription} {
			b.Run(fmt.Sprintf("lanes=%d/order=%s", lanes, name), func(b *testing.B) {
				db, err := bolt.Open(b.TempDir(), bolt.Options{})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = db.Close() }()
				r := newRig(b)
				r.model, r.db = db, &mortal{DB: db}
				for i := range lanes {
					id := fmt.Sprint("s", i)
					r.configure[id] = func(s *Subscription) { s.Order = order }
					r.subscribe(id, "https://a.example/hook", Active)
					r.owe(id, numbered(b.N/lanes+1)...)
				}
				b.ResetTimer()
				began := time.Now()
				r.start()
				for left := uint64(1); left > 0; <-time.After(time.Millisecond) {
					_ = db.Queue().View(context.Background(), func(q store.QueueReader) error {
						left = 0
						for rec, err := range q.Lanes(store.Lane{}) {
							if err != nil {
								return err
							}
							left += rec.Owed
						}
						return nil
					})
				}
				b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "notifications/s")
				b.StopTimer()
				r.halt()
			})
		}
	}
}
