package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Options are a whole run of `fhirhook bench`.
type Options struct {
	Setup   Setup
	Knobs   Knobs
	Floor   bool     // measure the floor, not the server
	Compare bool     // with the floor
	Against []string // with the server with these knobs changed
	Pairs   int      // slices of each arm when two are compared
	Rate    string   // writes/s in open loop: a number, or a share of the floor's saturation as in 30%; "" and 0: closed loop

	Duration time.Duration // of a slice
	Warmup   time.Duration // of load that is not counted, before
	Writes   int           // most writes of a slice in closed loop; 0: no limit
	Profile  string        // folder for profiles; "": none
	Name     string        // begins the names of profiles
}

// Check names every problem.
func (o Options) Check() error {
	wrong := []error{o.Knobs.Check()}
	no := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	if _, _, err := o.rate(); err != nil {
		wrong = append(wrong, err)
	}
	other, err := o.other()
	if err != nil {
		wrong = append(wrong, err)
	} else if len(o.Against) > 0 {
		if err := other.Check(); err != nil {
			wrong = append(wrong, fmt.Errorf("--against %s: %w", strings.Join(o.Against, " "), err))
		}
		no(other.Owing > 0 && o.Knobs.Owing == 0, "--against owed=%d: what is measured follows from --owed", other.Owing)
		no(other.Data != "" && other.Data == o.Knobs.Data, "--against: two servers can't share --data %s: name another folder, or none by data=", o.Knobs.Data)
	}
	no(o.Duration <= 0, "--duration %s must be above zero", o.Duration)
	no(o.Warmup < 0, "--warmup %s must not be below zero", o.Warmup)
	no(o.Setup.Drain < 0, "--drain %s must not be below zero", o.Setup.Drain)
	no(o.Writes < 0, "--writes %d must not be below zero", o.Writes)
	no(o.Pairs < 1, "--pairs %d: one at least", o.Pairs)
	no(o.Compare && len(o.Against) > 0, "--compare is with the floor, and --against with a server: choose one")
	no(o.Floor && (o.Compare || len(o.Against) > 0), "--floor measures the floor alone: leave out --compare and --against")
	no((o.Floor || o.Compare) && o.Knobs.Hanging > 0, "the floor knows no lanes: compare --hanging with --against hanging=0")
	target := o.Setup.Target != ""
	no(target && (o.Floor || o.Compare || len(o.Against) > 0), "--target is measured alone: the floor and other servers would run on another machine, or beside it")
	no(target && o.Knobs.Data != "", "--data is of a server that bench starts: leave it out with --target")
	no((target || o.Floor || o.Compare) && o.Knobs.prepared() != Prepared{}, "--stored and --owed are of a server that bench starts: compare with --against stored=0")
	no(o.starts() && (o.Profile != "" || o.Rate != "" && o.Rate != "0" || o.Writes != 0), "--owed measures starts, without load: leave out --rate, --writes and --profile")
	no(target && o.Profile != "", "--profile is of processes that bench starts: leave it out with --target")
	no(target && strings.HasSuffix(o.Rate, "%"), "--rate %s is a share of what the floor takes on this machine: with --target, name writes a second", o.Rate)
	no(!target && (o.Setup.ReceiverListen != "" || o.Setup.ReceiverURL != ""), "--receiver-listen and --receiver-url are for --target")
	no(o.Setup.ReceiverURL != "" && o.Knobs.Hanging > 0, "--hanging receivers have addresses of their own, which --receiver-url can't tell")
	return errors.Join(wrong...)
}

// mostRate is far more than any machine takes.
const mostRate = 1e7

// rate is either writes a second or a share of the floor's saturation; both 0: closed loop.
func (o Options) rate() (perSecond, share float64, err error) {
	if o.Rate == "" {
		return 0, 0, nil
	}
	text, percent := strings.CutSuffix(o.Rate, "%")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v < 0 || v > mostRate || math.IsNaN(v) {
		return 0, 0, fmt.Errorf("--rate %s: name writes a second, or a share of the floor's saturation as in 30%%; 0 is closed loop", o.Rate)
	}
	if percent {
		return 0, v / 100, nil
	}
	return v, 0, nil
}

// other are the knobs of the second arm.
func (o Options) other() (Knobs, error) {
	k := o.Knobs
	var wrong []error
	for _, assignment := range o.Against {
		changed, err := k.With(assignment)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("--against %w", err))
			continue
		}
		k = changed
	}
	if k.Data == o.Knobs.Data && k.prepared() != o.Knobs.prepared() {
		k.Data = "" // that folder is the first one's
	}
	return k, errors.Join(wrong...)
}

// Report is what a run measured.
type Report struct {
	Command string      `json:"command"`
	Time    time.Time   `json:"time"`
	Machine string      `json:"machine"`
	Rate    float64     `json:"rate"` // writes/s in open loop; 0: closed loop
	Arms    []ArmReport `json:"arms"`
	Figures []Figure    `json:"figures"`
}

// ArmReport is what one arm measured.
type ArmReport struct {
	Name   string            `json:"name"`
	Kind   Kind              `json:"kind"`
	Knobs  map[string]string `json:"knobs"`
	Slices []Result          `json:"slices"`
	All    Result            `json:"all"`
	knobs  Knobs
}

