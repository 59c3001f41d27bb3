package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// When keys are fetched. In between, a key that its issuer has taken back is still good.
const (
	refreshEvery = 5 * time.Minute  // by Run
	freshFor     = 10 * time.Minute // then whoever needs a key fetches first
	staleAfter   = time.Hour        // then the keys are not used any more
	fetchGap     = 10 * time.Second // between two fetches at least, whoever asks
)

// keyring are an issuer's keys. They are fetched when they are first needed, when they are old, and when a token
// names a key that isn't there, for then the issuer may have a new one; but not more often than fetchGap lets, or
// whoever sends tokens with invented key ids could have the issuer flooded.
type keyring struct {
	issuer *Issuer
	client *http.Client
	dev    bool
	now    func() time.Time

	fetching chan struct{} // capacity 1: who has put something in fetches, and takes it out again

	mu         sync.RWMutex // guards what follows
	keys       []key        // nil: none were ever had
	text       []byte       // that they were read from
	generation uint64       // counts the changes of keys
	fetched    time.Time    // when they were last fetched
	tried      time.Time    // when that was last tried
	err        error        // of the last try
}

func newKeyring(i *Issuer, client *http.Client, dev bool, now func() time.Time) *keyring {
	return &keyring{issuer: i, client: client, dev: dev, now: now, fetching: make(chan struct{}, 1)}
}

// find returns the keys that may have signed a token, and which generation they are of. The error tells that
// the keys can't be had; to have no candidates is none.
func (r *keyring) find(ctx context.Context, id string, alg jose.SignatureAlgorithm) ([]key, uint64, error) {
	found, generation, age := r.look(id, alg)
	if len(found) == 0 || age > freshFor {
		// A caller that hangs up must not end what others wait for, nor use up the try.
		r.refresh(ctx, context.WithoutCancel(ctx), len(found) == 0 || age > staleAfter)
		found, generation, age = r.look(id, alg)
	}
	if age > staleAfter {
		r.mu.RLock()
		defer r.mu.RUnlock()
		err := r.err
		if err == nil {
			err = errNoKeys
		}
		return nil, 0, fmt.Errorf("the keys of issuer %s: %w", r.issuer.URL, err)
	}
	return found, generation, nil
}

var errNoKeys = errors.New("they were not fetched yet")

func (r *keyring) look(id string, alg jose.SignatureAlgorithm) (found []key, generation uint64, age time.Duration) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.keys == nil {
		return nil, 0, staleAfter + 1
	}
	return candidates(r.keys, id, alg), r.generation, r.now().Sub(r.fetched)
}

// current tells which generation of keys is in force, and whether they can still be used.
func (r *keyring) current() (generation uint64, usable bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.generation, r.keys != nil && r.now().Sub(r.fetched) <= staleAfter
}

// refresh fetches the keys within the second context, unless that was done just before. If somebody is at it, it
// waits for them only if needed, and no longer than the first context.
func (r *keyring) refresh(waiting, fetching context.Context, needed bool) {
	if !needed {
		select {
		case r.fetching <- struct{}{}:
		default:
			return
		}
	} else {
		select {
		case r.fetching <- struct{}{}:
		case <-waiting.Done():
			return
		}
	}
	defer func() { <-r.fetching }()
	r.mu.RLock()
	tried := r.tried
	r.mu.RUnlock()
	if now := r.now(); !tried.IsZero() && now.Sub(tried) < fetchGap {
		return
	}
	fetching, cancel := context.WithTimeout(fetching, fetchTimeout)
	defer cancel()
	text, keys, err := r.fetch(fetching)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried, r.err = r.now(), err
	if err != nil {
		return // those that there are stay good until they are stale
	}
	r.fetched = r.tried
	if r.keys == nil || !bytes.Equal(text, r.text) {
		r.keys, r.text = keys, text
		r.generation++
	}
}

func (r *keyring) fetch(ctx context.Context) ([]byte, []key, error) {
	from := r.issuer.JWKS
	if from == "" {
		doc, err := discover(ctx, r.client, r.issuer.URL, r.dev)
		if err != nil {
			return nil, nil, err
		}
		from = doc.JWKS
	}
	text, err := fetch(ctx, r.client, from)
	if err != nil {
		return nil, nil, err
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, nil, fmt.Errorf("GET %s: %w", from, err)
	}
	return text, keys, nil
}
