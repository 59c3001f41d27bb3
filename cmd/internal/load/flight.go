package load

import (
	"context"
	"sync"
)

// mostFlights is how many batches of a file are under way at once: while one is being committed, the endpoint
// checks the next.
const mostFlights = 2

// flights are the batches of a file that are under way. They are accounted for in the order of the file, so
// that the state file never knows a batch behind one that may be lost.
type flights struct {
	*loader
	key     string
	src     *source
	done    progressOf
	sending sync.WaitGroup
	flying  []*flight // oldest first
}

// flight is a batch under way.
type flight struct {
	batch   batch
	sending sending
	err     error
	landed  chan struct{} // closed by the flight's goroutine, behind which the rest may be read
}

// launch sends a batch, as soon as nothing is under way that it must not overtake.
func (f *flights) launch(ctx context.Context, b batch) error {
	left := mostFlights - 1
	for _, other := range f.flying {
		if b.meets(other.batch) {
			left = 0
		}
	}
	if err := f.land(left); err != nil {
		return err
	}
	one := &flight{batch: b, sending: sending{target: f.Target}, landed: make(chan struct{})}
	f.flying = append(f.flying, one)
	f.sending.Go(func() { // stops when the batch is answered, or ctx ends
		defer close(one.landed)
		if len(b.entries) > 0 {
			one.err = one.sending.send(ctx, b.entries, b.atomic)
		}
	})
	return nil
}

// meets tells whether the order of two batches counts: if they write the same resource, and wherever it can't be
// known what they do.
func (b batch) meets(other batch) bool {
	if b.alone() || other.alone() {
		return true
	}
	for key := range b.keys {
		if other.keys[key] {
			return true
		}
	}
	return false
}

func (b batch) alone() bool { return b.atomic || b.unknown }

// land accounts for the oldest batches until so many are left.
func (f *flights) land(left int) error {
	for len(f.flying) > left {
		one := f.flying[0]
		f.flying = f.flying[1:]
		<-one.landed
		if one.err != nil {
			return one.err
		}
		if err := f.account(one); err != nil {
			return err
		}
	}
	return nil
}

func (f *flights) account(one *flight) error {
	before := f.report.Failed
	for _, p := range append(one.batch.problems, one.sending.refused...) {
		if err := f.refused(p.at, p.text); err != nil {
			return err
		}
	}
	f.report.Created += one.sending.report.Created
	f.report.Present += one.sending.report.Present
	f.report.Other += one.sending.report.Other
	f.done.Records, f.done.Failed = one.batch.records, f.done.Failed+f.report.Failed-before
	if err := f.state.save(f.key, f.done); err != nil {
		return err
	}
	f.Progress.update(f.src.path, one.batch.read, f.src.size, f.report, false)
	return nil
}
