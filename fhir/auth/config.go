package auth

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"fhirhook/criteria"
)

// Config is who may call, as the section auth of the configuration file says it.
type Config struct {
	Tokens  []Token          `yaml:"tokens"`
	Issuers []Issuer         `yaml:"issuers"`
	Quota   Quota            `yaml:"quota"`   // of each tenant that Tenants does not name
	Tenants map[string]Quota `yaml:"tenants"` // if any is named, no token belongs to another
}

// Issuer is an OIDC issuer whose JWTs are accepted.
type Issuer struct {
	URL         string   `yaml:"issuer"`       // exactly as in the tokens' iss
	Audience    []string `yaml:"audience"`     // one of which the tokens' aud has to hold
	JWKS        string   `yaml:"jwks"`         // URL of the keys; "": as the issuer's discovery document says
	Algorithms  []string `yaml:"algorithms"`   // that are accepted, of those that are safe; none: all of them
	Tenant      string   `yaml:"tenant"`       // of all its tokens; "": the default tenant
	TenantClaim string   `yaml:"tenant-claim"` // name of the claim that tells a token's tenant, instead of Tenant
	Admin       bool     `yaml:"admin"`        // it may appoint administrators, by the scope fhirhook/admin
}

// Empty tells whether the section names nobody who may call.
func (c *Config) Empty() bool { return len(c.Tokens) == 0 && len(c.Issuers) == 0 }

// QuotaOf is what a tenant may use.
func (c *Config) QuotaOf(tenant string) Quota {
	if q, ok := c.Tenants[tenant]; ok {
		return q
	}
	return c.Quota
}

// Check names everything that is wrong. With dev, issuers on loopback may be without TLS.
func (c *Config) Check(defs *criteria.Definitions, dev bool) error {
	var wrong []error
	add := func(where string, err error) {
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			wrong = append(wrong, fmt.Errorf("auth.%s.%s", where, line))
		}
	}
	names, hashes := map[string]bool{}, map[string]bool{}
	for i := range c.Tokens {
		t := &c.Tokens[i]
		where := fmt.Sprintf("tokens[%d]", i)
		add(where, t.check(defs))
		add(where, c.knows("tenant", t.Tenant))
		if names[t.Name] {
			add(where, fmt.Errorf("name: another token is called %q already", t.Name))
		}
		if hashes[strings.ToLower(t.Hash)] {
			add(where, errors.New("hash: another token has it already"))
		}
		names[t.Name], hashes[strings.ToLower(t.Hash)] = true, true
	}
	urls := map[string]bool{}
	for i := range c.Issuers {
		s := &c.Issuers[i]
		where := fmt.Sprintf("issuers[%d]", i)
		add(where, s.check(dev))
		if s.TenantClaim == "" {
			add(where, c.knows("tenant", s.Tenant))
		}
		if urls[s.URL] {
			add(where, fmt.Errorf("issuer: %q is there already", s.URL))
		}
		urls[s.URL] = true
	}
	add("quota", c.Quota.check())
	for _, name := range slices.Sorted(maps.Keys(c.Tenants)) {
		if !ValidTenant(name) {
			add("tenants", errTenant("name", name))
		}
		q := c.Tenants[name]
		add("tenants["+name+"]", q.check())
	}
	return errors.Join(wrong...)
}

// knows tells of a tenant that is not among those that are named.
func (c *Config) knows(where, tenant string) error {
	if _, ok := c.Tenants[tenant]; ok || len(c.Tenants) == 0 || tenant != "" && !ValidTenant(tenant) {
		return nil
	}
	if tenant == "" {
		return fmt.Errorf("%s: name one of auth.tenants", where)
	}
	return fmt.Errorf("%s: %q is not among auth.tenants", where, tenant)
}

func (s *Issuer) check(dev bool) error {
	var wrong []error
	if err := checkURL(s.URL, dev); err != nil {
		wrong = append(wrong, fmt.Errorf("issuer: %w", err))
	}
	if s.JWKS != "" {
		if err := checkURL(s.JWKS, dev); err != nil {
			wrong = append(wrong, fmt.Errorf("jwks: %w", err))
		}
	}
	if len(s.Audience) == 0 || slices.Contains(s.Audience, "") {
		wrong = append(wrong, errors.New("audience: name what the tokens' aud has to be, so that a token made for another service is not accepted here"))
	}
	for _, name := range s.Algorithms {
		if !slices.Contains(algorithmNames(), name) {
			wrong = append(wrong, fmt.Errorf("algorithms: %.40q is not one of %s", name, strings.Join(algorithmNames(), ", ")))
		}
	}
	switch {
	case s.Tenant != "" && s.TenantClaim != "":
		wrong = append(wrong, errors.New("tenant: all tokens are of one tenant, or tenant-claim tells it: give one of them"))
	case s.Tenant != "" && !ValidTenant(s.Tenant):
		wrong = append(wrong, errTenant("tenant", s.Tenant))
	}
	return errors.Join(wrong...)
}

// checkURL tells whether keys may be fetched from there.
func checkURL(text string, dev bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return fmt.Errorf("%.200q is not an absolute URL", text)
	case u.User != nil || u.Fragment != "" || u.RawQuery != "":
		return errors.New("a URL with a user, a query or a fragment can't be used")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()) && dev:
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return errors.New("without TLS an issuer can be used on loopback only, and there only with --dev")
	}
	return errors.New("it has to begin with https://")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
