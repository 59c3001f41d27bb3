package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"fhirhook/criteria"
)

type digest = [sha256.Size]byte

// hold makes the tokens ready for use. Of two with one hash the first counts.
func hold(tokens []Token, issuer string, serves func(tenant string) bool, defs *criteria.Definitions) map[digest]*held {
	all := make(map[digest]*held, len(tokens))
	for _, t := range tokens {
		sum, ok := t.digest()
		if _, twice := all[sum]; !ok || twice {
			continue
		}
		all[sum] = &held{t, t.principal(issuer, serves, defs)}
	}
	return all
}

// fileTokens are the tokens of a TokenFile as it is at the moment: it is looked at each time, so that a revocation
// takes effect at once, and read again when it has changed.
type fileTokens struct {
	file   TokenFile
	serves func(tenant string) bool
	defs   *criteria.Definitions

	mu     sync.RWMutex // guards what follows
	seen   os.FileInfo  // nil: there was no file
	tokens map[digest]*held
	err    error // why it can't be used; then nobody is let in by it
}

func (f *fileTokens) find(sum digest) (*held, error) {
	info, err := os.Stat(f.file.Path)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the tokens: %w", err)
	}
	f.mu.RLock()
	same, h, err := unchanged(f.seen, info), f.tokens[sum], f.err
	f.mu.RUnlock()
	if same {
		return h, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.load(info)
	return f.tokens[sum], f.err
}

func unchanged(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

// load reads the file. What was seen of it before is remembered as seen, so that a change while it is read is
// noticed the next time.
func (f *fileTokens) load(info os.FileInfo) {
	f.seen, f.tokens, f.err = info, nil, nil
	if info == nil {
		return
	}
	if info.Mode().Perm()&0o022 != 0 {
		f.err = fmt.Errorf("%s can be written by others than its owner (%s): who can write it can make tokens; chmod 600 it", f.file.Path, info.Mode().Perm())
		return
	}
	tokens, err := f.file.List()
	if err != nil {
		f.err = err
		return
	}
	f.tokens = hold(tokens, CreatedTokens, f.serves, f.defs)
}

// admit lets a caller in by a static token. found tells whether the token is one; if not, it may be a JWT.
func (a *Authenticator) admit(token string, now time.Time) (_ *Principal, found bool, _ error) {
	sum := sha256.Sum256([]byte(token))
	h := a.configured[sum]
	if h == nil && a.file != nil && strings.HasPrefix(token, TokenPrefix) {
		var err error
		if h, err = a.file.find(sum); err != nil {
			return nil, false, err
		}
	}
	if h == nil {
		return nil, false, nil
	}
	p, refusal := h.admit(now)
	switch {
	case refusal != nil:
		return nil, true, refusal
	case !p.Admin && p.In(p.Tenant) == nil: // made before the tenants were named, or without looking at them
		return nil, true, refuse(Unfit, "the token is of a tenant that is not known here")
	}
	return p, true, nil
}
