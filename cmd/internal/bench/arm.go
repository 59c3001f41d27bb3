package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Kind is what an arm measures.
type Kind string

// The kinds. A target runs already, somewhere.
const (
	KindServer Kind = "server"
	KindFloor  Kind = "floor"
	KindTarget Kind = "target"
)

// Setup is what all arms of a run share.
type Setup struct {
	// Serve is the command of a server on a folder, with extra flags, and Role that of a process that does ServeRole.
	Serve func(data string, extra ...string) *exec.Cmd
	Role  func(role, options string) *exec.Cmd
	// Import is the command of an import of files into a folder.
	Import func(data string, files ...string) *exec.Cmd

	Target, Token  string        // base URL of a running server, and its bearer token
	ReceiverListen string        // where receivers listen; "": on loopback
	ReceiverURL    string        // how the target reaches them; "": where they listen
	Drain          time.Duration // how long to wait for what is owed
	Profile        bool          // let processes serve profiles
	Progress       func(Progress)
}

// Progress is how far a slice is.
type Progress struct {
	Arm           string
	Doing         string
	Elapsed       time.Duration
	Writes        int
	Notifications int
}

// Arm is one side of a benchmark: processes that run until Close.
type Arm struct {
	Name  string
	Kind  Kind
	Knobs Knobs

	setup     Setup
	dir       string // of everything that is removed in the end
	data      string // "" for a target
	base      string
	ready     time.Duration
	profiles  string   // URL; "": none
	process   *Process // nil for a target
	load      *Worker
	receivers *Worker
	endpoint  string
	hanging   []string
	remove    func(context.Context) error
	log       *os.File
}

// StartArm starts the processes and creates the Subscriptions.
func StartArm(ctx context.Context, name string, kind Kind, k Knobs, s Setup) (_ *Arm, err error) {
	if kind == KindFloor && k.Hanging > 0 {
		return nil, errors.New("the floor knows no lanes: with --hanging, compare with --against hanging=0")
	}
	a := &Arm{Name: name, Kind: kind, Knobs: k, setup: s, remove: func(context.Context) error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close(ctx))
		}
	}()
	if err := a.open(); err != nil {
		return nil, err
	}
	if err := a.startReceivers(ctx); err != nil {
		return nil, a.explained(err)
	}
	switch kind {
	case KindTarget:
		a.base = s.Target
	case KindFloor:
		err = a.startFloor(ctx)
	default:
		err = a.startServer(ctx)
	}
	if err != nil {
		return nil, a.explained(err)
	}
	if kind != KindFloor {
		subscriber := newSubscriber(a.base, s.Token, func(done, all int) {
			s.Progress(Progress{Arm: name, Doing: fmt.Sprintf("%d of %d Subscriptions", done, all)})
		})
		a.remove = func(ctx context.Context) error { return subscriber.remove(ctx, kind == KindTarget) }
		if err := subscriber.create(ctx, k, a.endpoint, a.hanging); err != nil {
			return nil, a.explained(err)
		}
	}
	return a, a.startLoad(ctx)
}

// open makes the folder of everything that is removed in the end, and the log.
func (a *Arm) open() (err error) {
	if a.dir, err = os.MkdirTemp("", "fhirhook-bench-"); err != nil {
		return err
	}
	a.log, err = os.Create(filepath.Join(a.dir, "log"))
	return err
}

// explained adds what the processes have logged last.
func (a *Arm) explained(err error) error {
	text, _ := os.ReadFile(a.log.Name())
	if len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w\n%s", err, text[max(0, len(text)-2000):])
}

func (a *Arm) role(role string, options any) (*exec.Cmd, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return nil, err
	}
	return a.setup.Role(role, string(text)), nil
}

func (a *Arm) startReceivers(ctx context.Context) error {
	addr := a.setup.ReceiverListen
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	command, err := a.role(roleReceive, receiveRole{addr, ReceiversOptions{Delay: a.Knobs.Delay, Failures: a.Knobs.Failures, Hanging: a.Knobs.Hanging}})
	if err != nil {
		return err
	}
	if a.receivers, err = StartWorker(ctx, command, a.log); err != nil {
		return err
	}
	if a.endpoint = a.setup.ReceiverURL; a.endpoint == "" {
		a.endpoint = a.receivers.Base
	}
	for range a.Knobs.Hanging {
		url, err := a.receivers.Address()
		if err != nil {
			return err
		}
		a.hanging = append(a.hanging, url)
	}
	return nil
}

