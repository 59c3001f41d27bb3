package criteria

import (
	"math"
	"time"
)

// moment is a point in time, to the nanosecond. time.Time would do as well at three times the size, and
// time.Duration would not: it ends after 292 years, and FHIR has dates from 0001 to 9999.
type moment struct {
	sec  int64 // since 1970-01-01T00:00:00Z
	nano int32
}

var (
	beginning = moment{sec: math.MinInt64}
	end       = moment{sec: math.MaxInt64}
)

func (m moment) before(n moment) bool { return m.sec < n.sec || m.sec == n.sec && m.nano < n.nano }

// last is the nanosecond before m.
func (m moment) last() moment {
	if m.nano == 0 {
		return moment{m.sec - 1, 999_999_999}
	}
	return moment{m.sec, m.nano - 1}
}

// plus adds sec seconds; the unbounded ends stay what they are.
func (m moment) plus(sec int64) moment {
	if m == beginning || m == end {
		return m
	}
	return moment{m.sec + sec, m.nano}
}

func momentOf(t time.Time) moment { return moment{t.Unix(), int32(t.Nanosecond())} }

// interval is the time that a date stands for, both ends included: a day, a second, or for an instant a
// single nanosecond.
type interval struct{ low, high moment }

// holds is the executable form of R4's prefix definitions (search.html#prefix) for the searched interval s
// and the resource's interval t.
func (s interval) holds(p Prefix, t interval, now moment) bool {
	eq := !t.low.before(s.low) && !s.high.before(t.high)
	above, below := s.high.before(t.high), t.low.before(s.low)
	switch p {
	case EQ:
		return eq
	case NE:
		return !eq
	case GT:
		return above
	case LT:
		return below
	case GE:
		return above || eq
	case LE:
		return below || eq
	case SA:
		return s.high.before(t.low)
	case EB:
		return t.high.before(s.low)
	case AP:
		w := s.widened(now)
		return !t.high.before(w.low) && !w.high.before(t.low)
	default:
		return false
	}
}

// widened adds a tenth of the time between now and the interval at both ends, to the second.
func (s interval) widened(now moment) interval {
	gap := int64(0)
	switch {
	case now.before(s.low):
		gap = s.low.sec - now.sec
	case s.high.before(now):
		gap = now.sec - s.high.sec
	}
	return interval{s.low.plus(-gap / 10), s.high.plus(gap / 10)}
}
