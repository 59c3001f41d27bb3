package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/bench"
)

// benchCmd is `fhirhook bench`. Its flags come from the command line only: what an environment or a configuration file
// says is meant for a server, and the folder that it names is no place for a million reports.
type benchCmd struct {
	Writers          int           `help:"Writes under way at most." default:"32" env:"-"`
	Subscriptions    int           `help:"Active Subscriptions, those that match included." default:"1" env:"-"`
	FanOut           int           `help:"How many of them a write that matches notifies; at most all of them." default:"1" env:"-"`
	Match            float64       `help:"Share of the writes that match." default:"1" env:"-"`
	Body             int           `help:"Size of what is written, in bytes." default:"1200" env:"-"`
	ReceiverDelay    time.Duration `help:"How long receivers take to answer." default:"0s" env:"-"`
	ReceiverFailures float64       `help:"Share of the requests that receivers answer with 500." default:"0" env:"-"`
	Hanging          int           `help:"How many Subscriptions of the fan-out have a receiver that never answers." default:"0" env:"-"`
	Stored           int           `help:"Resources that are stored beforehand, some in two versions." default:"0" env:"-"`
	Owed             int           `help:"Notifications that are owed beforehand. What is measured then is how long the server takes to be ready, and its memory." default:"0" env:"-"`
	Lanes            int           `help:"With --owed: how many of the Subscriptions owe them." default:"1000" env:"-"`
	Data             string        `help:"Folder of the server's store, which is kept; it must be empty or a benchmark's. Default: a new one, removed in the end." env:"-" placeholder:"DIR"`

	Duration time.Duration `help:"How long a slice of load is." default:"5s" env:"-"`
	Warmup   time.Duration `help:"Load before, which isn't counted." default:"1s" env:"-"`
	Rate     string        `help:"Writes a second in open loop, or a share of what the floor takes, as in 30%; 0 is closed loop: as fast as answers come." default:"0" env:"-"`
	Writes   int           `help:"Most writes of a slice in closed loop; 0: no limit." default:"0" env:"-"`
	Drain    time.Duration `help:"How long to wait for owed notifications before they count as lost." default:"1m" env:"-"`

	Target         string `help:"Measure this running server, as in https://fhir.example.org/fhir/R4. Its Subscriptions are removed in the end; what is written stays." env:"-" placeholder:"URL"`
	Token          string `help:"Bearer token for --target; better set by FHIRHOOK_TOKEN, for command lines are seen by others." placeholder:"TOKEN"`
	ReceiverListen string `help:"With --target: address on which to receive." env:"-" placeholder:"HOST:PORT"`
	ReceiverURL    string `help:"With --target: URL by which it reaches the receiver. Default: where that listens." env:"-" placeholder:"URL"`

	Floor      bool     `help:"Measure the floor: the least that makes the same steps durable, without FHIR." env:"-"`
	Compare    bool     `help:"Measure server and floor in turns, and print ratios." env:"-"`
	Against    []string `help:"Measure the server in turns with one that differs in this knob, as in subscriptions=1 (repeatable)." env:"-" placeholder:"KNOB=VALUE" sep:"none"`
	Pairs      int      `help:"Slices of each when two are compared." default:"7" env:"-"`
	Deliveries bool     `help:"Compare deliveries alone with a bare loop that signs and POSTs." env:"-"`
	Standard   bool     `help:"Make the runs of docs/performance.md and print targets." env:"-"`
	Only       []string `help:"With --standard: only this run (repeatable)." env:"-" placeholder:"NAME" sep:"none"`
	Scale      bool     `help:"With --standard: the runs of scale, too, whose folders take long to prepare; --data keeps them." env:"-"`
	List       bool     `help:"With --standard: print what the runs are, and make none." env:"-"`

	JSON    bool   `name:"json" help:"Print JSON, for scripts." env:"-"`
	HTML    string `name:"html" help:"Write a page with plots into this file." env:"-" placeholder:"FILE"`
	Profile string `hidden:"" help:"Folder for profiles of what is measured." env:"-" placeholder:"DIR"`
}

// options turns the flags into what bench takes.
func (c *benchCmd) options(ctx context.Context) (bench.Options, error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Options{}, fmt.Errorf("find the program: %w", err)
	}
	run := func(args ...string) *exec.Cmd {
		command := exec.CommandContext(ctx, self, args...) //nolint:gosec // it is this program
		command.Env = quietEnvironment(os.Environ())
		return command
	}
	data := c.Data
	if data != "" {
		if data, err = filepath.Abs(data); err != nil {
			return bench.Options{}, err
		}
	}
	return bench.Options{
		Setup: bench.Setup{
			Serve: func(data string, extra ...string) *exec.Cmd {
				return run(append([]string{"serve", "--dev", "--listen", "127.0.0.1:0", "--data", data}, extra...)...)
			},
			Import: func(data string, files ...string) *exec.Cmd {
				return run(append([]string{"import", "--dev", "--data", data}, files...)...)
			},
			Role:   func(role, options string) *exec.Cmd { return run("bench-role", role, options) },
			Target: strings.TrimRight(c.Target, "/"), Token: c.Token, ReceiverListen: c.ReceiverListen, ReceiverURL: c.ReceiverURL,
			Drain: c.Drain,
		},
		Knobs: bench.Knobs{
			Writers: c.Writers, Subscriptions: c.Subscriptions, FanOut: c.FanOut, Match: c.Match, Body: c.Body,
			Delay: c.ReceiverDelay, Failures: c.ReceiverFailures, Hanging: c.Hanging, Data: data,
			Stored: c.Stored, Owing: c.Owed, Lanes: c.Lanes,
		},
		Floor: c.Floor, Compare: c.Compare, Against: c.Against, Pairs: c.Pairs, Rate: c.Rate,
		Duration: c.Duration, Warmup: c.Warmup, Writes: c.Writes, Profile: c.Profile, Name: "bench",
	}, nil
}

