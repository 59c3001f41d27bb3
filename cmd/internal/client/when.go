package client

import (
	"strconv"
	"strings"
	"time"
)

// short is an instant for people: the time of day in their zone, with the day if it isn't today's.
func (c *Client) short(instant string) string {
	if instant == "" {
		return ""
	}
	t, err := time.Parse(time.RFC3339Nano, instant)
	if err != nil {
		return printable(instant, 30)
	}
	t = t.In(c.zone)
	if day := time.DateOnly; t.Format(day) != c.now().In(c.zone).Format(day) {
		return t.Format("2006-01-02 15:04")
	}
	return t.Format(time.TimeOnly)
}

// localForms are the forms of a time without a zone, which is the person's own.
var localForms = []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"}

// instant reads a time: how long ago (90s, 15m, 2h, 3d), a time of today (14:30), a local day or time, or an
// instant with zone. "" is the zero time.
func (c *Client) instant(flag, text string) (time.Time, error) {
	now := c.now().In(c.zone)
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	for _, form := range localForms {
		if t, err := time.ParseInLocation(form, text, c.zone); err == nil {
			return t, nil
		}
	}
	for _, form := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(form, text); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, c.zone), nil
		}
	}
	return time.Time{}, usagef("--%s %s is no time: write 15m, 2h or 3d ago, 14:30, 2026-01-31, or 2026-01-31T14:30:00Z", flag, printable(text, 60))
}

// wire is a time as it is sent; "" for the zero time.
func wire(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
