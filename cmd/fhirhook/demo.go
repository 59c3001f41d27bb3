package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/listen"
	"fhirhook/fhir/auth"
)

// demoSecret is the key of the Subscription that the demo suggests; it guards nothing.
const demoSecret = "abc"

// demoCmd is `fhirhook demo`.
type demoCmd struct {
	Listen string `help:"Address of the server." default:"127.0.0.1:8080"`
	Addr   string `help:"Address of the receiver." default:"127.0.0.1:9000"`
	Data   string `help:"Folder of the store; it stays when the demo ends." default:"./data" type:"path"`
}

// Run starts both, prints what to try, and ends both when ctx ends or one fails.
func (c *demoCmd) Run(ctx context.Context, s streams, own ownDialects) error {
	options := (&serveCmd{
		Listen: c.Listen, Data: c.Data, Dev: true, Dialect: "kit", ErrorAfter: "10,1h", OffAfter: defaultOffAfter,
		MaxBody: 8 << 20, MaxBundle: 64 << 20, Validation: "structure", Drain: defaultDrain, LogLevel: "warn",
	}).options(s, own, auth.Config{}, nil)
	options.Log = slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server, err := app.New(ctx, options)
	if err != nil {
		return err
	}
	receiver := listen.Options{Addr: c.Addr, Secrets: []string{demoSecret}, Dialects: own, Body: true}
	if err := receiver.Check(); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", app.ErrConfiguration, err), server.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	var received error
	receiver.Ready = func(url string) { fmt.Fprintf(s.out, demoText, server.BaseURL(), url, demoSecret, c.Data) }
	running.Go(func() { // stops when ctx ends, or at once if the address is taken
		received = listen.Run(ctx, receiver, s.out)
		cancel()
	})
	err = server.Run(ctx)
	cancel()
	running.Wait()
	return errors.Join(err, received)
}

// demoText is printed when both are up: base URL, receiver, secret, folder.
const demoText = `fhirhook serves %[1]s, and a receiver listens on %[2]s.
Stop both with Ctrl-C; the data stays in %[4]s.

1. Subscribe to completed reports, with a header and a signature of your own:

curl -X POST %[1]s/Subscription \
  -H 'Content-Type: application/fhir+json' \
  -d '{"resourceType":"Subscription","status":"active","criteria":"DiagnosticReport?status=completed",
       "channel":{"type":"rest-hook","endpoint":"%[2]s/webhook",
                  "header":["Authorization: Bearer secret-token-abc-123"]},
       "extension":[{"url":"https://www.medplum.com/fhir/StructureDefinition/subscription-secret","valueString":"%[3]s"}]}'

2. Write a report that matches, and watch it arrive below:

curl -X POST %[1]s/DiagnosticReport \
  -H 'Content-Type: application/fhir+json' \
  -d '{"resourceType":"DiagnosticReport","status":"completed","code":{"text":"Full blood count"}}'

3. Read what is stored, and search for it:

curl '%[1]s/DiagnosticReport?status=completed&_pretty=true'

`
