package audit

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/rest"
)

// Options are what a Log is made of. Dir must be set.
type Options struct {
	Dir string // of the files; it is made
	// Writes keeps only what changes something, what only administrators may, and what was refused for want of a right.
	Writes bool
	Sync   bool          // Record waits until what it keeps is durable
	Keep   time.Duration // how long, by whole days (UTC); 0: for ever
	Ring   Ring          // encrypts what is kept; nil: it is not
	// Opens decrypts what was encrypted before, where Ring is nil.
	Opens Ring
	Log   *slog.Logger     // nil: silent
	Now   func() time.Time // nil: time.Now

	syncEvery time.Duration // 0: half a second
	gather    time.Duration // that a line waits for others to be written with; 0: 20 ms
	mostBytes int           // that may wait to be written; 0: 4 MiB
}

// Log keeps deeds. It implements rest.Auditor, and is safe for concurrent use.
type Log struct {
	o Options

	wake chan struct{} // capacity 1, never closed: there is something to write, or somebody waits for it to be durable

	mu       sync.Mutex // guards what follows; not held over I/O
	moved    sync.Cond  // one of the numbers below changed, or err, or ended
	pending  []piece    // in order of days
	size     int        // bytes of pending
	last     time.Time  // of the newest line: times never go back
	recorded int64      // lines that Record took
	written  int64      // of them, those that are in their file
	synced   int64      // of them, those that are durable
	waiting  int        // Records that wait for synced
	reading  int        // readers that wait for written
	err      error      // why nothing can be written at present
	ended    bool       // nothing is taken any more
	finished bool       // and nothing written

	// The rest is Run's.
	file    *os.File
	day     string // of file
	offset  int64  // its end
	expired string // the day on which old ones were last looked for
}

var _ rest.Auditor = (*Log)(nil)

// piece is lines of one day that wait to be written.
type piece struct {
	day   string
	text  []byte
	lines int64
}

// Open opens the files of a folder. What a crash left unfinished at their ends is cut off, and said in the log.
func Open(o Options) (*Log, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.syncEvery <= 0 {
		o.syncEvery = time.Second / 2
	}
	if o.gather <= 0 {
		o.gather = 20 * time.Millisecond
	}
	if o.mostBytes <= 0 {
		o.mostBytes = 4 << 20
	}
	if o.Opens == nil {
		o.Opens = o.Ring
	}
	l := &Log{o: o, wake: make(chan struct{}, 1)}
	l.moved.L = &l.mu
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the audit trail: %w", err)
	}
	all, err := days(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the audit trail: %w", err)
	}
	for _, day := range all {
		cut, err := repair(pathOf(o.Dir, day))
		if err != nil {
			return nil, fmt.Errorf("open the audit trail: %w", err)
		}
		if cut > 0 {
			o.Log.Warn("audit.repaired", "file", day+suffix, "bytes", cut)
		}
	}
	if len(all) > 0 {
		if l.last, err = lastTime(pathOf(o.Dir, all[len(all)-1])); err != nil {
			return nil, fmt.Errorf("open the audit trail: %w", err)
		}
	}
	return l, nil
}

// wants tells whether a deed is kept.
func (l *Log) wants(d rest.Deed) bool {
	return !l.o.Writes || d.Writes || d.Admin || d.Who != nil && d.From != d.Who.Tenant || d.Status == http.StatusUnauthorized || d.Status == http.StatusForbidden
}

// Ready implements rest.Auditor.
func (l *Log) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return nil
	}
	return &fhir.Error{
		Kind:       fhir.Unavailable,
		Diagnostic: "the server can't write its audit trail at present, and does nothing that it couldn't account for: repeat the request later, or ask its operator to look at the disk",
		Err:        l.err,
	}
}

// Record implements rest.Auditor. While more waits to be written than may, it waits; with Sync, until what it was given is
// durable, or can't be for now: then it stays in memory, and Ready fails.
func (l *Log) Record(deeds []rest.Deed) {
	type kept struct {
		tenant  string
		payload []byte
	}
	lines := make([]kept, 0, len(deeds))
	for _, d := range deeds {
		if l.wants(d) {
			r, tenant := rowOf(d)
			lines = append(lines, kept{tenant, r.payload(tenant, l.o.Ring)})
		}
	}
	if len(lines) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.size > l.o.mostBytes && l.err == nil && !l.ended {
		l.moved.Wait()
	}
	if l.ended {
		l.o.Log.Error("audit.lost", "deeds", len(lines), "reason", "recorded after the end")
		return
	}
	now := fhir.Millis(l.o.Now())
	if now.Before(l.last) {
		now = l.last
	}
	l.last = now
	day := dayOf(now)
	if n := len(l.pending); n == 0 || l.pending[n-1].day != day {
		l.pending = append(l.pending, piece{day: day})
	}
	p := &l.pending[len(l.pending)-1]
	before := len(p.text)
	for _, k := range lines {
		p.text = appendLine(p.text, now, k.tenant, k.payload)
	}
	p.lines += int64(len(lines))
	l.size += len(p.text) - before
	l.recorded += int64(len(lines))
	if len(l.pending) == 1 && before == 0 || l.o.Sync || l.size > l.o.mostBytes/2 {
		l.call()
	}
	if !l.o.Sync {
		return
	}
	l.waiting++
	defer func() { l.waiting-- }()
	for mine := l.recorded; l.synced < mine && l.err == nil && !l.ended; {
		l.moved.Wait()
	}
}

// call wakes Run.
func (l *Log) call() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// settle waits until what was recorded before can be read.
func (l *Log) settle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.moved.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written < l.recorded {
		l.call()
	}
	l.reading++
	defer func() { l.reading-- }()
	for before := l.recorded; l.written < before && !l.finished && l.err == nil && ctx.Err() == nil; {
		l.moved.Wait()
	}
	return ctx.Err()
}

// Stats is a picture of a Log.
type Stats struct {
	Recorded int64 // deeds since the start
	Waiting  int   // bytes that are not written yet
	Failing  bool  // nothing can be written at present
}

// Stats returns a picture; that of a nil Log is empty.
func (l *Log) Stats() Stats {
	if l == nil {
		return Stats{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Recorded: l.recorded, Waiting: l.size, Failing: l.err != nil}
}
