package bolt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"fhirhook/fhir/store"
)

// Lines of the attempt log are filed by day, and in a day by lane and number: that is how they are read, and dropped. A
// fan-out writes a line for each of many lanes, which would change a page for each. So what comes for many lanes at once
// is laid into trays first (tray.go), in buckets beside the day's: 20260131.0001 beside 20260131.

// line is a line of the attempt log on its way there.
type line struct {
	day        string
	key, value []byte // key as attemptKey makes it, with any ordinal
}

// instant is the key without its ordinal.
func (l line) instant() []byte { return l.key[:len(l.key)-2] }

// inOrder sorts lines as they are filed. Those of one instant stay in the order in which they came.
func inOrder(lines []line) {
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.day, b.day), bytes.Compare(a.instant(), b.instant()))
	})
}

// Record appends to the attempt log. Lines are written together at the end of the transaction.
func (w *queueWriter) Record(a store.Attempt) error {
	if err := a.Check(); err != nil {
		return err
	}
	w.lines = append(w.lines, line{a.Time.UTC().Format(dayLayout), attemptKey(a, 0), encodeAttempt(a)})
	return nil
}

// writeLines writes what was recorded.
func (w *queueWriter) writeLines() error {
	if len(w.lines) == 0 {
		return nil
	}
	lines := w.lines
	w.lines = nil
	inOrder(lines)
	trays, err := readTrays(w)
	if err != nil {
		return err
	}
	if len(trays) > 0 || w.scattered(lines) {
		return w.lay(trays, lines)
	}
	return w.file(lines)
}

// file puts lines, which are in order, where they stay.
func (w *queueWriter) file(lines []line) error {
	for _, l := range lines {
		if err := w.put(attemptBucket+"/"+l.day, l); err != nil {
			return err
		}
	}
	return nil
}

// put writes a line to a bucket, behind those of the same instant.
func (w *queueWriter) put(bucket string, l line) error {
	binary.BigEndian.PutUint16(l.key[len(l.key)-2:], 0)
	if _, taken := w.get(bucket, l.key); taken {
		last := binary.BigEndian.AppendUint16(bytes.Clone(l.instant()), math.MaxUint16)
		k, _ := w.before(bucket, last, l.instant())
		ordinal := binary.BigEndian.Uint16(k[len(k)-2:]) + 1
		if ordinal == math.MaxUint16 {
			return fmt.Errorf("record an attempt: %q has too many of the same instant", l.instant())
		}
		binary.BigEndian.PutUint16(l.key[len(l.key)-2:], ordinal)
	}
	return w.o.put(bucket, l.key, l.value)
}

func (w *queueWriter) Attempts(scope store.AttemptScope) iter.Seq2[store.Attempt, error] {
	if err := w.writeLines(); err != nil {
		return func(yield func(store.Attempt, error) bool) { yield(store.Attempt{}, err) }
	}
	return w.queueReader.Attempts(scope)
}

func (r *queueReader) Attempts(scope store.AttemptScope) iter.Seq2[store.Attempt, error] {
	return func(yield func(store.Attempt, error) bool) {
		for names := r.children(attemptBucket); len(names) > 0; {
			day, n := dayOf(names[0]), 1
			for n < len(names) && dayOf(names[n]) == day {
				n++
			}
			if scopeHasDay(scope, day) && !r.day(scope, day, names[:n], yield) {
				return
			}
			names = names[n:]
		}
	}
}

// day yields a lane's attempts of a day, of which the buckets are named: those that are filed, and among them in
// their order those in trays, which are few. It returns false where no more is wanted.
func (r *queueReader) day(scope store.AttemptScope, day string, names []string, yield func(store.Attempt, error) bool) bool {
	var laid []store.Attempt
	for _, name := range names {
		if name == day {
			continue
		}
		for a, err := range r.bucket(scope, name) {
			if err != nil {
				return yield(a, err)
			}
			laid = append(laid, a)
		}
	}
	slices.SortStableFunc(laid, compareAttempts)
	for a, err := range r.bucket(scope, day) {
		for err == nil && len(laid) > 0 && compareAttempts(laid[0], a) < 0 {
			if !yield(laid[0], nil) {
				return false
			}
			laid = laid[1:]
		}
		if !yield(a, err) || err != nil {
			return false
		}
	}
	for _, a := range laid {
		if !yield(a, nil) {
			return false
		}
	}
	return true
}

func compareAttempts(a, b store.Attempt) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), a.Time.Compare(b.Time))
}

// bucket yields what a scope selects of one bucket of the log.
func (r *queueReader) bucket(scope store.AttemptScope, name string) iter.Seq2[store.Attempt, error] {
	return func(yield func(store.Attempt, error) bool) {
		prefix := lanePrefix(scope.Lane)
		for k, v := range r.ascend(attemptBucket+"/"+name, numbered(prefix, scope.From), prefix) {
			a, err := decodeAttempt(scope.Lane, k[len(prefix):], v)
			if err == nil && scope.Below > 0 && a.Number >= scope.Below {
				return
			}
			if err == nil && (a.Time.Before(scope.Since) || !scope.Until.IsZero() && !a.Time.Before(scope.Until)) {
				continue
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// scopeHasDay tells whether a day may hold what a scope selects. Names of days sort as days do.
func scopeHasDay(scope store.AttemptScope, day string) bool {
	if !scope.Since.IsZero() && day < scope.Since.UTC().Format(dayLayout) {
		return false
	}
	return scope.Until.IsZero() || day <= scope.Until.UTC().Format(dayLayout)
}

func (w *queueWriter) Expire(before time.Time) (int, error) {
	if err := w.writeLines(); err != nil {
		return 0, err
	}
	var gone []string
	for _, name := range w.children(attemptBucket) {
		end, err := dayEnd(dayOf(name))
		if err != nil {
			return len(gone), fmt.Errorf("expire attempts: %w", err)
		}
		if end.After(before) {
			continue
		}
		w.o.drop(attemptBucket + "/" + name)
		gone = append(gone, dayOf(name))
	}
	if len(gone) == 0 {
		return 0, nil
	}
	gone = slices.Compact(gone)
	trays, err := readTrays(w)
	if err != nil {
		return len(gone), err
	}
	left := slices.DeleteFunc(trays, func(t tray) bool { return slices.Contains(gone, dayOf(t.name)) })
	return len(gone), w.putTrays(left)
}

// dayOf is the day of a bucket of the log, or of a tray.
func dayOf(name string) string { return name[:min(len(name), len(dayLayout))] }

// dayEnd is the instant behind a day.
func dayEnd(day string) (time.Time, error) {
	start, err := time.Parse(dayLayout, day)
	return start.AddDate(0, 0, 1), err
}
