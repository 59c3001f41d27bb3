package subscription

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
)

// A clock that is set back, by an hour or by years, neither holds what waits for a retry, nor lets lastUpdated go
// back along the log, nor gives a number twice. (The other pitfalls are in cmd/internal/e2e.)
func TestPitfall_clockMovedBack(t *testing.T) {
	t.Run("retries go", retriesInSpiteOfTheClock)
	t.Run("an open breaker asks", func(t *testing.T) {
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		open := Breaker{}
		for i := range breakerFailures {
			open = open.Fail(now, i+1, false)
		}
		if ok, at := open.Admits(now.AddDate(-1, 0, 0), 0); !ok {
			t.Errorf("it waits until %s", at)
		}
		if ok, at := open.Admits(now, 0); ok || !at.Equal(now.Add(breakerFirst)) {
			t.Errorf("with the right clock: %v, %s", ok, at)
		}
	})
	t.Run("lastUpdated never goes back along the log", func(t *testing.T) {
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		db, err := bolt.Open(t.TempDir(), bolt.Options{Clock: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		r := newRig(t)
		r.model, r.db = db, &mortal{DB: db}
		var last *fhir.Resource
		for i, back := range []time.Duration{0, time.Hour, 24 * 365 * time.Hour, -time.Second, 0} {
			now = now.Add(-back)
			v := r.put(fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: fmt.Sprint("p", i)}, map[string]any{"active": true})
			if last != nil && v.Updated.Before(last.Updated) {
				t.Errorf("%s was written at %s, behind one of %s", v.Key, v.Updated, last.Updated)
			}
			last = v
		}
	})
	t.Run("numbers and deliveries go on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.configure["s"] = func(s *Subscription) { s.Order = BySubscription }
			r.subscribe("s", "https://a.example/hook", Active)
			r.updateQueue(func(w store.QueueWriter) error { // as it was left by a server whose clock was a year ahead
				next := time.Now().AddDate(1, 0, 0)
				for number := uint64(1); number <= 3; number++ {
					n := store.Notification{
						Lane: laneOf("s"), Number: number, Version: number, Interaction: fhir.Delete, Updated: next, Began: next, Next: next, Tries: 1,
						Focus: fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: "o"},
					}
					if err := w.Owe(n); err != nil {
						return err
					}
				}
				return w.PutLane(store.LaneRecord{
					Lane: laneOf("s"), Next: 4, Head: 4, BreakerOpen: true, Failures: 12, FailingSince: next, OpenedAt: next, ProbeAt: next.Add(time.Minute),
				})
			})
			r.start()
			synctest.Wait()
			r.owe("s", "o")
			pass(10 * time.Minute)
			r.halt()
			if got := r.numbersSent(); fmt.Sprint(got) != "[1 2 3 4]" || len(r.owed("s")) != 0 {
				t.Errorf("sent %v, %d still owed", got, len(r.owed("s")))
			}
		})
	})
}
