package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// Standard is a row of docs/performance.md: a run, and what its ratios have to be.
type Standard struct {
	Name    string
	What    string
	Options func() Options
	Targets []Target
	Scale   bool // it takes a folder that is long in preparing, and is made only where that is asked for
}

// Target bounds a figure: the ratio of the arms, or the first one's own.
type Target struct {
	Figure  string
	Own     bool
	AtLeast float64 // 0: no bound
	AtMost  float64 // 0: no bound
}

// mostMiB is a gigabyte.
const mostMiB = 953

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
	stored, owed := none, DefaultKnobs()
	stored.Stored = 10_000_000
	owed.Owing, owed.Subscriptions = 1_000_000, 100_000
	return []Standard{
		{Name: "writes", What: "32 writers, no Subscription", Options: run(none, compare), Targets: []Target{{Figure: "writes", AtLeast: 0.60}}},
		{Name: "notify", What: "32 writers, one Subscription that matches", Options: run(one, compare), Targets: []Target{{Figure: "notifications", AtLeast: 0.60}}},
		{Name: "latency", What: "the same in open loop, at 30 % of what the floor takes", Options: run(one, func(o *Options) {
			o.Compare, o.Rate = true, "30%"
		}), Targets: []Target{{Figure: "commit to receipt p50", AtMost: 2}, {Figure: "commit to receipt p99", AtMost: 3}}},
		{Name: "many", What: "100,000 Subscriptions of which one matches, beside that one alone", Options: run(many, func(o *Options) {
			o.Against = []string{"subscriptions=1"}
		}), Targets: []Target{{Figure: "writes", AtLeast: 0.90}}},
		{Name: "fan-out", What: "each write to 1,000 Subscriptions", Options: run(fan, func(o *Options) {
			o.Compare, o.Writes, o.Warmup = true, 20, 500*time.Millisecond
		}), Targets: []Target{{Figure: "notifications", AtLeast: 0.50}}},
		{Name: "fan-out-write", What: "the write's own time then, beside fan-out 1", Options: run(fan, func(o *Options) {
			o.Against, o.Rate, o.Duration = []string{"fan-out=1"}, "3", 10*time.Second
		}), Targets: []Target{{Figure: "write p50", AtMost: 2}, {Figure: "write p99", AtMost: 2}}},
		{Name: "hanging", What: "1 of 100 receivers hangs: the other 99 beside 100 healthy ones", Options: run(hundred, func(o *Options) {
			o.Against, o.Writes = []string{"hanging=0"}, 200
		}), Targets: []Target{{Figure: "notifications of a healthy Subscription", AtLeast: 0.95}}},
		{Name: "stored", Scale: true, What: "writes into a store of 10,000,000 resources, beside an empty one", Options: run(stored, func(o *Options) {
			o.Against = []string{"stored=0"}
		}), Targets: []Target{{Figure: "writes", AtLeast: 0.70}, {Figure: "peak anonymous memory", Own: true, AtMost: mostMiB}}},
		{Name: "owed", Scale: true, What: "starts with 1,000,000 owed notifications and 100,000 Subscriptions", Options: run(owed, func(o *Options) {
			o.Against, o.Pairs = []string{"owed=0"}, 3
		}), Targets: []Target{
			{Figure: "start until ready, cold page cache", Own: true, AtMost: 10},
			{Figure: "start until ready, warm page cache", Own: true, AtMost: 10},
			{Figure: "anonymous memory when ready, cold page cache", Own: true, AtMost: mostMiB},
		}},
	}
}

// StandardRuns choose among the standard runs.
type StandardRuns struct {
	Only    []string // names; none: all, but for those of scale
	Scale   bool     // those of scale, too
	Data    string   // folder whose subfolders are kept for the runs of scale; "": new ones, removed in the end
	Profile string   // folder for profiles; "": none
}

// RunStandards makes runs and adds what they show to a table. Each report is also told to a function as soon as it
// is there.
func RunStandards(ctx context.Context, runs StandardRuns, s Setup, table *Table, told func(*Report)) error {
	wanted := map[string]bool{}
	for _, name := range runs.Only {
		wanted[name] = true
	}
	for _, one := range Standards() {
		if !wanted[one.Name] && (len(runs.Only) > 0 || one.Scale && !runs.Scale) {
			continue
		}
		delete(wanted, one.Name)
		o := one.Options()
		drain := o.Setup.Drain
		o.Setup, o.Name = s, one.Name
		if !o.starts() {
			o.Profile = runs.Profile
		}
		if one.Scale && runs.Data != "" {
			o.Knobs.Data = filepath.Join(runs.Data, one.Name)
		}
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
		what := one.Name + ": " + t.Figure
		var value *Spread
		switch {
		case f != nil && t.Own:
			value = &f.Arms[0]
			what += ", " + f.Unit
		case f != nil:
			value = f.Ratio
			what += " ÷ " + r.Arms[len(r.Arms)-1].Name
		}
		switch {
		case value == nil:
			table.AtLeast(1, 0, what, "not measured%s", lost)
		case t.AtMost > 0:
			table.AtMost(t.AtMost, value.Median, what, "%v%s", *value, lost)
		default:
			table.AtLeast(t.AtLeast, value.Median, what, "%v%s", *value, lost)
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
