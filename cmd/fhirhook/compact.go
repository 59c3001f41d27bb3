package main

import (
	"context"
	"fmt"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/fhir/store/bolt"
)

// compactCmd is `fhirhook compact`.
type compactCmd struct {
	Data string `help:"Folder of the embedded store, which no server is using." default:"./data" type:"existingdir"`
}

// Run writes the store's files anew and prints what that saved.
func (c *compactCmd) Run(ctx context.Context, s streams) error {
	var before, after int64
	last, file, began := time.Now(), "", time.Now()
	err := app.Compact(ctx, c.Data, func(p bolt.Compaction) {
		now := time.Now()
		if p.File != file {
			file, began = p.File, now
		}
		switch {
		case p.After > 0:
			before, after = before+p.Before, after+p.After
			fmt.Fprintf(s.out, "%s: %s → %s, %d rows\n", p.File, size(p.Before), size(p.After), p.Rows)
		case now.Sub(last) > time.Second:
			last = now
			fmt.Fprintf(s.err, "%s: %s of about %s, %d rows, %s left\n", p.File, size(p.Copied), size(p.Live), p.Rows, left(now.Sub(began), p))
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: %s → %s\n", c.Data, size(before), size(after))
	return nil
}

// left is how long a file will take still, if it goes on as it did.
func left(passed time.Duration, p bolt.Compaction) time.Duration {
	if p.Copied == 0 {
		return 0
	}
	return time.Duration(float64(passed) / float64(p.Copied) * float64(p.Live-p.Copied)).Round(time.Second)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%d KiB", (n+1<<10-1)>>10)
	}
}
