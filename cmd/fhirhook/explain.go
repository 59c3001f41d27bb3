package main

import (
	"context"

	"fhirhook/cmd/internal/client"
)

// explainCmd is `fhirhook explain`.
type explainCmd struct {
	Server string `help:"Base URL of the running server." default:"http://127.0.0.1:8080/fhir/R4"`
	Token  string `help:"Bearer token; better set by FHIRHOOK_TOKEN, for command lines are seen by others." placeholder:"TOKEN"`
	Search string `arg:"" help:"The search, as in 'Observation?patient=7&code=1234-5'."`
}

// Run prints the plan that the server chose.
func (c *explainCmd) Run(ctx context.Context, s streams) error {
	remote, err := client.New(client.Options{Server: c.Server, Token: c.Token, Out: s.out, Err: s.err})
	if err != nil {
		return err
	}
	return remote.Explain(ctx, c.Search)
}
