package bench

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Knobs say what one arm of a benchmark is: the load, the Subscriptions and the receivers.
type Knobs struct {
	Writers       int           // requests under way at most
	Subscriptions int           // all of them
	FanOut        int           // how many of them a write that matches notifies
	Match         float64       // share of the writes that match
	Body          int           // bytes
	Delay         time.Duration // of a receiver's answer
	Failures      float64       // share of the requests that receivers answer with 500
	Hanging       int           // how many of the FanOut have a receiver that never answers; nothing is asked of those
	Stored        int           // resources that are stored beforehand
	Owing         int           // notifications that are owed beforehand; the run then measures starts
	Lanes         int           // how many Subscriptions owe them
	Data          string        // folder to use and keep; "": a new one, removed in the end
}

// DefaultKnobs are one Subscription that every write matches, a healthy receiver, and a kilobyte.
func DefaultKnobs() Knobs {
	return Knobs{Writers: 32, Subscriptions: 1, FanOut: 1, Match: 1, Body: 1200, Lanes: 1000}
}

// Owed is how many notifications a write that matches owes, hanging receivers aside.
func (k Knobs) Owed() int { return k.fanOut() - k.Hanging }

// fanOut without Subscriptions is nothing.
func (k Knobs) fanOut() int { return min(k.FanOut, k.Subscriptions) }

// knob is one of them by the name of its flag.
type knob struct {
	name string
	get  func(Knobs) string
	set  func(*Knobs, string) error
}

// knobTable is all of them, in the order in which they are told.
var knobTable = []knob{
	whole("writers", func(k *Knobs) *int { return &k.Writers }),
	whole("subscriptions", func(k *Knobs) *int { return &k.Subscriptions }),
	whole("fan-out", func(k *Knobs) *int { return &k.FanOut }),
	share("match", func(k *Knobs) *float64 { return &k.Match }),
	whole("body", func(k *Knobs) *int { return &k.Body }),
	{
		"receiver-delay",
		func(k Knobs) string { return k.Delay.String() },
		func(k *Knobs, v string) (err error) { k.Delay, err = time.ParseDuration(v); return err },
	},
	share("receiver-failures", func(k *Knobs) *float64 { return &k.Failures }),
	whole("hanging", func(k *Knobs) *int { return &k.Hanging }),
	whole("stored", func(k *Knobs) *int { return &k.Stored }),
	whole("owed", func(k *Knobs) *int { return &k.Owing }),
	whole("lanes", func(k *Knobs) *int { return &k.Lanes }),
	{"data", func(k Knobs) string { return k.Data }, func(k *Knobs, v string) error { k.Data = v; return nil }},
}

func whole(name string, of func(*Knobs) *int) knob {
	return knob{
		name,
		func(k Knobs) string { return strconv.Itoa(*of(&k)) },
		func(k *Knobs, v string) (err error) { *of(k), err = strconv.Atoi(v); return err },
	}
}

func share(name string, of func(*Knobs) *float64) knob {
	return knob{
		name,
		func(k Knobs) string { return strconv.FormatFloat(*of(&k), 'g', -1, 64) },
		func(k *Knobs, v string) (err error) { *of(k), err = strconv.ParseFloat(v, 64); return err },
	}
}

// With returns k with one changed, as in writers=1.
func (k Knobs) With(assignment string) (Knobs, error) {
	name, value, found := strings.Cut(assignment, "=")
	i := slices.IndexFunc(knobTable, func(k knob) bool { return k.name == name })
	if !found || i < 0 {
		var names []string
		for _, k := range knobTable {
			names = append(names, k.name)
		}
		return k, fmt.Errorf("%q: name a knob and its value, as in writers=1; knobs are %s", assignment, strings.Join(names, ", "))
	}
	if err := knobTable[i].set(&k, value); err != nil {
		return k, fmt.Errorf("%s: %w", assignment, err)
	}
	return k, nil
}

// Flags are those that differ from another's, as they stand on a command line.
func (k Knobs) Flags(than Knobs) []string {
	var flags []string
	for _, one := range knobTable {
		if v := one.get(k); v != one.get(than) {
			flags = append(flags, "--"+one.name, v)
		}
	}
	return flags
}

// Map is all of them by name, for reports.
func (k Knobs) Map() map[string]string {
	m := map[string]string{}
	for _, one := range knobTable {
		m[one.name] = one.get(k)
	}
	return m
}

// Check names every problem.
func (k Knobs) Check() error {
	var wrong []error
	no := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	no(k.Writers < 1, "--writers %d: one at least", k.Writers)
	no(k.Subscriptions < 0, "--subscriptions %d must not be below zero", k.Subscriptions)
	no(k.FanOut < 0 || k.Subscriptions > 0 && k.FanOut > k.Subscriptions, "--fan-out %d must lie between zero and --subscriptions %d", k.FanOut, k.Subscriptions)
	no(k.Match < 0 || k.Match > 1 || math.IsNaN(k.Match), "--match %v must lie between 0 and 1", k.Match)
	no(k.Failures < 0 || k.Failures >= 1 || math.IsNaN(k.Failures), "--receiver-failures %v must lie between 0 and 1, and below 1, or nothing ever arrives", k.Failures)
	no(k.Delay < 0, "--receiver-delay %s must not be below zero", k.Delay)
	no(k.Hanging < 0 || k.Hanging > k.fanOut(), "--hanging %d must lie between zero and --fan-out %d", k.Hanging, k.fanOut())
	no(k.Stored < 0, "--stored %d must not be below zero", k.Stored)
	no(k.Owing < 0 || k.Owing > 0 && (k.Lanes < 1 || k.Owing%k.Lanes != 0), "--owed %d must be a multiple of --lanes %d, each of which owes as many", k.Owing, k.Lanes)
	no(k.Owing > 0 && k.Lanes > k.Subscriptions, "--lanes %d are of --subscriptions %d, which must be as many at least", k.Lanes, k.Subscriptions)
	if _, err := Body(k.Body, true); err != nil {
		wrong = append(wrong, fmt.Errorf("--body: %w", err))
	}
	return errors.Join(wrong...)
}
