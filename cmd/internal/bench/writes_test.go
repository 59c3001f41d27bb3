package bench_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"fhirhook/cmd/internal/bench"
)

// slice is how long an arm writes at a time, and rounds how often its turn comes.
const (
	slice  = time.Second
	rounds = 7
)

func digits(n int) string { return strconv.Itoa(n) }

// arm is a server under load, with what was measured in each of its slices.
type arm struct {
	name     string
	process  *bench.Process
	receiver *bench.Receiver // nil: it notifies nobody
	loads    map[int]*bench.Load
	figures  map[int]*figures // by writers
}

// figures have one value per slice.
type figures struct {
	took   []float64 // µs, median of a slice's writes
	rate   []float64 // writes/s
	cpu    []float64 // µs of processor time of the server per write, notification included
	notify []float64 // notifications/s, from the first write until the last one came
}

func newArm(name string, p *bench.Process, r *bench.Receiver) *arm {
	a := &arm{name: name, process: p, receiver: r, loads: map[int]*bench.Load{}, figures: map[int]*figures{}}
	for _, writers := range []int{1, 32} {
		a.loads[writers] = bench.NewLoad(p.Base+"/DiagnosticReport", []byte(report), writers)
		a.figures[writers] = &figures{}
	}
	return a
}

// run is one slice. CPU time is read when every notification has come and the store has had time to settle.
func (a *arm) run(b *testing.B, writers int) func() error {
	return func() error {
		before, err := a.process.CPU()
		if err != nil {
			return err
		}
		began := time.Now()
		acks, err := a.loads[writers].Closed(b.Context(), writers, slice, 0)
		elapsed := time.Since(began)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		f, n := a.figures[writers], float64(len(acks))
		if a.receiver != nil {
			times, err := a.receiver.Await(b.Context(), acks)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			f.notify = append(f.notify, n/bench.Quantile(since(began, times), 1))
			time.Sleep(settling)
		}
		after, err := a.process.CPU()
		if err != nil {
			return err
		}
		var took []float64
		for _, ack := range acks {
			took = append(took, float64(ack.Took.Microseconds()))
		}
		f.took = append(f.took, bench.Quantile(took, 0.5))
		f.rate = append(f.rate, n/elapsed.Seconds())
		f.cpu = append(f.cpu, float64((after-before).Microseconds())/n)
		return nil
	}
}

// per is what a write of an arm costs, in time and CPU, as a multiple of what it costs another.
func (a *arm) per(other *arm, writers int) (took, cpu bench.Spread) {
	mine, its := a.figures[writers], other.figures[writers]
	return bench.Spreading(bench.Ratios(mine.took, its.took)), bench.Spreading(bench.Ratios(mine.cpu, its.cpu))
}

// settling is time enough for the results of the last notifications to be stored.
const settling = 100 * time.Millisecond

func since(began time.Time, times []time.Time) []float64 {
	s := make([]float64, len(times))
	for i, t := range times {
		s[i] = t.Sub(began).Seconds()
	}
	return s
}

// BenchmarkWrites compares writes over HTTP: with no Subscription, with 1,000 that don't match, with one that does,
// with both, and with the physical floor, without and with a notification.
func BenchmarkWrites(b *testing.B) {
	server := func(name string, matches bool, notMatching int) *arm {
		p := startServer(b, b.TempDir())
		var r *bench.Receiver
		if notMatching > 0 {
			subscribe(b, p, "http://127.0.0.1:1", others(notMatching)...)
		}
		if matches {
			r = newReceiver(b)
			subscribe(b, p, r.URL, matching)
		}
		return newArm(name, p, r)
	}
	floorReceiver := newReceiver(b)
	none, thousand := server("no Subscription", false, 0), server("1,000 that don't match", false, 1000)
	one, both := server("1 that matches", true, 0), server("1 that matches among 1,000", true, 1000)
	bare, bareOne := newArm("floor", startFloor(b, ""), nil), newArm("floor, 1 notification", startFloor(b, floorReceiver.URL), floorReceiver)
	arms := []*arm{none, thousand, one, both, bare, bareOne}
	for b.Loop() {
		for _, writers := range []int{1, 32} {
			var turns []func() error
			for _, a := range arms {
				turns = append(turns, a.run(b, writers))
			}
			if err := bench.Alternate(1, turns...); err != nil { // connections, pages, heap
				b.Fatal(err)
			}
			for _, a := range arms {
				a.figures[writers] = &figures{}
			}
			for i, a := range arms {
				turns[i] = a.run(b, writers)
			}
			if err := bench.Alternate(rounds, turns...); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, writers := range []int{1, 32} {
		at := ", writers: " + digits(writers)
		for _, a := range arms {
			f := a.figures[writers]
			table.Figure("write, "+a.name+at, "%v writes/s, %v µs each, %v µs CPU", bench.Spreading(f.rate), bench.Spreading(f.took), bench.Spreading(f.cpu))
			if f.notify != nil {
				table.Figure("notify, "+a.name+at, "%v notifications/s", bench.Spreading(f.notify))
			}
		}
		for _, a := range []*arm{thousand, one, both} {
			took, cpu := a.per(none, writers)
			table.AtMost(1.5, took.Median, "write, "+a.name+" ÷ none"+at, "time %v, CPU %v", took, cpu)
		}
		took, cpu := both.per(one, writers)
		table.Figure("write, 1 among 1,000 ÷ 1 alone"+at, "time %v, CPU %v", took, cpu)
		took, cpu = bareOne.per(bare, writers)
		table.Figure("the floor's write, with a notification ÷ without"+at, "time %v, CPU %v", took, cpu)
		cpuWrites := bench.Spreading(bench.Ratios(none.figures[writers].cpu, bare.figures[writers].cpu))
		cpuNotified := bench.Spreading(bench.Ratios(one.figures[writers].cpu, bareOne.figures[writers].cpu))
		writes := bench.Spreading(bench.Ratios(none.figures[writers].rate, bare.figures[writers].rate))
		notified := bench.Spreading(bench.Ratios(one.figures[writers].notify, bareOne.figures[writers].notify))
		table.Figure("writes/s, server ÷ floor"+at, "%v, CPU each %v", writes, cpuWrites)
		table.Figure("notifications/s, server ÷ floor"+at, "%v, CPU each %v", notified, cpuNotified)
		b.ReportMetric(writes.Median, "of-floor-writes-"+digits(writers))
		b.ReportMetric(notified.Median, "of-floor-notifications-"+digits(writers))
	}
}

func newReceiver(b *testing.B) *bench.Receiver {
	b.Helper()
	r := bench.NewReceiver()
	b.Cleanup(r.Close)
	return r
}
