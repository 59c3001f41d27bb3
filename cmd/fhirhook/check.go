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
	Data             string `help:"Folder of the embedded store." default:"./data" type:"existingdir"`
	SearchParameters string `help:"Folder of search parameters that the server is run with: its index is checked with them." placeholder:"DIR" type:"path"`
	keyFlags         `embed:""`
}

// Run walks the store and prints what it finds; a problem is a failure.
func (c *checkCmd) Run(ctx context.Context, s streams) error {
	last := time.Now()
	indexed, err := app.Check(ctx, c.Data, c.SearchParameters, c.keys(), func(done, total uint64) {
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
	if !indexed {
		fmt.Fprintln(s.err, "the search index was not checked: it was made with other search parameters. --search-parameters names those of the server")
	}
	fmt.Fprintf(s.out, "%s is sound\n", c.Data)
	return nil
}
