package operate

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/channel"
	"fhirhook/fhir/store"
)

// TestRecent_answersTellWhatHasHappened asks each operation right behind a write, once, of a receiver that takes a while.
func TestRecent_answersTellWhatHasHappened(t *testing.T) {
	const takes = 100 * time.Millisecond
	delivered := func(t *testing.T, r reply) {
		all := r.bundle(t).Entry
		if len(all) != 1 || all[0].Resource.get("state") != "delivered" || len(all[0].Resource.parts("attempt")) != 1 {
			t.Errorf("%s", r.body)
		}
	}
	value := func(name, want string) func(*testing.T, reply) {
		return func(t *testing.T, r reply) {
			if got := r.parameters(t).get(name); got != want {
				t.Errorf("%s is %q, want %q: %s", name, got, want, r.body)
			}
		}
	}
	for path, told := range map[string]func(*testing.T, reply){
		"GET Subscription/s/$deliveries":                         delivered,
		"GET Subscription/$deliveries":                           delivered,
		"GET Patient/p/$deliveries":                              delivered,
		"GET Subscription/$deliveries?sequence=1":                delivered,
		"POST Subscription/s/$explain?reference=Patient/p":       value("outcome", "delivered"),
		"POST Subscription/s/$redeliver?sequence=1&dry-run=true": value("total", "1"),
		"POST Subscription/s/$backfill?dry-run=true":             value("total", "0"),
		"GET Subscription/s/$status": func(t *testing.T, r reply) {
			if all := r.bundle(t).Entry; len(all) != 1 || all[0].Resource.get("events-since-subscription-start") != "1" || all[0].Resource.get("owed") != "0" {
				t.Errorf("%s", r.body)
			}
		},
	} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.endpoint.set(func(channel.Message) error {
					<-time.After(takes)
					return nil
				})
				w.start()
				w.subscribe("s", "Patient")
				synctest.Wait()
				w.put("Patient", "p", "")
				began := time.Now()
				method, path, _ := strings.Cut(path, " ")
				r := w.must(200, method, path, "")
				if waited := time.Since(began); waited != takes {
					t.Errorf("it was answered after %s, want %s", waited, takes)
				}
				told(t, r)
				w.halt()
			})
		})
	}
}

// A receiver that hangs delays an answer by as little as is worth while, and one that hung before by nothing.
func TestRecent_hangingReceiverDelaysAnswersOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		w.endpoint.set(func(channel.Message) error {
			<-release
			return nil
		})
		w.start()
		w.subscribe("s", "Patient")
		synctest.Wait()
		w.put("Patient", "p", "")
		var waits []time.Duration
		for range 3 {
			began := time.Now()
			all := w.must(200, "GET", "Subscription/s/$deliveries", "").bundle(t).Entry
			if len(all) != 1 || all[0].Resource.get("state") != "owed" {
				t.Errorf("%d entries", len(all))
			}
			waits = append(waits, time.Since(began))
		}
		if waits[0] > forSettling || waits[1] != 0 || waits[2] != 0 {
			t.Errorf("the answers took %v", waits)
		}
		close(release)
		w.halt()
	})
}

// still is a Recent of halves that stand still.
type still struct{ asked []string }

func (s *still) Passed(ctx context.Context, _ store.Seq) error {
	s.asked = append(s.asked, "passed")
	<-ctx.Done()
	return ctx.Err()
}

func (s *still) Settled(ctx context.Context, lane store.Lane) error {
	s.asked = append(s.asked, "settled "+lane.Subscription)
	<-ctx.Done()
	return ctx.Err()
}

func TestRecent_isWaitedForASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t), &still{}
		d := New(Options{DB: w.db, Recent: s})
		lane := store.Lane{Tenant: "t", Subscription: "s"}
		began := time.Now()
		d.CatchUp(context.Background(), lane)
		if waited := time.Since(began); waited != time.Second || !slices.Equal(s.asked, []string{"passed", "settled s"}) {
			t.Errorf("it waits for %s, and asks %v", waited, s.asked)
		}
		began = time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if d.CatchUp(ctx, lane); time.Since(began) != 10*time.Millisecond {
			t.Errorf("a request that was given up waits for %s", time.Since(began))
		}
		began = time.Now()
		if New(Options{DB: w.db}).CatchUp(context.Background(), lane); time.Since(began) != 0 {
			t.Errorf("with nobody to ask it waits for %s", time.Since(began))
		}
	})
}
