package rest

import (
	"testing"
	"time"
)

func TestParseSpan_followsThePrecision(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, low, high string }{
		{"2024", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"},
		{"2024-02", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"2024-02-29T10:11", "2024-02-29T10:11:00Z", "2024-02-29T10:12:00Z"},
		{"2024-02-29T10:11+01:00", "2024-02-29T09:11:00Z", "2024-02-29T09:12:00Z"},
		{"2024-02-29T10:11:12", "2024-02-29T10:11:12Z", "2024-02-29T10:11:13Z"},
		{"2024-02-29T10:11:12-05:00", "2024-02-29T15:11:12Z", "2024-02-29T15:11:13Z"},
		{"2024-02-29T10:11:12.345Z", "2024-02-29T10:11:12.345Z", "2024-02-29T10:11:12.346Z"},
	} {
		s, ok := parseSpan(tt.text)
		if low, high := s.low.UTC().Format(time.RFC3339Nano), s.high.UTC().Format(time.RFC3339Nano); !ok || low != tt.low || high != tt.high {
			t.Errorf("%s: %v %s until %s", tt.text, ok, low, high)
		}
	}
	for _, text := range []string{"", "20", "2023-02-29", "2024-13", "2024-1-1", "10:00", "2024-01-01T25:00:00Z", "now"} {
		if s, ok := parseSpan(text); ok {
			t.Errorf("%q: %v", text, s)
		}
	}
}
