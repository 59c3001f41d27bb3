package validate

// date reads a date at the beginning of b: how long it is, 0 if there is none, and how many of year, month and
// day it has. The day must exist.
func date(b []byte) (n, parts int) {
	year, ok := number(b, 4)
	if !ok || year == 0 {
		return 0, 0
	}
	if len(b) < 5 || b[4] != '-' {
		return 4, 1
	}
	month, ok := number(b[5:], 2)
	if !ok || month < 1 || month > 12 {
		return 0, 0
	}
	if len(b) < 8 || b[7] != '-' {
		return 7, 2
	}
	day, ok := number(b[8:], 2)
	if !ok || day < 1 || day > days(year, month) {
		return 0, 0
	}
	return 10, 3
}

func days(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

// number reads so many digits.
func number(b []byte, digits int) (n int, ok bool) {
	if len(b) < digits {
		return 0, false
	}
	for _, c := range b[:digits] {
		if !digit(c) {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// clock reads hh:mm:ss and a fraction at the beginning of b: how long it is, 0 if there is none. A leap second
// is a time.
func clock(b []byte) int {
	const length = 8
	if len(b) < length || b[2] != ':' || b[5] != ':' {
		return 0
	}
	h, okH := number(b, 2)
	m, okM := number(b[3:], 2)
	s, okS := number(b[6:], 2)
	if !okH || !okM || !okS || h > 23 || m > 59 || s > 60 {
		return 0
	}
	if len(b) == length || b[length] != '.' {
		return length
	}
	n := length + 1
	for n < len(b) && digit(b[n]) {
		n++
	}
	if n == length+1 {
		return 0
	}
	return n
}

// dateTime tells whether b is a dateTime; with full, an instant, which has a time.
func dateTime(b []byte, full bool) bool {
	n, parts := date(b)
	if n == 0 || n == len(b) || parts < 3 {
		return n > 0 && n == len(b) && !full
	}
	if b[n] != 'T' {
		return false
	}
	b = b[n+1:]
	n = clock(b)
	return n > 0 && zone(b[n:])
}

// zone tells whether b is Z or an offset of up to 14 hours.
func zone(b []byte) bool {
	if len(b) == 1 {
		return b[0] == 'Z'
	}
	if len(b) != 6 || b[0] != '+' && b[0] != '-' || b[3] != ':' {
		return false
	}
	h, okH := number(b[1:], 2)
	m, okM := number(b[4:], 2)
	return okH && okM && m < 60 && (h < 14 || h == 14 && m == 0)
}
