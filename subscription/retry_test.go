package subscription

// The deliverer tests begin here.

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
)

var kitLadder = Ladder{First: time.Second, Factor: 2, Cap: time.Hour, GiveUp: 72 * time.Hour}

// climb fails at once for ever and returns the waits until the ladder ends.
func climb(l Ladder, failure *channel.SendError, rnd float64, most int) (waits []time.Duration, gaveUp bool) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now, tries := began, 0
	for range most {
		if !Spared(l, failure) {
			tries++
		}
		wait, giveUp := Next(l, tries, began, now, failure, rnd)
		if giveUp {
			return waits, true
		}
		waits = append(waits, wait)
		now = now.Add(wait)
	}
	return waits, false
}

func TestNext_lists(t *testing.T) {
	m, h := time.Minute, time.Hour
	tests := []struct {
		name    string
		ladder  Ladder
		failure *channel.SendError
		want    []time.Duration
	}{
		{"none", Ladder{}, nil, nil},
		{"healthsync", Ladder{Waits: []time.Duration{m, 5 * m, 30 * m, h}}, nil, []time.Duration{m, 5 * m, 30 * m, h}},
		{
			"clinik",
			Ladder{Waits: []time.Duration{30 * time.Second, 2 * m, 8 * m, 32 * m, 2 * h}},
			nil,
			[]time.Duration{30 * time.Second, 2 * m, 8 * m, 32 * m, 2 * h},
		},
		{"max attempts cuts short", Ladder{Waits: []time.Duration{m, 5 * m, 30 * m}, Most: 2}, nil, []time.Duration{m}},
		{"max attempts does not lengthen", Ladder{Waits: []time.Duration{m}, Most: 9}, nil, []time.Duration{m}},
		{"one attempt", Ladder{Waits: []time.Duration{m}, Most: 1}, nil, nil},
		{"Retry-After lengthens", Ladder{Waits: []time.Duration{m, 5 * m}}, &channel.SendError{RetryAfter: 2 * m}, []time.Duration{2 * m, 5 * m}},
		{"Retry-After is at most an hour", Ladder{Waits: []time.Duration{m, 2 * h}}, &channel.SendError{RetryAfter: 9 * h}, []time.Duration{h, 2 * h}},
		{"a list spares nothing", Ladder{Waits: []time.Duration{m}}, &channel.SendError{Spared: true}, []time.Duration{m}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, rnd := range []float64{0, 0.5, 0.999} {
				got, _ := climb(tt.ladder, tt.failure, rnd, 100)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("waits with rnd %v (-want +got):\n%s", rnd, diff)
				}
			}
		})
	}
}

func TestNext_exponential(t *testing.T) {
	s := time.Second
	waits, gaveUp := climb(kitLadder, nil, 0.5, 1000)
	if !gaveUp {
		t.Fatal("kit's ladder never gives up")
	}
	want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s, 512 * s, 1024 * s, 2048 * s, time.Hour, time.Hour}
	if diff := cmp.Diff(want, waits[:14]); diff != "" {
		t.Errorf("kit (-want +got):\n%s", diff)
	}
	var sum time.Duration
	for _, w := range waits {
		sum += w
	}
	if sum < 72*time.Hour || sum-waits[len(waits)-1] >= 72*time.Hour {
		t.Errorf("kit gave up %s after the first attempt", sum)
	}
	low, _ := climb(kitLadder, nil, 0, 3)
	high, _ := climb(kitLadder, nil, 1, 3)
	if low[2] != 3600*time.Millisecond || high[2] != 4400*time.Millisecond {
		t.Errorf("the third wait of 4 s varies from %s to %s, want 3.6 s to 4.4 s", low[2], high[2])
	}

	medplum := Ladder{First: 20 * s, Factor: 2, Cap: 8 * time.Hour, Most: 4}
	waits, gaveUp = climb(medplum, nil, 0.5, 1000)
	if diff := cmp.Diff([]time.Duration{20 * s, 40 * s, 80 * s}, waits); diff != "" || !gaveUp {
		t.Errorf("medplum makes 4 requests (-want +got):\n%s", diff)
	}
}

func TestNext_askedToWaitCostsNoAttempt(t *testing.T) {
	l := Ladder{First: time.Second, Factor: 2, Cap: time.Minute, GiveUp: 10 * time.Second, Most: 3}
	busy := &channel.SendError{Spared: true, RetryAfter: 2 * time.Second}
	waits, gaveUp := climb(l, busy, 0.5, 100)
	if len(waits) != 5 || !gaveUp {
		t.Errorf("asked to wait 2 s each time: waits %v, given up %v; want 5 waits until 10 s have passed", waits, gaveUp)
	}
}

func TestLadder_longestCoversEveryWait(t *testing.T) {
	for _, l := range []Ladder{kitLadder, {Waits: []time.Duration{2 * time.Hour, time.Minute}}, {First: 20 * time.Second, Factor: 2, Cap: 8 * time.Hour, Most: 30}} {
		waits, _ := climb(l, &channel.SendError{RetryAfter: 50 * time.Hour}, 1, 50)
		for _, w := range waits {
			if w > l.Longest() {
				t.Errorf("%+v waits %s, more than Longest, %s", l, w, l.Longest())
			}
		}
	}
}
