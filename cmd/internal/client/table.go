package client

import (
	"bufio"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// column is a column of a table.
type column struct {
	name  string
	right bool // numbers stand at the right
	most  int  // longer cells are cut; 0: never
}

// table prints rows with aligned columns, a page at a time: what it keeps is one page, and the widths so far.
type table struct {
	w       *bufio.Writer
	columns []column
	widths  []int
	lines   []line
	headed  bool
}

// line is a row of cells, or a text below one.
type line struct {
	cells []string
	text  string
}

func newTable(w io.Writer, columns ...column) *table {
	t := &table{w: bufio.NewWriter(w), columns: columns, widths: make([]int, len(columns))}
	for i, c := range columns {
		t.widths[i] = utf8.RuneCountInString(c.name)
	}
	return t
}

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i], t.columns[i].most)
	}
	t.lines = append(t.lines, line{cells: cells})
}

func (t *table) below(text string) { t.lines = append(t.lines, line{text: text}) }

// flush prints what has come since the last time.
func (t *table) flush() error {
	if len(t.lines) == 0 {
		return nil
	}
	for _, l := range t.lines {
		for i, cell := range l.cells {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
		}
	}
	if !t.headed {
		t.headed = true
		head := make([]string, len(t.columns))
		for i, c := range t.columns {
			head[i] = c.name
		}
		t.print(head)
	}
	for _, l := range t.lines {
		if l.cells == nil {
			_, _ = t.w.WriteString(l.text + "\n") // Flush tells of errors
			continue
		}
		t.print(l.cells)
	}
	t.lines = t.lines[:0]
	return t.w.Flush()
}

func (t *table) print(cells []string) {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		room := strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell))
		if t.columns[i].right {
			b.WriteString(room + cell)
		} else {
			b.WriteString(cell + room)
		}
	}
	_, _ = t.w.WriteString(strings.TrimRight(b.String(), " ") + "\n")
}

// printable is a text on one line that a terminal shows and nothing else: what receivers answer may hold escape
// sequences. most is the number of characters that it is cut to; 0: none.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.TrimSpace(text)
	if most > 0 && utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most-1]) + "…"
	}
	return text
}
