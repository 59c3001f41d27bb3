package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/load"
	"fhirhook/fhir/rest"
)

// importCmd is `fhirhook import`.
type importCmd struct {
	Files []string `arg:"" name:"file" help:"NDJSON files and Bundles, plain or compressed by gzip or zstd." type:"existingfile"`

	Server string `help:"Import into this running server, as in http://127.0.0.1:8080/fhir/R4, and not into a data folder." placeholder:"URL"`
	Token  string `help:"With --server: bearer token; better set by FHIRHOOK_TOKEN, for command lines are seen by others." placeholder:"TOKEN"`
	Data   string `help:"Import into this folder, which no server is using; it is made if it isn't there." default:"./data" type:"path"`

	Notify    bool   `help:"Notify Subscriptions of what is imported; those in a data folder when a server next starts." negatable:"" default:"false"`
	Batch     int    `help:"Resources in a transaction." default:"1000"`
	State     string `help:"File that remembers how far the import is. Default: import.json in the data folder, or fhirhook-import.json here." type:"path" placeholder:"FILE"`
	Restart   bool   `help:"Begin anew, whatever that file says."`
	MaxRecord int64  `help:"Largest line or Bundle, in bytes." default:"67108864"`
	MaxErrors int    `help:"Give up after so many records that are refused." default:"1000"`

	keyFlags         `embed:""`
	EncryptResources bool `help:"With --data: encrypt everything that is stored, as for serve."`

	BaseURL       string   `help:"With --data: URL of the server as clients will see it."`
	Validation    string   `help:"With --data: how much of a resource is checked: off, structure or strict." default:"structure"`
	Dev           bool     `help:"With --data: endpoints of imported Subscriptions may be http and on loopback."`
	AllowEndpoint []string `help:"With --data: endpoints that imported Subscriptions may have, as for serve (repeatable)." placeholder:"CIDR|HOST[:PORT]"`
	AllowHTTP     []string `name:"allow-http" help:"With --data: endpoints that may be without TLS, as for serve (repeatable)." placeholder:"CIDR|HOST"`
	Dialect       string   `help:"With --data: dialect of Subscriptions that name none." default:"kit"`
}

// Run imports the files and prints what it did; what was refused is a failure.
func (c *importCmd) Run(ctx context.Context, s streams, own ownDialects) (err error) {
	began := time.Now()
	options, closing, err := c.options(ctx, s, own)
	if err != nil {
		return err
	}
	report, err := load.Run(ctx, options)
	err = errors.Join(err, closing())
	fmt.Fprintf(s.out, "imported %d resources, %d of them new, in %.1f s; %d refused\n",
		report.Resources(), report.Created, time.Since(began).Seconds(), report.Failed)
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted: the same command goes on where this one stopped")
	case err != nil:
		return err
	case report.Failed > 0:
		return fmt.Errorf("%d records were refused, and are listed above", report.Failed)
	default:
		return nil
	}
}

// options opens the target. closing gives it up.
func (c *importCmd) options(ctx context.Context, s streams, own ownDialects) (o load.Options, closing func() error, err error) {
	o = load.Options{
		Files: c.Files, State: c.State, Restart: c.Restart, Batch: c.Batch, MaxRecord: c.MaxRecord, MaxErrors: c.MaxErrors,
		Errors: s.err, Progress: load.NewProgress(s.err, terminal(s.err)),
	}
	closing = func() error { return nil }
	if c.Server != "" {
		u, err := url.Parse(c.Server)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
			return o, closing, fmt.Errorf("%w: --server %s must be an http or https URL, as in http://127.0.0.1:8080%s", app.ErrConfiguration, c.Server, rest.Prefix)
		}
		if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return o, closing, fmt.Errorf("%w: the token holds what no token does: white space, or something outside ASCII", app.ErrConfiguration)
		}
		o.Name, o.Target = c.Server, load.Remote{Base: c.Server, Token: c.Token, Notify: c.Notify}
		if o.State == "" {
			o.State = "fhirhook-import.json"
		}
		return o, closing, nil
	}
	app.TuneCollector()
	offline, err := app.OpenOffline(ctx, app.Options{
		Data: c.Data, Keys: c.keys(), EncryptResources: c.EncryptResources, BaseURL: c.BaseURL, Dev: c.Dev, AllowEndpoints: c.AllowEndpoint, AllowHTTP: c.AllowHTTP,
		Dialect: c.Dialect, Dialects: own, ErrorAfter: "10,1h", OffAfter: defaultOffAfter, Drain: defaultDrain, Validation: c.Validation,
		MaxBody: c.MaxRecord, MaxBundle: 2 * (c.MaxRecord + load.DefaultBatchBytes), Version: version,
		Log: slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return o, closing, err
	}
	o.Name, o.Target = c.Data, load.Local{Handler: offline, Base: offline.BaseURL(), Notify: c.Notify}
	if o.State == "" {
		o.State = filepath.Join(c.Data, "import.json")
	}
	return o, offline.Close, nil
}

// terminal tells whether a person is watching.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
