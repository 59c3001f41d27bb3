package edge

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServer_speaksHTTP1And2WithinTLS(t *testing.T) {
	ca := newIssuer(t)
	cert, key := ca.pair(t, t.TempDir(), 7, "127.0.0.1")
	addr := serve(t, Options{TLS: TLS{Cert: cert, Key: key}}, func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.TLS.Version < tls.VersionTLS12 {
			t.Errorf("%s: the handler does not see TLS", r.Proto)
		}
		_, _ = io.WriteString(w, r.Proto)
	})
	for want, protocols := range map[string][]string{"HTTP/2.0": nil, "HTTP/1.1": {"http/1.1"}} {
		response, err := get(t, ca.client(t, protocols...), "https://"+addr)
		if err != nil {
			t.Fatal(err)
		}
		if response.Proto != want || response.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s, want %s; Strict-Transport-Security %q", response.Proto, want, response.Header.Get("Strict-Transport-Security"))
		}
	}
	old := &tls.Config{RootCAs: ca.pool, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // it must be refused
	if c, err := tls.Dial("tcp", addr, old); err == nil {
		_ = c.Close()
		t.Error("TLS 1.1 was spoken")
	}
	response, err := get(t, http.DefaultClient, "http://"+addr+"/")
	if err != nil || response.StatusCode != http.StatusBadRequest {
		t.Errorf("http:// to an https server: %v, %v", response, err)
	}
}

func TestServer_asksClientsForCertificates(t *testing.T) {
	ca, others := newIssuer(t), newIssuer(t)
	cert, key := ca.pair(t, t.TempDir(), 7, "127.0.0.1")
	addr := serve(t, Options{TLS: TLS{Cert: cert, Key: key, ClientCA: others.file(t)}}, func(http.ResponseWriter, *http.Request) {})
	client := ca.client(t, "http/1.1")
	if _, err := get(t, client, "https://"+addr); err == nil {
		t.Error("a client without a certificate was let in")
	}
	mine, mineKey := others.pair(t, t.TempDir(), 8, "a client")
	pair, err := tls.LoadX509KeyPair(mine, mineKey)
	if err != nil {
		t.Fatal(err)
	}
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{pair}
	if _, err := get(t, client, "https://"+addr); err != nil {
		t.Errorf("a client with a certificate: %v", err)
	}
}

// TestPair_followsItsFiles turns the clock on past each look.
func TestPair_followsItsFiles(t *testing.T) {
	ca, dir := newIssuer(t), t.TempDir()
	cert, key := ca.pair(t, dir, 1, "h")
	var log strings.Builder
	p, err := newPair(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	p.now = func() time.Time { return now }
	serial := func() int64 { return p.certificate().Leaf.SerialNumber.Int64() }

	ca.pair(t, dir, 2, "h")
	if got := serial(); got != 1 {
		t.Errorf("before it is time to look, serial %d", got)
	}
	now = now.Add(lookAgain)
	if got := serial(); got != 2 {
		t.Errorf("after the files changed, serial %d", got)
	}

	write(t, cert, []byte("half a certif"))
	for range 3 {
		now = now.Add(lookAgain)
		if got := serial(); got != 2 {
			t.Errorf("with a broken file, serial %d", got)
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookAgain)
	if got := serial(); got != 2 {
		t.Errorf("without a file, serial %d", got)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 2 {
		t.Errorf("%d errors are logged, want one for each change:\n%s", n, log.String())
	}
	ca.pair(t, dir, 3, "h")
	now = now.Add(lookAgain)
	if got := serial(); got != 3 {
		t.Errorf("after the files were mended, serial %d", got)
	}
}

func TestServer_takesANewCertificateWithoutARestart(t *testing.T) {
	ca, dir := newIssuer(t), t.TempDir()
	cert, key := ca.pair(t, dir, 1, "127.0.0.1")
	config, _, err := TLS{Cert: cert, Key: key}.config(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	one, err := config.GetCertificate(nil)
	if err != nil || one.Leaf.SerialNumber.Int64() != 1 {
		t.Errorf("certificate %v, %v", one, err)
	}
	if config.MinVersion != tls.VersionTLS12 || fmt.Sprint(config.NextProtos) != "[h2 http/1.1]" {
		t.Errorf("versions from %x, protocols %v", config.MinVersion, config.NextProtos)
	}
}

func TestTLS_checkNamesTheFlag(t *testing.T) {
	ca, dir := newIssuer(t), t.TempDir()
	cert, key := ca.pair(t, dir, 1, "h")
	_, otherKey := ca.pair(t, t.TempDir(), 2, "h")
	loose := filepath.Join(dir, "loose.key")
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, loose, text)
	if err := os.Chmod(loose, 0o644); err != nil {
		t.Fatal(err)
	}
	good := ACME{Domains: []string{"fhir.example.org"}, Cache: dir, AcceptTerms: true}
	for name, c := range map[string]struct {
		tls  TLS
		want string // "": nothing is wrong
	}{
		"nothing":           {TLS{}, ""},
		"files":             {TLS{Cert: cert, Key: key}, ""},
		"ACME":              {TLS{ACME: good}, ""},
		"no key":            {TLS{Cert: cert}, "--tls-key"},
		"no certificate":    {TLS{Key: key}, "--tls-cert"},
		"another's key":     {TLS{Cert: cert, Key: otherKey}, "--tls-cert"},
		"no such file":      {TLS{Cert: cert + "x", Key: key}, "--tls-cert"},
		"a key for all":     {TLS{Cert: cert, Key: loose}, "chmod"},
		"both":              {TLS{Cert: cert, Key: key, ACME: good}, "--acme-domain"},
		"clients alone":     {TLS{ClientCA: ca.file(t)}, "--tls-cert"},
		"clients and ACME":  {TLS{ClientCA: ca.file(t), ACME: good}, "--acme-domain"},
		"clients' no file":  {TLS{Cert: cert, Key: key, ClientCA: key}, "--tls-client-ca"},
		"terms":             {TLS{ACME: ACME{Domains: good.Domains, Cache: dir}}, "--acme-accept-terms"},
		"no cache":          {TLS{ACME: ACME{Domains: good.Domains, AcceptTerms: true}}, "--acme-cache"},
		"an address":        {TLS{ACME: ACME{Domains: []string{"192.0.2.1"}, Cache: dir, AcceptTerms: true}}, "--acme-domain"},
		"a wildcard":        {TLS{ACME: ACME{Domains: []string{"*.example.org"}, Cache: dir, AcceptTerms: true}}, "--acme-domain"},
		"a name alone":      {TLS{ACME: ACME{Domains: []string{"localhost"}, Cache: dir, AcceptTerms: true}}, "--acme-domain"},
		"directory in http": {TLS{ACME: ACME{Domains: good.Domains, Cache: dir, AcceptTerms: true, Directory: "http://ca.example.org"}}, "--acme-directory"},
		"no domain":         {TLS{ACME: ACME{Email: "a@example.org"}}, "--acme-domain"},
		"no such authority": {TLS{ACME: ACME{Domains: good.Domains, Cache: dir, AcceptTerms: true, CA: key + "x"}}, "--acme-ca"},
	} {
		err := c.tls.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
