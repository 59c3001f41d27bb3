package criteria

import "strings"

// dateReader takes a date apart from left to right. After the first thing that does not fit, ok is false
// and stays so.
type dateReader struct {
	rest string
	ok   bool
}

// ended tells whether nothing is left to read, or nothing sensible.
func (r *dateReader) ended() bool { return !r.ok || r.rest == "" }

func (r *dateReader) skip(c byte) bool {
	if !r.ok || r.rest == "" || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *dateReader) expect(c byte) { r.ok = r.skip(c) }

// digits reads exactly n digits whose value lies in low…high.
func (r *dateReader) digits(n, low, high int) int {
	if !r.ok || len(r.rest) < n {
		r.ok = false
		return 0
	}
	v := 0
	for _, c := range []byte(r.rest[:n]) {
		if c < '0' || c > '9' {
			r.ok = false
			return 0
		}
		v = 10*v + int(c-'0')
	}
	r.rest = r.rest[n:]
	r.ok = v >= low && v <= high
	return v
}

// fraction reads the digits behind the point of a second, as nanoseconds, and the size of the last one.
func (r *dateReader) fraction() (nano, width int32) {
	digits, rest := leadingDigits(r.rest)
	if !r.ok || digits == "" {
		r.ok = false
		return 0, 0
	}
	r.rest, width = rest, 1e9
	for i := 0; i < len(digits) && width > 1; i++ {
		nano, width = 10*nano+int32(digits[i]-'0'), width/10
	}
	return nano * width, width
}

// zone reads Z or ±hh:mm, as seconds east of UTC, at most 14 hours.
func (r *dateReader) zone() int {
	if r.skip('Z') {
		return 0
	}
	if r.rest == "" || strings.IndexByte("+-", r.rest[0]) < 0 {
		r.ok = false
		return 0
	}
	sign := 1
	if r.rest[0] == '-' {
		sign = -1
	}
	r.rest = r.rest[1:]
	hours := r.digits(2, 0, 14)
	r.expect(':')
	minutes := r.digits(2, 0, 59)
	if hours == 14 && minutes > 0 {
		r.ok = false
	}
	return sign * (hours*3600 + minutes*60)
}
