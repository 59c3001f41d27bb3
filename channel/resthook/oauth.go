package resthook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"fhirhook/channel"
)

// Limits on fetching tokens.
const (
	mostFetch = 10 * time.Second
	earlier   = 30 * time.Second // a token is not used up to its very end, but at most a quarter of its life is left out
	mostToken = 16 << 10         // bytes: more fits in no header
)

// tokens fetches the access tokens of one origin and keeps the last. One caller fetches at a time, and those who waited
// for it share what came of it, so that a token endpoint that is down isn't asked once for each notification.
type tokens struct {
	settings OAuth2
	config   *clientcredentials.Config
	client   *http.Client
	turn     chan struct{} // capacity 1: whoever put something in may touch what follows; never closed

	token    string
	until    time.Time // zero: until it is refused
	failure  *channel.SendError
	failedAt time.Time
}

func newTokens(o OAuth2, n *Network) *tokens {
	c := &clientcredentials.Config{ClientID: o.ClientID, TokenURL: o.TokenURL, Scopes: o.Scopes}
	if o.Audience != "" {
		c.EndpointParams = url.Values{"audience": {o.Audience}}
	}
	return &tokens{settings: o, config: c, turn: make(chan struct{}, 1), client: &http.Client{
		Transport: judged{n},
		// A redirect would carry the client's secret to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get returns a token; refused is one that the endpoint didn't take, "" for none. An error of another type than
// *channel.SendError means that ctx ended.
func (t *tokens) get(ctx context.Context, refused string) (string, error) {
	asked := time.Now()
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	now := time.Now()
	if t.token != "" && t.token != refused && (t.until.IsZero() || now.Before(t.until)) {
		return t.token, nil
	}
	if t.failure != nil && !t.failedAt.Before(asked) {
		return "", t.failure
	}
	token, err := t.fetch(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	default:
		t.failure, t.failedAt = noToken(err), time.Now()
		return "", t.failure
	}
	t.token, t.until, t.failure = token.AccessToken, time.Time{}, nil
	if life := token.Expiry.Sub(now); !token.Expiry.IsZero() {
		t.until = token.Expiry.Add(-min(earlier, life/4))
	}
	return t.token, nil
}

func (t *tokens) fetch(ctx context.Context) (*oauth2.Token, error) {
	secret, err := t.settings.secret()
	if err != nil {
		return nil, errSecretFile
	}
	t.config.ClientSecret = secret
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, t.client), mostFetch)
	defer cancel()
	token, err := t.config.Token(ctx)
	switch {
	case err != nil:
		return nil, err
	case !strings.EqualFold(token.Type(), "Bearer"):
		return nil, errTokenType
	case len(token.AccessToken) > mostToken || strings.ContainsFunc(token.AccessToken, func(c rune) bool { return c <= ' ' || c > '~' }):
		return nil, errTokenText
	default:
		return token, nil
	}
}

// What may be wrong with a token but for its request.
var (
	errSecretFile = errors.New("the file that client-secret-file names can't be read, or doesn't hold the secret alone")
	errTokenType  = errors.New("the token endpoint gave a token of another type than Bearer, which is the only one that is sent")
	errTokenText  = errors.New("the token endpoint gave a token that can't stand in a header")
)

// oauthErrors are the words of a token endpoint that are repeated (RFC 6749 5.2): all else that it says was written by
// a stranger, who may repeat the secret.
var oauthErrors = []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}

// noToken tells why there is no token.
func noToken(err error) *channel.SendError {
	failure := &channel.SendError{Class: ClassAuth}
	say := func(format string, args ...any) *channel.SendError {
		failure.Hint = "no token for the endpoint: " + fmt.Sprintf(format, args...)
		return failure
	}
	if slices.Contains([]error{errSecretFile, errTokenType, errTokenText}, err) {
		return say("%v", err)
	}
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		failure.RetryAfter = retryAfter(e.Response.Header, time.Now())
		status := e.Response.StatusCode
		switch {
		case slices.Contains(oauthErrors, e.ErrorCode):
			return say("the token endpoint answered %d, %s; the operator should check client-id, client-secret-file, scopes and audience", status, e.ErrorCode)
		case status >= 300 && status < 400:
			return say("the token endpoint answered %d: redirects are not followed; the operator should name the final URL as token-url", status)
		default:
			return say("the token endpoint answered %d", status)
		}
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return say("the token endpoint: %s", classify(e, connecting).hint)
	}
	return say("the token endpoint's answer is no token")
}

// judged sends requests that are no notifications under the same policy.
type judged struct{ n *Network }

// RoundTrip implements http.RoundTripper.
func (j judged) RoundTrip(r *http.Request) (*http.Response, error) {
	e, err := parseEndpoint(r.URL.String())
	if err == nil {
		err = j.n.policy.endpoint(e)
	}
	if err != nil {
		return nil, err
	}
	transport, _ := j.n.to(e, time.Now())
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", Product)
	return transport.RoundTrip(r)
}
