// Command fhirhook is the server, the receiver for developers and the operator's tools in one binary.
//
// Main only turns flags, environment and the configuration file into options, and signals into the end of a
// context; package app wires. Exit codes: 0 stopped cleanly, 1 failure at run time, 2 bad usage or
// configuration, with every problem named.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/client"
	"fhirhook/fhir/auth"
)

// version is set by the linker (Makefile).
var version = "dev"

const (
	exitFailure = 1
	exitUsage   = 2
)

// commands is the whole command line; each field's tags are its help.
type commands struct {
	Config        string           `help:"YAML file with the flags of the command as keys, and the sections dialects, auth and endpoints." placeholder:"FILE" type:"path"`
	Serve         serveCmd         `cmd:"" help:"Run the server."`
	Listen        listenCmd        `cmd:"" help:"Run a receiver that prints and verifies notifications, and can misbehave."`
	Demo          demoCmd          `cmd:"" help:"Run a server with a receiver beside it, and print commands to try."`
	Explain       explainCmd       `cmd:"" help:"Run a search on a running server and print how it was done."`
	Dialects      dialectsCmd      `cmd:"" help:"List the dialects, and print what each sends."`
	Subscriptions subscriptionsCmd `cmd:"" help:"List a running server's Subscriptions, with their backlogs and troubles."`
	Deliveries    deliveriesCmd    `cmd:"" help:"List what a running server owed, tried and was answered."`
	Redeliver     redeliverCmd     `cmd:"" help:"Let a running server send notifications again."`
	Ping          pingCmd          `cmd:"" help:"Let a running server send a test notification."`
	Import        importCmd        `cmd:"" help:"Bring NDJSON files and Bundles into a data folder or a running server."`
	Token         tokenCmd         `cmd:"" help:"Make, list and revoke the tokens of a data folder."`
	Rekey         rekeyCmd         `cmd:"" help:"Give a data folder another key for what is encrypted in it."`
	Bench         benchCmd         `cmd:"" help:"Measure a server, and the least that could keep the same promises, on this machine."`
	BenchRole     benchRoleCmd     `cmd:"" hidden:"" help:"A process of bench."`
	Check         checkCmd         `cmd:"" help:"Prove the integrity of a data folder that no server is using."`
	Compact       compactCmd       `cmd:"" help:"Write the files of a data folder that no server is using anew, as small as they can be."`
	Health        healthCmd        `cmd:"" help:"Succeed if a running server is ready: for containers and scripts."`
	Version       versionCmd       `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// streams is where a command writes.
type streams struct{ out, err io.Writer }

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cli commands
	exited := -1
	var read values
	parser, err := kong.New(&cli, append(read.options(),
		kong.Name("fhirhook"),
		kong.Description("A FHIR R4 Subscription server: resources in, signed and recorded notifications out."),
		kong.DefaultEnvars("FHIRHOOK"),
		kong.UsageOnError(),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams{stdout, stderr}),
	)...)
	if err != nil {
		fmt.Fprintln(stderr, "fhirhook:", err)
		return exitFailure
	}
	file, err := configOf(args)
	if err != nil {
		fmt.Fprintln(stderr, "fhirhook:", err)
		return exitUsage
	}
	var own ownDialects
	var access auth.Config
	var at origins
	if file != nil {
		own, access, at = file.dialects, file.access, file.origins
		if err := kong.Resolvers(file).Apply(parser); err != nil {
			fmt.Fprintln(stderr, "fhirhook:", err)
			return exitUsage
		}
	}
	if err := kong.Bind(own, access, at).Apply(parser); err != nil {
		fmt.Fprintln(stderr, "fhirhook:", err)
		return exitFailure
	}
	chosen, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	var wrong []error
	if err != nil {
		wrong = append(wrong, err)
		if parsing, ok := errors.AsType[*kong.ParseError](err); ok {
			chosen = parsing.Context // as far as it got
		}
	}
	if chosen != nil {
		wrong = append(read.problems(chosen), wrong...)
	}
	if file != nil && chosen != nil && chosen.Command() != "" {
		wrong = append(wrong, file.wrong, file.unknown(chosen)) // nil is left out by Join
	}
	if errors.Join(wrong...) != nil {
		if c, ok := checkable(chosen); ok && err == nil {
			wrong = append(wrong, c.check(streams{stdout, stderr}, own, access, at))
		}
		fmt.Fprintf(stderr, "fhirhook: %v\nTry: fhirhook --help\n", errors.Join(wrong...))
		return exitUsage
	}
	return report(chosen.Run(), stderr)
}

// checker is a command that can name the problems of its flags without running.
type checker interface {
	check(streams, ownDialects, auth.Config, origins) error
}

func checkable(chosen *kong.Context) (checker, bool) {
	if chosen == nil || chosen.Selected() == nil {
		return nil, false
	}
	c, ok := chosen.Selected().Target.Addr().Interface().(checker)
	return c, ok
}

// report prints an error once and says how the process ends.
func report(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, app.ErrConfiguration), errors.Is(err, client.ErrUsage):
		fmt.Fprintf(stderr, "fhirhook: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "fhirhook: %v\n", err)
		return exitFailure
	}
}
