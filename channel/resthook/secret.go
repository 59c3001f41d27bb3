package resthook

import (
	"crypto/rand"
	"encoding/base64"
)

// NewSecret makes a secret in the form of Standard Webhooks, of 256 bits.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return webhookPrefix + base64.StdEncoding.EncodeToString(b)
}
