package subscription

// The ladders of the dialects as the Deliverer climbs them: what the product pages promise, observed with
// synctest's clock. The Subscriptions are parsed, so that all of it is what a server does.

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// speakFully makes a Subscription of the rig one that Parse read: with a dialect and further extensions.
func (r *rig) speakFully(id, dialect string, extensions ...string) {
	r.t.Helper()
	all := append([]string{ext(us+"subscription-dialect", `"valueCode":"`+dialect+`"`)}, extensions...)
	parsed, err := Parse(subKey(id), 1, document(r.t, rootExt(all...)), testOptions(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	r.configure[id] = func(s *Subscription) {
		key, version, status, endpoint := s.Key, s.Version, s.Status, s.Target.Endpoint
		*s = *parsed
		s.Key, s.Version, s.Status, s.Target.Endpoint = key, version, status, endpoint
	}
}

// refusing is an endpoint that always fails in one way.
func refusing(failure channel.SendError) func(context.Context, channel.Message) error {
	return func(context.Context, channel.Message) error { e := failure; return &e }
}

// observe owes one notification to an endpoint that fails in one way, and returns the waits between the requests
// until it ended.
func (r *rig) observe(failure channel.SendError, long time.Duration) []time.Duration {
	r.t.Helper()
	r.options.Health.OffAge = -1
	r.subscribe("s", "https://dead.example/hook", Active)
	r.channel.set("https://dead.example/hook", refusing(failure))
	r.owePut("s", fhir.Key{Tenant: fhir.DefaultTenant, Type: "DiagnosticReport", ID: "r"}, []map[string]any{{"status": "final"}})
	r.start()
	pass(long)
	r.halt()
	if r.ends("s")[1] != store.Failed || len(r.owed("s")) != 0 {
		r.t.Errorf("after %s it is %v, want failed", long, r.ends("s"))
	}
	return gaps(r.t, r.channel.sent())
}

// gaps are the times between requests, which must be attempts 1, 2, 3 … of one notification.
func gaps(t testing.TB, all []sent) []time.Duration {
	t.Helper()
	var waits []time.Duration
	for i, s := range all {
		if s.m.Attempt != i+1 || s.m.ID != all[0].m.ID {
			t.Errorf("request %d is attempt %d of %s", i+1, s.m.Attempt, s.m.ID)
		}
		if i > 0 {
			waits = append(waits, s.at.Sub(all[i-1].at))
		}
	}
	return waits
}

const second = time.Second

// kitTable is seed 0's: 1 s, 2 s, 4 s, 8 s, 16 s, 32 s, "etc", with an hour between attempts at most, until three days
// have passed since the first. 4095 s are over when the waits reach an hour, and 71 hours later it is 255 600 + 4095 s,
// the first failure behind 259 200 s.
func kitTable() []time.Duration {
	var waits []time.Duration
	for w := second; w < time.Hour; w *= 2 {
		waits = append(waits, w)
	}
	return append(waits, slices.Repeat([]time.Duration{time.Hour}, 71)...)
}

func TestSeeds_eachRetryTableIsObservedExactly(t *testing.T) {
	const m, h = time.Minute, time.Hour
	tests := []struct {
		dialect string
		want    []time.Duration
		jitter  float64
	}{
		{"kit", kitTable(), 0.1}, // seed 0
		{"fhir", kitTable(), 0.1},
		{"hapi", kitTable(), 0.1},
		{"webhook-events", kitTable(), 0.1},                                      // seed 1 names none
		{"healthsync", []time.Duration{m, 5 * m, 30 * m, h}, 0},                  // seed 2
		{"clinik", []time.Duration{30 * second, 2 * m, 8 * m, 32 * m, 2 * h}, 0}, // seed 3
		{"medplum", []time.Duration{20 * second, 40 * second, 80 * second}, 0.1}, // 4 requests
	}
	for _, tt := range tests {
		t.Run(tt.dialect, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.speakFully("s", tt.dialect)
				if diff := cmp.Diff(tt.want, r.observe(channel.SendError{Class: "refused"}, 80*h)); diff != "" {
					t.Errorf("waits (-want +got):\n%s", diff)
				}
			})
		})
		// DESIGN 4.3: no jitter on lists, ±10 % on exponential forms.
		for _, random := range []float64{0, 0.25, 0.999} {
			t.Run(fmt.Sprintf("%s, random number %v", tt.dialect, random), func(t *testing.T) {
				play(t, func(t *testing.T, r *rig) {
					r.options.Random = func() float64 { return random }
					r.speakFully("s", tt.dialect)
					got := r.observe(channel.SendError{Class: "refused"}, 80*h)
					for i, wait := range tt.want[:min(len(got), len(tt.want))] {
						want := time.Duration(float64(wait) * (1 + tt.jitter*(2*random-1)))
						if off := (got[i] - want).Abs(); off > time.Millisecond {
							t.Errorf("wait %d is %s, want %s", i+1, got[i], want)
						}
					}
				})
			})
		}
	}
}

