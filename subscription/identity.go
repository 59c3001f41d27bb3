package subscription

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"

	"fhirhook/fhir/store"
)

// ID is the identity of a notification: the same at every attempt, every redelivery and after every restart,
// and another one for every other notification of this or any other store (invariant 3). It says nothing
// about what it is made of, and it is made of small letters and digits only: it goes into headers and URLs,
// it may serve as a FHIR id, and a dot would break the signed content id.timestamp.body.
func ID(epoch string, n store.Notification) string {
	var buffer [512]byte // most fit in, and need no other memory
	b := buffer[:0]
	version := binary.BigEndian.AppendUint64(make([]byte, 0, 8), n.Version)
	for _, part := range [...]string{
		epoch, n.Lane.Tenant, n.Lane.Subscription, n.Focus.Tenant, string(n.Focus.Type), n.Focus.ID, string(version), n.Cause,
	} {
		// The length goes first, so that no two lists of parts run together into the same bytes.
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(part))), part...)
	}
	sum := sha256.Sum256(b)
	// 160 bits: no two meet by chance.
	return small.EncodeToString(sum[:20])
}

// small is base32 (RFC 4648) in small letters.
var small = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")
