package subscription

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bounds of a ladder: an impossible one is refused when the Subscription is written.
const (
	mostWaits  = 100
	mostWait   = 7 * 24 * time.Hour
	mostGiveUp = 30 * 24 * time.Hour
)

// ParseLadder reads a ladder as the subscription-retry extension writes it: a list of waits (1m,5m,30m,1h),
// or exp:FIRST,FACTOR,CAP,GIVEUP (exp:1s,2,1h,72h). A wait is a number with ms, s, m, h or d.
// The error is a sentence for the client.
func ParseLadder(s string) (Ladder, error) {
	if form, ok := strings.CutPrefix(s, "exp:"); ok {
		return parseExponential(form)
	}
	parts := strings.Split(s, ",")
	if len(parts) > mostWaits {
		return Ladder{}, fmt.Errorf("%d waits are too many: at most %d", len(parts), mostWaits)
	}
	l := Ladder{Waits: make([]time.Duration, len(parts))}
	for i, part := range parts {
		wait, err := parseWait(part, mostWait)
		if err != nil {
			return Ladder{}, err
		}
		l.Waits[i] = wait
	}
	return l, nil
}

func parseExponential(form string) (Ladder, error) {
	parts := strings.Split(form, ",")
	if len(parts) != 4 {
		return Ladder{}, fmt.Errorf("exp: needs four parts, FIRST,FACTOR,CAP,GIVEUP as in exp:1s,2,1h,72h, and this has %d", len(parts))
	}
	first, err := parseWait(parts[0], mostWait)
	if err != nil {
		return Ladder{}, err
	}
	factor, err := strconv.ParseFloat(strings.TrimSpace(parts[1]), 64)
	if err != nil || math.IsNaN(factor) || factor < 1 || factor > 100 {
		return Ladder{}, fmt.Errorf("%q is not a factor: a number from 1 to 100", parts[1])
	}
	most, err := parseWait(parts[2], mostWait)
	if err != nil {
		return Ladder{}, err
	}
	giveUp, err := parseWait(parts[3], mostGiveUp)
	if err != nil {
		return Ladder{}, err
	}
	if most < first || giveUp < first {
		return Ladder{}, fmt.Errorf("the first wait (%s) is longer than the cap (%s) or than the time to give up (%s)", first, most, giveUp)
	}
	return Ladder{First: first, Factor: factor, Cap: most, GiveUp: giveUp}, nil
}

// parseWait reads a duration in Go's notation, or in whole or decimal days (d), above zero.
func parseWait(s string, most time.Duration) (time.Duration, error) {
	s = strings.TrimSpace(s)
	wait, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		wait = time.Duration(math.Min(n, 1e4) * float64(24*time.Hour))
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a wait: a number with ms, s, m, h or d, as in 30s", s)
	case !(wait >= time.Millisecond):
		return 0, fmt.Errorf("a wait of %s is too short: at least 1ms", s)
	case wait > most:
		return 0, fmt.Errorf("%s is too long: at most %s", s, most)
	}
	return wait, nil
}
