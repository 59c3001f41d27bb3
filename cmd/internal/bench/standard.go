package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Standard is a row of docs/performance.md: a run, and what its ratios have to be.
type Standard struct {
	Name    string
	What    string
	Options func() Options
	Targets []Target
}

// Target bounds the ratio of a figure.
type Target struct {
	Figure  string
	AtLeast float64 // 0: no bound
	AtMost  float64 // 0: no bound
}

// Standards are the rows, in the order in which they are told.
func Standards() []Standard {
	run := func(k Knobs, change func(*Options)) func() Options {
		return func() Options {
			o := Options{Knobs: k, Pairs: DefaultPairs, Duration: DefaultDuration, Warmup: DefaultWarmup, Setup: Setup{Drain: DefaultDrain}}
			change(&o)
			return o
		}
	}
	compare := func(o *Options) { o.Compare = true }
	none, one, fan := DefaultKnobs(), DefaultKnobs(), DefaultKnobs()
	none.Subscriptions = 0
	fan.Subscriptions, fan.FanOut = 1000, 1000
	many := DefaultKnobs()
	many.Subscriptions = 100_000
	hundred := DefaultKnobs()
	hundred.Subscriptions, hundred.FanOut, hundred.Hanging = 100, 100, 1
	return []Standard{
		{"writes", "32 writers, no Subscription", run(none, compare), []Target{{Figure: "writes", AtLeast: 0.60}}},
		{"notify", "32 writers, one Subscription that matches", run(one, compare), []Target{{Figure: "notifications", AtLeast: 0.60}}},
		{"latency", "the same in open loop, at 30 % of what the floor takes", run(one, func(o *Options) {
			o.Compare, o.Rate = true, "30%"
		}), []Target{{Figure: "commit to receipt p50", AtMost: 2}, {Figure: "commit to receipt p99", AtMost: 3}}},
		{"many", "100,000 Subscriptions of which one matches, beside that one alone", run(many, func(o *Options) {
			o.Against = []string{"subscriptions=1"}
		}), []Target{{Figure: "writes", AtLeast: 0.90}}},
		{"fan-out", "each write to 1,000 Subscriptions", run(fan, func(o *Options) {
			o.Compare, o.Writes, o.Warmup = true, 20, 500*time.Millisecond
		}), []Target{{Figure: "notifications", AtLeast: 0.50}}},
		{"fan-out-write", "the write's own time then, beside fan-out 1", run(fan, func(o *Options) {
			o.Against, o.Rate, o.Duration = []string{"fan-out=1"}, "3", 10*time.Second
		}), []Target{{Figure: "write p50", AtMost: 2}, {Figure: "write p99", AtMost: 2}}},
		{"hanging", "1 of 100 receivers hangs: the other 99 beside 100 healthy ones", run(hundred, func(o *Options) {
			o.Against, o.Writes = []string{"hanging=0"}, 200
		}), []Target{{Figure: "notifications of a healthy Subscription", AtLeast: 0.95}}},
	}
}

// RunStandards makes the runs whose names are given, or all, and adds what they show to a table. Each report is
// also told to a function as soon as it is there.
func RunStandards(ctx context.Context, names []string, s Setup, profile string, table *Table, told func(*Report)) error {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	for _, one := range Standards() {
		if len(names) > 0 && !wanted[one.Name] {
			continue
		}
		delete(wanted, one.Name)
		o := one.Options()
		drain := o.Setup.Drain
		o.Setup, o.Profile, o.Name = s, profile, one.Name
		if s.Drain == 0 {
			o.Setup.Drain = drain
		}
		if err := o.Check(); err != nil {
			return fmt.Errorf("%s: %w", one.Name, err)
		}
		r, err := Run(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", one.Name, err)
		}
		told(r)
		one.judge(r, table)
	}
	for name := range wanted {
		return fmt.Errorf("%q is no standard run: %s", name, strings.Join(standardNames(), ", "))
	}
	return nil
}

func standardNames() (names []string) {
	for _, one := range Standards() {
		names = append(names, one.Name)
	}
	return names
}

// judge adds a row for each target, and one for what a notification or a write costs.
func (one Standard) judge(r *Report, table *Table) {
	lost := ""
	if n := r.Lost(); n > 0 {
		lost = fmt.Sprintf("; %d LOST", n)
	}
	for _, t := range one.Targets {
		f := r.Find(t.Figure)
		what := one.Name + ": " + t.Figure + " ÷ " + r.Arms[len(r.Arms)-1].Name
		switch {
		case f == nil || f.Ratio == nil:
			table.AtLeast(1, 0, what, "not measured%s", lost)
		case t.AtMost > 0:
			table.AtMost(t.AtMost, f.Ratio.Median, what, "%v%s", *f.Ratio, lost)
		default:
			table.AtLeast(t.AtLeast, f.Ratio.Median, what, "%v%s", *f.Ratio, lost)
		}
	}
	for _, name := range []string{"CPU per 1,000 notifications", "CPU per 1,000 writes"} {
		if f := r.Find(name); f != nil && f.Ratio != nil {
			table.Figure(one.Name+": "+name+" ÷ "+r.Arms[len(r.Arms)-1].Name, "%v", *f.Ratio)
			break
		}
	}
}

// ListStandards tells what the runs are and the command of each.
func ListStandards(w io.Writer) {
	for _, one := range Standards() {
		fmt.Fprintf(w, "%-14s %s\n%-14s fhirhook %s\n", one.Name, one.What, "", strings.Join(one.Options().Args(), " "))
	}
}
