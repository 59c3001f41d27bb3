package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir/store/durable"
)

// TokenFileName is the name of a data folder's TokenFile.
const TokenFileName = "tokens.jsonl"

// TokenFile is the file of the tokens that `fhirhook token create` made: one JSON object a line, hashes only. It is
// replaced as a whole, so that a reader never sees half of a change. Revoked tokens stay in it, and their names taken,
// so that nobody becomes by a name the author of what another wrote.
type TokenFile struct{ Path string }

// List reads the tokens in order of creation; none if there is no file.
func (f TokenFile) List() ([]Token, error) {
	text, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	return f.parse(text)
}

func (f TokenFile) parse(text []byte) ([]Token, error) {
	var tokens []Token
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var t Token
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields() // what a later version adds may be a limit
		if err := d.Decode(&t); err != nil {
			return nil, fmt.Errorf("%s, line %d is not a token: %w", f.Path, n, err)
		}
		if _, ok := t.digest(); !ok || t.Name == "" {
			return nil, fmt.Errorf("%s, line %d is not a token: it needs a name and a hash", f.Path, n)
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// Create makes a token with the properties given, whose name must be new, and returns it: the only time that it is
// seen. The error tells everything that is wrong with the properties.
func (f TokenFile) Create(t Token, defs *criteria.Definitions, now time.Time) (secret string, err error) {
	secret, t.Hash = NewToken()
	t.Created, t.Revoked = now.UTC().Truncate(time.Second), time.Time{}
	if err := t.check(defs); err != nil {
		return "", err
	}
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return "", errors.New("expires: that is over already")
	}
	return secret, f.change(func(tokens []Token) ([]Token, error) {
		for i := range tokens {
			if tokens[i].Name == t.Name {
				return nil, fmt.Errorf("name: there is or was a token %q: choose another name", t.Name)
			}
		}
		return append(tokens, t), nil
	})
}

// Revoke ends a token. A server that runs refuses it from its next use on.
func (f TokenFile) Revoke(name string, now time.Time) error {
	return f.change(func(tokens []Token) ([]Token, error) {
		for i := range tokens {
			if tokens[i].Name != name {
				continue
			}
			if !tokens[i].Revoked.IsZero() {
				return nil, fmt.Errorf("the token %q was revoked at %s already", name, tokens[i].Revoked.Format(time.RFC3339))
			}
			tokens[i].Revoked = now.UTC().Truncate(time.Second)
			return tokens, nil
		}
		return nil, fmt.Errorf("there is no token %q", name)
	})
}

// change replaces the file. The new one's name is taken first, by which two who change at once exclude each other.
func (f TokenFile) change(edit func([]Token) ([]Token, error)) (err error) {
	next := f.Path + ".new"
	out, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the tokens are being changed by another command: try again; if there is none (it was killed), remove %s", next)
	}
	if err != nil {
		return fmt.Errorf("write the tokens: %w", err)
	}
	defer func() {
		if err != nil {
			_ = out.Close() // a second time does no harm
			_ = os.Remove(next)
		}
	}()
	tokens, err := f.List()
	if err != nil {
		return err
	}
	if tokens, err = edit(tokens); err != nil {
		return err
	}
	var text strings.Builder
	for i := range tokens {
		line, err := json.Marshal(tokens[i])
		if err != nil {
			return err
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	if _, err = out.WriteString(text.String()); err == nil {
		err = errors.Join(out.Sync(), out.Close())
	}
	if err == nil {
		err = durable.Rename(next, f.Path) // a revoked token must not come back
	}
	if err != nil {
		return fmt.Errorf("write the tokens: %w", err)
	}
	return nil
}
