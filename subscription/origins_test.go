package subscription

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/channel"
	"fhirhook/fhir/store"
)

// kept is how many origins are in memory.
func (o *origins) kept() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all)
}

func TestOriginOf_isSchemeHostAndPort(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"https://A.example/hook?key=1": "https://a.example:443",
		"https://a.example:443":        "https://a.example:443",
		"http://a.example/x":           "http://a.example:80",
		"https://a.example:8443/y":     "https://a.example:8443",
		"http://[::1]:80/":             "http://::1:80",
	} {
		if got, ok := originOf(endpoint); got != want || !ok {
			t.Errorf("originOf(%s) = %s, %v, want %s", endpoint, got, ok, want)
		}
	}
}

// TestOrigins_letsInAsManyAsMayAndInTurn plays lanes that come, leave and change their minds against a model of what
// is promised: the bound holds, nobody is let in twice for one turn, who waits is let in in the order in which they
// came, nobody is forgotten, and in the end nothing is left.
func TestOrigins_letsInAsManyAsMayAndInTurn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var called []store.Lane
		most := rapid.IntRange(1, 3).Draw(t, "most")
		o := newOrigins(EndpointLimits{Concurrency: most}, func(l store.Lane) { called = append(called, l) })
		now := time.Now()
		const at = "https://a.example:443"
		inside, held := 0, map[store.Lane]bool{}
		var queue []store.Lane
		expect := func() {
			t.Helper()
			for inside+len(held) < most && len(queue) > 0 {
				if len(called) == 0 || called[0] != queue[0] {
					t.Fatalf("%v were called, %v wait, %d of %d are inside", called, queue, inside+len(held), most)
				}
				held[called[0]] = true
				called, queue = called[1:], queue[1:]
			}
			if len(called) > 0 {
				t.Fatalf("%v were called, and there is no room for them", called)
			}
			if o.held() != len(queue) {
				t.Fatalf("%d wait, want %d", o.held(), len(queue))
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			lane := laneOf(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "lane"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				in, began := o.enter(at, lane, rapid.Bool().Draw(t, "idle"), now)
				waits := slices.Contains(queue, lane)
				switch free := inside+len(held) < most && len(queue) == 0; {
				case in != (held[lane] || free):
					t.Fatalf("%s is let in: %v", lane.Subscription, in)
				case began != (!in && !waits):
					t.Fatalf("%s began to wait: %v", lane.Subscription, began)
				case in:
					delete(held, lane)
					inside++
				case !waits:
					queue = append(queue, lane)
				}
			case 2:
				if inside > 0 {
					inside--
					o.leave(at, now)
				}
			case 3:
				delete(held, lane)
				queue = slices.DeleteFunc(queue, func(l store.Lane) bool { return l == lane })
				o.forget(at, lane, now)
			}
			expect()
		}
		for _, l := range []string{"a", "b", "c", "d"} {
			o.forget(at, laneOf(l), now)
		}
		for range inside {
			o.leave(at, now)
		}
		if len(o.all) > 0 || o.held() > 0 {
			t.Fatalf("%d origins are left, and %d lanes", len(o.all), o.held())
		}
	})
}

func TestOrigins_withoutLimitsKeepNothing(t *testing.T) {
	t.Parallel()
	o := newOrigins(EndpointLimits{}, nil)
	for range 1000 {
		if in, _ := o.enter("https://a.example:443", laneOf("a"), true, time.Now()); !in {
			t.Fatal("there is no limit")
		}
	}
	if len(o.all) != 0 {
		t.Error("something is kept")
	}
}

// TestOrigins_keepThePace lets three lanes that always want more in, for a while.
func TestOrigins_keepThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, perSecond := range []float64{0.5, 3, 100} {
			var o *origins
			var mu sync.Mutex
			var times []time.Time
			count := map[store.Lane]int{}
			const at = "https://a.example:443"
			send := func(l store.Lane) {
				for {
					in, _ := o.enter(at, l, true, time.Now())
					if !in {
						return
					}
					mu.Lock()
					times, count[l] = append(times, time.Now()), count[l]+1
					mu.Unlock()
					o.leave(at, time.Now())
				}
			}
			o = newOrigins(EndpointLimits{Rate: perSecond}, func(l store.Lane) { send(l) })
			lanes := []store.Lane{laneOf("a"), laneOf("b"), laneOf("c")}
			for _, l := range lanes {
				send(l)
			}
			const long = time.Minute
			pass(long)
			o.close()
			burst := max(1, int(perSecond/10))
			if want := int(perSecond * long.Seconds()); len(times) < want-1 || len(times) > want+burst {
				t.Errorf("%v a second: %d in a minute", perSecond, len(times))
			}
			for i := range times {
				if i >= burst && times[i].Sub(times[i-burst]).Seconds() < float64(burst)/perSecond*0.99-0.001 && times[i].Sub(times[0]) > time.Second {
					t.Fatalf("%v a second: the %d. came %s behind %d earlier", perSecond, i, times[i].Sub(times[i-burst]), burst)
				}
			}
			for _, l := range lanes {
				if n := count[l]; n < len(times)/3-burst || n > len(times)/3+burst+1 {
					t.Errorf("%v a second: %s had %d turns of %d", perSecond, l.Subscription, n, len(times))
				}
			}
		}
	})
}

