package subscription

// The deliverer tests: time is synctest's.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// play runs a test in a bubble, where time passes as soon as everyone waits. When the bubble ends, no
// goroutine may be left.
func play(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newRig(t)) })
}

// pass lets time pass, and everything that happens meanwhile.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestDeliverer_sendsTheVersionThatWasOwed(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		role := fhir.Key{Tenant: fhir.DefaultTenant, Type: "PractitionerRole", ID: "p1"}
		first := r.put(role, map[string]any{"active": true})
		r.put(role, map[string]any{"active": false})
		r.updateQueue(func(w store.QueueWriter) error {
			n := store.Notification{Lane: laneOf("s"), Number: 1, Focus: role, Version: 1, Interaction: fhir.Create, Updated: first.Updated}
			return errors.Join(w.Owe(n), w.PutLane(store.LaneRecord{Lane: laneOf("s"), Next: 2, Head: 1}))
		})
		r.start()
		synctest.Wait()
		r.halt()
		all := r.channel.sent()
		if len(all) != 1 {
			t.Fatalf("%d requests, want 1", len(all))
		}
		want := channel.Message{
			Target: channel.Target{Endpoint: "https://a.example/hook"}, ID: r.db.Epoch()[:4] + "-s-1",
			Tenant: fhir.DefaultTenant, Subscription: "s", Sequence: 1, Attempt: 1,
			Event: "practitioner-role.created", Interaction: "create",
			Type: "PractitionerRole", Focus: "p1", Version: "1", Updated: first.Updated, Body: first.JSON,
		}
		if diff := cmp.Diff(want, all[0].m); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if len(r.owed("s")) != 0 || r.ends("s")[1] != store.Delivered {
			t.Errorf("still owed: %v; ends: %v", r.owed("s"), r.ends("s"))
		}
		if rec := r.record("s"); rec.Owed != 0 || rec.Next != 2 {
			t.Errorf("record %+v, want nothing owed and Next 2", rec)
		}
		if r.inMemory(nil) != 0 {
			t.Error("an idle lane is still in memory")
		}
	})
}

func TestDeliverer_subscriptionAsFocusIsRedacted(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.updateQueue(func(w store.QueueWriter) error {
			n := store.Notification{Lane: laneOf("s"), Number: 1, Focus: subKey("s"), Version: 1, Interaction: fhir.Create}
			return errors.Join(w.Owe(n), w.PutLane(store.LaneRecord{Lane: laneOf("s"), Next: 2, Head: 1}))
		})
		r.start()
		synctest.Wait()
		r.halt()
		if all := r.channel.sent(); len(all) != 1 || string(all[0].m.Body) != `"redacted"` {
			t.Errorf("sent %+v", all)
		}
	})
}

func TestDeliverer_kitLadderIsObservedForThreeDays(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Health.OffAge = -1
		r.subscribe("s", "https://dead.example/hook", Active)
		r.channel.set("https://dead.example/hook", failing("refused"))
		r.start()
		r.owe("s", "o1")
		pass(80 * time.Hour)
		r.halt()
		all := r.channel.sent()
		want, _ := climb(kitLadder, nil, 0.5, 1000)
		var got []time.Duration
		for i, s := range all {
			if i > 0 {
				got = append(got, s.at.Sub(all[i-1].at))
			}
			if s.m.Attempt != i+1 || s.m.ID != all[0].m.ID {
				t.Errorf("request %d is attempt %d of %s", i+1, s.m.Attempt, s.m.ID)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
		if r.ends("s")[1] != store.Failed {
			t.Errorf("it ended %v, want failed", r.ends("s"))
		}
		if status, text := r.standing("s"); status != Erroneous || !strings.Contains(text, "refused") {
			t.Errorf("status %q, error %q", status, text)
		}
		if r.versions("s") != 2 {
			t.Errorf("the Subscription has %d versions: it is written on transitions only", r.versions("s"))
		}
	})
}

