package bench

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// ProgressLine shows how far a run is: one line that is drawn over on a terminal, else a line now and then.
type ProgressLine struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex // guards what follows
	shown time.Time
	wide  int // of what stands there now
}

// NewProgressLine makes one.
func NewProgressLine(w io.Writer, terminal bool) *ProgressLine {
	return &ProgressLine{w: w, terminal: terminal}
}

// progressLines is how often a line comes where it can't be drawn over.
const progressLines = 5 * time.Second

// Show shows it. Every line ends in rates since the slice began.
func (l *ProgressLine) Show(p Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.terminal {
		if time.Since(l.shown) < progressLines {
			return
		}
		l.shown = time.Now()
		fmt.Fprintln(l.w, p)
		return
	}
	text := p.String()
	wide := utf8.RuneCountInString(text)
	fmt.Fprint(l.w, "\r", text, strings.Repeat(" ", max(l.wide-wide, 0)))
	l.wide = wide
}

// Clear takes the line away.
func (l *ProgressLine) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wide > 0 {
		fmt.Fprint(l.w, "\r", strings.Repeat(" ", l.wide), "\r")
		l.wide = 0
	}
}

func (p Progress) String() string {
	if p.Elapsed == 0 {
		return p.Arm + ": " + p.Doing
	}
	s := p.Elapsed.Seconds()
	return fmt.Sprintf("%s: %s, %.1f s: %s writes (%s/s), %s notifications (%s/s)", p.Arm, p.Doing, s,
		number(float64(p.Writes)), number(float64(p.Writes)/s), number(float64(p.Notifications)), number(float64(p.Notifications)/s))
}
