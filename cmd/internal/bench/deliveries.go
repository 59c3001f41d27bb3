package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Deliveries compares lanes that deliver what they owe, signed and on the record, with a bare loop that signs and POSTs
// the same bodies, one attempt record each, in batches.
type Deliveries struct {
	Endpoint string // of one healthy receiver, which no arm's process is
	Body     []byte
	Times    int // notifications in a turn
	Turns    int // of each arm
	Progress func(Progress)
}

// DeliveryArm is what one arm did, turn by turn.
type DeliveryArm struct {
	Name  string    `json:"name"`
	Rates []float64 `json:"notificationsPerSecond"`
	CPU   []float64 `json:"cpuMicroseconds"` // for each notification
	// Strict arms wait with each notification until the one before is on the record, which the bare loop does not.
	Strict bool   `json:"strict"`
	lanes  *Lanes // nil: the bare loop
}

// Run returns the arms, the bare loop first.
func (o Deliveries) Run(ctx context.Context) (_ []*DeliveryArm, err error) {
	dir, err := os.MkdirTemp("", "fhirhook-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bare, err := OpenBare(dir, o.Endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bare.Close()) }()
	arms := []*DeliveryArm{{Name: "bare loop"}}
	defer func() {
		for _, a := range arms[1:] {
			err = errors.Join(err, a.lanes.Close())
		}
	}()
	for i, a := range []struct {
		name, order string
		lanes       int
	}{
		{"1 lane", "none", 1},
		{"16 lanes", "none", 16},
		{"1 lane, order resource", "resource", 1},
		{"16 lanes, order subscription", "subscription", 16},
	} {
		folder := filepath.Join(dir, fmt.Sprintf("lanes%d", i))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return nil, err
		}
		l, err := OpenLanes(ctx, folder, o.Endpoint, a.lanes, a.order, o.Body)
		if err != nil {
			return nil, err
		}
		arms = append(arms, &DeliveryArm{Name: a.name, Strict: a.order == "subscription", lanes: l})
	}
	var all []func() error
	for _, a := range arms {
		all = append(all, func() error { return o.turn(ctx, a, bare) })
	}
	if err := Alternate(1, all...); err != nil { // connections, pages, heap
		return nil, err
	}
	for _, a := range arms {
		a.Rates, a.CPU = nil, nil
	}
	return arms, Alternate(o.Turns, all...)
}

// turn is one of an arm.
func (o Deliveries) turn(ctx context.Context, a *DeliveryArm, bare *Bare) (err error) {
	times := o.Times
	if a.lanes != nil {
		if times, err = a.lanes.Owe(ctx, o.Times); err != nil {
			return err
		}
	}
	began, cpu := time.Now(), ownCPU()
	if a.lanes != nil {
		err = a.lanes.Deliver(ctx)
	} else {
		err = bare.Deliver(ctx, o.Body, times)
	}
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	a.Rates = append(a.Rates, float64(times)/elapsed.Seconds())
	a.CPU = append(a.CPU, float64((ownCPU()-cpu).Microseconds())/float64(times))
	if o.Progress != nil {
		o.Progress(Progress{Arm: a.Name, Doing: fmt.Sprintf("turn %d of %d", len(a.Rates), o.Turns), Elapsed: elapsed, Notifications: times})
	}
	return nil
}

// RunDeliveries is Run with a receiver that it starts.
func RunDeliveries(ctx context.Context, setup Setup, o Deliveries) (_ []*DeliveryArm, err error) {
	options, err := json.Marshal(receiveRole{"127.0.0.1:0", ReceiversOptions{Counting: true}})
	if err != nil {
		return nil, err
	}
	var log bytes.Buffer
	receiver, err := StartWorker(ctx, setup.Role(roleReceive, string(options)), &log)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, log.Bytes())
	}
	defer func() { err = errors.Join(err, receiver.Kill()) }()
	o.Endpoint = receiver.Base
	return o.Run(ctx)
}

// LeastOfBare is the share of the bare loop's rate that lanes have to reach.
const LeastOfBare = 0.6

// Tell adds what the arms did to a table.
func Tell(t *Table, arms []*DeliveryArm) {
	for _, a := range arms {
		t.Figure("deliver, "+a.Name, "%v notifications/s, %v µs CPU each", Spreading(a.Rates), Spreading(a.CPU))
	}
	for _, a := range arms[1:] {
		ratio := Spreading(Ratios(a.Rates, arms[0].Rates))
		cpu := Spreading(Ratios(a.CPU, arms[0].CPU))
		what := "deliver, " + a.Name + " ÷ bare loop"
		if a.Strict {
			t.Figure(what, "%v; CPU each %v", ratio, cpu)
			continue
		}
		t.AtLeast(LeastOfBare, ratio.Median, what, "%v; CPU each %v", ratio, cpu)
	}
}

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it can't be refused
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
