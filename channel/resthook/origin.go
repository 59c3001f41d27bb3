package resthook

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"fhirhook/channel/settings"
)

// Origin is what the endpoints at one origin need beyond what all do. Operators write it into the configuration file,
// since these are credentials of the server and not of whoever writes a Subscription.
type Origin struct {
	Origin     string  `yaml:"origin"`      // https://host or https://host:port
	ClientCert string  `yaml:"client-cert"` // PEM files: the server's certificate for this origin, and its key
	ClientKey  string  `yaml:"client-key"`
	CAFile     string  `yaml:"ca-file"` // PEM file: only these authorities count for this origin
	OAuth2     *OAuth2 `yaml:"oauth2"`
}

// OAuth2 is how a token for an origin is fetched, by client credentials (RFC 6749 4.4).
type OAuth2 struct {
	TokenURL         string   `yaml:"token-url"`
	ClientID         string   `yaml:"client-id"`
	ClientSecretFile string   `yaml:"client-secret-file"`
	Scopes           []string `yaml:"scopes"`
	Audience         string   `yaml:"audience"`
}

// ParseOrigins reads the list under the key endpoints of a YAML text, as settings.Decode says; what could be read is
// returned beside the error. Whether the origins can be used is for NewNetwork to say.
func ParseOrigins(text []byte) ([]Origin, error) {
	var file struct {
		Endpoints []Origin
		Others    map[string]any `yaml:",inline"`
	}
	err := settings.Decode(text, &file)
	return file.Endpoints, err
}

// files are those that a connection to the origin depends on.
func (o Origin) files() []string {
	var all []string
	for _, name := range []string{o.CAFile, o.ClientCert, o.ClientKey} {
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// certificates reads the client certificate; none if none is named.
func (o Origin) certificates() ([]tls.Certificate, error) {
	if o.ClientCert == "" && o.ClientKey == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(o.ClientCert, o.ClientKey)
	if err != nil {
		return nil, fmt.Errorf("client-cert %s with client-key %s: %w", o.ClientCert, o.ClientKey, err)
	}
	return []tls.Certificate{pair}, nil
}

// check names every problem that shows without reading certificates.
func (o Origin) check(p Policy) (e endpoint, problems []error) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	e, err := parseEndpoint(o.Origin)
	rest, _ := strings.CutPrefix(strings.ToLower(o.Origin), "https://")
	switch {
	case err != nil:
		add("origin: %w", err)
	case !e.secure:
		add("origin: what is set here would go out unencrypted: it must begin with https://")
	case strings.ContainsAny(strings.TrimSuffix(rest, "/"), "/?"):
		add("origin: it is scheme, host and port, as in https://%s, and neither path nor query", e.name())
	default:
		if err := p.endpoint(e); err != nil {
			add("origin: %w", err)
		}
	}
	if (o.ClientCert == "") != (o.ClientKey == "") {
		add("client-cert and client-key belong together: name both")
	}
	if len(o.files()) == 0 && o.OAuth2 == nil {
		add("nothing is set: name client-cert and client-key, ca-file or oauth2, or leave the entry out")
	}
	if o.OAuth2 != nil {
		for _, err := range o.OAuth2.check(p) {
			add("oauth2: %w", err)
		}
	}
	return e, problems
}

func (o OAuth2) check(p Policy) (problems []error) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	e, err := parseEndpoint(o.TokenURL)
	switch {
	case o.TokenURL == "":
		add("token-url is missing: the https URL that tokens are fetched from")
	case err != nil:
		add("token-url: %s", strings.ReplaceAll(err.Error(), "the endpoint", "the URL"))
	case !e.secure:
		add("token-url: the client's secret would go out unencrypted: it must begin with https://")
	default:
		if err := p.endpoint(e); err != nil {
			add("token-url: %w", err)
		}
	}
	if o.ClientID == "" || hasControl(o.ClientID) {
		add("client-id is missing, or holds a control character")
	}
	if o.ClientSecretFile == "" {
		add("client-secret-file is missing: the file that holds the client's secret")
	} else if _, err := o.secret(); err != nil {
		add("client-secret-file: %w", err)
	}
	for _, s := range o.Scopes {
		if s == "" || strings.ContainsAny(s, " \"\\") || hasControl(s) {
			add("scopes: %q is no scope: list them one by one, without blanks", s)
		}
	}
	return problems
}

// secret reads the client's secret.
func (o OAuth2) secret() (string, error) {
	text, err := os.ReadFile(o.ClientSecretFile)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || hasControl(secret) {
		return "", fmt.Errorf("%s must hold the secret alone, on one line", o.ClientSecretFile)
	}
	return secret, nil
}

// name is host:port of an endpoint, by which its origin is known.
func (e endpoint) name() string { return net.JoinHostPort(e.host, strconv.Itoa(int(e.port))) }
