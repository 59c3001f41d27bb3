package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/profile"
	"fhirhook/fhir/auth"
)

// Defaults that the demo shares with the flags below.
const (
	defaultOffAfter = 72 * time.Hour
	defaultDrain    = 20 * time.Second
)

// serveCmd is `fhirhook serve`.
type serveCmd struct {
	Listen              string        `help:"Address to listen on." default:"127.0.0.1:8080"`
	Data                string        `help:"Folder of the embedded store; it is made if it isn't there." default:"./data" type:"path"`
	BaseURL             string        `help:"URL of the server as clients see it, as in https://fhir.example.org/fhir/R4; used in every absolute URL that is written. Default: from the Host header."`
	TrustedProxy        []string      `help:"CIDR of a proxy whose X-Forwarded-* headers count (repeatable)." placeholder:"CIDR"`
	Dev                 bool          `help:"For development: endpoints may be http and on loopback. Opens nothing else."`
	AllowEndpoint       []string      `help:"Let Subscriptions reach this private address range or host (repeatable)." placeholder:"CIDR|HOST[:PORT]"`
	AllowHTTP           []string      `name:"allow-http" help:"Let Subscriptions reach this range or host without TLS (repeatable)." placeholder:"CIDR|HOST"`
	Dialect             string        `help:"Dialect of Subscriptions that name none." default:"kit"`
	SearchParameters    string        `help:"Folder with SearchParameter resources (JSON files, Bundles or NDJSON) that count beside R4's." placeholder:"DIR" type:"path"`
	ErrorAfter          string        `help:"When a Subscription that fails shows status error: consecutive failures, unbroken time." default:"10,1h"`
	OffAfter            time.Duration `help:"Unbroken failure after which a Subscription is switched off." default:"72h"`
	EndpointConcurrency int           `help:"Requests that may be under way to one endpoint origin (scheme, host, port) at a time, over all Subscriptions; 0: no limit." default:"64"`
	EndpointRate        float64       `help:"Requests that one endpoint origin is sent in a second, over all Subscriptions; 0: no limit." default:"0"`
	KeepAttempts        time.Duration `help:"How long attempts are kept, by whole days." default:"720h"`
	KeepHistory         time.Duration `help:"How long versions of resources are kept after they were replaced, at least 1h; 0: for ever. What is owed to a Subscription stays until it isn't." default:"0"`
	MaxBody             int64         `help:"Largest request body for one resource, in bytes." default:"8388608"`
	MaxBundle           int64         `help:"Largest request body for a batch or transaction, in bytes." default:"67108864"`
	DeleteMultiple      bool          `help:"Let a conditional DELETE (DELETE [base]/Type?…) delete every match; without it more than one match is a 412."`
	EncryptResources    bool          `help:"Encrypt the JSON of everything that is stored, not only of Subscriptions, which hold secrets. The search index and what receivers answered stay readable."`
	keyFlags            `embed:""`
	inboundFlags        `embed:""`
	outboundFlags       `embed:""`
	Audit               string        `help:"Which requests the audit trail keeps: off, writes (and what was refused), all, or auto: all where callers authenticate, else off." default:"auto"`
	AuditSync           bool          `help:"Answer no request before what it did is durable in the audit trail."`
	KeepAudit           time.Duration `help:"How long the audit trail is kept, by whole days; 0: for ever." default:"2160h"`
	Validation          string        `help:"How much of a resource is checked: off, structure, or strict, which adds required elements and codes." default:"structure"`
	Drain               time.Duration `help:"How long a stop waits for what is under way." default:"20s"`
	Pprof               string        `help:"Loopback address on which to serve profiles of the process, as in 127.0.0.1:6060; empty: none." placeholder:"HOST:PORT"`
	LogLevel            string        `help:"debug, info, warn or error." default:"info"`
}

// options turns the flags into what app takes; app names the problems.
func (c *serveCmd) options(s streams, own ownDialects, access auth.Config, at origins) app.Options {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // checkLogLevel tells of what it can't read
	return app.Options{
		Listen: c.Listen, Data: c.Data, Keys: c.keys(), EncryptResources: c.EncryptResources, BaseURL: c.BaseURL, TrustedProxies: c.TrustedProxy,
		Dev: c.Dev, AllowEndpoints: c.AllowEndpoint, AllowHTTP: c.AllowHTTP,
		Dialect: c.Dialect, Dialects: own, Auth: access, SearchParameters: c.SearchParameters, ErrorAfter: c.ErrorAfter, OffAfter: c.OffAfter, KeepAttempts: c.KeepAttempts,
		EndpointConcurrency: c.EndpointConcurrency, EndpointRate: c.EndpointRate,
		MaxBody: c.MaxBody, MaxBundle: c.MaxBundle, Validation: c.Validation, DeleteMultiple: c.DeleteMultiple, Drain: c.Drain, Version: version, Inbound: c.inbound(c.Data), Outbound: c.outbound(at),
		Auditing: app.Auditing{Audit: c.Audit, AuditSync: c.AuditSync, KeepAudit: c.KeepAudit},
		History:  app.History{KeepHistory: c.KeepHistory},
		Log:      slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level})),
	}
}

// check implements checker.
func (c *serveCmd) check(s streams, own ownDialects, access auth.Config, at origins) error {
	return errors.Join(c.options(s, own, access, at).Check(), c.checkOwn())
}

// checkOwn looks at the flags that app doesn't see.
func (c *serveCmd) checkOwn() error { return errors.Join(c.checkPprof(), c.checkLogLevel()) }

// checkLogLevel is no enum tag: kong ends at the first value that breaks one, and the other problems would go untold.
func (c *serveCmd) checkLogLevel() error {
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
		return nil
	}
	return fmt.Errorf("%w: --log-level %q: write debug, info, warn or error", app.ErrConfiguration, c.LogLevel)
}

func (c *serveCmd) checkPprof() error {
	if c.Pprof == "" {
		return nil
	}
	if err := profile.Check(c.Pprof); err != nil {
		return fmt.Errorf("%w: --pprof %w", app.ErrConfiguration, err)
	}
	return nil
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, s streams, own ownDialects, access auth.Config, at origins) (err error) {
	app.TuneCollector()
	if c.checkOwn() != nil {
		return c.check(s, own, access, at) // with every other problem
	}
	lines := func(base string) { fmt.Fprintf(s.out, "fhirhook %s serves %s\n", version, base) }
	if c.Pprof != "" { // from the beginning, for a start can take long, too
		profiles, failed := profile.Serve(ctx, c.Pprof)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, profiles.Close()) }()
		first := lines
		lines = func(base string) { first(base); fmt.Fprintln(s.out, "profiles:", profiles.URL) }
	}
	var server *app.Server
	o := c.options(s, own, access, at)
	o.Ready = func() { lines(server.BaseURL()) }
	if server, err = app.New(ctx, o); err != nil {
		return err
	}
	return server.Run(ctx)
}
