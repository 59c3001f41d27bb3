package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// What one answer of an issuer may cost.
const (
	fetchTimeout   = 5 * time.Second
	mostFetchBytes = 1 << 20
	mostHeaders    = 64 << 10
)

// newClient makes the client that fetches what issuers publish: it follows no redirects and keeps no connections.
func newClient(base *http.Transport) *http.Client {
	if base == nil {
		base = http.DefaultTransport.(*http.Transport)
	}
	t := base.Clone()
	t.DisableKeepAlives = true
	t.MaxResponseHeaderBytes = mostHeaders
	t.ResponseHeaderTimeout = fetchTimeout
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{} //nolint:gosec // the least version is set below
	}
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	return &http.Client{
		Transport:     t,
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s answers %d", url, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostFetchBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("GET %s: %w", url, err)
	case len(text) > mostFetchBytes:
		return nil, fmt.Errorf("GET %s answers more than %d bytes", url, mostFetchBytes)
	}
	return text, nil
}

// discover asks an issuer what it publishes (OpenID Connect Discovery 1.0 section 4).
func discover(ctx context.Context, client *http.Client, issuer string, dev bool) (*discovery, error) {
	text, err := fetch(ctx, client, discoveryOf(issuer))
	if err != nil {
		return nil, err
	}
	doc, err := parseDiscovery(text)
	if err != nil {
		return nil, err
	}
	if doc.Issuer != issuer {
		return nil, errors.New("its discovery document names another issuer than the configuration, which has to be the same to the letter")
	}
	if err := checkURL(doc.JWKS, dev); err != nil {
		return nil, fmt.Errorf("the jwks_uri of its discovery document can't be used: %w", err)
	}
	return doc, nil
}
