package main

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/alecthomas/kong"
)

// values reads the values of flags, wherever they come from. One that can't be read is noted, and the flag's
// default takes its place, so that the rest is looked at too and one start tells every problem.
type values struct{ notes []note }

type note struct {
	of      *kong.Value
	problem error
}

// problems are about the flags of the chosen command: the environment may hold what is meant for others.
func (v *values) problems(chosen *kong.Context) []error {
	var problems []error
	for _, n := range v.notes {
		if slices.ContainsFunc(chosen.Path, func(p *kong.Path) bool {
			return slices.ContainsFunc(p.Flags, func(f *kong.Flag) bool { return f.Value == n.of })
		}) {
			problems = append(problems, n.problem)
		}
	}
	return problems
}

// options make kong read with v.
func (v *values) options() []kong.Option {
	readers := kong.NewRegistry().RegisterDefaults()
	var options []kong.Option
	for _, t := range []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[int64](), reflect.TypeFor[time.Duration]()} {
		options = append(options, kong.TypeMapper(t, noting{v, readers.ForType(t)}))
	}
	t := reflect.TypeFor[bool]()
	return append(options, kong.TypeMapper(t, switching{noting{v, readers.ForType(t)}}))
}

// noting is a kong.Mapper that never fails.
type noting struct {
	into *values
	kong.Mapper
}

// Decode implements kong.Mapper.
func (n noting) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	err := n.Mapper.Decode(ctx, target)
	if err == nil {
		return nil
	}
	one := note{ctx.Value, fmt.Errorf("--%s: %w", ctx.Value.Name, err)}
	if !slices.ContainsFunc(n.into.notes, func(known note) bool {
		return known.of == one.of && known.problem.Error() == one.problem.Error()
	}) {
		n.into.notes = append(n.into.notes, one) // a value is read more than once
	}
	if ctx.Value.Default == "" {
		target.SetZero()
		return nil
	}
	return n.Mapper.Decode(&kong.DecodeContext{Value: ctx.Value, Scan: kong.Scan(ctx.Value.Default)}, target)
}

// switching is noting for flags that need no value.
type switching struct{ noting }

// IsBool implements kong.BoolMapper.
func (switching) IsBool() bool { return true }
