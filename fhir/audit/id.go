package audit

import (
	"strconv"
	"strings"
	"time"
)

// place is where a line stands: its day, and where it begins in the day's file.
type place struct {
	day    string // 20060102
	offset int64
}

// An id is the place in writing, so that ids rise with time: ad-20260131-0000a7k2.
const (
	idPrefix     = "ad-"
	dayLayout    = "20060102"
	offsetDigits = 8 // of 5 bits each
	mostOffset   = 1<<(5*offsetDigits) - 1
	idLength     = len(idPrefix) + len(dayLayout) + 1 + offsetDigits
)

func (p place) id() string {
	digits := strconv.FormatInt(p.offset, 32)
	return idPrefix + p.day + "-" + strings.Repeat("0", max(0, offsetDigits-len(digits))) + digits
}

// parseID reads what id writes, and nothing else.
func parseID(id string) (place, bool) {
	if len(id) != idLength || !strings.HasPrefix(id, idPrefix) || id[len(idPrefix)+len(dayLayout)] != '-' {
		return place{}, false
	}
	day := id[len(idPrefix) : len(idPrefix)+len(dayLayout)]
	if _, ok := parseDay(day); !ok {
		return place{}, false
	}
	offset, err := strconv.ParseInt(id[idLength-offsetDigits:], 32, 64)
	p := place{day: day, offset: offset}
	return p, err == nil && offset >= 0 && p.id() == id // capitals and signs are not how it is written
}

func parseDay(day string) (time.Time, bool) {
	t, err := time.Parse(dayLayout, day)
	return t, err == nil && t.Format(dayLayout) == day
}

func dayOf(t time.Time) string { return t.UTC().Format(dayLayout) }
