package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fhirhook/fhir/store/durable"
)

// Run writes what is recorded until ctx ends; then nothing may be recorded any more, and all of it is durable when Run
// returns. It can be called once. Its error says what could not be written at the end.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(l.o.syncEvery)
	defer tick.Stop()
	l.expire()
	var gathered <-chan time.Time // nil: nothing waits
	for {
		select {
		case <-ctx.Done():
			l.mu.Lock()
			l.ended = true
			l.mu.Unlock()
			l.flush(true)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.finished = true
			l.moved.Broadcast()
			err := l.err
			if l.file != nil {
				err = errors.Join(err, l.file.Close())
			}
			return err
		case <-l.wake:
			if l.urgent() {
				l.flush(false)
			} else if gathered == nil {
				gathered = time.After(l.o.gather)
			}
		case <-gathered:
			gathered = nil
			l.flush(false)
		case <-tick.C:
			l.flush(true)
			l.expire()
		}
	}
}

// urgent tells that somebody waits for what is pending, or that it is much.
func (l *Log) urgent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting+l.reading > 0 || l.size > l.o.mostBytes/2
}

// flush writes what is pending, and makes it durable if it is time for that or somebody waits for it.
func (l *Log) flush(durable bool) {
	l.mu.Lock()
	pending, waiting := l.pending, l.waiting > 0
	l.pending, l.size = nil, 0
	dirty := l.synced < l.recorded
	failing := l.err != nil
	l.mu.Unlock()
	if !dirty || failing && !durable {
		l.restore(pending)
		return
	}
	var err error
	for len(pending) > 0 && err == nil {
		if err = l.write(pending[0]); err == nil {
			pending = pending[1:]
		}
	}
	l.restore(pending)
	if err == nil && (durable || waiting) && l.file != nil {
		var upTo int64
		l.mu.Lock()
		upTo = l.written
		l.mu.Unlock()
		if err = l.file.Sync(); err == nil {
			l.mu.Lock()
			l.synced = upTo
			l.mu.Unlock()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if (err == nil) != (l.err == nil) {
		if err != nil {
			l.o.Log.Error("audit.failing", "error", err)
		} else {
			l.o.Log.Info("audit.recovered")
		}
	}
	l.err = err
	l.moved.Broadcast()
	if l.waiting > 0 && l.synced < l.recorded && err == nil {
		l.call() // they came meanwhile
	}
}

// restore puts what was not written before what came since.
func (l *Log) restore(pending []piece) {
	if len(pending) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(pending, l.pending...)
	for _, p := range pending {
		l.size += len(p.text)
	}
}

// write appends to the file of a day. What could be written only in part is taken back.
func (l *Log) write(p piece) error {
	if l.file == nil || l.day != p.day {
		if err := l.turn(p.day); err != nil {
			return err
		}
	}
	if l.offset+int64(len(p.text)) > mostOffset {
		return fmt.Errorf("%s has grown too large", p.day+suffix)
	}
	if _, err := l.file.WriteAt(p.text, l.offset); err != nil {
		return errors.Join(err, l.file.Truncate(l.offset))
	}
	l.offset += int64(len(p.text))
	l.mu.Lock()
	l.written += p.lines
	l.moved.Broadcast()
	l.mu.Unlock()
	return nil
}

// turn goes to the file of another day, once the one before is durable.
func (l *Log) turn(day string) error {
	if l.file != nil {
		if err := l.file.Sync(); err != nil {
			return err
		}
		_ = l.file.Close() // it is durable
		l.file = nil
	}
	f, err := os.OpenFile(pathOf(l.o.Dir, day), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = durable.Folder(l.o.Dir)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.day, l.offset = f, day, info.Size()
	return nil
}

// expire drops the days that ended so long ago that they need not be kept, once a day.
func (l *Log) expire() {
	now := l.o.Now().UTC()
	if l.o.Keep <= 0 || l.expired == dayOf(now) {
		return
	}
	all, err := days(l.o.Dir)
	for _, day := range all {
		if begin, _ := parseDay(day); begin.AddDate(0, 0, 1).After(now.Add(-l.o.Keep)) {
			break
		}
		err = errors.Join(err, os.Remove(filepath.Join(l.o.Dir, day+suffix)))
	}
	if err != nil {
		l.o.Log.Error("audit.expiry", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	l.expired = dayOf(now)
}
