package resthook

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestWait bounds what a reply can ask for; the ladder cuts it further.
const longestWait = 365 * 24 * time.Hour

// retryAfter reads Retry-After (RFC 9110 10.2.3): seconds, or a date, which is compared with the reply's own
// Date if it has one, so that a receiver's wrong clock does no harm. 0 if there is none that can be read.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if strings.Trim(text, "0123456789") == "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > int64(longestWait/time.Second) {
			return longestWait // more digits than an int64 holds are still a number
		}
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), longestWait)
}