// folder makes the data folder. One that is to be kept must be a benchmark's, for it gets a great many resources.
func (a *Arm) folder() (string, error) {
	if a.Knobs.Data == "" {
		a.data = filepath.Join(a.dir, "data")
		return a.data, os.Mkdir(a.data, 0o700)
	}
	a.data = a.Knobs.Data
	mark := filepath.Join(a.data, markName)
	entries, err := os.ReadDir(a.data)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = os.MkdirAll(a.data, 0o700)
	case err == nil && len(entries) > 0:
		if _, err := os.Stat(mark); err != nil {
			return "", fmt.Errorf("%s holds something, and was not made by bench, which would write a great many resources into it: name an empty folder, or create the file %s in it", a.data, markName)
		}
		return a.data, nil
	}
	if err != nil {
		return "", err
	}
	return a.data, os.WriteFile(mark, []byte("fhirhook bench may write here.\n"), 0o600)
}

// markName is a file that says that a folder is a benchmark's.
const markName = "bench-may-write"

func (a *Arm) startServer(ctx context.Context) error {
	data, err := a.folder()
	if err != nil {
		return err
	}
	if err := a.prepare(ctx); err != nil {
		return err
	}
	var extra []string
	if a.setup.Profile {
		extra = append(extra, "--pprof", "127.0.0.1:0")
	}
	if err := a.run(ctx, a.setup.Serve(data, extra...)); err != nil || a.Knobs.Stored == 0 {
		return err
	}
	return a.process.caughtUp(ctx, func(doing string) { a.setup.Progress(Progress{Arm: a.Name, Doing: doing}) })
}

func (a *Arm) startFloor(ctx context.Context) error {
	floor := a.Knobs
	if floor.Data != "" {
		floor.Data = filepath.Join(floor.Data, "floor") // beside the server's files
	}
	a.Knobs.Data = floor.Data
	data, err := a.folder()
	if err != nil {
		return err
	}
	o := floorRole{Floor: FloorOptions{Data: data}}
	if n := a.Knobs.fanOut(); n > 0 {
		o.Floor.Endpoint, o.Floor.FanOut = a.endpoint, n
	}
	if a.setup.Profile {
		o.Pprof = "127.0.0.1:0"
	}
	command, err := a.role(roleFloor, o)
	if err != nil {
		return err
	}
	if _, err := command.StdinPipe(); err != nil { // closed with this process, so that the floor doesn't outlive it
		return err
	}
	return a.run(ctx, command)
}

// run starts what is measured.
func (a *Arm) run(ctx context.Context, command *exec.Cmd) (err error) {
	if a.process, err = Start(ctx, command, a.log); err != nil {
		return err
	}
	a.base, a.ready = a.process.Base, a.process.Ready
	if a.setup.Profile {
		a.profiles, err = a.process.Address()
	}
	return err
}

func (a *Arm) startLoad(ctx context.Context) error {
	body, err := Body(a.Knobs.Body, true)
	if err != nil {
		return err
	}
	quiet, err := Body(a.Knobs.Body, false)
	if err != nil {
		return err
	}
	command, err := a.role(roleLoad, loadRole{
		URL: a.base + "/DiagnosticReport", Body: body, Quiet: quiet, Match: a.Knobs.Match, Writers: a.Knobs.Writers,
	})
	if err != nil {
		return err
	}
	command.Env = append(command.Environ(), tokenVariable+"="+a.setup.Token) // not on the command line, which others see
	a.load, err = StartWorker(ctx, command, a.log)
	return err
}

// tokenVariable holds the load's bearer token.
const tokenVariable = "FHIRHOOK_BENCH_TOKEN"

// removing is how long a target has to remove its Subscriptions.
const removing = time.Minute

// Close ends all processes, and removes what isn't to be kept.
func (a *Arm) Close(ctx context.Context) error {
	var errs []error
	switch {
	case a.Kind == KindTarget: // also after an interrupt: it goes on without us
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), removing)
		defer cancel()
		errs = append(errs, a.remove(last))
	case a.Knobs.Data != "" && ctx.Err() == nil:
		errs = append(errs, a.remove(ctx))
	}
	if a.process != nil {
		if a.Knobs.Data == "" {
			errs = append(errs, a.process.Kill())
		} else {
			errs = append(errs, a.process.Stop())
		}
	}
	for _, w := range []*Worker{a.load, a.receivers} {
		if w != nil {
			errs = append(errs, w.Kill())
		}
	}
	if a.log != nil {
		a.log.Close()
	}
	if a.dir != "" {
		errs = append(errs, os.RemoveAll(a.dir))
	}
	return errors.Join(errs...)
}