// quietEnvironment is an environment without what configures fhirhook: a benchmark's server is the ordinary one.
func quietEnvironment(environment []string) []string {
	var rest []string
	for _, v := range environment {
		if !strings.HasPrefix(v, "FHIRHOOK_") {
			rest = append(rest, v)
		}
	}
	return rest
}

// Run makes the run and prints what it measured. Notifications that were lost are a failure.
func (c *benchCmd) Run(ctx context.Context, s streams) error {
	o, err := c.options(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(o.Check(), c.check()); err != nil {
		return fmt.Errorf("%w: %w", app.ErrConfiguration, err)
	}
	if c.Standard && c.List {
		bench.ListStandards(s.out)
		return nil
	}
	line := bench.NewProgressLine(s.err, terminal(s.err))
	o.Setup.Progress = line.Show
	defer line.Clear()
	switch {
	case c.Deliveries:
		return c.deliveries(ctx, o.Setup, s, line)
	case c.Standard:
		return c.standard(ctx, o, s, line)
	}
	r, err := bench.Run(ctx, o)
	line.Clear()
	if err != nil {
		return interrupted(ctx, err)
	}
	if err := c.tell(r, s.out); err != nil {
		return err
	}
	if n := r.Lost(); n > 0 {
		return fmt.Errorf("%d notifications that were owed did not come within %s", n, o.Setup.Drain)
	}
	return nil
}

// check finds flags that don't go together.
func (c *benchCmd) check() error {
	var wrong []error
	if (c.List || c.Scale || len(c.Only) > 0) && !c.Standard {
		wrong = append(wrong, errors.New("--list, --scale and --only are of --standard"))
	}
	if c.Standard && (c.Deliveries || c.Compare || c.Floor || len(c.Against) > 0 || c.Target != "" || c.HTML != "") {
		wrong = append(wrong, errors.New("--standard says itself what it compares: leave out --deliveries, --compare, --floor, --against, --target and --html"))
	}
	if c.Deliveries && (c.Compare || c.Floor || len(c.Against) > 0 || c.Target != "" || c.HTML != "" || c.Profile != "") {
		wrong = append(wrong, errors.New("--deliveries says itself what it compares: leave out --compare, --floor, --against, --target, --html and --profile"))
	}
	return errors.Join(wrong...)
}

// interrupted says so, where a signal came.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was measured")
	}
	return err
}

// tell prints a report as the flags say.
func (c *benchCmd) tell(r *bench.Report, out io.Writer) error {
	if c.HTML != "" {
		file, err := os.Create(c.HTML)
		if err != nil {
			return fmt.Errorf("write the page: %w", err)
		}
		if err := errors.Join(r.HTML(file), file.Close()); err != nil {
			return err
		}
	}
	if c.JSON {
		return r.JSON(out)
	}
	return r.Table(out)
}

// standard makes the runs of docs/performance.md.
func (c *benchCmd) standard(ctx context.Context, o bench.Options, s streams, line *bench.ProgressLine) error {
	var table bench.Table
	var told error
	lost := 0
	err := bench.RunStandards(ctx, bench.StandardRuns{Only: c.Only, Scale: c.Scale, Data: o.Knobs.Data, Profile: c.Profile}, o.Setup, &table, func(r *bench.Report) {
		line.Clear()
		lost += r.Lost()
		told = errors.Join(told, c.tell(r, s.out))
		if !c.JSON {
			fmt.Fprintln(s.out)
		}
	})
	line.Clear()
	if err = errors.Join(err, told); err != nil {
		return interrupted(ctx, err)
	}
	if !c.JSON {
		if err := table.Print(s.out); err != nil {
			return err
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d notifications that were owed did not come in time", lost)
	}
	return nil
}

// deliveries compares lanes with a bare loop, both in this process, the receiver in another.
func (c *benchCmd) deliveries(ctx context.Context, setup bench.Setup, s streams, line *bench.ProgressLine) error {
	app.TuneCollector()
	body, err := bench.Body(c.Body, true)
	if err != nil {
		return err
	}
	arms, err := bench.RunDeliveries(ctx, setup, bench.Deliveries{Body: body, Times: 8000, Turns: c.Pairs, Progress: line.Show})
	line.Clear()
	if err != nil {
		return interrupted(ctx, err)
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(map[string]any{"deliveries": arms})
	}
	var table bench.Table
	bench.Tell(&table, arms)
	return table.Print(s.out)
}

// benchRoleCmd is a process of a benchmark.
type benchRoleCmd struct {
	Role    string `arg:""`
	Options string `arg:""`
}

// Run does the role's work until the input ends.
func (c *benchRoleCmd) Run(ctx context.Context, s streams) error {
	app.TuneCollector()
	return bench.ServeRole(ctx, c.Role, c.Options, os.Stdin, s.out)
}
