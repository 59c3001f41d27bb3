package bench_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirhook/cmd/internal/bench"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/fhir/tape"
)

// BenchmarkStore lets 1 and 32 writers write at the store's API in turns, under ids that rise with time.
func BenchmarkStore(b *testing.B) {
	dir := b.TempDir()
	db, err := bolt.Open(dir, bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	doc, err := tape.Parse([]byte(report), tape.MaxDepth)
	if err != nil {
		b.Fatal(err)
	}
	in := fhir.Incoming{Type: "DiagnosticReport", Doc: doc}
	var fsyncs []float64
	rates := map[int][]float64{}
	arm := func(writers int) func() error {
		return func() error {
			took, err := fsyncTime(dir)
			fsyncs = append(fsyncs, float64(took.Microseconds()))
			n, elapsed, err2 := create(b.Context(), db, in, writers, time.Second)
			rates[writers] = append(rates[writers], float64(n)/elapsed.Seconds())
			return errors.Join(err, err2)
		}
	}
	for b.Loop() {
		if err := bench.Alternate(9, arm(1), arm(32)); err != nil {
			b.Fatal(err)
		}
	}
	ratio := bench.Spreading(bench.Ratios(rates[32], rates[1]))
	b.ReportMetric(ratio.Median, "ratio")
	table.Figure("disk: write and fsync of 4 KiB, µs", "%v", bench.Spreading(fsyncs))
	for _, writers := range []int{1, 32} {
		table.Figure("store: writes/s, writers: "+digits(writers), "%v", bench.Spreading(rates[writers]))
	}
	table.AtLeast(6, ratio.Median, "store: 32 writers ÷ 1 writer", "%v", ratio)
}

// create creates resources from so many goroutines.
func create(ctx context.Context, db store.DB, in fhir.Incoming, writers int, during time.Duration) (int64, time.Duration, error) {
	var n atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, writers)
	began := time.Now()
	for range writers {
		wg.Go(func() {
			for time.Since(began) < during {
				key := fhir.Key{Tenant: fhir.DefaultTenant, Type: in.Type, ID: fhir.NewID()}
				_, err := db.Update(ctx, store.Origin{}, func(w store.Writer) error {
					_, err := store.Create(w, key, in, nil)
					return err
				})
				if err != nil {
					failed <- err
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	close(failed)
	return n.Load(), time.Since(began), <-failed
}

// fsyncTime is how long the disk takes to make 4 KiB durable at the end of a file, on average.
func fsyncTime(dir string) (time.Duration, error) {
	const times = 100
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return 0, err
	}
	page := make([]byte, 4096)
	began := time.Now()
	for range times {
		_, err := f.Write(page)
		if err := errors.Join(err, f.Sync()); err != nil {
			return 0, err
		}
	}
	return time.Since(began) / times, f.Close()
}
