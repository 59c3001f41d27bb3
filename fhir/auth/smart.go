package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Smart is what an app needs to know to get a token that is good here (SMART App Launch 2, conformance), as far as the
// first of the configured issuers publishes it. It must not be changed.
type Smart struct {
	Issuer        string   `json:"issuer"`
	JWKS          string   `json:"jwks_uri,omitempty"`
	Authorization string   `json:"authorization_endpoint,omitempty"`
	GrantTypes    []string `json:"grant_types_supported,omitempty"`
	Token         string   `json:"token_endpoint"`
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenAlgs     []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	Registration  string   `json:"registration_endpoint,omitempty"`
	Scopes        []string `json:"scopes_supported,omitempty"`
	ResponseTypes []string `json:"response_types_supported,omitempty"`
	Management    string   `json:"management_endpoint,omitempty"`
	Introspection string   `json:"introspection_endpoint,omitempty"`
	Revocation    string   `json:"revocation_endpoint,omitempty"`
	Challenges    []string `json:"code_challenge_methods_supported,omitempty"`
	Capabilities  []string `json:"capabilities"`
}

// Discovery is the URL of the document that this stands in.
func (s *Smart) Discovery() string { return discoveryOf(s.Issuer) }

// discoveryOf is where an issuer publishes (OpenID Connect Discovery 1.0 section 4).
func discoveryOf(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// ErrNoIssuer says that no OIDC issuer is configured.
var ErrNoIssuer = errors.New("no OIDC issuer is configured")

// Smart tells where apps get their tokens. The error is ErrNoIssuer, or says why the issuer's discovery document can't be
// had. Without wait it is what is known by now, or nil.
func (a *Authenticator) Smart(ctx context.Context, wait bool) (*Smart, error) {
	if a == nil || a.smart == nil {
		return nil, ErrNoIssuer
	}
	return a.smart.get(ctx, wait)
}

// published is what an issuer publishes. It is fetched when somebody asks and it is old, but not more often than fetchGap
// lets: who asks needs no token.
type published struct {
	issuer *Issuer
	client *http.Client
	dev    bool
	now    func() time.Time

	fetching chan struct{} // capacity 1: as in keyring

	mu      sync.Mutex // guards what follows
	last    *Smart     // nil: none was ever had
	fetched time.Time
	tried   time.Time
	err     error
}

func newPublished(i *Issuer, client *http.Client, dev bool, now func() time.Time) *published {
	return &published{issuer: i, client: client, dev: dev, now: now, fetching: make(chan struct{}, 1)}
}

func (p *published) get(ctx context.Context, wait bool) (*Smart, error) {
	p.mu.Lock()
	last, fresh := p.last, p.last != nil && p.now().Sub(p.fetched) < refreshEvery
	p.mu.Unlock()
	if fresh || !wait {
		return last, nil
	}
	select {
	case p.fetching <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.fetching }()
	p.mu.Lock()
	now := p.now()
	again := (p.tried.IsZero() || now.Sub(p.tried) >= fetchGap) && (p.last == nil || now.Sub(p.fetched) >= refreshEvery)
	p.mu.Unlock()
	if again {
		// Whoever hangs up must not use up the try.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		doc, err := discover(bounded, p.client, p.issuer.URL, p.dev)
		var next *Smart
		if err == nil {
			next, err = doc.smart()
		}
		p.mu.Lock()
		p.tried, p.err = now, err
		if err == nil {
			p.last, p.fetched = next, now
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil { // an old document is better than none
		return nil, fmt.Errorf("the discovery document of issuer %s: %w", p.issuer.URL, p.err)
	}
	return p.last, nil
}

// smart says what is true of the issuer and of this server together.
func (d *discovery) smart() (*Smart, error) {
	var s Smart
	if err := json.Unmarshal(d.text, &s); err != nil {
		return nil, fmt.Errorf("it can't be read: %w", err)
	}
	for _, at := range []*string{&s.JWKS, &s.Authorization, &s.Token, &s.Registration, &s.Management, &s.Introspection, &s.Revocation} {
		if u, err := url.Parse(*at); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			*at = ""
		}
	}
	if s.Token == "" {
		return nil, errors.New("it names no token_endpoint that is a URL")
	}
	if s.GrantTypes == nil { // OpenID Connect Discovery 1.0 section 3
		s.GrantTypes = []string{"authorization_code", "implicit"}
	}
	if s.TokenAuth == nil { // the same
		s.TokenAuth = []string{"client_secret_basic"}
	}
	if s.Scopes == nil {
		s.Scopes = []string{"system/*.cruds", "user/*.cruds", "patient/*.cruds"}
	}
	s.Capabilities = []string{"permission-v2", "permission-v1", "permission-user", "permission-patient"}
	for _, one := range []struct {
		capability string
		holds      bool
	}{
		{"permission-offline", slices.Contains(s.Scopes, "offline_access")},
		{"client-public", slices.Contains(s.TokenAuth, "none")},
		{"client-confidential-symmetric", slices.Contains(s.TokenAuth, "client_secret_basic") || slices.Contains(s.TokenAuth, "client_secret_post")},
		{"client-confidential-asymmetric", slices.Contains(s.TokenAuth, "private_key_jwt")},
		{"sso-openid-connect", slices.Contains(s.Scopes, "openid") && slices.Contains(s.Scopes, "fhirUser")},
	} {
		if one.holds {
			s.Capabilities = append(s.Capabilities, one.capability)
		}
	}
	return &s, nil
}

// discovery is an issuer's discovery document (OpenID Connect Discovery 1.0 section 3). What isn't needed for its keys need
// not be right.
type discovery struct {
	Issuer string `json:"issuer"`
	JWKS   string `json:"jwks_uri"`

	text []byte
}

func parseDiscovery(text []byte) (*discovery, error) {
	d := &discovery{text: text}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("its discovery document can't be read: %w", err)
	}
	return d, nil
}
