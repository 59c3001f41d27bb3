package bench

import (
	"encoding/json"
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that grow with them, so that any number of values takes some kilobytes
// and each is told to within 1 %. The zero Histogram is empty.
type Histogram struct {
	counts   []uint64 // by bucket
	n        uint64
	sum      time.Duration
	min, max time.Duration
}

// fine is how many buckets each power of two has: the width of a bucket is at most 1/128 of what is in it.
const fine = 128

// bucket is where a duration is counted. Below 2×fine nanoseconds each has its own.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < 2*fine {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len64(fine)
	return shift*fine + int(v>>shift)
}

// bounds are the least and the largest duration of a bucket.
func bounds(bucket int) (least, most time.Duration) {
	if bucket < 2*fine {
		return time.Duration(bucket), time.Duration(bucket)
	}
	shift := bucket/fine - 1
	base := int64(bucket - shift*fine)
	return time.Duration(base << shift), time.Duration((base+1)<<shift - 1)
}

// Add counts a duration; one below zero counts as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	i := bucket(d)
	if i >= len(h.counts) {
		h.counts = append(h.counts, make([]uint64, i+1-len(h.counts))...)
	}
	h.counts[i]++
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.sum += d
	h.n++
}

// Merge adds everything that another counted.
func (h *Histogram) Merge(other *Histogram) {
	if other.n == 0 {
		return
	}
	if len(other.counts) > len(h.counts) {
		h.counts = append(h.counts, make([]uint64, len(other.counts)-len(h.counts))...)
	}
	for i, n := range other.counts {
		h.counts[i] += n
	}
	if h.n == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	h.sum += other.sum
	h.n += other.n
}

// Count is how many durations were added, Max the longest, exactly, and Mean their mean; zero for none.
func (h *Histogram) Count() int { return int(h.n) }

// Max is the longest of them, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is the sum of all by their number; 0 for none.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return h.sum / time.Duration(h.n)
}

// Quantile is the duration that a share q (0 to 1) of all does not exceed, to within 1 %; 0 for none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := min(uint64(q*float64(h.n)), max(h.n, 1)-1) // how many are below it
	var below uint64
	for i, n := range h.counts {
		if below += n; below > rank {
			least, most := bounds(i)
			return min(max(least+(most-least)/2, h.min), h.max)
		}
	}
	return 0
}

// Step is a point of the distribution: a share of all durations is at most At.
type Step struct {
	At    time.Duration
	Count uint64  // in this bucket
	Share float64 // up to this bucket's end
}

// Steps are the points of the distribution, in order; buckets where nothing is are left out.
func (h *Histogram) Steps() []Step {
	var steps []Step
	var below uint64
	for i, n := range h.counts {
		if n == 0 {
			continue
		}
		below += n
		_, most := bounds(i)
		steps = append(steps, Step{min(most, h.max), n, float64(below) / float64(h.n)})
	}
	return steps
}

// MarshalJSON gives milliseconds.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Count int     `json:"count"`
		Mean  float64 `json:"mean"`
		P50   float64 `json:"p50"`
		P95   float64 `json:"p95"`
		P99   float64 `json:"p99"`
		Max   float64 `json:"max"`
	}{h.Count(), ms(h.Mean()), ms(h.Quantile(0.5)), ms(h.Quantile(0.95)), ms(h.Quantile(0.99)), ms(h.Max())})
}

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
