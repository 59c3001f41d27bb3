package resthook

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// lookAgain is how long certificates are trusted to be those of their files.
const lookAgain = 5 * time.Second

// way is transports that depend on files and are made anew when they change. Connections of the old ones carry what
// they have begun, and no new request.
type way struct {
	files []string
	build func() (lines, error)
	log   *slog.Logger

	mu       sync.Mutex // guards what follows
	lines    lines
	seen     []os.FileInfo // the files that lines were made of
	unusable []os.FileInfo // the files that none could be made of
	looked   time.Time
}

// newWay makes the first transports; its error says which file is at fault.
func newWay(files []string, log *slog.Logger, build func() (lines, error)) (*way, error) {
	w := &way{files: files, build: build, log: log, looked: time.Now(), seen: stat(files)}
	var err error
	w.lines, err = build()
	return w, err
}

// current are the transports to be used now.
func (w *way) current(now time.Time) lines {
	w.mu.Lock()
	those, seen, unusable := w.lines, w.seen, w.unusable
	due := len(w.files) > 0 && now.Sub(w.looked) >= lookAgain
	if due {
		w.looked = now
	}
	w.mu.Unlock()
	if !due {
		return those
	}
	found := stat(w.files)
	if same(found, seen) || same(found, unusable) {
		return those
	}
	fresh, err := w.build()
	if err != nil {
		w.log.Warn("certificates.unusable", "error", err, "consequence", "those read before stay in force")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.unusable = found
		return w.lines
	}
	w.log.Info("certificates.read", "files", w.files)
	w.lines.closeIdle()
	w.lines, w.seen, w.unusable = fresh, found, nil
	return w.lines
}

// close ends idle connections.
func (w *way) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines.closeIdle()
}

// stat looks at files; one that isn't there is nil.
func stat(files []string) []os.FileInfo {
	found := make([]os.FileInfo, len(files))
	for i, name := range files {
		if info, err := os.Stat(name); err == nil {
			found[i] = info
		}
	}
	return found
}

// same tells whether nothing has changed. A file that was replaced is another one, even with the same time.
func same(a, b []os.FileInfo) bool {
	return slices.EqualFunc(a, b, func(x, y os.FileInfo) bool {
		if x == nil || y == nil {
			return x == nil && y == nil
		}
		return os.SameFile(x, y) && x.ModTime().Equal(y.ModTime()) && x.Size() == y.Size()
	})
}

// authorities are those of a pool, of the machine if that is nil, and those of PEM files. It is nil, which stands for
// the machine's, if that is all.
func authorities(pool *x509.CertPool, files []string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return pool, nil
	}
	if pool != nil {
		pool = pool.Clone()
	} else {
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the machine's certificate authorities: %w", err)
		}
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", name)
		}
	}
	return pool, nil
}
