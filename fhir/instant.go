package fhir

import "time"

const instantLayout = "2006-01-02T15:04:05.000Z"

// Instant writes t as a FHIR instant: UTC, three decimals.
func Instant(t time.Time) string { return t.UTC().Format(instantLayout) }

// ParseInstant reads a FHIR instant in any zone and with any number of decimals.
func ParseInstant(s string) (time.Time, error) { return time.Parse(time.RFC3339Nano, s) }

// Millis cuts t to what an instant of this server can hold.
func Millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
