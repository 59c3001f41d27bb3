package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// skew is how far an issuer's clock may be off.
const skew = time.Minute

// What is read of a token's JSON.
const (
	jwtDepth       = 16
	mostClaimBytes = 512
)

// trusted is a configured issuer at work.
type trusted struct {
	Issuer
	keys  *keyring
	algs  []jose.SignatureAlgorithm
	knows func(tenant string) bool
}

// verified is a JWT that was found genuine.
type verified struct {
	principal  *Principal
	by         *trusted
	generation uint64 // of the issuer's keys
	until      time.Time
}

// pieces are the decoded parts of a JWT. Nothing in them is to be trusted before the signature is verified.
type pieces struct {
	alg    jose.SignatureAlgorithm
	kid    string
	issuer string
}

var (
	errShape  = refuse(Malformed, "the token is neither one of this server's nor a signed JWT")
	errHeader = refuse(Malformed, "the JWT's header is not one that is accepted here")
	errClaims = refuse(Malformed, "the JWT's claims are not a JSON object whose members stand once each")
)

// parseJWT takes a JWT apart, as strictly as it can be: what two readers could read differently is refused.
func parseJWT(token string) (pieces, *RefusedError) {
	var p pieces
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return p, errShape
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		// The decoder passes over line breaks; there are none in what token68 let through.
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || part == "" {
			return p, errShape
		}
	}
	header, err := tape.Parse(raw[0], jwtDepth)
	if err != nil || header.Root().Kind() != tape.Object {
		return p, errHeader
	}
	if refusal := p.readHeader(header.Root()); refusal != nil {
		return p, refusal
	}
	claims, err := tape.Parse(raw[1], jwtDepth)
	if err != nil || claims.Root().Kind() != tape.Object {
		return p, errClaims
	}
	p.issuer = text(claims.Root().Get("iss"))
	return p, nil
}

// readHeader looks at what is needed, and refuses what would change the meaning of the rest. Keys, and places to fetch
// keys from (jwk, jku, x5c, x5u), are never looked at: the issuer's keys come from the configuration.
func (p *pieces) readHeader(h tape.Node) *RefusedError {
	for _, name := range [...]string{"crit", "b64", "cty", "zip", "enc"} {
		if h.Get(name).Exists() {
			return refuse(Malformed, "the JWT's header has "+name+", which is not accepted here")
		}
	}
	if typ := h.Get("typ"); typ.Exists() {
		switch strings.TrimPrefix(strings.ToLower(text(typ)), "application/") {
		case "jwt", "at+jwt":
		default:
			return refuse(Malformed, "the JWT is of another typ than JWT or at+jwt")
		}
	}
	p.alg = jose.SignatureAlgorithm(text(h.Get("alg")))
	if !slices.Contains(algorithms, p.alg) {
		return refuse(Malformed, "the JWT is signed by an algorithm that is not accepted here: accepted are "+strings.Join(algorithmNames(), ", "))
	}
	if kid := h.Get("kid"); kid.Exists() {
		if p.kid = text(kid); p.kid == "" || len(p.kid) > mostClaimBytes {
			return errHeader
		}
	}
	return nil
}

// text is a string's value, "" of anything else.
func text(n tape.Node) string {
	if n.Kind() != tape.String {
		return ""
	}
	return n.Text()
}

// verify proves who made a JWT, and reads what it says. Nothing that it says is used before.
func (t *trusted) verify(ctx context.Context, token string, p pieces, now time.Time, defs *criteria.Definitions) (*verified, *RefusedError) {
	if !slices.Contains(t.algs, p.alg) {
		return nil, refuse(Malformed, "the JWT is signed by an algorithm that is not accepted of its issuer")
	}
	keys, generation, err := t.keys.find(ctx, p.kid, p.alg)
	if err != nil {
		return nil, &RefusedError{Reason: KeysUnavailable, Text: "the keys of the token's issuer can't be had at the moment: try again later", Err: err}
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{p.alg})
	if err != nil {
		return nil, errHeader // the library's own text might quote the token
	}
	for _, k := range keys {
		payload, err := signed.Verify(k.public)
		if err != nil {
			continue
		}
		principal, refusal := t.read(payload, now)
		if refusal != nil {
			return nil, refusal
		}
		until := principal.Expires.Add(skew)
		if latest := now.Add(cachedFor); until.After(latest) {
			until = latest
		}
		principal.serves = t.knows
		return &verified{principal.compiled(defs), t, generation, until}, nil
	}
	return nil, refuse(Unknown, "the JWT is not signed by a key that its issuer has")
}

