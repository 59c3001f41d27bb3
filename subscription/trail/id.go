package trail

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// place is where a row stands in the attempt log.
type place struct {
	time         time.Time
	number       uint64
	ordinal      uint64 // among the rows of the same lane, number and instant, from 0
	subscription string // hashed: hashOf it
	hashed       bool
}

func placeOf(a store.Attempt, ordinal uint64) place {
	return place{time: a.Time, number: a.Number, ordinal: ordinal, subscription: a.Lane.Subscription}
}

// The two forms of an id. After the prefix stand the time in nanoseconds since 1970, so that ids rise with it,
// the number, where it isn't 0 the ordinal behind a full stop, and the Subscription's id, or if that makes it too
// long for FHIR (64) its hash.
const (
	plainPrefix  = "at-"
	hashedPrefix = "ax-"
	timeDigits   = 13 // of 5 bits each
	mostID       = 64
)

// id writes the place.
func (p place) id() string {
	b := make([]byte, 0, mostID)
	b = append(b, plainPrefix...)
	if p.hashed {
		b = append(b[:0], hashedPrefix...)
	}
	n := uint64(p.time.UnixNano()) ^ 1<<63 //nolint:gosec // the order of times before 1970 is kept
	for shift := 5 * (timeDigits - 1); shift >= 0; shift -= 5 {
		b = append(b, digits[n>>shift&31])
	}
	b = strconv.AppendUint(append(b, '-'), p.number, 32)
	if p.ordinal > 0 {
		b = strconv.AppendUint(append(b, '.'), p.ordinal, 32)
	}
	b = append(append(b, '-'), p.subscription...)
	if len(b) > mostID && !p.hashed {
		p.subscription, p.hashed = hashOf(p.subscription), true
		return p.id()
	}
	return string(b)
}

const digits = "0123456789abcdefghijklmnopqrstuv" // as strconv has them

// hashOf stands for a Subscription's id.
func hashOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base32.NewEncoding(digits).WithPadding(base32.NoPadding).EncodeToString(sum[:16])
}

// parseID reads what id writes, and nothing else.
func parseID(id string) (place, bool) {
	var p place
	rest, ok := strings.CutPrefix(id, plainPrefix)
	if !ok {
		rest, p.hashed = strings.CutPrefix(id, hashedPrefix)
	}
	if !ok && !p.hashed || len(rest) <= timeDigits || !fhir.ValidID(id) {
		return place{}, false
	}
	nanos, err := strconv.ParseUint(rest[:timeDigits], 32, 64)
	if err != nil {
		return place{}, false
	}
	p.time = time.Unix(0, int64(nanos^1<<63)).UTC() //nolint:gosec // the inverse of the above
	_, rest, _ = strings.Cut(rest, "-")
	counts, subscription, ok := strings.Cut(rest, "-")
	number, ordinal, several := strings.Cut(counts, ".")
	if !ok || subscription == "" {
		return place{}, false
	}
	if p.number, err = strconv.ParseUint(number, 32, 64); err != nil {
		return place{}, false
	}
	if several {
		if p.ordinal, err = strconv.ParseUint(ordinal, 32, 16); err != nil {
			return place{}, false
		}
	}
	p.subscription = subscription
	// There is one way to write a place: capitals, leading zeros and a hash without need are not it.
	if p.hashed && len(subscription) != len(hashOf("")) || p.id() != id {
		return place{}, false
	}
	return p, true
}
