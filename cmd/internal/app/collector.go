package app

import (
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
)

// smallestWaste is how much may become garbage before the collector runs, in bytes.
const smallestWaste = 32 << 20

// TuneCollector lets the garbage collector run when a fixed amount of garbage has come together, or half of what is
// alive if that is more. Go's own rule, as much as is alive, makes a small heap such as this server's be
// searched many times a second under load (a sixth of its CPU time), and lets a big one become twice as big. It changes
// the whole process, so only main calls it; what the operator sets by GOGC or GOMEMLIMIT stands.
func TuneCollector() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	watchCollections(0)
}

// sentinel is garbage from the start, so that the end of each collection is noticed. It has a pointer to
// stay out of the allocator's shared small blocks, which are collected together.
type sentinel struct{ self *sentinel }

// watchCollections sets what follows from each collection; percent is what was set last.
func watchCollections(percent int) {
	runtime.AddCleanup(&sentinel{}, func(before int) {
		live := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
		runtimemetrics.Read(live)
		next := collectorPercent(live[0].Value.Uint64())
		if next != before {
			debug.SetGCPercent(next)
		}
		watchCollections(next)
	}, percent)
}

// collectorPercent is the setting of GOGC for a live heap of so many bytes, in steps, for each change stops the world.
func collectorPercent(live uint64) int {
	const step = 10
	percent := max(smallestWaste*100/max(live, 4<<20), 50) // Go lets no heap be collected before it has 4 MiB times GOGC
	return int(percent / step * step)
}
