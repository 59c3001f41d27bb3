package fhir

import (
	"fmt"
	"time"
)

const instantLayout = "2006-01-02T15:04:05.000Z"

// Instant writes t as a FHIR instant: UTC, three decimals.
func Instant(t time.Time) string { return t.UTC().Format(instantLayout) }

// ParseInstant reads a FHIR instant (R4 datatypes.html#instant) in any zone from -14:00 to +14:00 and with any
// number of decimals. A leap second, :60, is the second behind it.
func ParseInstant(s string) (time.Time, error) {
	// time.Parse also takes single digits and a comma, which RFC 3339 doesn't: the layout must fit to the place.
	const layout = "2006-01-02T15:04:05"
	fits := len(s) > len(layout) && s[13] == ':' && s[16] == ':' && s[19] != ','
	leap := fits && s[17:19] == "60"
	text := s
	if leap {
		text = s[:17] + "59" + s[19:]
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !fits {
		return time.Time{}, fmt.Errorf("%q is not an instant such as 2015-02-07T13:28:17.239+02:00", s)
	}
	if _, offset := t.Zone(); offset < -14*3600 || offset > 14*3600 {
		return time.Time{}, fmt.Errorf("%q has a time zone further from UTC than 14:00", s)
	}
	if leap {
		t = t.Add(time.Second)
	}
	return t, nil
}

// Millis cuts t to what an instant of this server can hold.
func Millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
