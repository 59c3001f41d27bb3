package bench

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
)

// Table collects figures while benchmarks run, and prints them at the end. The zero Table is empty.
type Table struct {
	mu   sync.Mutex // guards rows
	rows []row
}

type row struct{ what, figure, target, verdict string }

// Figure adds a figure that has no target of its own.
func (t *Table) Figure(what, format string, args ...any) {
	t.add(row{what, fmt.Sprintf(format, args...), "", ""})
}

// AtLeast and AtMost add a figure with its target; figure says it in full.
func (t *Table) AtLeast(target, value float64, what, format string, args ...any) {
	t.judge(value >= target, fmt.Sprintf("≥ %g", target), what, fmt.Sprintf(format, args...))
}

// AtMost is AtLeast for what should be small.
func (t *Table) AtMost(target, value float64, what, format string, args ...any) {
	t.judge(value <= target, fmt.Sprintf("≤ %g", target), what, fmt.Sprintf(format, args...))
}

func (t *Table) judge(met bool, target, what, figure string) {
	verdict := "met"
	if !met {
		verdict = "MISSED"
	}
	t.add(row{what, figure, target, verdict})
}

func (t *Table) add(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// Print writes the table, and nothing if it is empty.
func (t *Table) Print(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rows) == 0 {
		return nil
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "\nfigure\tvalue: median (quartiles)\ttarget\t")
	for _, r := range t.rows {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", r.what, r.figure, r.target, r.verdict)
	}
	return out.Flush()
}
