package operate

import (
	"context"
	"time"

	"fhirhook/fhir/store"
)

// DefaultKeep is how long attempts are kept.
const DefaultKeep = 30 * 24 * time.Hour

// expiry is how often old attempts are looked for. They go by whole days, so that nothing is gained by more.
const expiry = time.Hour

// expire drops the attempts that were kept long enough, now and then, until ctx ends.
func (d *Desk) expire(ctx context.Context) {
	for {
		err := d.update(ctx, func(w store.QueueWriter) error {
			_, err := w.Expire(time.Now().Add(-d.o.Keep))
			return err
		})
		if err != nil && ctx.Err() == nil {
			d.o.Log.Error("attempts.not-expired", "error", err)
		}
		if sleep(ctx, expiry) != nil {
			return
		}
	}
}