func TestDeliverer_listLadderIsObservedExactly(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		waits := []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour}
		r.configure["s"] = func(s *Subscription) { s.Ladder = Ladder{Waits: waits} }
		r.options.Random = func() float64 { return 0.9 }
		r.subscribe("s", "https://dead.example/hook", Active)
		r.channel.set("https://dead.example/hook", failing("status"))
		r.start()
		r.owe("s", "o1")
		pass(24 * time.Hour)
		r.halt()
		all := r.channel.sent()
		if len(all) != 5 {
			t.Fatalf("%d requests, want 5", len(all))
		}
		for i, wait := range waits {
			if got := all[i+1].at.Sub(all[i].at); got != wait {
				t.Errorf("wait %d is %s, want %s", i+1, got, wait)
			}
		}
		if r.ends("s")[1] != store.Failed {
			t.Errorf("it ended %v, want failed", r.ends("s"))
		}
		// The hour of unbroken failure had passed before the last attempt.
		if status, _ := r.standing("s"); status != Erroneous {
			t.Errorf("status %q, want error", status)
		}
	})
}

func TestDeliverer_deadEndpointIsProbedAtTheBreakersPace(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		const backlog, off = 100_000, 72 * time.Hour
		r.bulk()
		r.subscribe("dead", "https://dead.example/hook", Active)
		r.subscribe("well", "https://well.example/hook", Active)
		r.channel.set("https://dead.example/hook", failing("refused"))
		r.start()
		synctest.Wait()
		r.owe("dead", numbered(backlog)...)
		began := time.Now()
		pass(time.Hour)
		r.inMemory(func(l *lane) {
			if l.source != nil || len(l.busy) > 0 {
				t.Errorf("the lane holds some of its backlog while its breaker is open: %+v, %d busy", l.source, len(l.busy))
			}
		})
		if since := r.d.Stats().OldestDue; since.IsZero() || time.Since(since) < time.Hour-time.Second {
			t.Errorf("oldest due since %s", since)
		}
		asked := time.Now()
		r.owe("well", "o1")
		synctest.Wait()
		if all := r.channel.sent(); all[len(all)-1].m.Subscription != "well" || !all[len(all)-1].at.Equal(asked) {
			t.Error("the healthy lane did not send at once")
		}
		pass(off - time.Since(began) - time.Second)
		// 9 failures and 16 in flight until it opens, then waits of 1 s to 256 s, then one each 5 min.
		want := 9 + mostInFlight + 9 + int((off-511*time.Second)/(5*time.Minute))
		if n := len(r.channel.sent()) - 1; n < want-9 || n > want {
			t.Errorf("%d attempts at a dead endpoint in three days, want %d", n, want)
		}
		if n := r.record("dead").Owed; n != backlog {
			t.Errorf("%d owed before three days are over", n)
		}
		pass(10 * time.Minute)
		if status, _ := r.standing("dead"); status != Off || r.record("dead").Owed != backlog || r.d.Stats().Lanes != 0 {
			t.Errorf("status %q, %d owed after three days", status, r.record("dead").Owed)
		}
		r.halt()
	})
}

