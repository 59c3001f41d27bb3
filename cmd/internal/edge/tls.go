package edge

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLS says how the server proves who it is; the zero value is no TLS.
type TLS struct {
	Cert, Key string // PEM files; both or none. They are read again when they change
	ClientCA  string // PEM file: only clients with a certificate of these authorities are let in; "": all
	ACME      ACME
}

// On tells whether there is TLS.
func (t TLS) On() bool { return t.Cert != "" || t.Key != "" || len(t.ACME.Domains) > 0 }

// Check names everything that is wrong, and the flag that mends it.
func (t TLS) Check() error {
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	switch {
	case (t.Cert == "") != (t.Key == ""):
		add("--tls-cert and --tls-key belong together: name both files")
	case t.Cert != "" && len(t.ACME.Domains) > 0:
		add("--tls-cert and --acme-domain both name a certificate: leave one out")
	case t.Cert != "":
		if _, err := newPair(t.Cert, t.Key, slog.New(slog.DiscardHandler)); err != nil {
			add("--tls-cert %s, --tls-key %s: %w", t.Cert, t.Key, err)
		}
	}
	if t.Key != "" {
		if info, err := os.Stat(t.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
			add("--tls-key %s can be read or changed by everybody on this machine (mode %04o): chmod o= it", t.Key, info.Mode().Perm())
		}
	}
	if t.ClientCA != "" {
		if _, err := readPool(t.ClientCA); err != nil {
			add("--tls-client-ca %s: %w", t.ClientCA, err)
		}
		switch {
		case !t.On():
			add("--tls-client-ca asks clients for certificates, and there is no TLS: name --tls-cert and --tls-key")
		case len(t.ACME.Domains) > 0:
			add("--tls-client-ca keeps the ACME authority out, too, which has no certificate: name --tls-cert and --tls-key instead of --acme-domain")
		}
	}
	return errors.Join(append(wrong, t.ACME.check())...)
}

// config makes the TLS configuration of a server: TLS 1.2 with forward secrecy and authenticated ciphers, or 1.3.
func (t TLS) config(log *slog.Logger) (c *tls.Config, a *authority, err error) {
	c = &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2; Go chooses those of 1.3
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
	if len(t.ACME.Domains) > 0 {
		if a, err = newAuthority(t.ACME, log); err != nil {
			return nil, nil, err
		}
		a.configure(c)
		return c, a, nil
	}
	p, err := newPair(t.Cert, t.Key, log)
	if err != nil {
		return nil, nil, err
	}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.certificate(), nil }
	if t.ClientCA != "" {
		if c.ClientCAs, err = readPool(t.ClientCA); err != nil {
			return nil, nil, err
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil, nil
}

func readPool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}

// lookAgain is how long a certificate is used before it is looked whether the files hold another one.
const lookAgain = 10 * time.Second

// pair is a certificate and its key, of files that may change while the server runs.
type pair struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu        sync.Mutex // guards what follows
	current   *tls.Certificate
	cert, key []byte // the contents that were tried last
	looked    time.Time
}

func newPair(certFile, keyFile string, log *slog.Logger) (*pair, error) {
	p := &pair{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	if _, err := p.read(); err != nil {
		return nil, err
	}
	p.looked = p.now()
	return p, nil
}

// certificate is the one that the files hold, as of a few seconds ago. Files that hold none change nothing: a broken
// renewal must not end the service before the old certificate does.
func (p *pair) certificate() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.looked) >= lookAgain {
		p.looked = now
		switch changed, err := p.read(); {
		case err != nil && changed:
			p.log.Error("tls.certificate not usable, the one before is used on", "cert", p.certFile, "key", p.keyFile, "error", err)
		case err != nil:
			p.log.Debug("tls.certificate still not usable", "error", err)
		case changed:
			p.log.Info("tls.certificate replaced", "cert", p.certFile, "not_after", p.current.Leaf.NotAfter)
		}
	}
	return p.current
}

// read tries what the files hold, unless it was tried before.
func (p *pair) read() (changed bool, err error) {
	cert, err := os.ReadFile(p.certFile)
	key, err2 := os.ReadFile(p.keyFile)
	if err = errors.Join(err, err2); err != nil {
		changed = p.cert != nil
		p.cert, p.key = nil, nil
		return changed, err
	}
	if p.cert != nil && bytes.Equal(cert, p.cert) && bytes.Equal(key, p.key) {
		return false, nil
	}
	p.cert, p.key = cert, key
	fresh, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return true, err
	}
	p.current = &fresh
	return true, nil
}
