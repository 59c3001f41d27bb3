package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// TokenPrefix begins every token that NewToken makes, so that people and secret scanners know one when they see it.
const TokenPrefix = "fhk_"

const hashPrefix = "sha256:"

// Token is a static bearer token as the server knows it: not the token, but its hash. One SHA-256 is enough: unlike
// a password a token has 260 random bits, which nobody can try through, and it is looked up at every request.
type Token struct {
	Name    string    `yaml:"name" json:"name"`
	Hash    string    `yaml:"hash" json:"hash"` // sha256: and 64 hexadecimal digits
	Tenant  string    `yaml:"tenant" json:"tenant,omitempty"`
	Admin   bool      `yaml:"admin" json:"admin,omitempty"`
	Scopes  []string  `yaml:"scopes" json:"scopes,omitempty"`
	Patient string    `yaml:"patient" json:"patient,omitempty"` // of scopes that begin with patient/
	Expires time.Time `yaml:"expires" json:"expires,omitzero"`

	Created time.Time `yaml:"-" json:"created,omitzero"`
	Revoked time.Time `yaml:"-" json:"revoked,omitzero"`
}

// NewToken draws a token and its hash.
func NewToken() (secret, hash string) {
	secret = TokenPrefix + rand.Text() + rand.Text() // each has 130 bits
	return secret, HashToken(secret)
}

// HashToken is the form in which a token is kept.
func HashToken(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hashPrefix + hex.EncodeToString(sum[:])
}

func (t *Token) digest() (sum [sha256.Size]byte, ok bool) {
	text, ok := strings.CutPrefix(t.Hash, hashPrefix)
	if !ok || len(text) != hex.EncodedLen(len(sum)) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(text))
	return sum, err == nil
}

// check names everything that is wrong with a token of the configuration.
func (t *Token) check(defs *criteria.Definitions) error {
	err := t.Check(defs)
	if _, ok := t.digest(); !ok {
		err = errors.Join(err, errors.New("hash: write sha256: and the 64 hexadecimal digits of the token's SHA-256, never the token itself"))
	}
	return err
}

// Check names everything that is wrong with a token's properties, its hash left aside.
func (t *Token) Check(defs *criteria.Definitions) error {
	var wrong []error
	if t.Name == "" || len(t.Name) > 200 || strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		wrong = append(wrong, errors.New("name: give one of 1 to 200 characters"))
	}
	if t.Tenant != "" && !ValidTenant(t.Tenant) {
		wrong = append(wrong, errTenant("tenant", t.Tenant))
	}
	if t.Patient != "" && !fhir.ValidID(t.Patient) {
		wrong = append(wrong, fmt.Errorf("patient: %.80q is not the id of a Patient", t.Patient))
	}
	scopes, err := ParseScopes(t.Scopes...)
	if err != nil {
		wrong = append(wrong, err)
	} else if !t.Admin && len(scopes) == 0 {
		wrong = append(wrong, errors.New("scopes: it has none and is no administrator's, so it would allow nothing"))
	}
	if _, err := newLimit(Condition{Scopes: scopes, Patient: t.Patient}, defs); err != nil {
		wrong = append(wrong, err) // beside those that can't be read
	}
	return errors.Join(wrong...)
}

func errTenant(where, name string) error {
	return fmt.Errorf("%s: %.80q can't be a tenant's name: 1 to 64 letters, digits, -, . and _, a letter or digit first", where, name)
}

// principal is who calls with the token.
func (t *Token) principal(issuer string, serves func(tenant string) bool, defs *criteria.Definitions) *Principal {
	tenant := t.Tenant
	if tenant == "" {
		tenant = fhir.DefaultTenant
	}
	return Principal{
		Issuer: issuer, Subject: t.Name, Tenant: tenant, Admin: t.Admin,
		Scopes: readScopes(t.Scopes), Patient: t.Patient, Expires: t.Expires, serves: serves,
	}.compiled(defs)
}

// held is a token that can be used, with who uses it.
type held struct {
	token     Token
	principal *Principal
}

// admit judges a token that was found.
func (h *held) admit(now time.Time) (*Principal, *RefusedError) {
	switch {
	case !h.token.Revoked.IsZero():
		return nil, unknownToken()
	case !h.token.Expires.IsZero() && !now.Before(h.token.Expires):
		return nil, refuse(Expired, "the token has expired: ask for a new one")
	}
	return h.principal, nil
}

func unknownToken() *RefusedError {
	return refuse(Unknown, "the token is not known here, or was revoked: ask for a new one")
}