func TestDeliverer_backlogDrainsInOrderAfterRecovery(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		const backlog = 20_000
		queue := r.bulk()
		up := time.Now().Add(3 * time.Hour)
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", func(_ context.Context, m channel.Message) error {
			if time.Now().Before(up) {
				return &channel.SendError{Class: "refused"}
			}
			<-time.After(10 * time.Millisecond)
			return nil
		})
		r.start()
		synctest.Wait()
		r.owe("s", numbered(backlog)...)
		<-time.After(time.Until(up))
		r.channel.forget()
		pass(2 * time.Hour)
		r.halt()
		all := r.channel.sent()
		if len(all) != backlog || r.record("s").Owed != 0 {
			t.Fatalf("%d sent, %d still owed, want %d and 0", len(all), r.record("s").Owed, backlog)
		}
		retries, last, lastAt := 0, uint64(0), time.Time{}
		for _, s := range all {
			if s.m.Attempt > 1 {
				retries++
				continue
			}
			if s.m.Sequence+mostInFlight < last {
				t.Fatalf("number %d came behind %d", s.m.Sequence, last)
			}
			last, lastAt = max(last, s.m.Sequence), s.at
		}
		if retries > 100 {
			t.Errorf("%d were tried while the endpoint was down", retries)
		}
		// At full rate 16 go each 10 ms.
		if took, full := lastAt.Sub(all[0].at), backlog/mostInFlight*10*time.Millisecond; took > full+time.Minute {
			t.Errorf("the backlog took %s, want %s and a little", took, full)
		}
		if queue.updates > backlog/4 {
			t.Errorf("%d transactions for %d results", queue.updates, backlog)
		}
		if status, text := r.standing("s"); status != Active || text != "" {
			t.Errorf("status %q, error %q after recovery", status, text)
		}
		if rec := r.record("s"); rec.BreakerOpen || rec.Failures != 0 || !rec.FailingSince.IsZero() {
			t.Errorf("record %+v after recovery", rec)
		}
	})
}

func TestDeliverer_poisonBlocksNothingWithoutOrder(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", func(_ context.Context, m channel.Message) error {
			if m.Focus == "poison" {
				return &channel.SendError{Class: "status"}
			}
			return nil
		})
		r.start()
		r.owe("s", append([]string{"poison"}, numbered(500)...)...)
		pass(time.Second / 2)
		if n := len(r.owed("s")); n != 1 {
			t.Errorf("%d owed after the first moment, want the poison alone", n)
		}
		// A success now and then keeps the lane healthy; the poison ends by itself.
		for range 80 * 12 {
			pass(5 * time.Minute)
			r.owe("s", "fine")
		}
		pass(time.Second)
		r.halt()
		if ends := r.ends("s"); ends[1] != store.Failed || len(ends) != 501+80*12 || len(r.owed("s")) != 0 {
			t.Errorf("the poison ended %v; %d ended, %d owed", ends[1], len(ends), len(r.owed("s")))
		}
		if r.versions("s") != 1 {
			t.Error("one poison notification showed in the status")
		}
	})
}

func TestDeliverer_hangingLaneHurtsOnlyItself(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		const hanging = 50
		hang := func(ctx context.Context, _ channel.Message) error {
			select {
			case <-time.After(30 * time.Second):
				return &channel.SendError{Class: "timeout"}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r.options.Workers = 2
		for i := range hanging {
			id := fmt.Sprintf("h%d", i)
			r.subscribe(id, "https://hang.example/"+id, Active)
			r.channel.set("https://hang.example/"+id, hang)
			r.owe(id, numbered(100)...)
		}
		r.subscribe("well", "https://well.example/hook", Active)
		r.start()
		synctest.Wait()
		if n := r.d.Stats().InFlight; n != hanging {
			t.Errorf("%d requests in flight after a start, want one a lane", n)
		}
		for i := range 100 {
			asked := time.Now()
			r.owe("well", fmt.Sprint(i))
			synctest.Wait()
			all := r.channel.sent()
			if last := all[len(all)-1]; last.m.Subscription != "well" || !last.at.Equal(asked) {
				t.Fatal("the healthy lane had to wait")
			}
			pass(time.Second)
		}
		for at, most := range r.channel.most {
			if most > mostInFlight {
				t.Errorf("%d requests at a time to %s", most, at)
			}
		}
		r.halt()
	})
}

