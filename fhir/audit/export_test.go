package audit

import "time"

// Tune makes a Log's bounds those of a test.
func (o Options) Tune(syncEvery time.Duration, mostBytes int) Options {
	o.syncEvery, o.mostBytes = syncEvery, mostBytes
	return o
}
