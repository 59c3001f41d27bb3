package rest

import (
	"context"
	"errors"
	"time"

	"fhirhook/fhir"
)

const (
	// searchPatience is how long the conditions of one request may search while it holds up all other writes: there is one
	// writer at a time.
	searchPatience = 5 * time.Second
	// bundlePatience is how long all that is looked for in one Bundle may take together, while it holds up nobody.
	bundlePatience = 30 * time.Second
	// mostAnswered is how much the reads of one Bundle may answer, in multiples of what a Bundle may be.
	mostAnswered = 4
)

var errSearchTime = errors.New("the searches took too long")

// searchTime is what is left of a time that several searches share: in a run of a transaction's function, or in a Bundle.
type searchTime struct {
	left     time.Duration
	within   *searchTime  // a longer time that this is part of; nil: none
	tooLong  func() error // what is said when it is over
	answered int64        // bytes; of a Bundle
}

func newSearchTime(within *searchTime) *searchTime {
	return &searchTime{left: searchPatience, within: within, tooLong: conditionsTooLong}
}

func conditionsTooLong() error {
	return fhir.Errorf(fhir.TooCostly, "",
		"the conditions took longer than %s to search for, and nobody else can write meanwhile: use parameters that the index knows, as identifier=system|value, or send less at a time", searchPatience)
}

func newBundleTime() *searchTime { return &searchTime{left: bundlePatience, tooLong: bundleTooLong} }

func bundleTooLong() error {
	return fhir.Errorf(fhir.TooCostly, "",
		"all searches of this Bundle together took longer than %s: use parameters that the index knows, as identifier=system|value, or send less at a time", bundlePatience)
}

// search runs a search within what is left. A nil searchTime has no end.
func (s *searchTime) search(ctx context.Context, run func(context.Context) error) error {
	if s == nil {
		return run(ctx)
	}
	shorter := s
	if s.within != nil && s.within.left < s.left {
		shorter = s.within
	}
	if shorter.left <= 0 {
		return shorter.tooLong() // for what is quick enough would still run
	}
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, shorter.left, errSearchTime)
	defer cancel()
	err := run(ctx)
	for t := s; t != nil; t = t.within {
		t.left -= time.Since(began)
	}
	if err != nil && errors.Is(context.Cause(ctx), errSearchTime) && errors.Is(err, ctx.Err()) {
		return shorter.tooLong()
	}
	return err
}

// readPart carries out an entry that reads, in the time that its Bundle has left.
func (s *Server) readPart(ctx context.Context, p part) (a answer, err error) {
	within := p.call.within
	if most := mostAnswered * s.MaxBundle; within.answered > most {
		return answer{}, fhir.Errorf(fhir.TooCostly, "", "what the entries before answered is more than %d bytes: send the rest in another Bundle", most)
	}
	err = within.search(ctx, func(ctx context.Context) error {
		a, err = p.route.run(s, ctx, p.call)
		return err
	})
	within.answered += int64(len(a.body))
	return a, err
}
