// Package expression evaluates FHIRPath conditions on a change: %current is the version that it wrote and
// %previous the one before, empty for a resource that is new. It stands between Subscriptions and the FHIRPath
// engine, which it keeps within bounds: what could grow without end is refused when an expression is compiled,
// and an evaluation that takes too long, or panics, is an error and never more.
//
// The clock is the change's: now() is the lastUpdated of the version that was written, so that an answer does
// not depend on when somebody asks.
//
// The trap: Go can't stop a computation from outside. One that doesn't end in time is left behind, and its
// Expression answers ErrBusy until it has ended, so that there is never more than one per Expression.
package expression

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gofhir/fhirpath/eval"
	"github.com/gofhir/fhirpath/parser/grammar"
	"github.com/gofhir/fhirpath/types"

	"fhirhook/fhir/tape"
)

// limit is how long one evaluation may take. Usual ones take microseconds.
const limit = 100 * time.Millisecond

// mostElements is how many elements a collection may have.
const mostElements = 10_000

// ErrTime says that an evaluation took too long.
var ErrTime = fmt.Errorf("the expression was not evaluated within %s", limit)

// ErrBusy says that an earlier evaluation, which took too long, is still under way.
var ErrBusy = errors.New("an earlier evaluation of the expression took too long and has not ended yet")

// errPanic does not repeat what the engine said, see mute.
var errPanic = errors.New("the expression made the FHIRPath engine panic")

// Expression is a compiled condition. It is safe for concurrent use.
type Expression struct {
	tree  *grammar.EntireExpressionContext
	limit time.Duration
	busy  atomic.Bool // an evaluation was left behind
}

// Input is what a condition is about.
type Input struct {
	Current  *tape.Doc
	Previous *tape.Doc // nil: there is none
	Now      time.Time
}

// Compile reads an expression. Its error says what is wrong with it, in words for its author.
func Compile(text string) (*Expression, error) {
	tree, err := parse(text)
	if err != nil {
		return nil, err
	}
	return &Expression{tree: tree, limit: limit}, nil
}

// Holds tells whether the result is exactly one boolean, and it is true. An error says that there is no
// result: the expression doesn't suit the resource, or it would cost too much.
func (x *Expression) Holds(in Input) (bool, error) {
	if x.busy.Load() {
		return false, ErrBusy
	}
	if err := errors.Join(check(in.Current), check(in.Previous)); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), clock{}, in.Now), x.limit)
	defer cancel()
	type outcome struct {
		holds bool
		err   error
	}
	done := make(chan outcome, 1)
	go func() { // ends with the evaluation, for which ctx and the limits of functions see
		defer x.busy.Store(false)
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o = outcome{err: errPanic}
			}
			done <- o
		}()
		o.holds, o.err = x.evaluate(ctx, in)
	}()
	select {
	case o := <-done:
		if ctx.Err() != nil && o.err != nil {
			return false, ErrTime
		}
		return o.holds, o.err
	case <-ctx.Done():
	}
	x.busy.Store(true)
	select {
	case <-done: // it ended just now, maybe before busy was set
		x.busy.Store(false)
	default:
	}
	return false, ErrTime
}

func (x *Expression) evaluate(ctx context.Context, in Input) (bool, error) {
	current, err := collection(in.Current)
	if err != nil {
		return false, err
	}
	previous, err := collection(in.Previous)
	if err != nil {
		return false, err
	}
	c := eval.NewContext(in.Current.Bytes())
	c.SetContext(ctx)
	c.SetLimit("maxDepth", maxDepth)
	c.SetLimit("maxCollectionSize", mostElements)
	c.SetVariable("current", current)
	c.SetVariable("previous", previous)
	result, err := eval.NewEvaluator(c, functions).Evaluate(x.tree)
	if err != nil {
		return false, mute(err)
	}
	if len(result) != 1 {
		return false, nil
	}
	b, ok := result[0].(types.Boolean)
	return ok && b.Bool(), nil
}

// mute leaves of an error of the engine only its kind, for its words may hold values of the resource.
func mute(err error) error {
	e, ok := errors.AsType[*eval.EvalError](err)
	switch {
	case errors.Is(err, errManyElements), errors.Is(err, errManyPairs), errors.Is(err, errGrown):
		return err
	case ok:
		return fmt.Errorf("the expression does not suit the resource: %s", e.Type)
	default:
		return errors.New("the expression does not suit the resource")
	}
}

func collection(doc *tape.Doc) (types.Collection, error) {
	if doc == nil {
		return types.Collection{}, nil
	}
	return types.JSONToCollection(doc.Bytes())
}
