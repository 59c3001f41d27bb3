package subscription

// The deliverer tests' measure of one change that many Subscriptions are told of.

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/fhir/tape"
)

// BenchmarkFanOut owes a version to 1,000 lanes as the Matcher does, for each of b.N, and reports what it costs until
// all of them have been delivered and are on the record: an op is one notification.
func BenchmarkFanOut(b *testing.B) {
	const lanes = 1000
	db, err := bolt.Open(b.TempDir(), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	r := newRig(b)
	r.model, r.db = db, &mortal{DB: db}
	r.cached = lanes
	r.options.Limits = EndpointLimits{Concurrency: 64}
	var all sync.WaitGroup
	r.options.Observe = func(o Observation) {
		if o.Kind == ResultsStored {
			all.Add(-o.Count)
		}
	}
	ids := make([]string, lanes)
	for i := range ids {
		ids[i] = fmt.Sprintf("s%d", i)
		r.subscribe(ids[i], "https://a.example/hook", Active)
	}
	r.start()
	defer r.halt()
	doc, err := tape.Parse([]byte(`{"resourceType":"DiagnosticReport","status":"final","text":{"status":"generated"}}`), 0)
	if err != nil {
		b.Fatal(err)
	}
	lease, err := db.Lease(b.Context(), "test")
	if err != nil {
		b.Fatal(err)
	}
	var before, after syscall.Rusage
	b.ReportAllocs()
	b.ResetTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for done := 0; done < b.N; {
		key := fhir.Key{Tenant: fhir.DefaultTenant, Type: "DiagnosticReport", ID: fmt.Sprintf("r%d", done)}
		v := r.write(key, doc)
		now := min(lanes, b.N-done)
		all.Add(now)
		change := store.Change{Interaction: fhir.Create, Resource: v}
		var batch batch
		batch.owe(change, ids[:now])
		var news []*News
		if err := db.Queue().Update(context.Background(), lease, func(w store.QueueWriter) error {
			l := newLedger(w)
			for _, n := range batch.owed {
				if err := l.owe(n); err != nil {
					return err
				}
			}
			news, err = l.close()
			return err
		}); err != nil {
			b.Fatal(err)
		}
		r.d.Notify(news)
		if done += now; done%(4*lanes) == 0 {
			all.Wait()
		}
	}
	all.Wait()
	b.StopTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "µs-CPU/op")
}
