package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"fhirhook/criteria"
)

// cachedFor is how long a JWT is believed without being verified again, and mostCached how many are remembered.
const (
	cachedFor  = 5 * time.Minute
	mostCached = 10_000
)

// Options are what an Authenticator needs besides its configuration.
type Options struct {
	// File is where `fhirhook token` keeps its tokens; "": there are none.
	File string
	// Definitions are those that scopes are evaluated with: R4's and the operator's, never those that clients wrote.
	Definitions *criteria.Definitions
	Dev         bool             // issuers on loopback may be without TLS
	Transport   *http.Transport  // how issuers are reached; nil: http.DefaultTransport
	Now         func() time.Time // nil: time.Now
}

// Authenticator finds out who calls. It is safe for concurrent use. A nil Authenticator lets everyone in: no authentication
// is configured.
type Authenticator struct {
	configured map[digest]*held
	file       *fileTokens
	issuers    map[string]*trusted
	smart      *published                    // of the first issuer; nil: there is none
	seen       *lru.Cache[digest, *verified] // by the SHA-256 of the token
	now        func() time.Time
	defs       *criteria.Definitions
}

// New makes an Authenticator of a configuration that was checked (Config.Check). It is nil if nothing is configured:
// neither tokens nor issuers, and there is no file of tokens. One whose tokens are all revoked is there.
func New(c Config, o Options) (*Authenticator, error) {
	if err := c.Check(o.Definitions, o.Dev); err != nil {
		return nil, err
	}
	exists := false
	if o.File != "" {
		_, err := os.Stat(o.File)
		if exists = err == nil; err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if c.Empty() && !exists {
		return nil, nil //nolint:nilnil // no authentication
	}
	a := &Authenticator{
		configured: hold(c.Tokens, ConfiguredTokens, c.serves, o.Definitions), issuers: map[string]*trusted{},
		now: o.Now, defs: o.Definitions,
	}
	if a.now == nil {
		a.now = time.Now
	}
	if o.File != "" {
		a.file = &fileTokens{file: TokenFile{o.File}, serves: c.serves, defs: o.Definitions}
		if _, err := a.file.find(digest{}); err != nil {
			return nil, err
		}
	}
	seen, err := lru.New[digest, *verified](mostCached)
	if err != nil {
		return nil, err
	}
	a.seen = seen
	client := newClient(o.Transport)
	for _, i := range c.Issuers {
		t := &trusted{Issuer: i, keys: newKeyring(&i, client, o.Dev, a.now), algs: algorithms, knows: c.serves}
		if len(i.Algorithms) > 0 {
			t.algs = nil
			for _, name := range i.Algorithms {
				t.algs = append(t.algs, jose.SignatureAlgorithm(name))
			}
		}
		a.issuers[i.URL] = t
		if a.smart == nil {
			a.smart = newPublished(&i, client, o.Dev, a.now)
		}
	}
	return a, nil
}

// serves tells whether there may be such a tenant.
func (c *Config) serves(tenant string) bool {
	_, ok := c.Tenants[tenant]
	return ok || len(c.Tenants) == 0
}

// Authenticate finds out who sent a request with these values of the Authorization header. An error is a *RefusedError.
func (a *Authenticator) Authenticate(ctx context.Context, authorization ...string) (*Principal, error) {
	if a == nil {
		return anyone, nil
	}
	token, refusal := bearerToken(authorization)
	if refusal != nil {
		return nil, refusal
	}
	now := a.now()
	p, found, err := a.admit(token, now)
	switch {
	case err != nil:
		if _, ok := errors.AsType[*RefusedError](err); ok {
			return nil, err
		}
		return nil, &RefusedError{Reason: KeysUnavailable, Text: "this server can't read its tokens at the moment", Err: err}
	case found:
		return p, nil
	}
	if p, refusal = a.admitJWT(ctx, token, now); refusal != nil {
		return nil, refusal
	}
	return p, nil
}

func (a *Authenticator) admitJWT(ctx context.Context, token string, now time.Time) (*Principal, *RefusedError) {
	if len(a.issuers) == 0 || !strings.Contains(token, ".") {
		return nil, unknownToken()
	}
	sum := sha256.Sum256([]byte(token))
	if v, ok := a.seen.Get(sum); ok {
		if generation, usable := v.by.keys.current(); usable && generation == v.generation && now.Before(v.until) {
			return v.principal, nil
		}
		a.seen.Remove(sum)
	}
	p, refusal := parseJWT(token)
	if refusal != nil {
		return nil, refusal
	}
	t, ok := a.issuers[p.issuer]
	if !ok {
		return nil, refuse(WrongIssuer, "the JWT's iss is no issuer that is configured here: it has to be the same to the letter")
	}
	v, refusal := t.verify(ctx, token, p, now, a.defs)
	if refusal != nil {
		return nil, refusal
	}
	a.seen.Add(sum, v)
	return v.principal, nil
}

// Run fetches the issuers' keys now and then, so that no request has to wait for them, until ctx ends.
func (a *Authenticator) Run(ctx context.Context) error {
	if a == nil || len(a.issuers) == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		var all sync.WaitGroup
		for _, t := range a.issuers {
			all.Go(func() { t.keys.refresh(ctx, ctx, true) })
		}
		all.Go(func() { _, _ = a.Smart(ctx, true) }) // what it fails with is told to whoever asks
		all.Wait()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