func TestDeliverer_goneSwitchesOffAtOnce(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook?token=hidden", Active)
		r.channel.set("https://a.example/hook?token=hidden", func(context.Context, channel.Message) error {
			return &channel.SendError{Class: "gone", Gone: true}
		})
		r.start()
		r.owe("s", "o1")
		pass(100 * time.Hour)
		status, text := r.standing("s")
		if n := len(r.channel.sent()); n != 1 || status != Off || !strings.Contains(text, "410") || strings.Contains(text, "hidden") {
			t.Errorf("%d requests, status %q, error %q", n, status, text)
		}
		if len(r.owed("s")) != 1 || r.inMemory(nil) != 0 {
			t.Errorf("owed %d, want it kept; %d lanes in memory", len(r.owed("s")), r.inMemory(nil))
		}
		r.channel.set("https://a.example/hook?token=hidden", nil)
		r.subscribe("s", "https://a.example/hook?token=hidden", Active)
		synctest.Wait()
		r.halt()
		all := r.channel.sent()
		if len(all) != 2 || all[1].m.Attempt != 1 || all[1].m.ID != all[0].m.ID || len(r.owed("s")) != 0 {
			t.Errorf("after re-arming: %+v; %d owed", all, len(r.owed("s")))
		}
	})
}

func TestDeliverer_goneFromAnEndpointThatMovedIsForgotten(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://old.example/hook", Active)
		r.channel.set("https://old.example/hook", func(context.Context, channel.Message) error {
			<-time.After(time.Second)
			return &channel.SendError{Class: "gone", Gone: true}
		})
		r.start()
		r.owe("s", "o1")
		pass(time.Second / 2)
		r.subscribe("s", "https://new.example/hook", Active)
		pass(time.Minute)
		r.halt()
		if status, _ := r.standing("s"); status != Active || len(r.owed("s")) != 0 {
			t.Errorf("status %q, %d owed", status, len(r.owed("s")))
		}
	})
}

func TestDeliverer_offComesBeforeGivingUp(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.bulk()
		r.subscribe("s", "https://dead.example/hook", Active)
		r.channel.set("https://dead.example/hook", failing("refused"))
		r.start()
		r.owe("s", numbered(300)...)
		pass(90 * time.Hour)
		if status, text := r.standing("s"); status != Off || !strings.Contains(text, "switched off") {
			t.Errorf("status %q, error %q", status, text)
		}
		if n := len(r.owed("s")); n != 300 || r.inMemory(nil) != 0 {
			t.Errorf("%d owed, want all 300 kept; %d lanes in memory", n, r.inMemory(nil))
		}
		before := len(r.channel.sent())
		pass(200 * time.Hour)
		if len(r.channel.sent()) != before {
			t.Error("it sends while off")
		}
		// Re-armed, but still dead: clock and ladder start anew, so that nothing is given up at once.
		r.channel.forget()
		r.subscribe("s", "https://dead.example/hook", Active)
		pass(time.Hour)
		if status, _ := r.standing("s"); status != Erroneous || len(r.owed("s")) != 300 {
			t.Errorf("status %q and %d owed after an hour", status, len(r.owed("s")))
		}
		for _, n := range r.owed("s") {
			if !n.Began.IsZero() && time.Since(n.Began) > time.Hour {
				t.Fatalf("the clock of %d runs since %s", n.Number, n.Began)
			}
		}
		r.channel.set("https://dead.example/hook", nil)
		pass(2 * time.Hour)
		r.halt()
		if len(r.owed("s")) != 0 {
			t.Errorf("%d owed", len(r.owed("s")))
		}
	})
}

func TestDeliverer_brokenForLongerThanTheLadderGivesUpUntried(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Health.OffAge = -1
		r.configure["s"] = func(s *Subscription) {
			s.Ladder = Ladder{First: time.Second, Factor: 2, Cap: time.Minute, GiveUp: 2 * time.Hour}
		}
		r.subscribe("s", "https://dead.example/hook", Active)
		r.channel.set("https://dead.example/hook", failing("refused"))
		r.start()
		synctest.Wait()
		r.owe("s", numbered(400)...)
		pass(time.Hour)
		r.owe("s", numbered(500)...)
		pass(time.Hour - time.Minute)
		if n := len(r.owed("s")); n != 900 {
			t.Errorf("%d owed before the two hours are over", n)
		}
		pass(10 * time.Minute)
		if n := len(r.owed("s")); n < 495 || n > 500 {
			t.Errorf("%d owed after two hours, want those of the second hour", n)
		}
		pass(time.Hour)
		r.halt()
		if n := len(r.owed("s")); n != 0 {
			t.Errorf("%d owed after three hours", n)
		}
		for number, state := range r.ends("s") {
			if state != store.Failed {
				t.Fatalf("%d ended %v", number, state)
			}
		}
	})
}

