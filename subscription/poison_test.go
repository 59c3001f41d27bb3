package subscription

// The deliverer tests of notifications that fail alone while others pass.

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

var allOrders = map[string]Order{"none": Unordered, "resource": ByResource, "subscription": BySubscription}

// A poison notification blocks nothing where nothing is ordered. Where there is an order it holds what comes
// behind it, becomes failed at the end of its ladder, and the next one goes at that instant.
func TestDeliverer_poisonFailsAfterItsLadderAndTheNextGoes(t *testing.T) {
	ladder := []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute}
	const end = 36 * time.Minute
	for name, order := range allOrders {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.configure["s"] = func(s *Subscription) { s.Order, s.Ladder = order, Ladder{Waits: ladder} }
				r.subscribe("s", "https://a.example/hook", Active)
				r.channel.set("https://a.example/hook", func(_ context.Context, m channel.Message) error {
					if m.Sequence == 1 {
						return &channel.SendError{Class: "status-4xx"}
					}
					return nil
				})
				r.start()
				synctest.Wait()
				began := time.Now()
				r.owe("s", "poison", "poison", "other", "poison", "other")
				pass(2 * time.Hour)
				r.halt()
				waits := map[uint64]time.Duration{}
				for _, a := range r.attempts("s") {
					if a.State != store.Owed {
						waits[a.Number] = a.Time.Sub(began)
					}
				}
				behind, beside := time.Duration(0), time.Duration(0)
				if order != Unordered {
					behind = end
				}
				if order == BySubscription {
					beside = end
				}
				for number, want := range map[uint64]time.Duration{1: end, 2: behind, 3: beside, 4: behind, 5: beside} {
					if got, ok := waits[number]; !ok || got != want {
						t.Errorf("number %d ended after %s (%v), want %s", number, got, ok, want)
					}
				}
				ends := r.ends("s")
				if ends[1] != store.Failed || ends[2] != store.Delivered || ends[5] != store.Delivered || len(r.owed("s")) != 0 {
					t.Errorf("ends %v", ends)
				}
			})
		})
	}
}

// What no request can be made of says nothing about the endpoint: neither its health nor its breaker moves,
// whether it is owed for the first time or again.
func TestDeliverer_whatCannotBeBuiltIsNotTheEndpointsFault(t *testing.T) {
	unbuilt := map[string]error{
		"message": &channel.SendError{Class: "message", Unbuilt: true, Hint: "the request can't be made"},
		"unbuilt": errors.New("no words for it"),
	}
	for class, problem := range unbuilt {
		for name, order := range allOrders {
			t.Run(class+"/"+name, func(t *testing.T) {
				play(t, func(t *testing.T, r *rig) {
					r.options.Health = HealthPolicy{ErrorFailures: 1, ErrorAge: time.Minute, OffAge: time.Hour}
					r.configure["s"] = func(s *Subscription) {
						s.Order, s.Ladder = order, Ladder{Waits: []time.Duration{time.Minute, 2 * time.Hour}}
					}
					r.subscribe("s", "https://a.example/hook", Active)
					r.channel.set("https://a.example/hook", func(_ context.Context, m channel.Message) error {
						if m.Focus == "poison" {
							return problem
						}
						return nil
					})
					r.start()
					var focus []string
					for range 3 * breakerFailures {
						focus = append(focus, "poison")
					}
					r.owe("s", focus...)
					pass(4 * time.Hour * time.Duration(len(focus)))
					r.oweAgain("s", 1, "poison")
					pass(4 * time.Hour)
					r.owe("s", "fine")
					synctest.Wait()
					r.inMemory(func(l *lane) {
						if l.health.Failures > 0 || l.breaker.Open {
							t.Errorf("health %+v, breaker %+v", l.health, l.breaker)
						}
					})
					r.halt()
					if status, text := r.standing("s"); status != Active || text != "" || r.versions("s") != 1 {
						t.Errorf("status %q, error %q, %d versions", status, text, r.versions("s"))
					}
					if rec := r.record("s"); rec.Failures != 0 || rec.BreakerOpen || !rec.FailingSince.IsZero() || rec.Owed != 0 {
						t.Errorf("record %+v", rec)
					}
					tries := map[uint64]int{}
					for _, a := range r.attempts("s") {
						tries[a.Number]++
						if a.Number <= uint64(len(focus)) && (a.Class != class || a.Try != 0) {
							t.Fatalf("attempt %+v, want class %s, and no request counted", a, class)
						}
					}
					ends := r.ends("s")
					for i := range focus {
						if ends[uint64(i+1)] != store.Failed {
							t.Errorf("number %d ended %v", i+1, ends[uint64(i+1)])
						}
					}
					if tries[1] != 6 || tries[2] != 3 {
						t.Errorf("tried %d and %d times, want the ladder of three twice and once", tries[1], tries[2])
					}
					if ends[uint64(len(focus)+1)] != store.Delivered {
						t.Error("what came behind was not delivered")
					}
				})
			})
		}
	}
}

// While a breaker is open, what can't be built is neither a probe that failed nor one that succeeded.
func TestDeliverer_whatCannotBeBuiltIsNoProbe(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.configure["s"] = func(s *Subscription) { s.Order, s.Ladder = BySubscription, Ladder{Waits: make([]time.Duration, 12)} }
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", func(_ context.Context, m channel.Message) error {
			if m.Focus == "poison" {
				return &channel.SendError{Class: "message", Unbuilt: true}
			}
			return &channel.SendError{Class: "refused"}
		})
		r.start()
		r.owe("s", "dead", "poison", "dead")
		pass(time.Hour)
		r.halt()
		var probes []time.Time
		for _, s := range r.channel.sent() {
			if s.m.Focus == "dead" {
				probes = append(probes, s.at)
			}
		}
		// 10 failures open it, 3 probes end the first ladder; the second dead one begins at the pace that was reached.
		if len(probes) != 26 {
			t.Fatalf("%d requests, want 13 for each", len(probes))
		}
		for i := 10; i < len(probes); i++ {
			if got, want := probes[i].Sub(probes[i-1]), breakerWait(i-10); got != want {
				t.Errorf("probe %d came after %s, want %s", i-9, got, want)
			}
		}
	})
}

// A version that the store can't give, for its row is damaged, holds the lane for a moment only: then it has
// its own ladder, and the others go.
func TestDeliverer_aDamagedVersionBlocksNothing(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.configure["s"] = func(s *Subscription) { s.Ladder = Ladder{Waits: []time.Duration{time.Minute}} }
		r.subscribe("s", "https://a.example/hook", Active)
		damaged := r.put(fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "damaged"}, map[string]any{"active": true})
		r.db.damage(damaged.Key)
		r.updateQueue(func(w store.QueueWriter) error {
			n := store.Notification{Lane: laneOf("s"), Number: 1, Version: 1, Interaction: fhir.Create, Focus: damaged.Key}
			return errors.Join(w.Owe(n), w.PutLane(store.LaneRecord{Lane: laneOf("s"), Next: 2, Head: 1}))
		})
		r.owe("s", numbered(50)...)
		r.start()
		pass((mostUnread + 1) * localRetry)
		if n := len(r.owed("s")); n != 1 {
			t.Errorf("%d owed, want only the damaged one", n)
		}
		pass(2 * time.Minute)
		r.halt()
		if ends := r.ends("s"); ends[1] != store.Failed || len(ends) != 51 {
			t.Errorf("ends %v", fmt.Sprint(ends))
		}
	})
}
