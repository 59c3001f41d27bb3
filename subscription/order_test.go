package subscription

// The deliverer tests of orders.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fhirhook/channel"
	"fhirhook/fhir/store"
)

// fate draws what becomes of each attempt of a notification from its number alone, so that restarts don't
// change it: how many fail before one succeeds.
type fate struct {
	failures []int // by number-1
	delay    []time.Duration
}

func (f *fate) answer(ctx context.Context, m channel.Message) error {
	i := m.Sequence - 1
	select {
	case <-time.After(f.delay[i]):
	case <-ctx.Done():
		return ctx.Err()
	}
	if m.Attempt <= f.failures[i] {
		return &channel.SendError{Class: "status"}
	}
	return nil
}

// Every notification ends, after exactly as many attempts as its fate and the ladder say, and in the order
// that the Subscription asks for, however attempts end and whenever the server stops and starts.
func TestDeliverer_ordersHoldWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		order := rapid.SampledFrom([]Order{Unordered, ByResource, BySubscription}).Draw(rt, "order")
		count := rapid.IntRange(1, 120).Draw(rt, "count")
		resources := rapid.IntRange(1, 10).Draw(rt, "resources")
		restarts := rapid.SliceOfN(rapid.IntRange(1, 100), 0, 4).Draw(rt, "restarts")
		crash := rapid.Bool().Draw(rt, "crash")
		f := &fate{}
		focus := make([]string, count)
		for i := range count {
			focus[i] = fmt.Sprint("r", rapid.IntRange(1, resources).Draw(rt, "resource"))
			f.failures = append(f.failures, rapid.SampledFrom([]int{0, 0, 0, 0, 0, 1, 2, 9}).Draw(rt, "failures"))
			f.delay = append(f.delay, time.Duration(rapid.IntRange(0, 50).Draw(rt, "delay"))*time.Millisecond)
		}
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.options.Health.OffAge = -1
			r.configure["s"] = func(s *Subscription) {
				s.Order = order
				s.Ladder = Ladder{Waits: []time.Duration{time.Second, 10 * time.Second}}
			}
			r.subscribe("s", "https://a.example/hook", Active)
			r.channel.set("https://a.example/hook", f.answer)
			r.start()
			synctest.Wait()
			half := count / 2
			r.owe("s", focus[:half]...)
			pass(30 * time.Millisecond)
			r.owe("s", focus[half:]...)
			for _, after := range restarts {
				pass(time.Duration(after) * 20 * time.Millisecond)
				if crash {
					r.crash()
				} else {
					r.halt()
				}
				r.start()
			}
			pass(10 * time.Hour)
			r.halt()
			if n := len(r.owed("s")); n != 0 {
				rt.Fatalf("%d still owed", n)
			}
			checkAttempts(rt, r, f, count, len(restarts) > 0)
			checkOrder(rt, r.channel.sent(), order)
		})
	})
}

func checkAttempts(rt *rapid.T, r *rig, f *fate, count int, restarted bool) {
	tries := map[uint64][]store.Attempt{}
	for _, a := range r.attempts("s") {
		tries[a.Number] = append(tries[a.Number], a)
	}
	for i := range count {
		want, state := min(f.failures[i]+1, 3), store.Delivered
		if f.failures[i] >= 3 {
			state = store.Failed
		}
		got := tries[uint64(i+1)]
		if len(got) != want || got[len(got)-1].State != state {
			rt.Fatalf("number %d: attempts %+v, want %d and %s", i+1, got, want, state)
		}
		for n, a := range got {
			if a.Try != n+1 {
				rt.Fatalf("number %d: attempt %d is numbered %d", i+1, n+1, a.Try)
			}
		}
	}
	if sent := len(r.channel.sent()); !restarted {
		total := 0
		for _, got := range tries {
			total += len(got)
		}
		if sent != total {
			rt.Fatalf("%d requests, %d attempts on record", sent, total)
		}
	}
}

// checkOrder holds the requests to the order: once a later number of the same track has been sent, an
// earlier one never is again.
func checkOrder(rt *rapid.T, all []sent, order Order) {
	last := map[string]uint64{}
	for _, s := range all {
		track := s.m.Focus
		switch order {
		case Unordered:
			return
		case BySubscription:
			track = ""
		}
		if s.m.Sequence < last[track] {
			rt.Fatalf("number %d of %q went behind %d", s.m.Sequence, track, last[track])
		}
		last[track] = s.m.Sequence
	}
}

