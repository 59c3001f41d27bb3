package bolt

import (
	"errors"
	"strconv"

	"fhirhook/fhir"
)

// Sealing says which rows are encrypted, and how. The zero value encrypts nothing, and opens nothing.
type Sealing struct {
	Ring Ring
	// Types tells whose JSON is encrypted when it is written; nil: nobody's. What was written before stays as it is,
	// and is read either way.
	Types func(fhir.Type) bool
}

// errNoRing says that a row is encrypted, and nobody gave a key.
var errNoRing = errors.New("it is encrypted, and no key is there to open it")

// Ring encrypts and decrypts; seal.Ring does. about is what a text belongs to: without it, it doesn't open.
type Ring interface {
	Seal(plain, about []byte) []byte
	Open(sealed, about []byte) ([]byte, error)
}

// seals tells whether a version is written encrypted. Tombstones have nothing to hide.
func (s Sealing) seals(r *fhir.Resource) bool {
	return s.Ring != nil && s.Types != nil && len(r.JSON) > 0 && s.Types(r.Key.Type)
}

// about names a version, so that its encrypted JSON can't stand in another's place.
func about(r *fhir.Resource) []byte {
	b := make([]byte, 0, 96)
	for _, s := range [...]string{r.Key.Tenant, string(r.Key.Type), r.Key.ID} {
		b = appendString(b, s)
	}
	return strconv.AppendUint(b, r.Version, 10)
}
