package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	jose "github.com/go-jose/go-jose/v4"
)

// algorithms are those that are accepted: signatures by a private key, none that is known to be weak. That there are
// neither none nor HMACs among them is what keeps a public key from being taken for a secret.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func algorithmNames() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return names
}

// mostKeys bounds what an issuer may have, and leastRSA is how many bits a modulus needs (RFC 7518 section 3.3).
const (
	mostKeys = 100
	leastRSA = 2048
	mostRSA  = 8192
)

// key is a public key of an issuer.
type key struct {
	id     string
	public any
	algs   []jose.SignatureAlgorithm // that it may be used with
}

// parseKeys reads a JWK set (RFC 7517). Keys that can't be used here are left out, as section 5 asks for.
func parseKeys(text []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("it is not a JWK set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("it is not a JWK set: it has no keys")
	}
	if len(set.Keys) > mostKeys {
		return nil, fmt.Errorf("it has %d keys, and more than %d are not looked through", len(set.Keys), mostKeys)
	}
	keys := []key{}
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil || !k.Valid() || k.Use != "" && k.Use != "sig" {
			continue
		}
		algs := suited(k.Key)
		if k.Algorithm != "" {
			algs = slices.DeleteFunc(algs, func(a jose.SignatureAlgorithm) bool { return string(a) != k.Algorithm })
		}
		if len(algs) > 0 {
			keys = append(keys, key{k.KeyID, k.Key, algs})
		}
	}
	return keys, nil
}

// suited are the algorithms that a key can be used with. Of private and symmetric keys, which an issuer should never
// publish, there are none.
func suited(public any) []jose.SignatureAlgorithm {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits >= leastRSA && bits <= mostRSA {
			return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
		}
	case *ecdsa.PublicKey:
		switch k.Curve.Params().Name {
		case "P-256":
			return []jose.SignatureAlgorithm{jose.ES256}
		case "P-384":
			return []jose.SignatureAlgorithm{jose.ES384}
		case "P-521":
			return []jose.SignatureAlgorithm{jose.ES512}
		}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}
	}
	return nil
}

// candidates are the keys that may have signed a token: those of its kid, or all if it names none.
func candidates(keys []key, id string, alg jose.SignatureAlgorithm) []key {
	var found []key
	for _, k := range keys {
		if (id == "" || k.id == id) && slices.Contains(k.algs, alg) {
			found = append(found, k)
		}
	}
	return found
}
