package main

import (
	"context"

	"fhirhook/cmd/internal/client"
)

// redeliverCmd is `fhirhook redeliver`.
type redeliverCmd struct {
	remote
	Subscription string `arg:"" help:"Id of the Subscription."`

	Delivery []string `help:"Send this id again (repeatable)." placeholder:"ID" env:"-"`
	Sequence string   `help:"Send these numbers again: 7, 5-9 or 5-." placeholder:"N-M" env:"-"`
	Failed   bool     `help:"Send again what failed." env:"-"`
	Since    string   `help:"With --failed: what failed since: 15m, 2h or 3d ago, 14:30, 2026-01-31, or an instant." placeholder:"TIME" env:"-"`
	Until    string   `help:"With --failed: what failed before." placeholder:"TIME" env:"-"`
	Rate     float64  `help:"So many a second at most." placeholder:"N" env:"-"`
	DryRun   bool     `help:"Only count." env:"-"`
	Yes      bool     `short:"y" help:"Don't ask." env:"-"`
	Detach   bool     `help:"Don't wait for the end: print where it can be watched. Without it Ctrl-C cancels the rest." env:"-"`
}

// Run sends again.
func (c *redeliverCmd) Run(ctx context.Context, s streams) error {
	remote, err := c.client(s)
	if err != nil {
		return err
	}
	return remote.Redeliver(ctx, client.RedeliverOptions{
		Subscription: c.Subscription, Delivery: c.Delivery, Sequence: c.Sequence, Failed: c.Failed, Since: c.Since, Until: c.Until,
		Rate: c.Rate, DryRun: c.DryRun, Yes: c.Yes, Detach: c.Detach,
	})
}
