package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME says for which names certificates are fetched from an authority (RFC 8555), which looks for the server at port 443 of
// each (tls-alpn-01, RFC 8737). No domains: from none.
type ACME struct {
	Domains     []string
	Email       string // whom the authority may write to; "": nobody
	Cache       string // folder in which the account's key and certificates are kept
	Directory   string // URL of the authority; "": Let's Encrypt
	CA          string // PEM file with the authorities that Directory's own certificate is of; "": the system's
	AcceptTerms bool   // the authority's terms of service are accepted
}

func (a ACME) check() error {
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if len(a.Domains) == 0 {
		if a.Email != "" || a.Directory != "" || a.CA != "" || a.AcceptTerms {
			add("--acme-email, --acme-directory, --acme-ca and --acme-accept-terms need --acme-domain, which says what the certificate is for")
		}
		return errors.Join(wrong...)
	}
	for _, name := range a.Domains {
		if net.ParseIP(name) != nil || !strings.Contains(name, ".") || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			add("--acme-domain %s: name one host of the public DNS, as in fhir.example.org", name)
		}
	}
	if !a.AcceptTerms {
		add("--acme-domain needs --acme-accept-terms: the authority issues certificates only to those who accept its terms of service")
	}
	if a.Cache == "" {
		add("--acme-cache must name a folder: an authority issues only a few certificates a week for a name")
	}
	if u, err := url.Parse(a.Directory); a.Directory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		add("--acme-directory %s must be an https URL: what it answers is what is trusted", a.Directory)
	}
	if a.CA != "" {
		if _, err := readPool(a.CA); err != nil {
			add("--acme-ca %s: %w", a.CA, err)
		}
	}
	return errors.Join(wrong...)
}

// authority fetches and renews certificates.
type authority struct {
	manager *autocert.Manager
	domains []string
	log     *slog.Logger
}

func newAuthority(a ACME, log *slog.Logger) (*authority, error) {
	directory := a.Directory
	if directory == "" {
		directory = autocert.DefaultACMEDirectory
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if a.CA != "" {
		pool, err := readPool(a.CA)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &authority{
		domains: a.Domains, log: log,
		manager: &autocert.Manager{
			Prompt:     autocert.AcceptTOS,
			Cache:      autocert.DirCache(a.Cache),
			HostPolicy: autocert.HostWhitelist(a.Domains...),
			Email:      a.Email,
			Client: &acme.Client{
				DirectoryURL: directory, UserAgent: "fhirhook",
				HTTPClient: &http.Client{Transport: transport, Timeout: time.Minute},
			},
		},
	}, nil
}

// configure lets the configuration answer with the authority's certificates, and with its challenges.
func (a *authority) configure(c *tls.Config) {
	c.GetCertificate = a.manager.GetCertificate
	c.NextProtos = append(c.NextProtos, acme.ALPNProto)
}

// fetch gets the certificates that are not in the cache before the first client has to wait for them, and tells what goes
// wrong with that. It returns when it has tried each once, or when ctx ends.
func (a *authority) fetch(ctx context.Context) {
	for _, name := range a.domains {
		if ctx.Err() != nil {
			return
		}
		hello := &tls.ClientHelloInfo{ // a client that takes ECDSA, as all do that are not very old
			ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13},
			SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		}
		if cert, err := a.manager.GetCertificate(hello); err != nil {
			a.log.Error("acme.failed: clients can't connect; port 443 of the name has to lead here", "domain", name, "error", err)
		} else {
			a.log.Info("acme.certificate", "domain", name, "not_after", cert.Leaf.NotAfter)
		}
	}
}