func TestDeliverer_quickOffAndOnStartsTheLadderAnew(t *testing.T) {
	for _, skip := range []bool{false, true} {
		t.Run(fmt.Sprintf("skip=%v", skip), func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.configure["s"] = func(s *Subscription) { s.SkipBacklog = skip }
				r.subscribe("s", "https://a.example/hook", Active)
				r.channel.set("https://a.example/hook", failing("refused"))
				r.start()
				r.owe("s", numbered(700)...)
				pass(10 * time.Hour)
				r.halt() // the server sees neither off nor on
				r.channel.forget()
				r.channel.set("https://a.example/hook", nil)
				r.d = nil
				r.subscribe("s", "https://a.example/hook", Off)
				<-time.After(time.Millisecond)
				r.subscribe("s", "https://a.example/hook", Active)
				<-time.After(time.Millisecond)
				r.owe("s", "new")
				r.start()
				synctest.Wait()
				rec := r.record("s")
				r.halt()
				all := r.channel.sent()
				want, state := 701, store.Delivered
				if skip {
					want, state = 1, store.Skipped
				}
				if len(all) != want || len(r.owed("s")) != 0 || rec.Failures != 0 || rec.BreakerOpen {
					t.Fatalf("%d sent, %d owed, record %+v; want %d sent at once", len(all), len(r.owed("s")), rec, want)
				}
				for _, s := range all {
					if s.m.Attempt != 1 {
						t.Fatalf("number %d goes on with attempt %d", s.m.Sequence, s.m.Attempt)
					}
				}
				ends := r.ends("s")
				if ends[1] != state || ends[700] != state || ends[701] != store.Delivered {
					t.Errorf("ended %v, %v, %v", ends[1], ends[700], ends[701])
				}
			})
		})
	}
}

func TestDeliverer_deletionCancels(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", func(context.Context, channel.Message) error {
			<-time.After(time.Second)
			return nil
		})
		r.start()
		synctest.Wait()
		r.owe("s", numbered(1000)...)
		pass(time.Second / 2)
		r.unsubscribe("s")
		pass(time.Minute)
		r.halt()
		counts := map[store.State]int{}
		for _, state := range r.ends("s") {
			counts[state]++
		}
		want := map[store.State]int{store.Delivered: mostInFlight, store.Cancelled: 1000 - mostInFlight}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("ends (-want +got):\n%s", diff)
		}
		if rec := r.record("s"); rec.Cancelling || len(r.owed("s")) != 0 || r.inMemory(nil) != 0 {
			t.Errorf("record %+v, %d owed", rec, len(r.owed("s")))
		}
	})
}

func TestDeliverer_revivalLosesNothing(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.owe("s", numbered(600)...)
		r.d = NewDeliverer(DelivererOptions{}) // takes note of nothing
		r.unsubscribe("s")
		r.d = nil
		<-time.After(time.Millisecond)
		r.subscribe("s", "https://a.example/hook", Active)
		r.updateQueue(func(w store.QueueWriter) error {
			return cancelSome(w, r.db.Epoch(), laneOf("s"), 1000, time.Now())
		})
		r.owe("s", "new")
		r.start()
		synctest.Wait()
		r.halt()
		ends := r.ends("s")
		if ends[600] != store.Cancelled || ends[1] != store.Cancelled || ends[601] != store.Delivered || len(r.channel.sent()) != 1 {
			t.Errorf("ended %v, %v, %v; %d sent", ends[1], ends[600], ends[601], len(r.channel.sent()))
		}
	})
}

