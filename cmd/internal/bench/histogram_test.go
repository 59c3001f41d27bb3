package bench_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fhirhook/cmd/internal/bench"
)

func TestHistogram_quantilesAreWithinOnePercent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, int64(10*time.Hour)), 1, 200).Draw(t, "durations")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		var h, first, second bench.Histogram
		for i, d := range all {
			h.Add(time.Duration(d))
			[]*bench.Histogram{&first, &second}[i%2].Add(time.Duration(d))
		}
		first.Merge(&second)
		want := bench.Quantile(all, q)
		for _, got := range []time.Duration{h.Quantile(q), first.Quantile(q)} {
			if off := float64(int64(got) - want); off > 0.01*float64(want) || off < -0.01*float64(want) {
				t.Fatalf("quantile %v of %v: got %d, want %d within 1 %%", q, all, got, want)
			}
		}
		if h.Count() != len(all) || first.Count() != len(all) {
			t.Fatalf("count %d, merged %d, want %d", h.Count(), first.Count(), len(all))
		}
		if most := time.Duration(slices.Max(all)); h.Max() != most || first.Max() != most {
			t.Fatalf("max %v, merged %v, want %v", h.Max(), first.Max(), most)
		}
		steps := h.Steps()
		if last := steps[len(steps)-1]; last.Share != 1 || last.At != h.Max() {
			t.Fatalf("the distribution ends with %+v", last)
		}
		if !slices.IsSortedFunc(steps, func(a, b bench.Step) int { return int(a.At - b.At) }) {
			t.Fatalf("the distribution goes back: %v", steps)
		}
	})
}

func TestHistogram_emptyHasNoFigures(t *testing.T) {
	t.Parallel()
	var h bench.Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 || h.Mean() != 0 || len(h.Steps()) != 0 {
		t.Errorf("an empty histogram tells %v, %v, %v, %v", h.Quantile(0.5), h.Max(), h.Mean(), h.Steps())
	}
}

func TestHistogram_isMillisecondsInJSON(t *testing.T) {
	t.Parallel()
	var h bench.Histogram
	h.Add(2 * time.Millisecond)
	h.Add(-time.Second) // clocks: never below zero
	got, err := json.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"count":2,"mean":1,"p50":2,"p95":2,"p99":2,"max":2}`; string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
