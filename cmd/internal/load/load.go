package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Run imports the files one by one. The error is what stopped it; records and entries that were refused are no
// error, but counted, and told one by one.
func Run(ctx context.Context, o Options) (Report, error) {
	o = o.withDefaults()
	s, err := readState(o.State)
	if err != nil {
		return Report{}, err
	}
	l := loader{Options: o, state: s}
	defer o.Progress.end()
	var broken []error
	for _, path := range o.Files {
		err := l.file(ctx, path)
		if stop, ok := errors.AsType[stopped](err); ok {
			return l.report, stop.error
		}
		if err != nil {
			broken = append(broken, err) // this file can't be read on; the others can
		}
	}
	return l.report, errors.Join(broken...)
}

// stopped wraps an error that ends the whole import, and not only one file's.
type stopped struct{ error }

// loader is one import.
type loader struct {
	Options
	state  *state
	report Report
}

// batch is what is sent at once, with what couldn't be read between it and the batch before.
type batch struct {
	entries  []entry
	atomic   bool
	problems []problem
	records  int   // of the file, from its beginning, that are done behind this batch
	read     int64 // bytes of the file
	bytes    int
	keys     map[string]bool // Type/id of what is written
	unknown  bool            // something is written that keys doesn't name
	err      error           // what ended the reading
}

// problem is why something isn't imported.
type problem struct {
	at   place
	text string
}

// file imports one file: one goroutine reads ahead, others send (flight.go).
func (l *loader) file(ctx context.Context, path string) (err error) {
	src, err := open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	key, err := stateKey(l.Name, path)
	if err != nil {
		return err
	}
	done := l.state.of(key, src)
	if l.Restart {
		done = progressOf{Size: src.size, Modified: src.modified}
	}
	if done.Done {
		l.report.Skipped++
		l.Progress.line(l.Errors, path+": imported before; --restart imports it again")
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan batch, 1) // one read ahead; the reader closes it
	var reading sync.WaitGroup
	reading.Go(func() { // stops at the file's end, or when ctx ends
		defer close(batches)
		r := batcher{Options: l.Options, src: src, out: batches}
		r.run(ctx, done.Records)
	})
	defer reading.Wait()
	f := flights{loader: l, key: key, src: src, done: done}
	defer f.sending.Wait()
	defer cancel()
	var failed error
	for b := range batches {
		if b.err != nil {
			failed = b.err
		}
		if err := f.launch(ctx, b); err != nil {
			return stopped{err}
		}
	}
	if err := errors.Join(f.land(0), ctx.Err()); err != nil {
		return stopped{err}
	}
	if failed != nil {
		return fmt.Errorf("%s: %w", path, failed)
	}
	l.Progress.update(path, src.size, src.size, l.report, true)
	f.done.Done = true
	if err := l.state.save(key, f.done); err != nil {
		return stopped{err}
	}
	return nil
}

// refused tells of something that isn't imported.
func (l *loader) refused(at place, text string) error {
	l.report.Failed++
	l.Progress.line(l.Errors, at.String()+": "+text)
	if l.report.Failed >= l.MaxErrors {
		return fmt.Errorf("given up after %d errors (--max-errors)", l.report.Failed)
	}
	return nil
}

// batcher reads a file and makes batches of it.
type batcher struct {
	Options
	src *source
	out chan<- batch
	now batch
	n   int // records read
}

func (b *batcher) run(ctx context.Context, skip int) {
	text := records{text: b.src.text, most: b.MaxRecord}
	entries := reader{path: b.src.path, depth: b.MaxDepth}
	for ctx.Err() == nil {
		rec, err := text.next()
		if err != nil && !errors.Is(err, errTooLong) {
			if !errors.Is(err, io.EOF) {
				b.now.err = fmt.Errorf("line %d: %w", rec.line, err)
			}
			b.flush(ctx)
			return
		}
		b.n++
		if b.n <= skip {
			continue
		}
		at := place{b.src.path, rec.line, none, ""}
		if err != nil {
			b.now.problems = append(b.now.problems, problem{at, fmt.Sprintf("the line has more than %d bytes (--max-record)", b.MaxRecord)})
			b.now.records = b.n
			continue
		}
		g, err := entries.group(rec, b.n)
		if err != nil {
			b.now.problems = append(b.now.problems, problem{at, err.Error()})
			b.now.records = b.n
			if len(b.now.problems) >= b.MaxErrors {
				b.flush(ctx)
			}
			continue
		}
		b.add(ctx, g)
		b.now.records = b.n
	}
}

// add puts a record's entries into the batch that is being made. A batch writes no resource twice, for a
// transaction can't, and their order counts.
func (b *batcher) add(ctx context.Context, g group) {
	if g.atomic {
		b.flush(ctx)
		b.now.entries, b.now.atomic, b.now.records = g.entries, true, b.n
		b.flush(ctx)
		return
	}
	for _, e := range g.entries {
		full := len(b.now.entries) >= b.Batch || b.now.bytes+len(e.json) > b.BatchBytes
		if len(b.now.entries) > 0 && (full || b.now.keys[e.key]) {
			b.now.records = b.n - 1
			b.flush(ctx)
		}
		if b.now.keys == nil {
			b.now.keys = make(map[string]bool, b.Batch)
		}
		if e.key != "" {
			b.now.keys[e.key] = true
		} else {
			b.now.unknown = true
		}
		b.now.entries = append(b.now.entries, e)
		b.now.bytes += len(e.json)
	}
}

// flush hands the batch on.
func (b *batcher) flush(ctx context.Context) {
	if len(b.now.entries) == 0 && len(b.now.problems) == 0 && b.now.err == nil {
		return
	}
	b.now.read = b.src.read.Load()
	if b.now.err != nil {
		b.now.records = b.n
	}
	select {
	case b.out <- b.now:
	case <-ctx.Done():
	}
	b.now = batch{}
}
