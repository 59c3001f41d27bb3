package bench

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// Worker is a child that takes orders on its standard input and answers on its standard output, one order at a
// time. It ends when its input does, so that none outlives its parent.
type Worker struct {
	*Process
	in      io.WriteCloser
	orders  *gob.Encoder
	answers *gob.Decoder
}

// order is what a worker is told to do: one of its fields is set.
type order struct {
	Load    *loadOrder
	Count   bool // how many notifications came
	Collect bool // what came, which is then forgotten
}

// loadOrder is a stretch of load.
type loadOrder struct {
	Rate   float64 // writes/s in open loop; 0: closed loop
	During time.Duration
	Most   int // writes, in closed loop; 0: no limit
}

// answer is a worker's. While one isn't the Last, more come to the same order.
type answer struct {
	Last    bool
	Failure string
	Written int // so far
	Acks    []ack
	Came    receipts
}

// ack is an Ack that goes through a pipe: times are Unix nanoseconds, which all processes of a machine share.
type ack struct {
	ID      string
	Due, At int64
	Took    time.Duration
	Quiet   bool
}

// receipts are what receivers took, and how they answered the rest.
type receipts struct {
	Messages int // distinct ones that were answered with success
	Again    int // successes for a message that had been answered with success before
	Refused  int // requests that were answered with 500, on purpose
	First    []receipt
}

// receipt is the first successful receipt of a message.
type receipt struct {
	Resource string // its id
	At       int64  // when the whole request was there, Unix nanoseconds
}

// StartWorker runs a command that ServeRole serves.
func StartWorker(ctx context.Context, command *exec.Cmd, log io.Writer) (*Worker, error) {
	in, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	p, err := Start(ctx, command, log)
	if err != nil {
		return nil, err
	}
	return &Worker{p, in, gob.NewEncoder(in), gob.NewDecoder(p.out)}, nil
}

// do sends an order and returns the last answer; the ones before it go to progress.
func (w *Worker) do(o order, progress func(answer)) (answer, error) {
	if err := w.orders.Encode(o); err != nil {
		return answer{}, fmt.Errorf("order to %s: %w", w.command.Path, err)
	}
	for {
		var a answer
		if err := w.answers.Decode(&a); err != nil {
			return answer{}, fmt.Errorf("answer from %s: %w", w.command.Path, err)
		}
		if a.Failure != "" {
			return answer{}, errors.New(a.Failure)
		}
		if a.Last {
			return a, nil
		}
		if progress != nil {
			progress(a)
		}
	}
}

// obey lets a function carry out the orders that come, until there are no more. What it gives to tell are answers
// before the last.
func obey(in io.Reader, out io.Writer, carryOut func(o order, tell func(answer)) (answer, error)) error {
	orders, answers := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		last, err := carryOut(o, func(a answer) { _ = answers.Encode(a) }) // a parent that is gone shows at the last one
		if last.Last = true; err != nil {
			last.Failure = err.Error()
		}
		if err := answers.Encode(last); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}
