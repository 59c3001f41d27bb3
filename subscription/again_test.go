package subscription

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// oweAgain does what a redelivery does.
func (r *rig) oweAgain(id string, number uint64, focus string) {
	r.t.Helper()
	now := time.Now()
	r.updateQueue(func(w store.QueueWriter) error {
		return w.Owe(store.Notification{
			Lane: laneOf(id), Number: number, Version: number, Interaction: fhir.Delete, Updated: fhir.Millis(now),
			Focus: fhir.Key{Tenant: fhir.DefaultTenant, Type: "Observation", ID: focus}, Began: now, Next: now,
		})
	})
	r.d.Refresh(laneOf(id))
}

func (r *rig) numbersSent() []uint64 {
	var numbers []uint64
	for _, s := range r.channel.sent() {
		numbers = append(numbers, s.m.Sequence)
	}
	return numbers
}

func TestDeliverer_sendsAgainWhatIsOwedAgain(t *testing.T) {
	for name, order := range map[string]Order{"none": Unordered, "resource": ByResource, "subscription": BySubscription} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.configure["s"] = func(s *Subscription) { s.Order = order }
				r.start()
				defer r.halt()
				r.subscribe("s", "a", Active)
				r.owe("s", "x", "y", "z")
				synctest.Wait()
				r.channel.forget()
				r.oweAgain("s", 2, "y")
				synctest.Wait()
				if got := r.numbersSent(); !slices.Equal(got, []uint64{2}) {
					t.Errorf("sent %v", got)
				}
				r.owe("s", "x")
				synctest.Wait()
				if got := r.numbersSent(); !slices.Equal(got, []uint64{2, 4}) {
					t.Errorf("sent %v", got)
				}
				if rec := r.record("s"); rec.Owed != 0 || rec.Next != 5 {
					t.Errorf("the lane is %+v", rec)
				}
			})
		})
	}
}

func TestDeliverer_anOrderedLaneNeverHasTwoInFlightWhenOneIsOwedAgain(t *testing.T) {
	for name, order := range map[string]Order{"resource": ByResource, "subscription": BySubscription} {
		for _, succeeds := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t)
					r.configure["s"] = func(s *Subscription) { s.Order = order }
					r.start()
					defer r.halt()
					r.subscribe("s", "a", Active)
					r.owe("s", "x")
					synctest.Wait()
					hold := make(chan error)
					r.channel.set("a", func(_ context.Context, m channel.Message) error {
						if m.Sequence == 2 && m.Attempt == 1 {
							return <-hold
						}
						return nil
					})
					r.owe("s", "x", "x")
					synctest.Wait() // 2 is in flight, 3 waits for it
					r.channel.forget()
					r.oweAgain("s", 1, "x")
					synctest.Wait()
					if got := r.numbersSent(); got != nil {
						t.Errorf("%v sent while 2 was in flight", got)
					}
					if succeeds {
						hold <- nil
					} else {
						hold <- &channel.SendError{Class: "refused"}
					}
					time.Sleep(time.Minute)
					synctest.Wait()
					want := []uint64{1, 3}
					if !succeeds {
						want = []uint64{1, 2, 3}
					}
					if got := r.numbersSent(); !slices.Equal(got, want) {
						t.Errorf("sent %v, want %v", got, want)
					}
					if most := r.channel.most["a"]; most != 1 {
						t.Errorf("%d in flight at once", most)
					}
				})
			})
		}
	}
}

// An attempt that fails after what it belongs to was cancelled leaves the state that the cancelling gave.
func TestDeliverer_aFailureBehindACancellingLeavesTheState(t *testing.T) {
	for _, state := range []store.State{store.Delivered, store.Failed, store.Cancelled} {
		t.Run(state.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.start()
				defer r.halt()
				r.subscribe("s", "a", Active)
				r.owe("s", "x")
				synctest.Wait()
				hold := make(chan error)
				r.channel.set("a", func(context.Context, channel.Message) error { return <-hold })
				r.oweAgain("s", 1, "x")
				synctest.Wait()
				time.Sleep(time.Second)
				r.updateQueue(func(w store.QueueWriter) error { // as a job does that is cancelled
					if err := w.Settle(laneOf("s"), 1); err != nil {
						return err
					}
					return w.Record(store.Attempt{Lane: laneOf("s"), Number: 1, ID: "id", Time: time.Now(), State: state, Reply: "cancelled"})
				})
				time.Sleep(time.Second)
				hold <- &channel.SendError{Class: "refused"}
				synctest.Wait()
				all := r.attempts("s")
				last := all[len(all)-1]
				for _, a := range all { // the attempt began before it was cancelled
					if a.Class == "refused" {
						last = a
					}
				}
				if last.Class != "refused" || last.State != state || !last.Next.IsZero() || len(r.owed("s")) != 0 {
					t.Errorf("%d owed, the attempt is %+v", len(r.owed("s")), last)
				}
			})
		})
	}
}
