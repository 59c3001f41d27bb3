package resthook

import (
	"fmt"
	"strconv"
	"strings"
)

// Span is a range of HTTP statuses, both ends included.
type Span struct{ From, To int }

// Codes is a set of HTTP statuses.
type Codes []Span

// Has tells whether a status is in the set.
func (c Codes) Has(status int) bool {
	for _, s := range c {
		if status >= s.From && status <= s.To {
			return true
		}
	}
	return false
}

// String writes the set as ParseCodes reads it: 200-299,410.
func (c Codes) String() string {
	parts := make([]string, len(c))
	for i, s := range c {
		parts[i] = strconv.Itoa(s.From)
		if s.To != s.From {
			parts[i] += "-" + strconv.Itoa(s.To)
		}
	}
	return strings.Join(parts, ",")
}

// ParseCodes reads a set such as "200-299,410": statuses from 200 to 599 and ranges of them, between commas. A
// range may end at 600, as people write who mean all that there are.
func ParseCodes(s string) (Codes, error) {
	var codes Codes
	for part := range strings.SplitSeq(s, ",") {
		from, to, ranged := strings.Cut(part, "-")
		from, to = strings.TrimSpace(from), strings.TrimSpace(to)
		if !ranged {
			to = from
		}
		span := Span{From: status(from), To: status(to)}
		if ranged && to == "600" {
			span.To = 600
		}
		if span.From == 0 || span.To == 0 || span.From > span.To {
			return nil, fmt.Errorf("%.20q is not a status code or a range of them between 200 and 599, as in 200-299,410", part)
		}
		codes = append(codes, span)
	}
	return codes, nil
}

// status reads a final HTTP status, 0 if it isn't one.
func status(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 200 || n > 599 || len(s) != 3 {
		return 0
	}
	return n
}
