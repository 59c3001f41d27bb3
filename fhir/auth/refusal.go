package auth

import (
	"strings"

	"fhirhook/fhir"
)

// Reason is why a caller is refused.
type Reason uint8

// The reasons. All but Insufficient are 401.
const (
	Missing         Reason = iota + 1 // there is no Authorization header
	Malformed                         // it is not one bearer token, or the token is not made as tokens are
	Unknown                           // no token of ours, or signed by a key that its issuer does not have
	Expired                           // no longer valid
	Early                             // not yet valid
	WrongIssuer                       // of an issuer that is not configured
	WrongAudience                     // made for somebody else
	Unfit                             // genuine, and says too little or what can't be
	KeysUnavailable                   // it can't be told: the issuer's keys can't be had
	Insufficient                      // 403: the caller is known, and may not
)

// RefusedError is the error of this package that a client reads: it unwraps to a *fhir.Error. It holds no part of a token.
type RefusedError struct {
	Reason Reason
	Text   string // for the client
	Scope  string // of Insufficient: what would be enough, if that can be said
	Err    error  // for the log
}

func (r *RefusedError) Error() string {
	if r.Err != nil {
		return r.Text + ": " + r.Err.Error()
	}
	return r.Text
}

// Unwrap returns what the outcome is made of.
func (r *RefusedError) Unwrap() error {
	kind := fhir.Unauthenticated
	if r.Reason == Insufficient {
		kind = fhir.Forbidden
	}
	return &fhir.Error{Kind: kind, Expression: "http.Authorization", Diagnostic: r.Text, Err: r.Err}
}

// Challenge is the value of the WWW-Authenticate header (RFC 6750 section 3).
func (r *RefusedError) Challenge() string {
	const bearer = `Bearer realm="fhirhook"`
	var code string
	switch r.Reason {
	case Missing:
		return bearer // RFC 6750 section 3.1: without a token the challenge has no error code
	case Insufficient:
		code = "insufficient_scope"
	default:
		code = "invalid_token"
	}
	text := bearer + `, error="` + code + `", error_description="` + quotable(r.Text) + `"`
	if r.Scope != "" {
		text += `, scope="` + quotable(r.Scope) + `"`
	}
	return text
}

// quotable leaves the characters that a quoted error description may have (RFC 6750 section 3).
func quotable(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '"' || c == '\\':
			return '\''
		case c < ' ' || c > '~':
			return '?'
		}
		return c
	}, s)
}

func refuse(reason Reason, text string) *RefusedError {
	return &RefusedError{Reason: reason, Text: text}
}

// Refuse is the refusal of something that the caller's scopes don't cover. It tells nothing about resources.
func (p *Principal) Refuse(needed Permissions, t fhir.Type) *RefusedError {
	name := string(t)
	if t == "" {
		name = "*"
	}
	scope := "system/" + name + "." + needed.String()
	text := "the token does not allow this: it needs a scope such as " + scope
	if p.Access().May(needed, t) {
		text = "the token does not allow this: its scopes cover some resources of the type " + name + ", and not this one"
	}
	return &RefusedError{Reason: Insufficient, Text: text, Scope: scope}
}

// RefuseTenant is the refusal of a tenant that the caller doesn't act in.
func (p *Principal) RefuseTenant() *RefusedError {
	if p == nil || !p.Admin {
		return RefuseAdmin()
	}
	return &RefusedError{Reason: Insufficient, Text: "there is no such tenant here: name one that is configured, in X-Fhirhook-Tenant", Scope: AdminScope}
}

// RefuseAdmin is the refusal of something that only administrators may.
func RefuseAdmin() *RefusedError {
	return &RefusedError{Reason: Insufficient, Text: "only an administrator's token allows this", Scope: AdminScope}
}
