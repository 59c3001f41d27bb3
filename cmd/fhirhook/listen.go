package main

import (
	"context"
	"fmt"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/listen"
)

// listenCmd is `fhirhook listen`.
type listenCmd struct {
	Addr      string        `help:"Address to listen on." default:"127.0.0.1:9000"`
	Anywhere  bool          `help:"Let --addr be reachable from outside."`
	Secret    []string      `help:"Check signatures with this secret (repeatable)." placeholder:"S"`
	Status    int           `help:"Status of the answers." default:"200"`
	FailFirst int           `help:"Answer so many requests with --status (500 if that is a success), and later ones with 200." placeholder:"N"`
	Delay     time.Duration `help:"Wait before each answer."`
	JSON      bool          `name:"json" help:"Print a JSON object a line."`
	Body      bool          `help:"Print the bodies, too."`
}

// Run receives until ctx ends.
func (c *listenCmd) Run(ctx context.Context, s streams, own ownDialects) error {
	o := listen.Options{
		Addr: c.Addr, Anywhere: c.Anywhere, Secrets: c.Secret, Status: c.Status, FailFirst: c.FailFirst,
		Delay: c.Delay, JSON: c.JSON, Body: c.Body, Dialects: own,
		Ready: func(url string) { fmt.Fprintf(s.err, "listening on %s\n", url) },
	}
	if err := o.Check(); err != nil {
		return fmt.Errorf("%w: %w", app.ErrConfiguration, err)
	}
	return listen.Run(ctx, o, s.out)
}