// TestOrigins_forgetAnOriginOnceItsPaceIsAsNew keeps nothing of an endpoint that nobody sends to any more.
func TestOrigins_forgetAnOriginOnceItsPaceIsAsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigins(EndpointLimits{Rate: 2}, func(store.Lane) {})
		if in, _ := o.enter("https://a.example:443", laneOf("a"), true, time.Now()); !in {
			t.Fatal("the first has to wait")
		}
		o.leave("https://a.example:443", time.Now())
		if o.kept() != 1 {
			t.Error("its pace is forgotten at once")
		}
		pass(time.Second)
		if o.kept() != 0 {
			t.Error("it is still kept")
		}
	})
}

// TestDeliverer_lanesShareAnEndpointFairly has one Subscription with a large backlog and two with little to send,
// at one origin that takes few requests at a time.
func TestDeliverer_lanesShareAnEndpointFairly(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Limits = EndpointLimits{Concurrency: 4}
		var observed sync.Map
		r.options.Observe = func(o Observation) {
			if o.Kind == LaneHeldBack {
				observed.Store(o.Lane.Subscription, true)
			}
		}
		var mu sync.Mutex
		now, most := 0, 0
		slow := func(ctx context.Context, _ channel.Message) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return ctx.Err()
		}
		for _, id := range []string{"big", "small", "late"} {
			r.subscribe(id, "https://a.example/"+id, Active)
			r.channel.set("https://a.example/"+id, slow)
		}
		r.owe("big", numbered(400)...)
		r.start()
		pass(10*time.Second + 500*time.Millisecond)
		before := len(r.channel.sent())
		r.owe("small", numbered(10)...)
		r.owe("late", numbered(10)...)
		pass(9 * time.Second)
		count := map[string]int{}
		for _, s := range r.channel.sent()[before:] {
			count[s.m.Subscription]++
		}
		if count["small"] != 10 || count["late"] != 10 || count["big"] < 10 {
			t.Errorf("in nine seconds of four each, there were %v", count)
		}
		pass(2 * time.Minute)
		if got := len(r.channel.sent()); got != 420 || most != 4 {
			t.Errorf("%d were sent, at most %d at a time", got, most)
		}
		for _, id := range []string{"small", "late"} {
			if _, ok := observed.Load(id); !ok {
				t.Errorf("nobody heard that %s waited", id)
			}
		}
		r.halt()
		if len(r.d.origins.all) != 0 {
			t.Error("the origin is still kept")
		}
	})
}

// TestDeliverer_aHangingOriginHoldsNobodyElse fills one origin with requests that hang, and counts what another takes.
func TestDeliverer_aHangingOriginHoldsNobodyElse(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Limits = EndpointLimits{Concurrency: 2}
		for i := range 30 {
			id := fmt.Sprint("hangs", i)
			r.subscribe(id, "https://hangs.example/"+id, Active)
			r.channel.set("https://hangs.example/"+id, func(ctx context.Context, _ channel.Message) error {
				select {
				case <-time.After(30 * time.Second):
				case <-ctx.Done():
				}
				return &channel.SendError{Class: "timeout"}
			})
			r.owe(id, numbered(20)...)
		}
		r.subscribe("well", "https://well.example/hook", Active)
		r.owe("well", numbered(100)...)
		r.start()
		pass(time.Second)
		count := map[string]int{}
		for _, s := range r.channel.sent() {
			count[s.m.Subscription]++
		}
		if count["well"] != 100 {
			t.Errorf("the other origin got %d of 100", count["well"])
		}
		if hanging := len(r.channel.sent()) - 100; hanging != 2 {
			t.Errorf("%d requests hang, want 2", hanging)
		}
		if s := r.d.Stats(); s.Waiting != 30 && s.Waiting != 29 && s.Waiting != 28 {
			t.Errorf("%d lanes wait", s.Waiting)
		}
		held := r.inMemory(func(l *lane) {
			if l.source != nil && len(l.busy) == 0 {
				t.Error("a lane that waits keeps what it read ahead")
			}
		})
		if held < 28 {
			t.Errorf("%d lanes are in memory", held)
		}
		r.halt()
	})
}

