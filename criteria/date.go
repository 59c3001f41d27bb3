package criteria

import (
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// civil is a date as it is written: what it says, how precisely, and in which zone if it names one.
type civil struct {
	year, month, day     int
	hour, minute, second int
	nano, width          int32 // fraction of the second, and the size of its last digit; width 0: none written
	precision            precision
	zoned                bool
	offset               int // seconds east of UTC
}

type precision uint8

const (
	toYear precision = iota
	toMonth
	toDay
	toMinute
	toSecond
	toFraction
)

// parseCivil reads yyyy, yyyy-mm, yyyy-mm-dd and yyyy-mm-ddThh:mm[:ss[.f]][Z|±hh:mm]
// (R4 search.html#date, datatypes.html#dateTime). Digits behind the nanosecond are dropped.
func parseCivil(s string) (c civil, ok bool) {
	r := dateReader{rest: s, ok: true}
	c.year, c.month, c.day = r.digits(4, 1, 9999), 1, 1
	if r.ended() {
		return c, r.ok
	}
	r.expect('-')
	c.month, c.precision = r.digits(2, 1, 12), toMonth
	if r.ended() {
		return c, r.ok
	}
	r.expect('-')
	c.day, c.precision = r.digits(2, 1, 31), toDay
	if !r.ok || c.day > daysIn(c.year, c.month) {
		return c, false
	}
	if r.ended() {
		return c, r.ok
	}
	r.expect('T')
	c.hour = r.digits(2, 0, 23)
	r.expect(':')
	c.minute, c.precision = r.digits(2, 0, 59), toMinute
	if r.skip(':') {
		c.second, c.precision = r.digits(2, 0, 60), toSecond
		if r.skip('.') {
			c.nano, c.width = r.fraction()
			c.precision = toFraction
		}
	}
	if r.ended() {
		return c, r.ok
	}
	c.offset, c.zoned = r.zone(), true
	return c, r.ok && r.rest == ""
}

// daysIn counts the days of a month of the Gregorian calendar.
func daysIn(year, month int) int {
	return time.Date(year, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC).Day()
}

// interval is the time that the date stands for, in zone if it names none itself.
func (c civil) interval(zone *time.Location) interval {
	at := func(year, month, day, hour, minute, second int) moment {
		return moment{sec: c.unix(zone, year, month, day, hour, minute, second)}
	}
	low := at(c.year, c.month, c.day, c.hour, c.minute, min(c.second, 59))
	low.nano = c.nano
	var next moment
	switch c.precision {
	case toYear:
		next = at(c.year+1, 1, 1, 0, 0, 0)
	case toMonth:
		next = at(c.year, c.month+1, 1, 0, 0, 0)
	case toDay:
		next = at(c.year, c.month, c.day+1, 0, 0, 0)
	case toMinute:
		next = low.plus(60)
	case toSecond:
		next = low.plus(1)
	default:
		next = moment{low.sec, low.nano + c.width}
		if next.nano >= 1e9 {
			next = moment{low.sec + 1, next.nano - 1e9}
		}
	}
	if c.second == 60 { // a leap second, which Unix time does not have: the last moment of its minute
		last := low.plus(1)
		last.nano = 0
		return interval{last.last(), last.last()}
	}
	return interval{low, next.last()}
}

func (c civil) unix(zone *time.Location, year, month, day, hour, minute, second int) int64 {
	if c.zoned || zone == nil {
		zone = time.UTC
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, zone).Unix() - int64(c.offset)
}

// dateValue is a value of a date parameter.
type dateValue struct {
	prefix Prefix
	text   string
	civil  civil
	utc    interval // what it stands for unless the zone of the Env decides
}

func parseDate(s string) (Value, *fhir.Error) {
	prefix, text, err := cutPrefix(s)
	if err != nil {
		return nil, err
	}
	text = repairPlus(text)
	c, ok := parseCivil(text)
	if !ok {
		return nil, fhir.Errorf(fhir.Value, "", "%q is not a date: write 2013, 2013-01, 2013-01-14, 2013-01-14T10:00Z or 2013-01-14T10:00:30.5+01:00 (in a URL, + is written %%2B)", clip(text))
	}
	return &dateValue{prefix, text, c, c.interval(time.UTC)}, nil
}

// repairPlus puts back the plus sign of a zone that a form decoder took for a space.
func repairPlus(s string) string {
	if n := len(s); n > len("2013-01-14T10:00") && s[n-6] == ' ' && s[n-3] == ':' {
		return s[:n-6] + "+" + s[n-5:]
	}
	return s
}

func (v *dateValue) String() string { return v.prefix.text() + v.text }

func (v *dateValue) matches(s *Subject, x *values) bool {
	if len(x.dates) == 0 {
		return false
	}
	searched := v.utc
	if !v.civil.zoned && s.env.zone() != time.UTC {
		searched = v.civil.interval(s.env.zone())
	}
	now := moment{}
	if v.prefix == AP {
		now = momentOf(s.env.Now)
	}
	for _, t := range x.dates {
		if searched.holds(v.prefix, t, now) {
			return true
		}
	}
	return false
}

// intervalOf reads an element that a date parameter selects. Other types that such parameters can reach
// (an age, a string) have no place in time.
func intervalOf(l Leaf, zone *time.Location) (interval, bool) {
	switch l.Type {
	case "date", "dateTime":
		return dateInterval(l.Node, zone)
	case "instant":
		i, ok := dateInterval(l.Node, zone)
		return interval{i.low, i.low}, ok
	case "Period":
		return periodInterval(l.Node, zone)
	case "Timing":
		return timingInterval(l.Node, zone)
	default:
		return interval{}, false
	}
}

func dateInterval(n tape.Node, zone *time.Location) (interval, bool) {
	c, ok := parseCivil(text(n))
	if !ok {
		return interval{}, false
	}
	return c.interval(zone), true
}

// periodInterval reaches from the lower edge of start to the upper edge of end; a missing one is open. An
// end that lies before the start, which happens where only one of them names a zone, counts as the start.
func periodInterval(n tape.Node, zone *time.Location) (interval, bool) {
	out := interval{beginning, end}
	start, hasStart := dateInterval(n.Get("start"), zone)
	if hasStart {
		out.low = start.low
	}
	stop, hasStop := dateInterval(n.Get("end"), zone)
	if hasStop {
		out.high = stop.high
	}
	if out.high.before(out.low) {
		out.high = start.high
	}
	return out, hasStart || hasStop
}

// timingInterval takes the outer limits of a schedule: its events and its bounding period.
func timingInterval(n tape.Node, zone *time.Location) (interval, bool) {
	out, found := interval{end, beginning}, false
	extend := func(i interval, ok bool) {
		if !ok {
			return
		}
		found = true
		if i.low.before(out.low) {
			out.low = i.low
		}
		if out.high.before(i.high) {
			out.high = i.high
		}
	}
	for event := range n.Get("event").Elements() {
		extend(dateInterval(event, zone))
	}
	extend(periodInterval(n.Path("repeat", "boundsPeriod"), zone))
	return out, found
}
