package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrSealed says that something can't be opened: it was changed, moved, or its key is not there.
var ErrSealed = errors.New("it is encrypted and can't be opened")

// idSize is how many bytes of what is sealed name its key.
const idSize = 4

// Overhead is how many bytes longer a text is when it is sealed: the key's number, a nonce and a tag.
const Overhead = idSize + 12 + 16

// Ring holds the data keys of a store. It is safe for concurrent use.
type Ring struct {
	newest uint32
	keys   map[uint32]cipher.AEAD
}

// Seal encrypts plain with the newest key. about is what it belongs to, without which it doesn't open.
func (r *Ring) Seal(plain, about []byte) []byte {
	out := make([]byte, idSize, len(plain)+Overhead)
	binary.BigEndian.PutUint32(out, r.newest)
	return r.keys[r.newest].Seal(out, nil, plain, about)
}

// Open decrypts what Seal made, into memory of its own. The error is an ErrSealed.
func (r *Ring) Open(sealed, about []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, fmt.Errorf("%w: it is too short", ErrSealed)
	}
	id := binary.BigEndian.Uint32(sealed)
	key := r.keys[id]
	if key == nil {
		return nil, fmt.Errorf("%w: data key %d is not in the keys file", ErrSealed, id)
	}
	plain, err := key.Open(nil, nil, sealed[idSize:], about)
	if err != nil {
		return nil, fmt.Errorf("%w: it was damaged, or is not where it was written", ErrSealed)
	}
	return plain, nil
}

// newKey draws a data key.
func newKey() []byte {
	key := make([]byte, masterSize)
	_, _ = rand.Read(key) // never fails
	return key
}

// aead is AES-256-GCM with a random nonce in front of each text. At 2^32 texts under one key two nonces might
// meet; a data key is replaced long before (keyAge).
func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the length is right
	}
	sealing, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // the block size is right
	}
	return sealing
}
