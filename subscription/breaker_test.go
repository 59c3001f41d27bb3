package subscription

// The deliverer tests go on here.

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
)

func TestBreaker_opensWithTheTenthFailureAndProbesAtItsPace(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b, now := Breaker{Limit: mostInFlight}, start
	for n := 1; n <= 9; n++ {
		if b = b.Fail(now, n, false); b.Open {
			t.Fatalf("open after %d failures", n)
		}
	}
	if b = b.Fail(now, 10, false); !b.Open {
		t.Fatal("closed after 10 failures")
	}
	if late := b.Fail(now.Add(time.Millisecond), 11, false); late != b {
		t.Errorf("a failure of an attempt under way moved the breaker: %+v", late)
	}
	var waits []time.Duration
	for n := 11; n <= 22; n++ {
		if ok, _ := b.Admits(now, 0); ok {
			t.Fatal("a probe goes before its time")
		}
		_, at := b.Admits(now, 0)
		waits = append(waits, at.Sub(now))
		now = at
		if ok, _ := b.Admits(now, 1); ok {
			t.Fatal("two probes at a time")
		}
		if ok, _ := b.Admits(now, 0); !ok {
			t.Fatal("no probe at its time")
		}
		b = b.Fail(now, n, true)
	}
	s := time.Second
	want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s, 300 * s, 300 * s, 300 * s}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if ok, _ := b.Restart(now).Admits(now, 0); !ok {
		t.Error("no probe at once after a start")
	}
	if ok, _ := b.Admits(now.Add(-24*time.Hour), 0); !ok {
		t.Error("a clock that was set back holds the probe for a day")
	}
	var limits []int
	b = b.Succeed(now)
	for range 6 {
		limits = append(limits, b.Limit)
		b = b.Succeed(now)
	}
	if diff := cmp.Diff([]int{1, 2, 4, 8, 16, 16}, limits); diff != "" {
		t.Errorf("in flight after it closed (-want +got):\n%s", diff)
	}
}

func TestBreaker_deferralStartsTheGiveUpClock(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	b := Breaker{}.Fail(at(10), 10, false)
	check := func(when string, updated, want time.Time) {
		t.Helper()
		if got := b.Deferred(updated); !got.Equal(want) {
			t.Errorf("%s: deferred since %s, want %s", when, got, want)
		}
	}
	check("owed before it opened", at(5), at(10))
	check("owed while it is open", at(12), at(12))
	b = b.Succeed(at(20))
	check("closed, owed before", at(5), at(10))
	check("closed, owed while it was open", at(12), at(12))
	check("closed, owed since", at(21), time.Time{})
	b = b.Fail(at(30), 10, false)
	check("open again with the old backlog", at(5), at(10))
	b = b.Succeed(at(40)).Drained()
	check("drained", at(5), time.Time{})
	b = b.Fail(at(50), 10, false)
	check("open anew", at(5), at(50))
}

func TestHealth_verdict(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fail := func(n int) Health {
		h := Health{}
		for range n {
			h = h.Fail(start)
		}
		return h
	}
	tests := []struct {
		name  string
		h     Health
		after time.Duration
		want  Status
		turns time.Duration
	}{
		{"healthy", fail(0), 1000 * time.Hour, Active, 0},
		{"one failure", fail(1), 0, Active, time.Hour},
		{"nine failures", fail(9), time.Hour - 1, Active, time.Hour},
		{"ten failures", fail(10), 0, Erroneous, 72 * time.Hour},
		{"an hour", fail(1), time.Hour, Erroneous, 72 * time.Hour},
		{"almost three days", fail(99), 72*time.Hour - 1, Erroneous, 72 * time.Hour},
		{"three days", fail(1), 72 * time.Hour, Off, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := HealthPolicy{}.withDefaults()
			if got := tt.h.Verdict(p, start.Add(tt.after)); got != tt.want {
				t.Errorf("verdict %q, want %q", got, tt.want)
			}
			want := time.Time{}
			if tt.turns > 0 {
				want = start.Add(tt.turns)
			}
			if got := tt.h.Turns(p, start.Add(tt.after)); !got.Equal(want) {
				t.Errorf("turns at %s, want %s", got, want)
			}
		})
	}
	if got := fail(500).Verdict(HealthPolicy{OffAge: -1}.withDefaults(), start.Add(1000*time.Hour)); got != Erroneous {
		t.Errorf("with off switched off the verdict is %q", got)
	}
}

func TestEventName(t *testing.T) {
	tests := []struct {
		t    fhir.Type
		i    fhir.Interaction
		want string
	}{
		{"Patient", fhir.Create, "patient.created"},
		{"PractitionerRole", fhir.Create, "practitioner-role.created"},
		{"MedicinalProductUndesirableEffect", fhir.Update, "medicinal-product-undesirable-effect.updated"},
		{"DiagnosticReport", fhir.Delete, "diagnostic-report.deleted"},
	}
	for _, tt := range tests {
		if got := EventName(tt.t, tt.i); got != tt.want {
			t.Errorf("EventName(%s, %s) = %q, want %q", tt.t, tt.i, got, tt.want)
		}
	}
}
