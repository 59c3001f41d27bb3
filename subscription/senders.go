package subscription

import (
	"context"
	"time"

	"fhirhook/fhir/store"
)

// mostIdle is how many senders stay for the next attempt. Each has grown the stack that an attempt needs, which a
// new goroutine would have to do again.
const mostIdle = 128

// job is an attempt to be made.
type job struct {
	lane   *lane
	n      store.Notification
	origin string // where it takes a place
}

// dispatch lets a sender make an attempt: one that waits, or a new one.
func (d *Deliverer) dispatch(remote context.Context, j job) {
	select {
	case d.jobs <- j:
	default:
		d.sends.Go(func() { d.runSender(remote, j) })
	}
}

// runSender makes attempts, which the channel's timeout and remote bound, until there are senders enough that wait,
// or the Deliverer is stopping.
func (d *Deliverer) runSender(remote context.Context, j job) {
	aging := time.AfterFunc(youngAge, d.aged)
	for {
		r := d.attempt(remote, j.n)
		if aging.Stop() {
			<-d.young
		}
		d.origins.leave(j.origin, time.Now())
		stays := d.idle.Add(1) <= mostIdle
		d.post(j.lane, &r)
		if stays {
			select {
			case j = <-d.jobs:
			case <-d.halt:
				stays = false
			}
		}
		d.idle.Add(-1)
		if !stays {
			return
		}
		aging.Reset(youngAge)
	}
}