// read judges the claims of a genuine token.
func (t *trusted) read(payload []byte, now time.Time) (p Principal, _ *RefusedError) {
	doc, err := tape.Parse(payload, jwtDepth)
	if err != nil {
		return p, errClaims
	}
	c := doc.Root()
	if text(c.Get("iss")) != t.URL {
		return p, refuse(WrongIssuer, "the JWT's iss is not the issuer whose keys it was verified with")
	}
	if refusal := t.inTime(c, now, &p); refusal != nil {
		return p, refusal
	}
	audience, err := list(c.Get("aud"))
	switch {
	case err != nil:
		return p, unfit("aud")
	case !slices.ContainsFunc(audience, func(one string) bool { return slices.Contains(t.Audience, one) }):
		return p, refuse(WrongAudience, "the JWT's aud does not name this server: ask its issuer for a token that is made for it")
	}
	p.Issuer, p.Subject = t.URL, text(c.Get("sub"))
	if p.Subject == "" || len(p.Subject) > mostClaimBytes {
		return p, unfit("sub")
	}
	scopes, err := scopesOf(c)
	if err != nil || len(scopes) > mostScopes {
		return p, unfit("scope")
	}
	p.Scopes = readScopes(scopes)
	p.Admin = t.Admin && p.Scopes.has(AdminScope)
	if patient := c.Get("patient"); patient.Exists() {
		if p.Patient = text(patient); !fhir.ValidID(p.Patient) {
			return p, unfit("patient")
		}
	}
	return p, t.tenant(c, &p)
}

func unfit(claim string) *RefusedError {
	return refuse(Unfit, "the JWT's claim "+claim+" is missing, or not as it has to be")
}

// inTime judges exp, nbf and iat (RFC 7519 section 4.1).
func (t *trusted) inTime(c tape.Node, now time.Time, p *Principal) *RefusedError {
	exp, ok := instant(c.Get("exp"))
	switch {
	case !ok:
		return unfit("exp")
	case !now.Before(exp.Add(skew)):
		return refuse(Expired, "the token has expired: ask its issuer for a new one")
	}
	p.Expires = exp
	for _, name := range [...]string{"nbf", "iat"} {
		n := c.Get(name)
		if !n.Exists() {
			continue
		}
		at, ok := instant(n)
		switch {
		case !ok:
			return unfit(name)
		case at.After(now.Add(skew)):
			return refuse(Early, "the token is not valid yet: its "+name+" is in the future, by this server's clock")
		}
	}
	return nil
}

// tenant finds out to whose data the token leads.
func (t *trusted) tenant(c tape.Node, p *Principal) *RefusedError {
	switch {
	case t.TenantClaim != "":
		if p.Tenant = text(c.Get(t.TenantClaim)); !ValidTenant(p.Tenant) {
			return refuse(Unfit, "the JWT does not tell the tenant in the claim that is configured for it, or tells what can't be a tenant's name")
		}
	case t.Tenant != "":
		p.Tenant = t.Tenant
	default:
		p.Tenant = fhir.DefaultTenant
	}
	if !t.knows(p.Tenant) {
		return refuse(Unfit, "the JWT is of a tenant that is not known here")
	}
	return nil
}

// scopesOf reads scope (RFC 8693 section 4.2: one string) or scp, each also as a list of strings.
func scopesOf(c tape.Node) ([]string, error) {
	n := c.Get("scope")
	if !n.Exists() {
		n = c.Get("scp")
	}
	if !n.Exists() {
		return nil, nil
	}
	texts, err := list(n)
	if err != nil {
		return nil, err
	}
	var scopes []string
	for _, one := range texts {
		scopes = append(scopes, strings.Fields(one)...)
	}
	return scopes, nil
}

var errKind = errors.New("neither a string nor a list of strings")

// list reads a string or a list of strings.
func list(n tape.Node) ([]string, error) {
	switch n.Kind() {
	case tape.String:
		return []string{text(n)}, nil
	case tape.Array:
		var all []string
		for e := range n.Elements() {
			if e.Kind() != tape.String {
				return nil, errKind
			}
			all = append(all, text(e))
		}
		return all, nil
	}
	return nil, errKind
}

// instant reads a NumericDate (RFC 7519 section 2).
func instant(n tape.Node) (time.Time, bool) {
	const last = 253402300799 // the end of the year 9999
	if n.Kind() != tape.Number {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(string(n.Raw()), 64)
	if err != nil || seconds < 0 || seconds > last {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}
