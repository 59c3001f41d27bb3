package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// suffix of the files' names; before it stands the day.
const suffix = ".log"

// mostLine is how long a line can be. A longer one is none.
const mostLine = 256 << 10

var (
	errSealed = errors.New("it is encrypted, and no key is there to open it")
	errNoLine = errors.New("there is no line")
)

// days lists the days that there are files of, in order.
func days(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []string
	for _, e := range entries {
		if day, ok := strings.CutSuffix(e.Name(), suffix); ok {
			if _, ok := parseDay(day); ok {
				all = append(all, day)
			}
		}
	}
	slices.Sort(all)
	return all, err
}

func pathOf(dir, day string) string { return filepath.Join(dir, day+suffix) }

// found is a line with its place.
type found struct {
	line
	offset int64
}

// walk calls fn with the lines of a file from a place on, which is where one begins, as far as they are complete, until
// fn returns false. What is no line is passed over, and counted.
func walk(f io.ReaderAt, from int64, fn func(found) (bool, error)) (wrong int, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(f, from, 1<<62), mostLine)
	at := from
	for {
		text, err := r.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		n := int64(len(text))
		for errors.Is(err, bufio.ErrBufferFull) {
			var more []byte
			more, err = r.ReadSlice('\n')
			n += int64(len(more))
		}
		switch {
		case errors.Is(err, io.EOF):
			return wrong, nil // what is behind the last end of a line is being written, or was when it was cut short
		case err != nil:
			return wrong, err
		}
		l, ok := line{}, false
		if !long {
			l, ok = parseLine(text[:len(text)-1])
		}
		if !ok {
			wrong++
			at += n
			continue
		}
		more, err := fn(found{l, at})
		if err != nil || !more {
			return wrong, err
		}
		at += n
	}
}

// seek finds a place at or before the first line that is not before a time, by halving.
func seek(f io.ReaderAt, size int64, since time.Time) (int64, error) {
	const near = 64 << 10 // a walk from there costs no more than looking on
	low, high := int64(0), size
	for high-low > near {
		middle := low + (high-low)/2
		at, l, err := next(f, middle, high)
		switch {
		case errors.Is(err, errNoLine), err == nil && !l.at.Before(since):
			high = middle
		case err != nil:
			return 0, err
		default:
			low = at
		}
	}
	return low, nil
}

// next finds the first line that begins behind a place and before another.
func next(f io.ReaderAt, from, before int64) (at int64, l line, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(f, from, before-from), 4<<10)
	skipped, err := r.ReadSlice('\n')
	at = from + int64(len(skipped))
	for errors.Is(err, bufio.ErrBufferFull) {
		skipped, err = r.ReadSlice('\n')
		at += int64(len(skipped))
	}
	if err != nil {
		return 0, l, endIsNoLine(err)
	}
	err = errNoLine
	_, walked := walk(io.NewSectionReader(f, 0, before), at, func(one found) (bool, error) {
		at, l, err = one.offset, one.line, nil
		return false, nil
	})
	return at, l, errors.Join(walked, err)
}

func endIsNoLine(err error) error {
	if errors.Is(err, io.EOF) {
		return errNoLine
	}
	return err
}

// read reads the line at a place.
func read(f io.ReaderAt, offset int64) (l line, err error) {
	before := []byte{'\n'}
	if offset > 0 {
		if _, err := f.ReadAt(before, offset-1); err != nil {
			return l, endIsNoLine(err)
		}
	}
	if before[0] != '\n' {
		return l, errNoLine
	}
	text, err := bufio.NewReaderSize(io.NewSectionReader(f, offset, mostLine), mostLine).ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			return l, errNoLine
		}
		return l, endIsNoLine(err)
	}
	l, ok := parseLine(text[:len(text)-1])
	if !ok {
		return l, errNoLine
	}
	return l, nil
}

// repair cuts off what stands behind the last end of a line: the beginning of one that a crash cut short. It returns how
// many bytes that were.
func repair(path string) (cut int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size, end := info.Size(), info.Size()
	buffer := make([]byte, 64<<10)
	for end > 0 {
		piece := buffer[:min(end, int64(len(buffer)))]
		if _, err := f.ReadAt(piece, end-int64(len(piece))); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(piece, '\n'); i >= 0 {
			end += int64(i+1) - int64(len(piece))
			break
		}
		end -= int64(len(piece))
	}
	if end == size {
		return 0, nil
	}
	return size - end, errors.Join(f.Truncate(end), f.Sync())
}

// lastTime is when the last line of a file is from; the zero time if there is none.
func lastTime(path string) (last time.Time, err error) {
	f, err := os.Open(path)
	if err != nil {
		return last, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return last, err
	}
	from, err := seek(f, info.Size(), time.UnixMilli(1<<52))
	if err != nil {
		return last, err
	}
	_, err = walk(f, from, func(l found) (bool, error) {
		last = l.at
		return true, nil
	})
	return last, err
}

// Check proves the files in a folder: each line is one, of its day, and none is earlier than the one before.
func Check(dir string, ring Ring) error {
	all, err := days(dir)
	if err != nil {
		return err
	}
	var problems []error
	var last time.Time
	for _, day := range all {
		f, err := os.Open(pathOf(dir, day))
		if err != nil {
			return err
		}
		wrong, err := walk(f, 0, func(l found) (bool, error) {
			problem := func(text string) {
				problems = append(problems, fmt.Errorf("audit: %s, byte %d: %s", day+suffix, l.offset, text))
			}
			if dayOf(l.at) != day {
				problem("the line is of another day")
			}
			if l.at.Before(last) {
				problem("the line is earlier than the one before")
			}
			last = l.at
			if _, err := l.row(ring); err != nil {
				problem(err.Error())
			}
			return len(problems) < mostProblems, nil
		})
		if wrong > 0 {
			problems = append(problems, fmt.Errorf("audit: %s: %d lines are damaged", day+suffix, wrong))
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		if len(problems) >= mostProblems {
			break
		}
	}
	return errors.Join(problems...)
}

// mostProblems bounds what Check returns.
const mostProblems = 20
