package load

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Progress tells how far the import is: a bar that is drawn over on a terminal, else a line now and then.
type Progress struct {
	out   io.Writer
	bar   bool
	now   func() time.Time
	mu    sync.Mutex // guards out and what follows
	began time.Time
	shown time.Time
	drawn int // width of the bar that stands there now
}

// NewProgress makes one; bar says that out is a terminal.
func NewProgress(out io.Writer, bar bool) *Progress {
	return &Progress{out: out, bar: bar, now: time.Now, began: time.Now()}
}

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
	barWidth  = 24
)

// update tells where the import is; last is the end of a file.
func (p *Progress) update(path string, read, size int64, r Report, last bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, every := p.now(), lineEvery
	if p.bar {
		every = barEvery
	}
	if !last && now.Sub(p.shown) < every {
		return
	}
	p.shown = now
	share := 1.0
	if size > 0 {
		share = min(float64(read)/float64(size), 1)
	}
	text := fmt.Sprintf("%s %3.0f%%  %d resources, %.0f/s", filepath.Base(path), 100*share, r.Resources(),
		float64(r.Resources())/max(now.Sub(p.began).Seconds(), 1e-3))
	if r.Failed > 0 {
		text += fmt.Sprintf(", %d refused", r.Failed)
	}
	if !p.bar {
		fmt.Fprintln(p.out, text)
		return
	}
	filled := int(share * barWidth)
	text = "[" + strings.Repeat("=", filled) + strings.Repeat(" ", barWidth-filled) + "] " + text
	fmt.Fprintf(p.out, "\r%-*s", p.drawn, text)
	p.drawn = len(text)
}

// line prints a line where the bar stands.
func (p *Progress) line(out io.Writer, text string) {
	if p == nil {
		fmt.Fprintln(out, text)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	fmt.Fprintln(out, text)
}

// end leaves the bar.
func (p *Progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
}

func (p *Progress) wipe() {
	if p.bar && p.drawn > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.drawn))
		p.drawn = 0
	}
}
