package search_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
)

// observationOf is one of n/10 patients, with one of a hundred codes.
func observationOf(i, n int) string {
	return fmt.Sprintf(`{"resourceType":"Observation","meta":{"profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"vital-signs"}]}],`+
		`"code":{"coding":[{"system":"http://loinc.org","code":"c%d","display":"Body Height"}],"text":"Body Height"},"subject":{"reference":"Patient/p%d"},"encounter":{"reference":"Encounter/e%d"},`+
		`"effectiveDateTime":"%04d-%02d-%02dT09:15:00+01:00","issued":"2017-06-07T00:23:20.871+02:00","valueQuantity":{"value":%d.%d,"unit":"cm","system":"http://unitsofmeasure.org","code":"cm"}}`,
		i%100, i%(n/10), i/3, 2000+i%24, 1+i%12, 1+i%28, i%200, i%10)
}

func openBolt(b *testing.B) store.DB {
	b.Helper()
	db, err := bolt.Open(b.TempDir(), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// load writes n observations in large transactions.
func load(b *testing.B, db store.DB, n int) {
	b.Helper()
	const batch = 2000
	for from := 0; from < n; from += batch {
		_, err := db.Update(b.Context(), store.Origin{}, func(tx store.Writer) error {
			for i := from; i < min(from+batch, n); i++ {
				key := fhir.Key{Tenant: tenant, Type: "Observation", ID: fmt.Sprintf("o%08d", i)}
				if _, err := store.Create(tx, key, read(b, observationOf(i, n)), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// follow runs an index until the function that it returns is called.
func follow(b *testing.B, db store.DB) (*search.Index, func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	index := search.NewIndex(db, criteria.R4(), search.IndexOptions{})
	var running sync.WaitGroup
	running.Go(func() {
		if err := index.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	return index, func() { cancel(); running.Wait() }
}

// BenchmarkIndex_selective is a search for one patient's results of one code: about ten rows, ever the same
// number, however much is stored. x-10000 is how many times as long it takes as with 10,000.
func BenchmarkIndex_selective(b *testing.B) {
	var small time.Duration
	for _, n := range []int{10_000, 1_000_000} {
		db := openBolt(b)
		index, stop := follow(b, db)
		began := time.Now()
		load(b, db, n)
		for !index.Idle(store.Seq(n)) {
			time.Sleep(time.Millisecond)
		}
		loaded := time.Since(began)
		engine := search.New(db, criteria.R4(), search.Options{Index: index})
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				params := []criteria.Pair{pair("patient", fmt.Sprintf("p%d", i%(n/10))), pair("code", fmt.Sprintf("http://loinc.org|c%d", i%100))}
				page, err := engine.Search(context.Background(), search.Request{Tenant: tenant, Type: "Observation", Params: params})
				if err != nil || len(page.Matches) != 10 {
					b.Fatalf("%d matches, %v", len(page.Matches), err)
				}
			}
			each := b.Elapsed() / time.Duration(b.N)
			if n == 10_000 {
				small = each
			}
			b.ReportMetric(float64(each)/float64(small), "x-10000")
			b.ReportMetric(float64(n)/loaded.Seconds(), "loaded/s")
		})
		stop()
	}
}

// cpuTime is what the processors worked for this process.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIndex_writes is how many writes a second 64 writers make, each its own transaction, without and
// with an index beside them, which has to have caught up at the end.
func BenchmarkIndex_writes(b *testing.B) {
	const writers = 64
	var without float64
	var withoutCPU time.Duration
	for _, name := range []string{"without", "with"} {
		b.Run(name, func(b *testing.B) {
			db := openBolt(b)
			wait := func() {}
			if name == "with" {
				index, stop := follow(b, db)
				defer stop()
				wait = func() {
					for !index.Idle(store.Seq(b.N)) {
						time.Sleep(time.Millisecond)
					}
				}
			}
			var next atomic.Int64
			var all sync.WaitGroup
			spent := cpuTime(b)
			b.ResetTimer()
			for range writers {
				all.Go(func() {
					for {
						i := int(next.Add(1)) - 1
						if i >= b.N {
							return
						}
						in := read(b, observationOf(i, 1_000_000))
						_, err := db.Update(context.Background(), store.Origin{}, func(tx store.Writer) error {
							_, err := store.Create(tx, fhir.Key{Tenant: tenant, Type: "Observation", ID: fmt.Sprintf("o%08d", i)}, in, nil)
							return err
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			wait()
			rate, cpu := float64(b.N)/b.Elapsed().Seconds(), (cpuTime(b)-spent)/time.Duration(b.N)
			if name == "without" {
				without, withoutCPU = rate, cpu
			}
			b.ReportMetric(float64(cpu.Microseconds()), "cpu-us/write")
			b.ReportMetric(float64(withoutCPU)/float64(cpu), "cpu-ratio")
			b.ReportMetric(rate, "writes/s")
			b.ReportMetric(rate/without, "ratio")
		})
	}
}
