package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"fhirhook/fhir/store/durable"
)

// masterSize is the size of a master key and of a data key, in bytes: AES-256.
const masterSize = 32

// Master is a master key. Printing it shows nothing of it.
type Master struct{ key [masterSize]byte }

// String hides the key from logs.
func (Master) String() string { return "********" }

// GoString is String for %#v.
func (m Master) GoString() string { return m.String() }

// NewMaster draws a master key.
func NewMaster() Master {
	var m Master
	_, _ = rand.Read(m.key[:]) // never fails
	return m
}

// Text writes the key as ParseMaster reads it. It is for the file that the key is kept in, and for nothing else.
func (m Master) Text() string { return base64.StdEncoding.EncodeToString(m.key[:]) }

// ParseMaster reads a key: 32 bytes in base64 or hexadecimal. Its error doesn't repeat the text.
func ParseMaster(text string) (Master, error) {
	text = strings.TrimSpace(text)
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString, base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		raw, err := decode(text)
		if err != nil || len(raw) != masterSize {
			continue
		}
		if bytes.Count(raw, raw[:1]) == masterSize {
			return Master{}, errors.New("the key is the same byte over and over: draw one with openssl rand -base64 32")
		}
		return Master{[masterSize]byte(raw)}, nil
	}
	return Master{}, fmt.Errorf("a key is %d bytes in base64 or hexadecimal, as openssl rand -base64 %[1]d prints", masterSize)
}

// ReadMaster reads a key from a file, which not everybody may be able to read. A group may: that is how service managers and
// container platforms hand secrets to processes that aren't root's.
func ReadMaster(path string) (Master, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Master{}, fmt.Errorf("read the key: %w", err)
	}
	if info.Mode().Perm()&0o027 != 0 {
		return Master{}, fmt.Errorf("the key file %s can be read by everybody, or changed by others than its owner: chmod 600 %[1]s", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Master{}, fmt.Errorf("read the key: %w", err)
	}
	m, err := ParseMaster(string(text))
	if err != nil {
		return Master{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return m, nil
}

// WriteMaster writes a key into a new file that only its owner can read. It never replaces a file.
func WriteMaster(path string, m Master) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = f.WriteString(m.Text() + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = durable.Folder(filepath.Dir(path)) // before anything is sealed with it
	}
	if err != nil {
		return fmt.Errorf("write the key: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}
