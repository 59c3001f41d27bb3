package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fhirhook/cmd/internal/app"
)

// checkCmd is `fhirhook check`.
type checkCmd struct {
	Data     string `help:"Folder of the embedded store." default:"./data" type:"existingdir"`
	keyFlags `embed:""`
}

// Run walks the store and prints what it finds; a problem is a failure.
func (c *checkCmd) Run(ctx context.Context, s streams) error {
	last := time.Now()
	err := app.Check(ctx, c.Data, c.keys(), func(done, total uint64) {
		if now := time.Now(); now.Sub(last) > time.Second {
			last = now
			fmt.Fprintf(s.err, "checked %d of %d rows\n", done, total)
		}
	})
	switch {
	case errors.Is(err, app.ErrConfiguration):
		return err
	case err != nil:
		return fmt.Errorf("%s is not sound:\n%w", c.Data, err)
	}
	fmt.Fprintf(s.out, "%s is sound\n", c.Data)
	return nil
}
