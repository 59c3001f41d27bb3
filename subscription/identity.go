package subscription

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"

	"fhirhook/fhir/store"
)

// ID is the identity of a notification: the same at every attempt, every redelivery and after every restart,
// and another one for every other notification of this or any other store (invariant 3). It says nothing
// about what it is made of, and it is made of small letters and digits only: it goes into headers and URLs,
// it may serve as a FHIR id, and a dot would break the signed content id.timestamp.body.
func ID(epoch string, n store.Notification) string {
	h := sha256.New()
	version := make([]byte, 8)
	binary.BigEndian.PutUint64(version, n.Version)
	for _, part := range []string{
		epoch, n.Lane.Tenant, n.Lane.Subscription, n.Focus.Tenant, string(n.Focus.Type), n.Focus.ID, string(version), n.Cause,
	} {
		// The length goes first, so that no two lists of parts run together into the same bytes.
		size := make([]byte, 8)
		binary.BigEndian.PutUint64(size, uint64(len(part)))
		h.Write(size)
		h.Write([]byte(part))
	}
	// 160 bits: no two meet by chance.
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:20]))
}
