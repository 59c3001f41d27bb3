package subscription

// The deliverer tests of what the Matcher tells.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/fhir/store"
)

func TestDeliverer_needNotReadWhatItIsTold(t *testing.T) {
	for _, order := range []Order{Unordered, ByResource, BySubscription} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.configure["s"] = func(s *Subscription) { s.Order = order }
				r.subscribe("s", "https://a.example/hook", Active)
				r.start()
				synctest.Wait()
				r.db.mu.Lock()
				before := r.db.views
				r.db.mu.Unlock()
				for range 3 {
					r.owe("s", "o1")
					synctest.Wait()
				}
				r.halt()
				if len(r.channel.sent()) != 3 || len(r.owed("s")) != 0 {
					t.Errorf("%d sent, %d still owed", len(r.channel.sent()), len(r.owed("s")))
				}
				if order == Unordered && r.db.views-1 != before { // one is r.owed's
					t.Errorf("the queue was read %d times", r.db.views-1-before)
				}
			})
		})
	}
}

// What the Deliverer is told may be lost, late, too much, or not all that is owed: everything is sent, each once, and
// in the order that was asked for.
func TestDeliverer_sendsEverythingWhateverItIsTold(t *testing.T) {
	for _, order := range []Order{Unordered, ByResource, BySubscription} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("order %v, seed %d", order, seed), func(t *testing.T) {
				play(t, func(t *testing.T, r *rig) {
					random := rand.New(rand.NewPCG(seed, 0))
					r.options.Limits = EndpointLimits{Concurrency: int(seed % 3)}
					want := map[string]int{"s": 0, "t": 0}
					for id := range want {
						r.configure[id] = func(s *Subscription) { s.Order = order }
						r.subscribe(id, "https://a.example/hook", Active)
					}
					r.start()
					synctest.Wait()
					for range 30 {
						id := []string{"s", "t"}[random.IntN(2)]
						foci := numbered([]int{1, 1, 2, 3, windowSize + 6}[random.IntN(5)])
						want[id] += len(foci)
						news := r.decide(id, foci...)
						switch random.IntN(6) {
						case 0: // nobody says anything
						case 1:
							r.d.Wake(laneOf(id))
						case 2:
							r.d.Refresh(laneOf(id))
						case 3: // somebody else calls the lane first
							r.d.Refresh(laneOf(id))
							pass(time.Millisecond)
							r.d.Notify(news)
						default:
							r.d.Notify(news)
						}
						if random.IntN(2) == 0 {
							pass(time.Millisecond)
						}
					}
					pass(time.Second)
					r.d.Wake(laneOf("s"))
					r.d.Wake(laneOf("t"))
					pass(time.Second)
					r.halt()
					for id, count := range want {
						checkNumbers(t, r, id, count, order == BySubscription)
					}
				})
			})
		}
	}
}

// checkNumbers wants each number of a lane to have been sent once, and in order if that was asked for.
func checkNumbers(t *testing.T, r *rig, id string, count int, ordered bool) {
	t.Helper()
	var got []uint64
	for _, s := range r.channel.sent() {
		if s.m.Subscription == id {
			got = append(got, s.m.Sequence)
		}
	}
	if !ordered {
		slices.Sort(got)
	}
	for i, number := range got {
		if number != uint64(i)+1 {
			t.Fatalf("%s: place %d is number %d", id, i, number)
		}
	}
	if len(got) != count || len(r.owed(id)) > 0 {
		t.Errorf("%s: %d sent of %d, %d still owed", id, len(got), count, len(r.owed(id)))
	}
	if states := r.ends(id); len(states) != count || states[uint64(count)] != store.Delivered {
		t.Errorf("%s: %d ended of %d", id, len(states), count)
	}
}
