package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Started is one slice of a run that measures starts: the same server twice, first with nothing of its folder in the
// kernel's page cache, then with what that start has read.
type Started struct {
	Cold Ready `json:"cold"`
	Warm Ready `json:"warm"`
}

// Ready is how a server was when it was ready.
type Ready struct {
	Seconds   float64 `json:"seconds"` // from its start until /readyz answered 200
	CPU       float64 `json:"cpuSeconds"`
	Anonymous int64   `json:"anonymousBytes"`
	File      int64   `json:"mappedFileBytes"`
	Lanes     float64 `json:"lanes"` // that have something to send
}

// askEvery is how often a server that starts is asked whether it is ready.
const askEvery = 5 * time.Millisecond

// newStartArm prepares an arm that only starts servers.
func newStartArm(ctx context.Context, name string, kind Kind, k Knobs, s Setup) (_ *Arm, err error) {
	a := &Arm{Name: name, Kind: kind, Knobs: k, setup: s, remove: func(context.Context) error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close(ctx))
		}
	}()
	if err := a.open(); err != nil {
		return nil, err
	}
	if _, err := a.folder(); err != nil {
		return nil, err
	}
	if err := a.prepare(ctx); err != nil {
		return nil, a.explained(err)
	}
	return a, nil
}

// startTwice makes one slice.
func (a *Arm) startTwice(ctx context.Context) (Result, error) {
	s := new(Started)
	r := Result{Start: s, Write: &Histogram{}, Commit: &Histogram{}, FromDue: &Histogram{}}
	if err := forgetFolder(a.data); err != nil {
		return r, fmt.Errorf("empty the page cache: %w", err)
	}
	for _, one := range []*Ready{&s.Cold, &s.Warm} {
		var err error
		if *one, err = a.start(ctx); err != nil {
			return r, a.explained(err)
		}
	}
	return r, nil
}

// start starts the server, looks at it as soon as it is ready, and stops it.
func (a *Arm) start(ctx context.Context) (r Ready, err error) {
	a.setup.Progress(Progress{Arm: a.Name, Doing: "starting"})
	began := time.Now()
	p, err := Start(ctx, a.setup.Serve(a.data), a.log)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	for status := 0; status != http.StatusOK; {
		if status != 0 {
			if err := pause(ctx, askEvery); err != nil {
				return r, err
			}
		}
		if status, _, err = p.get(ctx, "/readyz"); err != nil {
			return r, err
		}
	}
	r.Seconds = time.Since(began).Seconds()
	m, err := p.Memory()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	cpu, err := p.CPU()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r.Anonymous, r.File, r.CPU = m.Anonymous, m.File, cpu.Seconds()
	r.Lanes, err = p.metric(ctx, "fhirhook_lanes_active")
	return r, err
}

// forgetFolder takes the files of a folder out of the page cache.
func forgetFolder(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(forgetFile(file), file.Close())
	})
}

// startMetrics are what a run of starts tells.
var startMetrics = func() []metric {
	const mib = 1 << 20
	var all []metric
	for _, one := range []struct {
		name string
		of   func(*Started) Ready
	}{
		{"cold page cache", func(s *Started) Ready { return s.Cold }},
		{"warm page cache", func(s *Started) Ready { return s.Warm }},
	} {
		add := func(name, unit string, of func(Ready) float64) {
			all = append(all, metric{name: name + ", " + one.name, unit: unit, start: true, of: func(_ Knobs, r Result) (float64, bool) {
				if r.Start == nil {
					return 0, false
				}
				return of(one.of(r.Start)), true
			}})
		}
		add("start until ready", "s", func(r Ready) float64 { return r.Seconds })
		add("CPU until ready", "s", func(r Ready) float64 { return r.CPU })
		add("anonymous memory when ready", "MiB", func(r Ready) float64 { return float64(r.Anonymous) / mib })
		add("mapped file pages when ready", "MiB", func(r Ready) float64 { return float64(r.File) / mib })
		add("lanes with something to send when ready", "", func(r Ready) float64 { return r.Lanes })
	}
	return all
}()
