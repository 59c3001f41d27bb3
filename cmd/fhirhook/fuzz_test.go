package main

import (
	"strings"
	"testing"
	"time"
)

// FuzzConfig: a configuration file is read or refused with a reason, whatever it holds; aliases that multiply are refused too.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:8080\nauth:\n  tokens:\n    - {name: a, hash: 'sha256:00', scopes: [system/*.rs], expires: 2027-01-01}\n"))
	f.Add([]byte("dialects:\n  - name: own\n    base: kit\nendpoints: [{origin: https://a.example}]\n"))
	f.Add([]byte("a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nauth: *c\n"))
	f.Add([]byte("- 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := newConfigFile("config.yaml", text)
		if err == nil {
			err = file.wrong
		}
		if err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Errorf("%q is refused without a reason", text)
		}
	})
}

// FuzzParseExpires: a time that is accepted of a duration lies ahead.
func FuzzParseExpires(f *testing.F) {
	for _, s := range []string{"90d", "12h", "2027-12-31", "2027-12-31T12:00:00Z", "-1h", "99999999999d", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseExpires(s, now)
		if err == nil && s != "" && !strings.Contains(s, "-") && at.Before(now) {
			t.Errorf("%q from now is over already: %v", s, at)
		}
	})
}
