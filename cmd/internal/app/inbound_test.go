package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirhook/cmd/internal/app"
)

// running starts a server that ends with the test.
func running(t *testing.T, change func(*app.Options)) *app.Server {
	t.Helper()
	o := app.Options{
		Listen: "127.0.0.1:0", Data: filepath.Join(t.TempDir(), "data"), Dialect: "kit", ErrorAfter: "10,1h", OffAfter: time.Hour,
		MaxBody: 1 << 20, MaxBundle: 1 << 20, Drain: time.Second,
	}
	change(&o)
	ready := make(chan struct{})
	o.Ready = func() { close(ready) }
	s, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }() // stops with the test
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	<-ready
	return s
}

func fetch(t *testing.T, c *http.Client, method, url, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// TestServer_metricsAtAnAddressOfTheirOwn finds them there, and nowhere else, and nothing else there.
func TestServer_metricsAtAnAddressOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := running(t, func(o *app.Options) { o.AdminListen = "127.0.0.1:0" })
	for _, c := range []struct {
		url    string
		status int
	}{
		{"http://" + s.AdminAddr() + "/metrics", 200},
		{"http://" + s.AdminAddr() + "/healthz", 200},
		{"http://" + s.AdminAddr() + "/readyz", 200},
		{"http://" + s.AdminAddr() + "/fhir/R4/metadata", 404},
		{"http://" + s.AdminAddr() + "/webhooks", 404},
		{"http://" + s.Addr() + "/metrics", 404},
		{"http://" + s.Addr() + "/healthz", 200},
		{"http://" + s.Addr() + "/readyz", 200},
	} {
		if response, text := fetch(t, http.DefaultClient, http.MethodGet, c.url, ""); response.StatusCode != c.status {
			t.Errorf("GET %s: %d, want %d: %s", c.url, response.StatusCode, c.status, text)
		}
	}
}

// TestServer_saysHTTPSWhereItSpeaksTLS looks at the URLs and headers of an answer.
func TestServer_saysHTTPSWhereItSpeaksTLS(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := running(t, func(o *app.Options) {
		o.TLS.Cert, o.TLS.Key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		o.CORSOrigins = []string{"https://app.example.org"}
	})
	if s.BaseURL() != "https://"+s.Addr()+"/fhir/R4" {
		t.Errorf("base %s", s.BaseURL())
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for proto, protocols := range map[int][]string{1: {"http/1.1"}, 2: {"h2"}} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, NextProtos: protocols, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: proto == 2}
		response, text := fetch(t, &http.Client{Transport: transport}, http.MethodPost, s.BaseURL()+"/Patient", `{"resourceType":"Patient"}`)
		transport.CloseIdleConnections()
		if response.StatusCode != http.StatusCreated || response.ProtoMajor != proto || !strings.HasPrefix(response.Header.Get("Location"), s.BaseURL()+"/Patient/") {
			t.Errorf("HTTP/%d: %d, Location %s: %s", response.ProtoMajor, response.StatusCode, response.Header.Get("Location"), text)
		}
		for name, want := range map[string]string{
			"Strict-Transport-Security": "max-age=31536000", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache", "Server": "",
			"Access-Control-Allow-Origin": "", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("HTTP/%d: %s is %q, want %q", proto, name, got, want)
			}
		}
	}
}
