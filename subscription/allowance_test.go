package subscription

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/channel"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// TestDeliverer_tenantsKeepToTheirRate: all lanes of a tenant together send no more than it may, take turns, and lose
// nothing: what waits has used up no attempt.
func TestDeliverer_tenantsKeepToTheirRate(t *testing.T) {
	const rate = 20
	for name, limits := range map[string]EndpointLimits{"alone": {}, "with endpoints at their limits": {Concurrency: 1, Rate: 1000}} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, r *rig) {
				r.options.Limits = limits
				r.options.Rate = func(tenant string) float64 {
					if tenant != fhir.DefaultTenant {
						t.Errorf("asked about %q", tenant)
					}
					return rate
				}
				var throttled atomic.Int32
				r.options.Observe = func(o Observation) {
					if o.Kind == LaneThrottled {
						throttled.Add(1)
					}
				}
				for _, id := range []string{"big", "small", "failing"} {
					r.subscribe(id, "https://"+id+".example/x", Active)
				}
				r.channel.set("https://failing.example/x", failing("http-5xx"))
				r.owe("big", numbered(300)...)
				began := time.Now()
				r.start()
				pass(time.Second)
				r.owe("small", numbered(20)...)
				synctest.Wait()
				if got := r.d.Held(laneOf("big")); got != ForQuota || r.d.Stats().Throttled == 0 {
					t.Errorf("big waits for %q; %+v", got, r.d.Stats())
				}
				pass(3 * time.Second)
				count := map[string]int{}
				for _, s := range r.channel.sent() {
					count[s.m.Subscription]++
				}
				if count["small"] != 20 {
					t.Errorf("after three seconds of %d each: %v", rate, count)
				}
				pass(time.Minute)
				var at []time.Time
				for _, s := range r.channel.sent() {
					at = append(at, s.at)
				}
				if len(at) != 320 {
					t.Errorf("%d were sent", len(at))
				}
				for i := range at {
					if j := i + rate + rate/10; j < len(at) && at[j].Sub(at[i]) < time.Second {
						t.Errorf("more than %d within a second, %s after the start", rate+rate/10, at[i].Sub(began))
						break
					}
				}
				if took := at[len(at)-1].Sub(at[0]); took > 320/rate*time.Second+time.Second {
					t.Errorf("it took %s", took)
				}
				for _, a := range r.attempts("big") {
					if a.Try != 1 || a.State != store.Delivered {
						t.Errorf("%+v", a)
					}
				}
				if r.d.Held(laneOf("big")) != NoWait || throttled.Load() == 0 {
					t.Errorf("nobody heard of it: %d", throttled.Load())
				}
				r.halt()
				if len(r.d.tenants.all) != 0 || len(r.d.origins.all) != 0 {
					t.Error("they are still kept")
				}
			})
		})
	}
}

// TestDeliverer_aSlowEndpointTakesNothingFromItsTenant: a lane that waits at its endpoint holds one request of the tenant's
// allowance, and not more each time it looks.
func TestDeliverer_aSlowEndpointTakesNothingFromItsTenant(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.options.Limits = EndpointLimits{Concurrency: 1}
		r.options.Rate = func(string) float64 { return 10 }
		for i := range 4 {
			id := fmt.Sprint("slow", i)
			r.subscribe(id, "https://slow.example/"+id, Active)
			r.channel.set("https://slow.example/"+id, func(ctx context.Context, _ channel.Message) error {
				<-time.After(5 * time.Second)
				return ctx.Err()
			})
			r.owe(id, numbered(20)...)
		}
		r.subscribe("quick", "https://quick.example/x", Active)
		r.owe("quick", numbered(50)...)
		r.start()
		pass(8 * time.Second)
		if n := len(r.attempts("quick")); n != 50 {
			t.Errorf("%d of 50 in eight seconds of ten each", n)
		}
		r.halt()
	})
}

// TestAllowances_namesDontMeet: one that is over keeps no other waiting, and one without a rate never waits.
func TestAllowances_namesDontMeet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var called atomic.Int32
		o := newAllowances(func(name string) float64 {
			return map[string]float64{"a": 1, "b": 1}[name]
		}, func(store.Lane) { called.Add(1) })
		now := time.Now()
		lane := func(tenant string) store.Lane { return store.Lane{Tenant: tenant, Subscription: "s"} }
		for _, want := range []struct {
			name string
			in   bool
		}{{"a", true}, {"a", false}, {"b", true}, {"c", true}, {"c", true}, {"c", true}, {"b", false}, {"a", false}} {
			if in, _ := o.enter(want.name, lane(want.name), false, now); in != want.in {
				t.Errorf("%s is let in: %v", want.name, in)
			}
			o.leave(want.name, now)
		}
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if called.Load() != 2 || o.held() != 0 {
			t.Errorf("%d were called, %d wait", called.Load(), o.held())
		}
		o.close()
	})
}
