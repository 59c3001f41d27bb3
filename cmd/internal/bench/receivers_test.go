package bench_test

import (
	"context"
	"testing"
	"time"

	"fhirhook/cmd/internal/bench"
)

// BenchmarkHealthyBesideBad measures how long after a write was acknowledged its notification comes to a
// healthy receiver: alone, and beside one that hangs, one that answers 500, one that refuses connections and one
// that drips a byte a second. Writes come in open loop, so that a slow server can't slow its load. A second
// healthy one alone, on a server like the first one's, shows how much of a ratio is the machine's noise.
func BenchmarkHealthyBesideBad(b *testing.B) {
	const (
		perSecond = 100
		during    = 3 * time.Second
		turns     = 9
	)
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(cancel)
	bad, err := bench.Bad(ctx)
	if err != nil {
		b.Fatal(err)
	}
	type arm struct {
		process  *bench.Process
		receiver *bench.Receiver
		load     *bench.Load
		all      []float64 // ms, of all slices
		p99      []float64 // ms, of each slice
		cpu      []float64 // µs of the server's processor time per write, of each slice
	}
	newArm := func(endpoints ...string) *arm {
		a := &arm{process: startServer(b, b.TempDir()), receiver: newReceiver(b)}
		for _, endpoint := range append(endpoints, a.receiver.URL) {
			subscribe(b, a.process, endpoint, matching)
		}
		a.load = bench.NewLoad(a.process.Base+"/DiagnosticReport", []byte(report), 32)
		return a
	}
	run := func(a *arm) func() error {
		return func() error {
			before, err := a.process.CPU()
			if err != nil {
				return err
			}
			acks, err := a.load.Open(ctx, 32, perSecond, during)
			if err != nil {
				return err
			}
			times, err := a.receiver.Await(ctx, acks)
			if err != nil {
				return err
			}
			after, err := a.process.CPU()
			if err != nil {
				return err
			}
			a.cpu = append(a.cpu, float64((after-before).Microseconds())/float64(len(acks)))
			latencies := make([]float64, len(acks))
			for i, at := range times {
				latencies[i] = float64(at.Sub(acks[i].At).Microseconds()) / 1000
			}
			a.all = append(a.all, latencies...)
			a.p99 = append(a.p99, bench.Quantile(latencies, 0.99))
			return nil
		}
	}
	alone, control, beside := newArm(), newArm(), newArm(bad...)
	for b.Loop() {
		if err := bench.Alternate(1, run(alone), run(control), run(beside)); err != nil { // connections, and breakers open
			b.Fatal(err)
		}
		for _, a := range []*arm{alone, control, beside} {
			a.all, a.p99, a.cpu = nil, nil, nil
		}
		if err := bench.Alternate(turns, run(alone), run(control), run(beside)); err != nil {
			b.Fatal(err)
		}
	}
	for i, a := range []*arm{alone, control, beside} {
		table.Figure("healthy receiver "+[]string{"alone", "alone, another", "beside 4 bad ones"}[i], "p50 %.3g ms, p99 %.3g ms; p99 of slices %v ms; %v µs CPU a write",
			bench.Quantile(a.all, 0.5), bench.Quantile(a.all, 0.99), bench.Spreading(a.p99), bench.Spreading(a.cpu))
	}
	ratio := bench.Spreading(bench.Ratios(beside.p99, alone.p99))
	b.ReportMetric(ratio.Median, "ratio")
	table.Figure("healthy receiver: p99 another alone ÷ alone", "%v of slices: the noise", bench.Spreading(bench.Ratios(control.p99, alone.p99)))
	table.Figure("healthy receiver: beside ÷ alone", "p50 %.3g, p99 of everything %.3g", bench.Quantile(beside.all, 0.5)/bench.Quantile(alone.all, 0.5), bench.Quantile(beside.all, 0.99)/bench.Quantile(alone.all, 0.99))
	table.AtMost(1.5, ratio.Median, "healthy receiver: p99 beside ÷ alone", "%v of slices", ratio)
}