// TestOrigins_keepPlacesForWhoHasNone plays lanes that take as much as they get and give little back: who has something
// under way leaves the spare places to others, whoever has nothing gets one if there is any, and nobody is passed over
// by one of its kind that came later.
func TestOrigins_keepPlacesForWhoHasNone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const at = "https://a.example:443"
		limits := EndpointLimits{Concurrency: rapid.IntRange(30, 70).Draw(t, "most")}
		now, under, came := time.Now(), map[store.Lane]int{}, map[store.Lane]int{}
		held, inside := map[store.Lane]bool{}, 0
		idle := map[store.Lane]bool{} // as it was said last
		o := newOrigins(limits, func(l store.Lane) {
			for other, n := range came {
				if other != l && n < came[l] && idle[other] == idle[l] {
					t.Fatalf("%s is called before %s, which came first", l.Subscription, other.Subscription)
				}
			}
			if inside+len(held) >= limits.Concurrency-limits.spare() && !idle[l] {
				t.Fatalf("%s has %d under way, and takes a spare place", l.Subscription, under[l])
			}
			delete(came, l)
			held[l] = true
		})
		for i := range rapid.IntRange(0, 300).Draw(t, "steps") {
			lane := laneOf(fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "lane")))
			if under[lane] > 0 && rapid.IntRange(0, 5).Draw(t, "ends") == 0 {
				under[lane]--
				inside--
				o.leave(at, now)
				continue
			}
			free := limits.Concurrency - inside - len(held)
			if idle[lane] = under[lane] == 0; !idle[lane] {
				free -= limits.spare()
			}
			had := held[lane]
			in, began := o.enter(at, lane, idle[lane], now)
			switch {
			case had && !in, in && !had && free <= 0, !in && !had && free > 0 && len(came) == 0:
				t.Fatalf("%s is let in: %v; %d are free for it", lane.Subscription, in, free)
			case in:
				delete(held, lane)
				delete(came, lane)
				under[lane]++
				inside++
			case began:
				came[lane] = i
			}
		}
		if o.held() != len(came) {
			t.Fatalf("%d wait, want %d", o.held(), len(came))
		}
	})
}

// TestDeliverer_hangingPathsLeaveRoomAtTheirOrigin has Subscriptions whose paths hang, each with more to send than may be
// under way to their origin, and one beside them that answers.
func TestDeliverer_hangingPathsLeaveRoomAtTheirOrigin(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Limits = EndpointLimits{Concurrency: 64}
		for i := range 8 {
			id := fmt.Sprint("hangs", i)
			r.subscribe(id, "https://a.example/"+id, Active)
			r.channel.set("https://a.example/"+id, func(ctx context.Context, _ channel.Message) error {
				<-ctx.Done()
				return &channel.SendError{Class: "timeout"}
			})
			r.owe(id, numbered(100)...)
		}
		r.subscribe("well", "https://a.example/well", Active)
		r.start()
		pass(time.Second)
		r.owe("well", numbered(100)...)
		pass(time.Second)
		well := 0
		for _, s := range r.channel.sent() {
			if s.m.Subscription == "well" {
				well++
			}
		}
		if well != 100 {
			t.Errorf("%d of 100 were sent", well)
		}
		r.halt()
	})
}

// TestDeliverer_waitingForATurnCostsNothing compares what is recorded: tries, states and the breaker are the same as
// without a limit, and all of it is delivered in order.
func TestDeliverer_waitingForATurnCostsNothing(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Limits = EndpointLimits{Concurrency: 1, Rate: 1}
		for _, id := range []string{"a", "b"} {
			r.configure[id] = func(s *Subscription) {
				s.Order = BySubscription
				s.Ladder = Ladder{Waits: []time.Duration{time.Second}}
			}
			r.subscribe(id, "https://a.example/"+id, Active)
			r.owe(id, numbered(50)...)
		}
		r.start()
		pass(3 * time.Minute)
		r.halt()
		for _, id := range []string{"a", "b"} {
			var got, want []string
			for i, a := range r.attempts(id) {
				got = append(got, fmt.Sprint(a.Number, a.Try, a.State))
				want = append(want, fmt.Sprint(i+1, 1, store.Delivered))
			}
			if diff := cmp.Diff(want, got); diff != "" || len(got) != 50 {
				t.Errorf("%s: %d\n%s", id, len(got), diff)
			}
			if rec := r.record(id); rec.Failures != 0 || rec.BreakerOpen {
				t.Errorf("%s: %+v", id, rec)
			}
		}
		sent := r.channel.sent()
		for i := 1; i < len(sent); i++ {
			if gap := sent[i].at.Sub(sent[i-1].at); gap < time.Second-time.Millisecond {
				t.Fatalf("%s between two requests, want a second", gap)
			}
		}
	})
}