func TestDeliverer_endCancelsAndSwitchesOff(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		end := time.Now().Add(time.Hour)
		r.configure["s"] = func(s *Subscription) { s.End = end }
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", failing("refused"))
		r.start()
		r.owe("s", numbered(300)...)
		pass(2 * time.Hour)
		r.halt()
		status, _ := r.standing("s")
		if ends := r.ends("s"); len(ends) != 300 || ends[1] != store.Cancelled || status != Off {
			t.Errorf("%d ended, the first %v; status %q", len(ends), ends[1], status)
		}
		for _, s := range r.channel.sent() {
			if s.at.After(end) {
				t.Errorf("sent at %s, after the end", s.at)
			}
		}
	})
}

func TestDeliverer_retryAfterIsHeeded(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", func(context.Context, channel.Message) error {
			return &channel.SendError{Class: "throttled", Spared: true, RetryAfter: 10 * time.Minute}
		})
		r.start()
		r.owe("s", "o1")
		pass(35 * time.Minute)
		r.halt()
		all := r.channel.sent()
		if len(all) != 4 {
			t.Fatalf("%d requests in 35 min, want 4", len(all))
		}
		if gap := all[1].at.Sub(all[0].at); gap != 10*time.Minute {
			t.Errorf("it came again after %s", gap)
		}
		if n := r.owed("s")[0]; n.Tries != n.Spared || n.Tries == 0 {
			t.Errorf("%d attempts counted, though the endpoint asked to wait", n.Tries-n.Spared)
		}
	})
}

func TestDeliverer_drainLetsAttemptsFinish(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", func(context.Context, channel.Message) error {
			<-time.After(5 * time.Second)
			return nil
		})
		r.start()
		synctest.Wait()
		r.owe("s", numbered(40)...)
		pass(time.Second)
		r.stop()
		r.owe("s", "late")
		pass(5 * time.Second)
		r.halt()
		if n := len(r.channel.sent()); n != mostInFlight || len(r.owed("s")) != 41-mostInFlight {
			t.Errorf("%d sent, %d owed", n, len(r.owed("s")))
		}
	})
}

func TestDeliverer_attemptCutByStoppingIsNotCounted(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Drain = 2 * time.Second
		var cause error
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", func(ctx context.Context, _ channel.Message) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return &channel.SendError{Class: "cancelled", Err: ctx.Err()}
		})
		r.start()
		r.owe("s", "o1")
		pass(time.Second)
		stopped := time.Now()
		r.halt()
		if took := time.Since(stopped); took != 2*time.Second || !errors.Is(cause, ErrStopping) {
			t.Errorf("stopping took %s, cause %v", took, cause)
		}
		if n := r.owed("s"); len(n) != 1 || n[0].Tries != 0 || !n[0].Next.IsZero() || len(r.attempts("s")) != 0 {
			t.Errorf("owed %+v, attempts %+v", n, r.attempts("s"))
		}
		r.channel.set("https://a.example/hook", nil)
		r.start()
		synctest.Wait()
		r.halt()
		all := r.channel.sent()
		if len(all) != 2 || all[1].m.Attempt != 1 || all[1].m.ID != all[0].m.ID {
			t.Errorf("after the next start: %+v", all)
		}
	})
}

func TestDeliverer_restartKeepsTheLadder(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Health.OffAge = -1
		r.subscribe("s", "https://dead.example/hook", Active)
		r.channel.set("https://dead.example/hook", failing("refused"))
		r.owe("s", "o1")
		for i := 0; i < 200 && len(r.ends("s")) == 0; i++ {
			r.start()
			pass(time.Duration(i%7) * 11 * time.Minute)
			if i%2 == 0 {
				r.crash()
			} else {
				r.halt()
			}
		}
		all := r.channel.sent()
		for i, s := range all {
			if s.m.Attempt != i+1 || s.m.ID != all[0].m.ID {
				t.Fatalf("request %d is attempt %d of %s", i+1, s.m.Attempt, s.m.ID)
			}
		}
		lasted := all[len(all)-1].at.Sub(all[0].at)
		if r.ends("s")[1] != store.Failed || lasted < 72*time.Hour || lasted > 74*time.Hour {
			t.Errorf("it ended %v after %s", r.ends("s"), lasted)
		}
	})
}

