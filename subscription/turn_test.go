package subscription

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/channel"
)

// TestDeliverer_manyLanesBeginInTurn wakes many lanes whose endpoints hang, all at once: only so many requests begin
// together, yet all of them begin, and a healthy lane that comes behind them waits for its turn only.
func TestDeliverer_manyLanesBeginInTurn(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		young := mostYoung * runtime.GOMAXPROCS(0)
		lanes := 3 * young / mostInFlight
		hang := func(ctx context.Context, _ channel.Message) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		r.subscribe("well", "https://well.example/hook", Active)
		for i := range lanes {
			id := fmt.Sprintf("hang%03d", i)
			r.subscribe(id, "https://hang.example/"+id, Active)
			r.channel.set("https://hang.example/"+id, hang)
		}
		r.start()
		synctest.Wait()
		began := time.Now()
		for i := range lanes {
			r.owe(fmt.Sprintf("hang%03d", i), numbered(mostInFlight)...)
		}
		r.owe("well", "o1")
		synctest.Wait()
		if n := r.d.Stats().InFlight; n != young {
			t.Errorf("%d requests began at once, want %d", n, young)
		}
		pass(3 * youngAge)
		if n := r.d.Stats().InFlight; n != lanes*mostInFlight {
			t.Errorf("%d requests are under way, want all %d", n, lanes*mostInFlight)
		}
		var well time.Duration = -1
		for _, s := range r.channel.sent() {
			if s.m.Subscription == "well" {
				well = s.at.Sub(began)
			}
		}
		if well < 0 || well > 3*youngAge {
			t.Errorf("the healthy lane sent after %s, want %s at most", well, 3*youngAge)
		}
		r.halt()
	})
}