// Seed 0: "This should be capped at 3 days, at which point the event should be assumed to have failed." The endpoint
// takes everything else, so that the Subscription goes on, and is never switched off.
func TestSeeds_kitEventFailsAfterThreeDaysThoughOthersPass(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.speakFully("s", "kit")
		r.subscribe("s", "https://picky.example/hook", Active)
		r.channel.set("https://picky.example/hook", func(_ context.Context, m channel.Message) error {
			if m.Focus == "poison" {
				return &channel.SendError{Class: "status"}
			}
			return nil
		})
		r.start()
		r.owe("s", "poison")
		for range 160 {
			pass(30 * time.Minute)
			r.owe("s", "fine")
		}
		pass(time.Minute)
		r.halt()
		var poison []sent
		for _, s := range r.channel.sent() {
			if s.m.Focus == "poison" {
				poison = append(poison, s)
			}
		}
		if diff := cmp.Diff(kitTable(), gaps(t, poison)); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
		failed := 0
		for _, state := range r.ends("s") {
			if state == store.Failed {
				failed++
			}
		}
		if status, _ := r.standing("s"); r.ends("s")[1] != store.Failed || failed != 1 || status != Active || len(r.owed("s")) != 0 {
			t.Errorf("%d failed, status %q, %d owed", failed, status, len(r.owed("s")))
		}
	})
}

