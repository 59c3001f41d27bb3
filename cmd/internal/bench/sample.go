package bench

import (
	"cmp"
	"fmt"
	"slices"
)

// Quantile returns the value that a share q of a sample does not exceed; the zero value for an empty sample.
func Quantile[T cmp.Ordered](sample []T, q float64) T {
	var zero T
	if len(sample) == 0 {
		return zero
	}
	s := slices.Sorted(slices.Values(sample))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// Spread is a sample in three numbers: its median and the quartiles around it.
type Spread struct {
	Low    float64 `json:"low"`
	Median float64 `json:"median"`
	High   float64 `json:"high"`
}

// Spreading sums a sample up.
func Spreading(sample []float64) Spread {
	return Spread{Quantile(sample, 0.25), Quantile(sample, 0.5), Quantile(sample, 0.75)}
}

func (s Spread) String() string { return fmt.Sprintf("%.3g (%.3g–%.3g)", s.Median, s.Low, s.High) }

// Ratios divides round by round, so that what slowed both arms of a round down cancels out.
func Ratios(of, by []float64) []float64 {
	r := make([]float64, 0, len(of))
	for i := range min(len(of), len(by)) {
		if by[i] != 0 {
			r = append(r, of[i]/by[i])
		}
	}
	return r
}

// Alternate lets arms take turns for so many rounds, each round beginning with another arm, so that none
// always runs first.
func Alternate(rounds int, arms ...func() error) error {
	for round := range rounds {
		for i := range arms {
			if err := arms[(round+i)%len(arms)](); err != nil {
				return err
			}
		}
	}
	return nil
}
