package subscription

// The deliverer tests of an endpoint that is dead for hours while much is owed to it.

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
)

const (
	outageBacklog = 100_000
	outageLasts   = 3 * time.Hour
	outageReply   = 10 * time.Millisecond // how long the endpoint takes, dead or not
)

// recovering is an endpoint that takes a moment, and counts what is under way. While it is dead it fails.
type recovering struct {
	up time.Time

	mu        sync.Mutex
	underWay  int
	successes int
	excess    []string // where more was under way than the breaker's growth allows
	most      int
}

func (p *recovering) answer(context.Context, channel.Message) error {
	p.mu.Lock()
	p.underWay++
	p.most = max(p.most, p.underWay)
	dead := time.Now().Before(p.up)
	// The success that closes the breaker lets one go, and each one after it doubles that.
	if allowed := min(1<<max(p.successes-1, 0), mostInFlight); !dead && p.underWay > allowed && p.successes < 10 {
		p.excess = append(p.excess, fmt.Sprintf("%d under way after %d successes", p.underWay, p.successes))
	}
	p.mu.Unlock()
	<-time.After(outageReply)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underWay--
	if dead {
		return &channel.SendError{Class: "refused"}
	}
	p.successes++
	return nil
}

// outage lets a lane owe a backlog to an endpoint that comes back after hours, beside healthy lanes that get
// something every half minute. It returns what was sent, in all, and when it began. Without the dead lane the
// healthy ones are alone.
func outage(t *testing.T, order Order, dead bool) (r *rig, endpoint *recovering, began time.Time) {
	r = newRig(t)
	r.bulk()
	began = time.Now()
	endpoint = &recovering{up: began.Add(outageLasts)}
	quick := Ladder{First: time.Millisecond, Factor: 1, Cap: time.Millisecond, GiveUp: 72 * time.Hour}
	r.configure["dead"] = func(s *Subscription) { s.Order, s.Ladder = order, quick }
	r.subscribe("dead", "https://dead.example/hook", Active)
	r.channel.set("https://dead.example/hook", endpoint.answer)
	for i := range 4 {
		id := fmt.Sprint("well", i)
		r.configure[id] = func(s *Subscription) { s.Order = []Order{Unordered, Unordered, ByResource, BySubscription}[i] }
		r.subscribe(id, "https://well.example/"+id, Active)
		r.channel.set("https://well.example/"+id, func(context.Context, channel.Message) error {
			<-time.After(7 * time.Millisecond)
			return nil
		})
	}
	r.start()
	synctest.Wait()
	if dead {
		focus := numbered(outageBacklog)
		for i := range focus {
			focus[i] = fmt.Sprint("r", i%1000)
		}
		r.owe("dead", focus...)
	}
	// The last of it comes while the backlog drains.
	for at := began; at.Before(endpoint.up.Add(10 * time.Minute)); at = at.Add(30 * time.Second) {
		pass(time.Until(at))
		for i := range 4 {
			r.owe(fmt.Sprint("well", i), "a", "b", "a", "c")
		}
	}
	pass(time.Hour)
	r.halt()
	return r, endpoint, began
}

// outageSent is one request of a lane.
type outageSent struct {
	Lane    string
	Number  uint64
	Attempt int
	After   time.Duration
}

func (r *rig) sentOf(dead bool, since time.Time) (all []outageSent) {
	for _, s := range r.channel.sent() {
		if (s.m.Subscription == "dead") == dead {
			all = append(all, outageSent{s.m.Subscription, s.m.Sequence, s.m.Attempt, s.at.Sub(since)})
		}
	}
	slices.SortFunc(all, func(a, b outageSent) int {
		switch {
		case a.After != b.After:
			return int(a.After - b.After)
		case a.Lane != b.Lane:
			return slices.Compare([]byte(a.Lane), []byte(b.Lane))
		default:
			return int(a.Number) - int(b.Number)
		}
	})
	return all
}

