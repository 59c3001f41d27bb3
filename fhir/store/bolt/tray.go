package bolt

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A tray takes lines of the attempt log as they come, whichever lanes they are of: a thousand lanes' lines stand on a few
// pages instead of a page for each lane. Trays are few, so that a reader looks into all of them, and their lines are
// filed together: then those of one lane share its page. In a tray lines are in the order in which they will be filed.
const (
	usualTray = 1024 // lines in a tray, before another is begun
	mostTrays = 16   // when another is needed all are filed
)

// Lines are scattered if they are of many lanes, and few of each. Others change few pages, and are filed at once.
const (
	manyLanes   = 64
	fewForALane = 4
)

// trayFormat is the format of a queue.db since its first tray: programs from before would not look there.
const trayFormat = 2

// metaTrays is in queue.db while there are trays: the name of each and how many lines it has, in the order of their beginning.
var metaTrays = []byte("trays")

type tray struct {
	name  string // the day, a dot, a number that grows as long as there are trays
	lines int
}

// scattered tells whether lines, which are in order, are of many lanes.
func (w *queueWriter) scattered(lines []line) bool {
	lanes := 0
	var of []byte
	for _, l := range lines {
		if lane := l.key[:len(l.key)-lineBehindLane]; !bytes.Equal(lane, of) {
			of, lanes = lane, lanes+1
		}
	}
	return lanes >= min(manyLanes, w.tray) && len(lines) < lanes*fewForALane
}

// lay puts lines into trays. While there is one all lines go there, so that those of one instant stay in order.
func (w *queueWriter) lay(trays []tray, lines []line) error {
	for _, l := range lines {
		at := w.openTray(trays, l.day)
		if at < 0 {
			if len(trays) == mostTrays {
				if err := w.fileTrays(trays); err != nil {
					return err
				}
				trays = nil
			}
			at, trays = len(trays), append(trays, newTray(trays, l.day))
		}
		if err := w.put(attemptBucket+"/"+trays[at].name, l); err != nil {
			return err
		}
		trays[at].lines++
	}
	return w.putTrays(trays)
}

// openTray is the last tray of a day if it takes another line, below 0 if there is none.
func (w *queueWriter) openTray(trays []tray, day string) int {
	for i := len(trays) - 1; i >= 0; i-- {
		if dayOf(trays[i].name) != day {
			continue
		}
		if trays[i].lines < w.tray {
			return i
		}
		break
	}
	return -1
}

func newTray(trays []tray, day string) tray {
	number := 1
	if n := len(trays); n > 0 {
		last, _ := strconv.Atoi(trays[n-1].name[len(dayLayout)+1:])
		number = last + 1
	}
	return tray{name: fmt.Sprintf("%s.%04d", day, number)}
}

// fileTrays files the lines of all trays, and removes those.
func (w *queueWriter) fileTrays(trays []tray) error {
	var lines []line
	for _, t := range trays {
		bucket := attemptBucket + "/" + t.name
		for k, v := range w.ascend(bucket, nil, nil) {
			lines = append(lines, line{dayOf(t.name), bytes.Clone(k), bytes.Clone(v)}) // the pages are about to be free
		}
		w.o.drop(bucket)
	}
	inOrder(lines)
	return w.file(lines)
}

// readTrays returns the trays that a queue has.
func readTrays(s source) ([]tray, error) {
	v, _ := s.get(metaBucket, metaTrays)
	fields := strings.Fields(string(v))
	trays := make([]tray, 0, len(fields)/2+1)
	for i := 0; i+1 < len(fields); i += 2 {
		n, err := strconv.Atoi(fields[i+1])
		if err != nil || len(fields[i]) < len(dayLayout)+2 {
			return nil, fmt.Errorf("the trays of the attempt log: %q: %w", v, errValue)
		}
		trays = append(trays, tray{fields[i], n})
	}
	return trays, nil
}

// putTrays writes which trays there are.
func (w *queueWriter) putTrays(trays []tray) error {
	if len(trays) == 0 {
		if _, had := w.get(metaBucket, metaTrays); had {
			w.o.remove(metaBucket, metaTrays)
		}
		return nil
	}
	var b []byte
	for _, t := range trays {
		b = append(strconv.AppendInt(append(append(b, t.name...), ' '), int64(t.lines), 10), '\n')
	}
	if err := w.o.put(metaBucket, metaTrays, b); err != nil {
		return err
	}
	want := strconv.AppendInt(nil, trayFormat, 10)
	if have, _ := w.get(metaBucket, metaFormat); bytes.Equal(have, want) {
		return nil
	}
	return w.o.put(metaBucket, metaFormat, want)
}
