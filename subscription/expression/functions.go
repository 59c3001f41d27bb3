package expression

import (
	"errors"
	"fmt"
	"time"

	"github.com/gofhir/fhirpath/eval"
	"github.com/gofhir/fhirpath/funcs"
	"github.com/gofhir/fhirpath/types"
)

// mostPairs is how many elements there may be where each is compared with each.
const mostPairs = 1000

// mostGrown is how long a text may get, in bytes.
const mostGrown = 1 << 20

// refused are the engine's functions that are not offered, with the reason. It is read-only.
var refused = map[string]string{
	"resolve":        "other resources can't be looked at; write a chained search parameter in the criteria",
	"memberOf":       "write the search modifier :in in the criteria",
	"conformsTo":     "profiles are not checked; write _profile in the criteria",
	"repeat":         "write descendants(), or the path with where()",
	"aggregate":      "what it adds up could grow without end",
	"power":          "the result could have any number of digits",
	"exp":            "the result could have any number of digits",
	"replaceMatches": "the result could be of any length; write matches()",
}

// quadratic are the functions that compare each element with each. It is read-only.
var quadratic = map[string]bool{
	"distinct": true, "isDistinct": true, "intersect": true, "exclude": true, "subsetOf": true, "supersetOf": true, "union": true,
}

var (
	errManyElements = fmt.Errorf("the expression makes a collection of more than %d elements", mostElements)
	errManyPairs    = fmt.Errorf("the expression compares more than %d elements with each other", mostPairs)
	errGrown        = errors.New("the expression makes a text that is too long")
)

// registry is the functions that can be called, by name.
type registry map[string]eval.FuncDef

// Get implements eval.FuncRegistry.
func (r registry) Get(name string) (eval.FuncDef, bool) {
	f, ok := r[name]
	return f, ok
}

// functions are the engine's, each within bounds. It is read-only.
var functions = func() registry {
	r := registry{}
	for _, name := range funcs.List() {
		if refused[name] != "" {
			continue
		}
		f, _ := funcs.Get(name)
		r[name] = f
	}
	replace(r, "now", func(now time.Time) types.Value { return types.NewDateTimeFromTime(now) })
	replace(r, "today", func(now time.Time) types.Value { return types.NewDateFromTime(now) })
	replace(r, "timeOfDay", func(now time.Time) types.Value { return types.NewTimeFromGoTime(now) })
	trace := r["trace"] // the engine's writes patients' data to the log
	trace.Fn = func(_ *eval.Context, input types.Collection, _ []any) (types.Collection, error) { return input, nil }
	r["trace"] = trace
	for name, f := range r {
		f.Fn = bounded(name, f.Fn)
		r[name] = f
	}
	return r
}()

// clock is the key of the context's time.
type clock struct{}

func replace(r registry, name string, at func(time.Time) types.Value) {
	f := r[name]
	f.Fn = func(c *eval.Context, _ types.Collection, _ []any) (types.Collection, error) {
		now, _ := c.Context().Value(clock{}).(time.Time)
		return types.Collection{at(now.UTC())}, nil
	}
	r[name] = f
}

// bounded keeps a function from being called when the time is over, and from making too much.
func bounded(name string, fn eval.FuncImpl) eval.FuncImpl {
	return func(c *eval.Context, input types.Collection, args []any) (types.Collection, error) {
		if err := c.CheckCancellation(); err != nil {
			return nil, err
		}
		pairs := len(input)
		for _, a := range args {
			if other, ok := a.(types.Collection); ok {
				pairs = max(pairs, len(other))
			}
		}
		switch {
		case quadratic[name] && pairs > mostPairs:
			return nil, errManyPairs
		case (name == "replace" || name == "join") && grown(input, args) > mostGrown:
			return nil, errGrown
		}
		out, err := fn(c, input, args)
		if err == nil && len(out) > mostElements {
			return nil, errManyElements
		}
		return out, err
	}
}

// grown is how long a text can get if each place in it is filled with the longest argument.
func grown(input types.Collection, args []any) int {
	longest := 0
	for _, a := range args {
		if c, ok := a.(types.Collection); ok {
			longest = max(longest, length(c))
		}
	}
	return (length(input) + len(input) + 1) * (longest + 1)
}

func length(c types.Collection) int {
	n := 0
	for _, v := range c {
		if s, ok := v.(types.String); ok {
			n += len(s.Value())
		}
	}
	return n
}
