package rest

import (
	"context"
	"errors"
	"time"

	"fhirhook/fhir"
)

// searchPatience is how long the conditions of one request may search while it holds up all other writes: there is one
// writer at a time.
const searchPatience = 5 * time.Second

var errSearchTime = errors.New("the conditions took too long")

// searchTime is what is left of it in a run of a transaction's function.
type searchTime struct{ left time.Duration }

func newSearchTime() *searchTime { return &searchTime{searchPatience} }

// search runs a search within what is left. A nil searchTime has no end.
func (s *searchTime) search(ctx context.Context, run func(context.Context) error) error {
	if s == nil {
		return run(ctx)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, s.left, errSearchTime)
	defer cancel()
	err := run(ctx)
	s.left -= time.Since(began)
	if err != nil && errors.Is(context.Cause(ctx), errSearchTime) && errors.Is(err, ctx.Err()) {
		return fhir.Errorf(fhir.TooCostly, "", "the conditions took longer than %s to search for, and nobody else can write meanwhile: use parameters that the index knows, as identifier=system|value, or send less at a time", searchPatience)
	}
	return err
}