// Run makes the run. The Options must be good.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	o.Setup.Profile = o.Profile != ""
	if o.Setup.Progress == nil {
		o.Setup.Progress = func(Progress) {}
	}
	arms, err := o.start(ctx)
	defer func() {
		for _, a := range arms {
			err = errors.Join(err, a.Close(ctx))
		}
	}()
	if err != nil {
		return nil, err
	}
	s := Slice{During: o.Duration, Most: o.Writes}
	warm := Slice{During: o.Warmup, Most: o.Writes}
	if s.Rate, err = o.findRate(ctx, arms); err != nil {
		return nil, err
	}
	warm.Rate = s.Rate
	report := &Report{Command: "fhirhook " + strings.Join(o.Args(), " "), Time: time.Now().UTC().Truncate(time.Second), Machine: machine(), Rate: s.Rate}
	var warming, measuring []func() error
	for i, a := range arms {
		report.Arms = append(report.Arms, ArmReport{Name: a.Name, Kind: a.Kind, Knobs: a.Knobs.Map(), knobs: a.Knobs})
		warming = append(warming, func() error {
			_, err := a.Run(ctx, warm)
			return err
		})
		measuring = append(measuring, func() error {
			r, err := a.slice(ctx, s, o.starts())
			report.Arms[i].Slices = append(report.Arms[i].Slices, r)
			return err
		})
	}
	rounds := 1
	if len(arms) > 1 {
		rounds = o.Pairs
	}
	if o.Warmup > 0 && !o.starts() {
		err = Alternate(1, warming...)
	}
	if err == nil {
		err = Alternate(rounds, measuring...)
	}
	if err != nil {
		return nil, err
	}
	for i := range report.Arms {
		report.Arms[i].All = merged(report.Arms[i].Slices)
	}
	report.Figures = figures(report.Arms)
	if o.Profile != "" {
		err = o.takeProfiles(ctx, arms, s)
	}
	return report, err
}

// starts tells whether starts are measured, and not load.
func (o Options) starts() bool { return o.Knobs.Owing > 0 }

// slice makes one slice of what the run measures.
func (a *Arm) slice(ctx context.Context, s Slice, starts bool) (Result, error) {
	if starts {
		return a.startTwice(ctx)
	}
	return a.Run(ctx, s)
}

// start starts the arms. Those that did are returned even if one failed.
func (o Options) start(ctx context.Context) (arms []*Arm, err error) {
	add := func(name string, kind Kind, k Knobs) {
		if err == nil {
			var a *Arm
			begin := StartArm
			if o.starts() {
				begin = newStartArm
			}
			if a, err = begin(ctx, name, kind, k, o.Setup); err == nil {
				arms = append(arms, a)
			}
		}
	}
	switch {
	case o.Setup.Target != "":
		add("target", KindTarget, o.Knobs)
	case o.Floor:
		add("floor", KindFloor, o.Knobs)
	default:
		add("server", KindServer, o.Knobs)
	}
	switch other, _ := o.other(); {
	case o.Compare:
		add("floor", KindFloor, o.Knobs)
	case len(o.Against) > 0:
		add(strings.Join(o.Against, " "), KindServer, other)
	}
	return arms, err
}

// findRate is the rate of an open loop; for a share, the floor's saturation is measured first.
func (o Options) findRate(ctx context.Context, arms []*Arm) (perSecond float64, err error) {
	perSecond, share, err := o.rate()
	if err != nil || share == 0 {
		return perSecond, err
	}
	floor := arms[len(arms)-1]
	if floor.Kind != KindFloor {
		k := o.Knobs
		k.Hanging, k.Data = 0, ""
		if floor, err = StartArm(ctx, "floor", KindFloor, k, o.Setup); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, floor.Close(ctx)) }()
	}
	var r Result
	for _, during := range []time.Duration{max(o.Warmup, time.Millisecond), o.Duration} {
		if r, err = floor.Run(ctx, Slice{During: during, Most: o.Writes}); err != nil {
			return 0, err
		}
	}
	return share * r.saturation(), nil
}

// saturation is how many writes a second a slice in closed loop could take for good, with their notifications.
func (r Result) saturation() float64 { return over(float64(r.Writes), max(r.Seconds, r.Whole)) }

// Args are the command line of the run, without what only says how it is told.
func (o Options) Args() []string {
	args := append([]string{"bench"}, o.Knobs.Flags(DefaultKnobs())...)
	flag := func(is bool, text ...string) {
		if is {
			args = append(args, text...)
		}
	}
	flag(o.Setup.Target != "", "--target", o.Setup.Target)
	flag(o.Floor, "--floor")
	flag(o.Compare, "--compare")
	for _, a := range o.Against {
		args = append(args, "--against", a)
	}
	flag((o.Compare || len(o.Against) > 0) && o.Pairs != DefaultPairs, "--pairs", strconv.Itoa(o.Pairs))
	flag(o.Rate != "" && o.Rate != "0", "--rate", o.Rate)
	flag(o.Duration != DefaultDuration, "--duration", o.Duration.String())
	flag(o.Warmup != DefaultWarmup, "--warmup", o.Warmup.String())
	flag(o.Writes > 0, "--writes", strconv.Itoa(o.Writes))
	return args
}

// The defaults of a run.
const (
	DefaultPairs    = 7
	DefaultDuration = 5 * time.Second
	DefaultWarmup   = time.Second
	DefaultDrain    = time.Minute
)

// machine is what a figure depends on and is known without asking.
func machine() string {
	return fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}