func TestDeliverer_othersPassABlockedResource(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		const blocked = 20_000
		r.bulk()
		r.configure["s"] = func(s *Subscription) {
			s.Order, s.Ladder = ByResource, Ladder{Waits: []time.Duration{time.Hour}}
		}
		r.subscribe("s", "https://a.example/hook", Active)
		r.channel.set("https://a.example/hook", func(_ context.Context, m channel.Message) error {
			if m.Focus == "stuck" && m.Sequence == 1 {
				return &channel.SendError{Class: "status"}
			}
			return nil
		})
		r.start()
		synctest.Wait()
		focus := make([]string, blocked)
		for i := range focus {
			focus[i] = "stuck"
		}
		r.owe("s", focus...)
		r.owe("s", numbered(500)...)
		pass(time.Minute)
		if n := r.record("s").Owed; n != blocked {
			t.Errorf("%d owed, want the others sent past the %d that wait", n, blocked)
		}
		r.inMemory(func(l *lane) {
			if s := l.source.(*sequence); s.known > mostKnown || len(s.tracks) != 1 {
				t.Errorf("the lane knows %d numbers of %d resources", s.known, len(s.tracks))
			}
		})
		pass(time.Hour)
		r.halt()
		if n := r.record("s").Owed; n != 0 {
			t.Errorf("%d owed after the first one failed for good", n)
		}
		last := uint64(0)
		for _, s := range r.channel.sent() {
			if s.m.Focus == "stuck" {
				if s.m.Sequence < last {
					t.Fatalf("%d went behind %d", s.m.Sequence, last)
				}
				last = s.m.Sequence
			}
		}
	})
}

// A sequence never hands out two of a track, hands out tracks in order, and in the end everything, with a
// fraction of the rows in memory.
func TestSequence_everyTrackInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		q := &bulkQueue{lanes: map[store.Lane]*bulkLane{}}
		x := bulkTx{q}
		id := laneOf("s")
		resources := rapid.SampledFrom([]int{1, 3, 40, 400}).Draw(rt, "resources")
		count := rapid.IntRange(1, 6000).Draw(rt, "count")
		chosen := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		for i := 1; i <= count; i++ {
			n := store.Notification{Lane: id, Number: uint64(i)}
			n.Focus.ID = fmt.Sprint(chosen.IntN(resources))
			_ = x.Owe(n)
		}
		busy := map[uint64]*flight{}
		s := newSequence(id, ByResource, busy, time.Hour)
		now := time.Unix(0, 0)
		var out []store.Notification
		under, last, finished := map[string]bool{}, map[string]uint64{}, 0
		for finished < count {
			for rounds := 0; s.hungry(now); rounds++ {
				if rounds > count {
					rt.Fatal("hungry for ever")
				}
				if err := s.fill(x, now); err != nil {
					rt.Fatal(err)
				}
				if s.known > mostKnown+resources*refillKnown || len(s.ready) > windowSize {
					rt.Fatalf("%d known, %d ready", s.known, len(s.ready))
				}
			}
			for n, ok := s.take(now); ok; n, ok = s.take(now) {
				if under[n.Focus.ID] || n.Number < last[n.Focus.ID] {
					rt.Fatalf("%d of %s out of turn", n.Number, n.Focus.ID)
				}
				under[n.Focus.ID], last[n.Focus.ID] = true, n.Number
				busy[n.Number] = &flight{}
				out = append(out, n)
			}
			if len(out) == 0 {
				rt.Fatalf("nothing to do with %d of %d finished", finished, count)
			}
			some := rapid.IntRange(1, len(out)).Draw(rt, "some")
			for _, n := range out[:some] {
				delete(busy, n.Number)
				under[n.Focus.ID] = false
				_ = x.Settle(id, n.Number)
				s.settled(n, false)
				finished++
			}
			out = out[some:]
		}
		for s.hungry(now) {
			if err := s.fill(x, now); err != nil {
				rt.Fatal(err)
			}
		}
		if !s.drained() {
			rt.Error("not drained in the end")
		}
	})
}