// An endpoint that is dead with 100,000 notifications owed to it is asked as often as DESIGN 4.2 says: 1 s after
// the breaker opened, then after twice as long each time, at most 5 min. When it is back the number in flight
// doubles from 1 to 16, and the backlog drains in order at full rate. Nothing of that moves the others by an instant.
func TestDeliverer_anOutageOfHours(t *testing.T) {
	var alone []outageSent
	synctest.Test(t, func(t *testing.T) {
		r, _, began := outage(t, Unordered, false)
		alone = r.sentOf(false, began)
	})
	for name, order := range allOrders {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, endpoint, began := outage(t, order, true)
				if diff := cmp.Diff(alone, r.sentOf(false, began)); diff != "" {
					t.Errorf("the others went at other instants than without the dead one:\n%.2000s", diff)
				}
				sent := r.sentOf(true, began)
				opened, burst := outageReply, [2]int{mostInFlight, mostInFlight + breakerFailures - 1}
				if order == BySubscription { // one at a time, each with the ladder's millisecond behind it
					opened, burst = breakerFailures*outageReply+(breakerFailures-1)*time.Millisecond, [2]int{breakerFailures, breakerFailures}
				}
				first := slices.IndexFunc(sent, func(s outageSent) bool { return s.After >= opened+breakerFirst })
				if first < burst[0] || first > burst[1] {
					t.Errorf("%d requests until the breaker opened, want %d to %d", first, burst[0], burst[1])
				}
				probes, back := wantProbes(opened)
				var got []time.Duration
				for _, s := range sent[first : first+len(probes)] {
					got = append(got, s.After)
				}
				if diff := cmp.Diff(probes, got); diff != "" {
					t.Errorf("probes (-want +got):\n%s", diff)
				}
				during := first + len(probes)
				if n := len(sent) - during; n != outageBacklog {
					t.Errorf("%d requests after it came back, want %d", n, outageBacklog)
				}
				if len(endpoint.excess) > 0 {
					t.Errorf("it grew too quickly: %v", endpoint.excess)
				}
				checkDrain(t, sent[during:], order, back, endpoint.most)
				if n := r.record("dead").Owed; n != 0 {
					t.Errorf("%d still owed", n)
				}
				t.Logf("%d owed: %d requests in an outage of %s, %d of them probes; %d back in order within %s of the first success",
					outageBacklog, during, outageLasts, len(probes), outageBacklog, sent[len(sent)-1].After-back)
			})
		})
	}
}

// wantProbes are the instants of the probes that fail, and of the one that succeeds.
func wantProbes(opened time.Duration) (failing []time.Duration, success time.Duration) {
	at := opened
	for wait := time.Second; ; wait = min(2*wait, 5*time.Minute) {
		at += wait
		if at >= outageLasts {
			return failing, at
		}
		failing = append(failing, at)
		at += outageReply
	}
}

// checkDrain looks at what was sent from the first success on.
func checkDrain(t *testing.T, sent []outageSent, order Order, back time.Duration, most int) {
	t.Helper()
	if sent[0].After != back {
		t.Errorf("it was asked again after %s, want %s", sent[0].After, back)
	}
	last := map[uint64]uint64{}
	highest := uint64(0)
	for _, s := range sent {
		track := s.Number % 1000 // of a resource, as they were owed in turn
		switch order {
		case BySubscription:
			track = 0
		case Unordered:
			if s.Attempt > 1 { // those that were tried during the outage take turns with the others
				continue
			}
			if s.Number+mostInFlight <= highest { // of those that go at the same instant any may be the first
				t.Fatalf("number %d went behind %d", s.Number, highest)
			}
			highest = max(highest, s.Number)
			continue
		case ByResource:
		}
		if s.Number < last[track] {
			t.Fatalf("order %d: number %d went behind %d", order, s.Number, last[track])
		}
		last[track] = s.Number
	}
	atOnce := mostInFlight
	if order == BySubscription {
		atOnce = 1
	}
	if most != atOnce {
		t.Errorf("%d under way at most, want %d", most, atOnce)
	}
	full := time.Duration(outageBacklog/atOnce) * outageReply
	if took := sent[len(sent)-1].After - back; took > full+10*outageReply {
		t.Errorf("the backlog took %s, and at full rate it takes %s", took, full)
	}
}
