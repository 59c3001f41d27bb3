package main

import (
	"context"

	"fhirhook/cmd/internal/client"
)

// subscriptionsCmd is `fhirhook subscriptions`.
type subscriptionsCmd struct {
	remote
	Status []string `help:"Only those with this status: active, error or off (repeatable)." env:"-" placeholder:"STATUS"`
}

// Run lists them.
func (c *subscriptionsCmd) Run(ctx context.Context, s streams) error {
	remote, err := c.client(s)
	if err != nil {
		return err
	}
	return remote.Subscriptions(ctx, client.SubscriptionsOptions{Status: c.Status})
}
