package rest

import (
	"errors"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// span is the time that a FHIR date or dateTime means: from low until before high. The zero span has no bounds.
type span struct{ low, high time.Time }

// parseSpan reads a date or dateTime of any precision (R4 datatypes.html#dateTime). Without a zone it is UTC.
func parseSpan(s string) (span, bool) {
	for _, form := range []struct {
		layout              string
		years, months, days int
		length              time.Duration
	}{
		{"2006", 1, 0, 0, 0},
		{"2006-01", 0, 1, 0, 0},
		{"2006-01-02", 0, 0, 1, 0},
		{"2006-01-02T15:04", 0, 0, 0, time.Minute},
		{"2006-01-02T15:04Z07:00", 0, 0, 0, time.Minute},
		{"2006-01-02T15:04:05", 0, 0, 0, time.Second},
	} {
		if t, err := time.Parse(form.layout, s); err == nil && len(s) >= len("2006") {
			return span{t, t.AddDate(form.years, form.months, form.days).Add(form.length)}, true
		}
	}
	t, err := fhir.ParseInstant(s)
	if err != nil {
		return span{}, false
	}
	const seconds = len("2006-01-02T15:04:05")
	if len(s) > seconds && s[seconds] == '.' {
		t = fhir.Millis(t)
		return span{t, t.Add(time.Millisecond)}, true
	}
	return span{t, t.Add(time.Second)}, true
}

// shows tells whether a version was current at some point of the span (R4 http.html#history, _at). Versions
// of one resource follow each other, so the next one says until when.
func (s span) shows(r store.Reader, v *fhir.Resource) (bool, error) {
	switch {
	case s == span{}:
		return true, nil
	case !v.Updated.Before(s.high):
		return false, nil
	case !v.Updated.Before(s.low):
		return true, nil
	}
	next, err := r.Version(v.Key, v.Version+1)
	if gone, ok := errors.AsType[*store.PurgedError](err); ok {
		return gone.Updated.After(s.low), nil
	}
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return err == nil && next.Updated.After(s.low), err
}
