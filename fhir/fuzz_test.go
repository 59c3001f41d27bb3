package fhir_test

import (
	"errors"
	"testing"
	"time"

	"fhirhook/fhir"
)

// FuzzRead: a body becomes a resource with a known type and an id that can be one, or a refusal.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"resourceType":"Patient","id":"1","meta":{}}`, `{"resourceType":"Patient","id":7}`, `[]`, `{"resourceType":"Nonsense"}`, `{"resourceType":"Patient","meta":[]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := fhir.Read(body, 20)
		if err != nil {
			if e, ok := errors.AsType[*fhir.Error](err); !ok || e.Kind == fhir.Internal || e.Diagnostic == "" {
				t.Errorf("%q: %v is no refusal", body, err)
			}
			return
		}
		if !in.Type.Known() || in.ID != "" && !fhir.ValidID(in.ID) {
			t.Errorf("%q is a %s with id %q", body, in.Type, in.ID)
		}
	})
}

// FuzzParseInstant: what is read of an instant is the same when it is written and read again.
func FuzzParseInstant(f *testing.F) {
	for _, s := range []string{"2026-01-31T10:00:00Z", "2026-01-31T10:00:00.123456789+01:00", "2026-12-31T23:59:60Z", "2026-01-31T24:00:00-14:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := fhir.ParseInstant(s)
		if err != nil || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
			return
		}
		again, err := fhir.ParseInstant(fhir.Instant(at))
		if err != nil || !again.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("%q is %v, and %v when it is read again: %v", s, at, again, err)
		}
	})
}
