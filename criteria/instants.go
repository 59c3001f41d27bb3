package criteria

import (
	"math"
	"time"
)

// Instants is the time, in seconds with both ends included, that the term confines a subject to whose only value is
// an instant; false if it can be any.
func (t *Term) Instants(env Env) (low, high int64, ok bool) {
	if t.linked != nil || t.Kind != Date || t.Modifier != "" {
		return 0, 0, false
	}
	low, high = math.MaxInt64, math.MinInt64
	for _, value := range t.Values {
		v, ok := value.(*dateValue)
		if !ok {
			return 0, 0, false
		}
		in, ok := v.instants(env)
		if !ok {
			return 0, 0, false
		}
		low, high = min(low, in.low.sec), max(high, in.high.sec)
	}
	return low, high, true
}

// instants is the time in which an instant can match.
func (v *dateValue) instants(env Env) (interval, bool) {
	s := v.utc
	if zone := env.zone(); !v.civil.zoned && zone != time.UTC {
		s = v.civil.interval(zone)
	}
	switch v.prefix {
	case EQ:
		return s, true
	case AP:
		return s.widened(momentOf(env.Now)), true
	case GT, SA:
		return interval{s.high, end}, true
	case GE:
		return interval{s.low, end}, true
	case LT, EB:
		return interval{beginning, s.low}, true
	case LE:
		return interval{beginning, s.high}, true
	default:
		return interval{}, false
	}
}
