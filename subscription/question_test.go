package subscription

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/channel"
	"fhirhook/fhir/store"
)

// takes is an endpoint that answers well, after a time.
func takes(d time.Duration) func(context.Context, channel.Message) error {
	return func(ctx context.Context, _ channel.Message) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// asked is how long a question waits.
func (r *rig) asked(lane store.Lane) time.Duration {
	r.t.Helper()
	began := time.Now()
	if err := r.d.Settled(context.Background(), lane); err != nil {
		r.t.Error(err)
	}
	return time.Since(began)
}

var everyLane = store.Lane{Tenant: laneOf("").Tenant}

func TestSettled_waitsForWhatHasBegunAndNoLonger(t *testing.T) {
	const never = time.Hour
	for _, tt := range []struct {
		name            string
		answers, asking time.Duration // behind the beginning of the request
		want            time.Duration
		tried           int
	}{
		{"the lane was only just told", 0, 0, 0, 1},
		{"an answer soon", 100 * time.Millisecond, 0, 100 * time.Millisecond, 1},
		{"an answer sooner", 100 * time.Millisecond, 90 * time.Millisecond, 10 * time.Millisecond, 1},
		{"an answer just in time", promptly - 1, promptly - 2, 1, 1},
		{"a receiver that hangs", never, 0, promptly, 0},
		{"for a while", never, 200 * time.Millisecond, promptly - 200*time.Millisecond, 0},
		{"for long", never, promptly, 0, 0},
	} {
		for _, of := range []store.Lane{laneOf("s"), everyLane} {
			t.Run(tt.name+" "+of.Subscription, func(t *testing.T) {
				play(t, func(t *testing.T, r *rig) {
					r.options.Drain = time.Nanosecond
					r.subscribe("s", "https://a.example/hook", Active)
					r.channel.set("https://a.example/hook", takes(tt.answers))
					r.start()
					synctest.Wait()
					r.owe("s", "o1")
					if tt.asking > 0 {
						pass(tt.asking)
					}
					if got := r.asked(of); got != tt.want {
						t.Errorf("it waits for %s, want %s", got, tt.want)
					}
					if got := len(r.attempts("s")); got != tt.tried {
						t.Errorf("%d attempts are on the record, want %d", got, tt.tried)
					}
					r.halt()
				})
			})
		}
	}
}

func TestSettled_resultsAreStoredAtOnceForWhoeverAsks(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Drain = time.Nanosecond
		r.subscribe("s", "https://a.example/hook", Active)
		r.subscribe("slow", "https://slow.example/hook", Active)
		r.channel.set("https://slow.example/hook", takes(time.Hour))
		r.start()
		synctest.Wait()
		r.owe("slow", "o1") // while its request is very young, results wait for it
		synctest.Wait()
		r.owe("s", "o1")
		synctest.Wait()
		if len(r.attempts("s")) != 0 {
			t.Fatal("the result is stored before anybody asks, so that this shows nothing")
		}
		if got := r.asked(laneOf("s")); got != 0 {
			t.Errorf("it waits for %s", got)
		}
		if len(r.attempts("s")) != 1 {
			t.Error("the attempt is not on the record")
		}
		r.halt()
	})
}

func TestSettled_nobodyWaitsForOthers(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Drain = time.Nanosecond
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", takes(time.Hour))
		r.start()
		synctest.Wait()
		r.owe("s", "o1")
		synctest.Wait()
		for _, lane := range []store.Lane{laneOf("other"), {Tenant: "other"}, {Tenant: "other", Subscription: "s"}} {
			if got := r.asked(lane); got != 0 {
				t.Errorf("%v waits for %s", lane, got)
			}
		}
		r.halt()
	})
}

// A lane that is never idle answers all the same: what begins behind the question isn't waited for.
func TestSettled_laneThatIsNeverIdle(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		const each = 20 * time.Millisecond
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", takes(each))
		r.start()
		synctest.Wait()
		r.owe("s", numbered(10*mostInFlight)...)
		pass(each + each/2)
		before := len(r.channel.sent())
		if got := r.asked(everyLane); got > each+mostGathered {
			t.Errorf("it waits for %s", got)
		}
		if got := len(r.attempts("s")); got < before || got == 10*mostInFlight {
			t.Errorf("%d attempts are on the record of %d that had begun, and %d in all", got, before, 10*mostInFlight)
		}
		pass(time.Minute)
		r.halt()
	})
}

// While nothing can be stored a question waits as long as its context lets it, and leaves nothing behind.
func TestSettled_endsWithItsContext(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.start()
		synctest.Wait()
		r.owe("s", "o1")
		r.db.fail(errors.New("the disk is full"))
		for range 100 {
			began := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			err := r.d.Settled(ctx, laneOf("s"))
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Fatalf("%v after %s", err, time.Since(began))
			}
		}
		synctest.Wait()
		r.inMemory(func(l *lane) {
			if n := len(l.questions) + len(l.awaited[1]); n > 2 {
				t.Errorf("%d questions are kept that nobody waits for", n)
			}
		})
		r.db.fail(nil)
		if r.asked(laneOf("s")); len(r.attempts("s")) != 1 {
			t.Error("the attempt is not on the record")
		}
		r.halt()
		if len(r.d.lanes) != 0 {
			t.Error("the lane is still in memory")
		}
	})
}

func TestSettled_endsWhenTheDelivererStops(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", takes(100*time.Millisecond))
		r.start()
		synctest.Wait()
		r.owe("s", "o1")
		var waited time.Duration
		over := make(chan struct{})
		go func() {
			defer close(over)
			waited = r.asked(laneOf("s"))
		}()
		pass(40 * time.Millisecond)
		r.halt()
		<-over
		if waited != 40*time.Millisecond {
			t.Errorf("it waits for %s", waited)
		}
		if got := r.asked(laneOf("s")); got != 0 {
			t.Errorf("of a Deliverer that has ended it waits for %s", got)
		}
	})
}
