package main

import "context"

// pingCmd is `fhirhook ping`.
type pingCmd struct {
	remote
	Subscription string `arg:"" help:"Id of the Subscription."`
}

// Run sends a test notification.
func (c *pingCmd) Run(ctx context.Context, s streams) error {
	remote, err := c.client(s)
	if err != nil {
		return err
	}
	return remote.Ping(ctx, c.Subscription)
}
