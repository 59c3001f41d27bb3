package criteria

import (
	"cmp"
	"strings"
)

// compareVersions orders business versions, whose form R4 leaves open: part by part between dots, numbers by
// their value and before texts, and 1 before 1.0. No version comes first.
func compareVersions(a, b string) int {
	for a != b {
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b))
		}
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareParts(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func compareParts(x, y string) int {
	nx, okX := wholeNumber(x)
	ny, okY := wholeNumber(y)
	switch {
	case okX && okY:
		return cmp.Or(cmp.Compare(len(nx), len(ny)), strings.Compare(nx, ny))
	case okX != okY && okX:
		return -1
	case okX != okY:
		return 1
	default:
		return strings.Compare(x, y)
	}
}

// wholeNumber is a number's digits without leading zeros.
func wholeNumber(s string) (string, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return "", false
	}
	return strings.TrimLeft(s, "0"), true
}
