package app

import "testing"

func TestCollectorPercent_wasteIsFixedUntilHalfOfTheHeapIsMore(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for live, want := range map[uint64]int{0: 800, 4 * mib: 800, 32 * mib: 100, 50 * mib: 60, 64 * mib: 50, 4096 * mib: 50} {
		if got := collectorPercent(live); got != want {
			t.Errorf("live heap of %d MiB: GOGC %d, want %d", live/mib, got, want)
		}
	}
}
