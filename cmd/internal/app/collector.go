package app

import (
	"os"
	"runtime/debug"
)

// ballast is memory that is never touched: the kernel gives no pages for it, and the garbage collector takes it
// for part of the heap.
var ballast []byte //nolint:unused // being there is its use

const ballastSize = 64 << 20

// TuneCollector lets the garbage collector run when 32 MiB and half of what is alive have come together as garbage.
// Go's own rule, as much as is alive, makes a small heap such as this server's be searched many times a second
// under load (a sixth of its CPU time), and lets a big one become twice as big. It changes the whole process, so only
// main calls it; what the operator sets by GOGC or GOMEMLIMIT stands.
//
// The ballast is what makes a fixed amount of a share. To set the share anew after each collection would do
// without it, but comes too late when the heap grows fast.
func TuneCollector() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	ballast = make([]byte, ballastSize)
	debug.SetGCPercent(50)
}