// DESIGN 4.3: Retry-After only lengthens a wait, to 1 h at most.
func TestDeliverer_retryAfterOnlyLengthensAWaitToOneHourAtMost(t *testing.T) {
	const m, h = time.Minute, time.Hour
	tests := []struct {
		dialect string
		after   time.Duration
		want    []time.Duration
	}{
		{"clinik", 10 * m, []time.Duration{10 * m, 10 * m, 10 * m, 32 * m, 2 * h}},
		{"clinik", 9 * h, []time.Duration{h, h, h, h, 2 * h}},
		{"healthsync", second, []time.Duration{m, 5 * m, 30 * m, h}},
		{"medplum", 30 * second, []time.Duration{30 * second, 40 * second, 80 * second}},
		{"medplum", 24 * h, []time.Duration{h, h, h}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s, %s", tt.dialect, tt.after), func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.speakFully("s", tt.dialect)
				if diff := cmp.Diff(tt.want, r.observe(channel.SendError{Class: "status", RetryAfter: tt.after}, 80*h)); diff != "" {
					t.Errorf("waits (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// DESIGN 4.3: 429 and 503 spare attempts on exponential ladders, and not on lists.
func TestDeliverer_429And503SpareAttemptsOnExponentialLadders(t *testing.T) {
	for _, tt := range []struct {
		dialect  string
		requests int
	}{{"medplum", 3 + 4}, {"healthsync", 5}, {"clinik", 6}} {
		t.Run(tt.dialect, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.options.Health.OffAge = -1
				r.speakFully("s", tt.dialect)
				r.subscribe("s", "https://busy.example/hook", Active)
				n := 0
				r.channel.set("https://busy.example/hook", func(context.Context, channel.Message) error {
					n++
					return &channel.SendError{Class: "status", Spared: n <= 3}
				})
				r.start()
				r.owe("s", "o1")
				pass(80 * time.Hour)
				r.halt()
				all := r.channel.sent()
				waits := gaps(t, all)
				if len(all) != tt.requests || r.ends("s")[1] != store.Failed {
					t.Fatalf("%d requests, want %d; it ended %v", len(all), tt.requests, r.ends("s"))
				}
				if want := []time.Duration{20 * second, 20 * second, 20 * second, 20 * second, 40 * second, 80 * second}; tt.dialect == "medplum" {
					if diff := cmp.Diff(want, waits); diff != "" {
						t.Errorf("waits (-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

// DESIGN 4.3: a ladder that asks to wait for ever ends all the same, by its clock.
func TestDeliverer_sparedAttemptsEndWithTheGiveUpClock(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.speakFully("s", "medplum")
		waits := r.observe(channel.SendError{Class: "status", Spared: true, RetryAfter: time.Hour}, 100*time.Hour)
		if diff := cmp.Diff(slices.Repeat([]time.Duration{time.Hour}, 72), waits); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
	})
}

// DESIGN 4.2: entries are the waits, N attempts are N requests, HAPI's count N is N+1, and both cut a ladder short.
func TestDeliverer_maxAttemptsAndHAPIsCountCutEitherLadderShort(t *testing.T) {
	attempts := func(n int) string {
		return ext(med+"subscription-max-attempts", fmt.Sprintf(`"valueInteger":%d`, n))
	}
	retries := func(n int) string {
		return ext(hap+"subscription-delivery-retry-count", fmt.Sprintf(`"valueInteger":%d`, n))
	}
	ladder := func(s string) string { return ext(us+"subscription-retry", `"valueString":"`+s+`"`) }
	ms := time.Millisecond
	tests := []struct {
		name, dialect string
		extensions    []string
		want          []time.Duration
	}{
		{"kit", "kit", []string{attempts(3)}, []time.Duration{second, 2 * second}},
		{"kit once", "kit", []string{attempts(1)}, nil},
		{"kit, HAPI's", "kit", []string{retries(3)}, []time.Duration{second, 2 * second, 4 * second}},
		{"list", "clinik", []string{attempts(2)}, []time.Duration{30 * second}},
		{"list, HAPI's", "clinik", []string{retries(2)}, []time.Duration{30 * second, 2 * time.Minute}},
		{"more than the list has", "healthsync", []string{attempts(9), ladder("1s")}, []time.Duration{second}},
		{"own list", "kit", []string{ladder("200ms,400ms")}, []time.Duration{200 * ms, 400 * ms}},
		{"own exponential form", "clinik", []string{ladder("exp:1s,3,10s,30s")}, []time.Duration{second, 3 * second, 9 * second, 10 * second, 10 * second}},
		{"medplum's own number gives way", "medplum", []string{attempts(5)}, []time.Duration{20 * second, 40 * second, 80 * second, 160 * second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.speakFully("s", tt.dialect, tt.extensions...)
				if diff := cmp.Diff(tt.want, r.observe(channel.SendError{Class: "refused"}, 80*time.Hour)); diff != "" {
					t.Errorf("waits (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// DESIGN 4.3: what is still owed when the lane becomes off stays owed, and clock, attempt count and ladder start anew
// on re-arming.
func TestSeeds_ladderStartsAnewAfterOff(t *testing.T) {
	for _, dialect := range []string{"clinik", "medplum"} {
		t.Run(dialect, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.speakFully("s", dialect)
				r.subscribe("s", "https://dead.example/hook", Active)
				r.channel.set("https://dead.example/hook", failing("refused"))
				r.start()
				r.owe("s", "o1")
				pass(25 * second)
				r.subscribe("s", "https://dead.example/hook", Off)
				pass(100 * time.Hour)
				if n := len(r.owed("s")); n != 1 {
					t.Fatalf("%d owed while off", n)
				}
				r.channel.forget()
				r.subscribe("s", "https://dead.example/hook", Active)
				pass(10 * time.Hour)
				r.halt()
				want := map[string][]time.Duration{
					"clinik":  {30 * second, 2 * time.Minute, 8 * time.Minute, 32 * time.Minute, 2 * time.Hour},
					"medplum": {20 * second, 40 * second, 80 * second},
				}[dialect]
				if diff := cmp.Diff(want, gaps(t, r.channel.sent())); diff != "" || r.ends("s")[1] != store.Failed {
					t.Errorf("it ended %v; waits (-want +got):\n%s", r.ends("s"), diff)
				}
			})
		})
	}
}

// The tables are of all dialects that there are.
func TestSeeds_noDialectIsLeftOut(t *testing.T) {
	o := testOptions(t)
	table, ok := o.Dialects.(*DialectTable)
	if !ok {
		t.Fatalf("%T", o.Dialects)
	}
	if n := len(table.rules); n != 7 {
		t.Errorf("%d dialects: put the new one's ladder into TestSeeds_eachRetryTableIsObservedExactly", n)
	}
}
