package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// record is one JSON value of a file.
type record struct {
	line int // where it begins, from 1
	text []byte
}

// errTooLong says that a record is larger than Options.MaxRecord.
var errTooLong = errors.New("too long")

// records splits a text into JSON values. If its first line is a whole value, each line is one (NDJSON), and a
// broken line costs only itself; else values may run over several lines, as in a Bundle that is printed nicely.
type records struct {
	text   *bufio.Reader
	most   int64
	line   int // last one read
	began  bool
	nested bool // values run over lines
	rest   []byte
}

// next returns the next record. Behind an errTooLong the reading may go on; any other error, io.EOF among them,
// is the end.
func (r *records) next() (record, error) {
	for {
		text, err := r.readLine()
		trimmed := bytes.TrimSpace(text)
		if !r.began && len(trimmed) > 0 {
			r.began = true
			trimmed = bytes.TrimPrefix(trimmed, []byte("\xef\xbb\xbf"))
			var d depth
			d.scan(trimmed)
			r.nested = d.open > 0 && trimmed[0] == '{'
		}
		switch {
		case err != nil && (!errors.Is(err, io.EOF) || len(trimmed) == 0):
			return record{line: r.line}, err
		case len(trimmed) == 0:
		case r.nested:
			return r.value(trimmed)
		default:
			return record{line: r.line, text: trimmed}, nil
		}
	}
}

// value reads on until the value that begins with text is closed.
func (r *records) value(text []byte) (record, error) {
	rec := record{line: r.line}
	var d depth
	for {
		end := d.scan(text)
		rec.text = append(rec.text, text[:end]...)
		if d.closed {
			r.rest = text[end:] // another may begin on the same line
			return rec, nil
		}
		if int64(len(rec.text)) > r.most {
			return rec, fmt.Errorf("the value that begins in line %d has more than %d bytes (--max-record)", rec.line, r.most)
		}
		rec.text = append(rec.text, '\n')
		var err error
		if text, err = r.readLine(); err != nil && (!errors.Is(err, io.EOF) || len(text) == 0) {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("the JSON value that begins in line %d doesn't end", rec.line)
			}
			return rec, err
		}
	}
}

// readLine reads a line without its end. One that is too long is read over.
func (r *records) readLine() ([]byte, error) {
	if len(r.rest) > 0 {
		rest := r.rest
		r.rest = nil
		return rest, nil
	}
	var line []byte
	r.line++
	tooLong := false
	for {
		part, err := r.text.ReadSlice('\n')
		if int64(len(line)+len(part)) > r.most {
			tooLong, line = true, nil
		}
		if !tooLong {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if tooLong && (err == nil || errors.Is(err, io.EOF)) {
			return nil, errTooLong
		}
		return bytes.TrimRight(line, "\r\n"), err
	}
}

// depth follows a JSON text's brackets.
type depth struct {
	open     int
	inString bool
	escaped  bool
	closed   bool // the outermost bracket is
}

// scan reads on, and returns how much belongs to the value.
func (d *depth) scan(text []byte) int {
	for i, c := range text {
		switch {
		case d.escaped:
			d.escaped = false
		case d.inString:
			d.escaped = c == '\\'
			d.inString = c != '"'
		case c == '"':
			d.inString = true
		case c == '{' || c == '[':
			d.open++
		case c == '}' || c == ']':
			if d.open--; d.open <= 0 {
				d.closed = true
				return i + 1
			}
		}
	}
	return len(text)
}
