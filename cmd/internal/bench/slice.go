package bench

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// Slice is one stretch of load.
type Slice struct {
	Rate   float64 // writes/s in open loop; 0: closed loop
	During time.Duration
	Most   int // writes in closed loop; 0: no limit
}

// Of the time that the results of the last notifications take to be stored, and of how often memory is looked at.
const (
	settled    = 100 * time.Millisecond
	watchEvery = 20 * time.Millisecond
	countEvery = 20 * time.Millisecond
)

// Run makes one slice: it lets the load write, waits until everything that is owed has come, for so long as Drain says,
// and tells what was measured.
func (a *Arm) Run(ctx context.Context, s Slice) (Result, error) {
	if _, err := a.receivers.do(order{Collect: true}, nil); err != nil {
		return Result{}, err
	}
	before, err := a.use()
	if err != nil {
		return Result{}, err
	}
	peak := a.watch()
	began := time.Now()
	tell := func(doing string, written, came int) {
		a.setup.Progress(Progress{a.Name, doing, time.Since(began), written, came})
	}
	loaded, err := a.load.do(order{Load: &loadOrder{s.Rate, s.During, s.Most}}, func(so answer) {
		if came, err := a.receivers.do(order{Count: true}, nil); err == nil { // else the next order shows it
			tell("writing", so.Written, came.Came.Messages)
		}
	})
	if err != nil {
		peak()
		return Result{}, a.explained(err)
	}
	owed := 0
	for _, one := range loaded.Acks {
		if !one.Quiet {
			owed += a.Knobs.Owed()
		}
	}
	if err := a.drain(ctx, owed, func(came int) { tell("draining", loaded.Written, came) }); err != nil {
		peak()
		return Result{}, a.explained(err)
	}
	if a.process != nil {
		if err := pause(ctx, settled); err != nil {
			peak()
			return Result{}, err
		}
	}
	top := peak()
	after, err := a.use()
	if err != nil {
		return Result{}, err
	}
	collected, err := a.receivers.do(order{Collect: true}, nil)
	if err != nil {
		return Result{}, err
	}
	r := judge(began.UnixNano(), loaded.Acks, collected.Came, a.Knobs.Owed())
	if before != nil && after != nil {
		r.Use = &Use{
			CPU: (after.cpu - before.cpu).Seconds(), Beside: (after.beside - before.beside).Seconds(),
			Anonymous: top.Anonymous, File: top.File, Growth: after.size - before.size, Ready: a.ready.Seconds(),
		}
	}
	return r, nil
}

// drain waits until so many messages came, or for as long as is allowed: what is missing then shows as lost.
func (a *Arm) drain(ctx context.Context, owed int, tell func(came int)) error {
	until := time.Now().Add(a.setup.Drain)
	for n := 0; time.Now().Before(until); n++ {
		got, err := a.receivers.do(order{Count: true}, nil)
		if err != nil {
			return err
		}
		if got.Came.Messages >= owed {
			return nil
		}
		if n%10 == 0 {
			tell(got.Came.Messages)
		}
		if err := pause(ctx, countEvery); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// used is what an arm has used up at a moment.
type used struct {
	cpu, beside time.Duration
	size        int64
}

// use reads it; nil where it can't be known: of a target, and where there is no /proc.
func (a *Arm) use() (*used, error) {
	if a.process == nil {
		return nil, nil //nolint:nilnil // not known is an ordinary answer
	}
	var u used
	var err error
	if u.cpu, err = a.process.CPU(); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // the same
	} else if err != nil {
		return nil, err
	}
	for _, w := range []*Worker{a.load, a.receivers} {
		cpu, err := w.CPU()
		if err != nil {
			return nil, err
		}
		u.beside += cpu
	}
	u.size, err = folderSize(a.data)
	return &u, err
}

// watch looks at the process's anonymous memory, again and again until the function that it returns is called for the most.
func (a *Arm) watch() (end func() Memory) {
	if a.process == nil {
		return func() Memory { return Memory{} }
	}
	stop, most := make(chan struct{}), make(chan Memory)
	go func() { // until stop is closed
		var top Memory
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			if m, err := a.process.Memory(); err == nil { // gone: the next order shows it
				top.Anonymous, top.File = max(top.Anonymous, m.Anonymous), max(top.File, m.File)
			}
			select {
			case <-tick.C:
			case <-stop:
				most <- top
				return
			}
		}
	}()
	return func() Memory {
		close(stop)
		return <-most
	}
}

// folderSize is the length of all files of a folder together.
func folderSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		return err
	})
	return size, err
}
