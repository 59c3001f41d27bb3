package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// fsyncTime is how long the disk takes to make 4 KiB durable at the end of a file, on average.
func fsyncTime(b *testing.B, dir string) time.Duration {
	b.Helper()
	const times = 50
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		b.Fatal(err)
	}
	page := make([]byte, 4096)
	start := time.Now()
	for range times {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(start) / times
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		b.Fatal(err)
	}
	return took
}

// BenchmarkUpdate creates resources of 1 KB under ids that rise with time, each in a transaction of its own.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			dir := b.TempDir()
			db := mustOpen(b, dir, Options{})
			body := strings.Repeat("x", 900)
			fsync := fsyncTime(b, dir)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := db.Update(b.Context(), store.Origin{}, appendPatient(fhir.NewID(), body)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			b.ReportMetric(float64(fsync.Microseconds()), "fsync-µs")
		})
	}
}

// BenchmarkVerdicts writes a thousand verdicts in a transaction, as the matcher does: to one lane, or to
// one of a thousand lanes each.
func BenchmarkVerdicts(b *testing.B) {
	for _, lanes := range []int{1, 1000} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			db := mustOpen(b, b.TempDir(), Options{})
			const batch = 1000
			next := make([]uint64, lanes)
			for n := 0; b.Loop(); n++ {
				err := db.Queue().Update(b.Context(), store.Lease{}, func(w store.QueueWriter) error {
					for i := range batch {
						if err := w.Owe(verdict(i%lanes, next[i%lanes]+uint64(i/lanes)+1)); err != nil {
							return err
						}
					}
					for i := range lanes {
						if err := w.PutLane(store.LaneRecord{Lane: verdict(i, 0).Lane, Next: next[i] + uint64(batch/lanes) + 1}); err != nil {
							return err
						}
					}
					return w.SetCursor("matcher", store.Cursor{Seq: store.Seq(n)})
				})
				if err != nil {
					b.Fatal(err)
				}
				for i := range next {
					next[i] += uint64(batch / lanes)
				}
			}
			b.ReportMetric(batch*float64(b.N)/b.Elapsed().Seconds(), "verdicts/s")
		})
	}
}

func verdict(lane int, number uint64) store.Notification {
	return store.Notification{
		Lane:   store.Lane{Tenant: fhir.DefaultTenant, Subscription: fmt.Sprintf("0197a2c4-0000-7000-8000-%012d", lane)},
		Number: number, Version: number + 1, Interaction: fhir.Create,
		Updated: someTime.Add(time.Duration(number) * time.Millisecond), // another notification each
		Focus:   fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: "0197a2c4-1111-7000-8000-000000000000"},
	}
}

// BenchmarkSettle records a delivered attempt for each of a thousand owed notifications and settles it.
func BenchmarkSettle(b *testing.B) {
	db := mustOpen(b, b.TempDir(), Options{})
	const batch = 1000
	for n := 0; b.Loop(); n++ {
		for _, settle := range []bool{false, true} {
			err := db.Queue().Update(b.Context(), store.Lease{}, func(w store.QueueWriter) error {
				for i := range batch {
					v := verdict(i%20, uint64(n*batch+i+1))
					if !settle {
						if err := w.Owe(v); err != nil {
							return err
						}
						continue
					}
					a := store.Attempt{
						Lane: v.Lane, Number: v.Number, ID: "id", Focus: v.Focus, Version: 1, Try: 1,
						Time: someTime.Add(time.Duration(n)), Status: 200, State: store.Delivered,
					}
					if err := errors.Join(w.Settle(v.Lane, v.Number), w.Record(a)); err != nil {
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
	b.ReportMetric(batch*float64(b.N)/b.Elapsed().Seconds(), "delivered/s")
}
