package main

import (
	"context"

	"fhirhook/cmd/internal/client"
)

// deliveriesCmd is `fhirhook deliveries`.
type deliveriesCmd struct {
	remote
	Subscription string `arg:"" optional:"" help:"Id of the Subscription. Default: all."`

	Resource string   `help:"Only of this resource, or this version of it." placeholder:"TYPE/ID" env:"-"`
	Status   []string `help:"Only in this state: owed, delivered, failed, withheld, cancelled or skipped (repeatable)." placeholder:"STATE" env:"-"`
	Since    string   `help:"Only what came to its state since: 15m, 2h or 3d ago, 14:30, 2026-01-31, or an instant." placeholder:"TIME" env:"-"`
	Until    string   `help:"Only what came to its state before." placeholder:"TIME" env:"-"`
	Sequence string   `help:"Only these numbers: 7, 5-9 or 5-." placeholder:"N-M" env:"-"`
	Delivery []string `help:"Only this id, which receivers know as webhook-id (repeatable)." placeholder:"ID" env:"-"`
	Limit    int      `help:"So many of the newest; 0: all." default:"50" env:"-"`
	Attempts bool     `help:"Print each attempt, too." env:"-"`
	Follow   bool     `short:"f" help:"Go on with what comes, until Ctrl-C." env:"-"`
}

// Run lists notifications.
func (c *deliveriesCmd) Run(ctx context.Context, s streams) error {
	remote, err := c.client(s)
	if err != nil {
		return err
	}
	return remote.Deliveries(ctx, client.DeliveriesOptions{
		Subscription: c.Subscription, Resource: c.Resource, Status: c.Status, Since: c.Since, Until: c.Until,
		Sequence: c.Sequence, Delivery: c.Delivery, Limit: c.Limit, Attempts: c.Attempts, Follow: c.Follow,
	})
}
