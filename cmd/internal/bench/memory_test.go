package bench_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirhook/cmd/internal/bench"
)

const mib = 1 << 20

// BenchmarkIdle measures the memory of a server that has just started on an empty folder.
func BenchmarkIdle(b *testing.B) {
	var anonymous, file []float64
	for b.Loop() {
		for range 3 {
			p := startServer(b, b.TempDir())
			metric(b, p, lag)
			m := memory(b, p)
			anonymous = append(anonymous, float64(m.Anonymous)/mib)
			file = append(file, float64(m.File)/mib)
		}
	}
	table.Figure("idle: mapped file pages, MiB", "%v", bench.Spreading(file))
	table.AtMost(60, bench.Spreading(anonymous).Median, "idle: anonymous memory, MiB", "%v", bench.Spreading(anonymous))
	b.ReportMetric(bench.Spreading(anonymous).Median, "MiB")
}

// lag is the metric that says how many changes are still to be matched.
const lag = "fhirhook_log_lag_changes"

// BenchmarkBacklog lets 1,000 Subscriptions to an endpoint that refuses connections owe 1,000 notifications
// each, and measures what memory that adds, and how long a start with it takes.
func BenchmarkBacklog(b *testing.B) {
	const subscriptions, writes = 1000, 1000
	endpoint, err := bench.Refusing(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		data := b.TempDir()
		p := startServer(b, data)
		criteria := make([]string, subscriptions)
		for i := range criteria {
			criteria[i] = matching
		}
		subscribe(b, p, endpoint, criteria...)
		caughtUp(b, p)
		before := memory(b, p)

		watched := watch(b, p)
		began := time.Now()
		load := bench.NewLoad(p.Base+"/DiagnosticReport", []byte(report), 4)
		acks, err := load.Closed(b.Context(), 4, 5*time.Minute, writes)
		if err != nil || len(acks) != writes {
			b.Fatalf("%d writes: %v", len(acks), err)
		}
		caughtUp(b, p)
		filled := time.Since(began)
		time.Sleep(5 * time.Second) // lanes try, and the collector has not been round
		most := watched()
		after := memory(b, p)
		if delivered := metric(b, p, `fhirhook_delivery_attempts_total{class="",state="delivered"}`); delivered > 0 {
			b.Fatalf("%v were delivered to an endpoint that refuses", delivered)
		}
		size := storeSize(b, data)
		if err := p.Kill(); err != nil {
			b.Fatal(err)
		}

		p = startServer(b, data)
		began = time.Now()
		caughtUp(b, p)
		ready := p.Ready + time.Since(began)
		time.Sleep(5 * time.Second)
		restarted := memory(b, p)

		anonymous := func(m bench.Memory) float64 { return float64(m.Anonymous) / mib }
		table.Figure("backlog: 1,000,000 owed by 1,000 Subscriptions", "owed in %.3g s (%.0f verdicts/s), %.4g MiB on disk", filled.Seconds(), subscriptions*writes/filled.Seconds(), float64(size)/mib)
		table.Figure("backlog: anonymous MiB", "%.3g before, %.3g at most, %.3g in the end, %.3g after a new start", anonymous(before), anonymous(most), anonymous(after), anonymous(restarted))
		table.Figure("backlog: mapped file pages, MiB", "%.3g in the end, %.3g after a new start", float64(after.File)/mib, float64(restarted.File)/mib)
		table.AtMost(100, anonymous(most)-anonymous(before), "backlog: adds at most, anonymous MiB", "%.3g", anonymous(most)-anonymous(before))
		table.Figure("backlog: start until ready, s", "%.3g", ready.Seconds())
		b.ReportMetric(anonymous(most)-anonymous(before), "MiB-added")
		b.ReportMetric(ready.Seconds(), "start-s")
	}
}

func memory(b *testing.B, p *bench.Process) bench.Memory {
	b.Helper()
	m, err := p.Memory()
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// watch looks at a process's anonymous memory every 10 ms, until the function that it returns is called for the most.
func watch(b *testing.B, p *bench.Process) (end func() bench.Memory) {
	b.Helper()
	stop, most := make(chan struct{}), make(chan bench.Memory)
	go func() { // until stop is closed, or the process is gone
		var top bench.Memory
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			if m, err := p.Memory(); err == nil && m.Anonymous > top.Anonymous {
				top = m
			}
			select {
			case <-tick.C:
			case <-stop:
				most <- top
				return
			}
		}
	}()
	return func() bench.Memory {
		close(stop)
		return <-most
	}
}

// caughtUp waits until every change is matched.
func caughtUp(b *testing.B, p *bench.Process) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 8*time.Minute)
	defer cancel()
	for metric(b, p, lag) != 0 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			b.Fatalf("still %v changes to match", metric(b, p, lag))
		}
	}
}

// metric reads one value of /metrics, 0 if it isn't there.
func metric(b *testing.B, p *bench.Process, name string) float64 {
	b.Helper()
	response, err := http.Get(strings.TrimSuffix(p.Base, "/fhir/R4") + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(fmt.Errorf("%s: %w", name, err))
			}
			return v
		}
	}
	return 0
}

func storeSize(b *testing.B, dir string) (size int64) {
	b.Helper()
	for _, name := range []string{"resources.db", "queue.db"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		size += info.Size()
	}
	return size
}
