package subscription

// The deliverer tests of many lanes.

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// many makes lanes, some with one notification each that waits until a time, or is untried.
func (r *rig) many(count int, next time.Time, owing func(i int) bool) {
	r.subscribe("s000000", "https://a.example/hook", Active)
	r.updateQueue(func(w store.QueueWriter) error {
		for i := range count {
			rec := store.LaneRecord{Lane: laneOf(fmt.Sprintf("s%06d", i)), Next: 2, Head: 1}
			n := store.Notification{
				Lane: rec.Lane, Number: 1, Version: 1, Interaction: fhir.Delete, Next: next,
				Focus: fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: "o"},
			}
			if err := w.PutLane(rec); err != nil {
				return err
			}
			if owing(i) {
				if err := w.Owe(n); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func TestDeliverer_startTakesUpEveryLaneThatOwes(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		const lanes = 20_000
		r.bulk()
		r.many(lanes, time.Time{}, func(i int) bool { return i%1000 == 7 })
		for i := 7; i < lanes; i += 1000 {
			r.subscribe(fmt.Sprintf("s%06d", i), "https://a.example/hook", Active)
		}
		r.start()
		synctest.Wait()
		r.halt()
		if n := len(r.channel.sent()); n != lanes/1000 {
			t.Errorf("%d sent, want %d", n, lanes/1000)
		}
		if n := r.inMemory(nil); n != 0 {
			t.Errorf("%d lanes in memory, want none: idle lanes cost nothing", n)
		}
	})
}

func TestDeliverer_breakerAsksAtOnceAfterAStart(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", failing("refused"))
		r.start()
		r.owe("s", numbered(100)...)
		pass(20 * time.Minute)
		r.crash()
		r.channel.forget()
		r.start()
		began := time.Now()
		pass(time.Hour)
		r.halt()
		all := r.channel.sent()
		if len(all) == 0 || !all[0].at.Equal(began) {
			t.Fatalf("the first request came %s after the start", all[0].at.Sub(began))
		}
		for i := range all[1:] {
			if gap := all[i+1].at.Sub(all[i].at); gap != 5*time.Minute {
				t.Errorf("probe %d came after %s, want the pace kept at 5 min", i+1, gap)
			}
		}
	})
}

// retriesInSpiteOfTheClock is a case of TestPitfall_clockMovedBack.
func retriesInSpiteOfTheClock(t *testing.T) {
	t.Helper()
	for _, order := range []Order{Unordered, ByResource, BySubscription} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.configure["s000000"] = func(s *Subscription) { s.Order = order }
				r.many(1, time.Now().Add(400*24*time.Hour), func(int) bool { return true })
				r.start()
				synctest.Wait()
				r.halt()
				if len(r.channel.sent()) != 1 {
					t.Error("a retry that was set for next year still waits")
				}
			})
		})
	}
}

func TestDeliverer_unreadableSubscriptionIsTriedAgainLater(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.put(subKey("s"), map[string]any{"status": "active", "broken": true})
		r.start()
		r.owe("s", "o1")
		pass(10 * time.Minute)
		if len(r.channel.sent()) != 0 || len(r.owed("s")) != 1 {
			t.Error("sent for a Subscription that can't be read")
		}
		r.subscribe("s", "https://a.example/hook", Active)
		pass(time.Minute)
		r.halt()
		if len(r.channel.sent()) != 1 || len(r.owed("s")) != 0 {
			t.Errorf("%d sent after it was repaired", len(r.channel.sent()))
		}
	})
}

func TestDeliverer_eachAttemptUsesTheSubscriptionOfItsTime(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.subscribe("s", "https://old.example/hook", Active)
		r.channel.set("https://old.example/hook", failing("refused"))
		r.start()
		r.owe("s", "o1")
		pass(time.Second / 2)
		r.subscribe("s", "https://new.example/hook", Active)
		pass(time.Second)
		r.halt()
		all := r.channel.sent()
		if len(all) != 2 || all[1].m.Target.Endpoint != "https://new.example/hook" || all[1].m.Attempt != 2 || all[1].m.ID != all[0].m.ID {
			t.Errorf("sent %+v", all)
		}
	})
}

func TestDeliverer_lanesThatWaitAreSmall(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		const lanes = 2_000
		r.bulk()
		r.many(lanes, time.Now().Add(time.Hour), func(int) bool { return true })
		for i := range lanes {
			r.subscribe(fmt.Sprintf("s%06d", i), "https://a.example/hook", Active)
			r.standing(fmt.Sprintf("s%06d", i)) // parsed, which the model's resources keep
		}
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapInuse + m.StackInuse
		}
		before := heap()
		r.start()
		synctest.Wait()
		if n := r.inMemory(nil); n != lanes {
			t.Errorf("%d lanes in memory, want %d that wait", n, lanes)
		}
		if grown := int64(heap()) - int64(before); grown > lanes*2<<10 {
			t.Errorf("%d lanes that wait for a retry cost %d bytes each, want at most 2 KiB", lanes, grown/lanes)
		} else {
			t.Logf("%d bytes a lane", grown/lanes)
		}
		if n := runtime.NumGoroutine(); n > 100 {
			t.Errorf("%d goroutines for lanes that wait", n)
		}
		r.halt()
	})
}