func TestDeliverer_resultThatCannotBeStoredStopsTheLanes(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.start()
		synctest.Wait()
		r.owe("s", "o0")
		synctest.Wait()
		r.owe("s", numbered(1000)...)
		r.db.fail(errors.New("no space left on device"))
		pass(time.Minute)
		n := len(r.channel.sent())
		if n > 1+mostUnstored || !r.d.Stats().Stuck {
			t.Errorf("%d sent while nothing could be stored", n)
		}
		pass(time.Hour)
		if len(r.channel.sent()) != n {
			t.Error("it went on sending")
		}
		r.db.fail(nil)
		pass(time.Minute)
		r.halt()
		if len(r.owed("s")) != 0 || len(r.channel.sent()) != 1001 {
			t.Errorf("%d owed, %d sent after space came back", len(r.owed("s")), len(r.channel.sent()))
		}
	})
}

func TestDeliverer_stoppingWithAFullDiskSaysWhatIsSentAgain(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.start()
		synctest.Wait()
		full := r.db
		r.db = &mortal{DB: r.model}
		full.fail(errors.New("no space left on device"))
		r.owe("s", "o1")
		pass(time.Minute)
		r.stop()
		if err := <-r.done; err == nil || !strings.Contains(err.Error(), "sent again") {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestDeliverer_purgedVersionFailsAlone(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.updateQueue(func(w store.QueueWriter) error {
			n := store.Notification{
				Lane: laneOf("s"), Number: 1, Version: 7, Interaction: fhir.Update,
				Focus: fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "purged"},
			}
			return errors.Join(w.Owe(n), w.PutLane(store.LaneRecord{Lane: laneOf("s"), Next: 2, Head: 1}))
		})
		r.owe("s", "o1")
		r.start()
		synctest.Wait()
		r.halt()
		if ends := r.ends("s"); ends[1] != store.Failed || ends[2] != store.Delivered || r.attempts("s")[0].Class != "purged" {
			t.Errorf("ended %v; %+v", ends, r.attempts("s"))
		}
	})
}

func TestDeliverer_clientsNewerVersionWinsOverStatus(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		judged, err := r.parse(r.put(subKey("s"), map[string]any{"status": "active", "note": "1"}))
		if err != nil {
			t.Fatal(err)
		}
		r.put(subKey("s"), map[string]any{"status": "active", "note": "2"})
		written, err := writeStatus(t.Context(), r.db, WithStatus, judged, Off, "text")
		if written || !errors.Is(err, errOvertaken) || r.versions("s") != 3 {
			t.Errorf("written %v, %v, %d versions", written, err, r.versions("s"))
		}
	})
}

func TestDeliverer_foreignErrorIsNotCleared(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.put(subKey("s"), map[string]any{
			"status": "error", "error": "The criteria no longer compile", "channel": map[string]any{"endpoint": "https://a.example/hook"},
		})
		r.start()
		for range 3 {
			r.owe("s", "o1")
			synctest.Wait()
		}
		r.halt()
		if status, _ := r.standing("s"); status != Erroneous || r.versions("s") != 1 || len(r.owed("s")) != 0 {
			t.Errorf("status %q, %d versions", status, r.versions("s"))
		}
	})
}

func TestDeliverer_logLineNamesIdsOnly(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		var out bytes.Buffer
		r.options.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r.subscribe("s", "https://a.example/hook?token=hidden", Active)
		r.start()
		r.owe("s", "o1")
		synctest.Wait()
		r.halt()
		line := out.String()
		for _, want := range []string{`"msg":"delivery.attempted"`, `"subscription":"s"`, `"number":1`, `"resource":"Observation/o1"`, `"state":"delivered"`} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
		if strings.Contains(line, "hidden") || strings.Count(line, "\n") != 1 {
			t.Errorf("log: %s", line)
		}
	})
}
