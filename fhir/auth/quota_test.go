package auth_test

import (
	"testing"
	"time"

	"fhirhook/fhir/auth"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	l := auth.NewLimiter(func(name string) float64 { return map[string]float64{"a": 2, "b": 0.5}[name] })
	for i, tt := range []struct {
		name  string
		after time.Duration
		want  time.Duration
	}{
		{"a", 0, 0},
		{"a", 0, 0},
		{"a", 0, 500 * time.Millisecond},
		{"a", 0, 500 * time.Millisecond}, // being refused costs nothing
		{"b", 0, 0},                      // others are not concerned
		{"b", 0, 2 * time.Second},
		{"free", 0, 0},
		{"a", 500 * time.Millisecond, 0},
		{"a", 500 * time.Millisecond, 500 * time.Millisecond},
		{"a", time.Hour, 0},
		{"a", time.Hour, 0},
		{"a", time.Hour, 500 * time.Millisecond}, // an hour of silence saves up one second's worth
		{"b", time.Hour, 0},
	} {
		if got := l.Take(tt.name, at.Add(tt.after)); got != tt.want {
			t.Errorf("step %d: %s waits %s, want %s", i, tt.name, got, tt.want)
		}
	}
	for range 1000 {
		if l.Take("free", at) != 0 {
			t.Fatal("who has no limit waits")
		}
	}
}
