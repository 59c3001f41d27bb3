package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// untilServing ends a server as soon as it says that it serves.
type untilServing struct {
	end context.CancelFunc
	mu  sync.Mutex // guards out
	out strings.Builder
}

func (u *untilServing) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if strings.Contains(string(p), " serves ") {
		u.end()
	}
	return u.out.Write(p)
}

// tryServe starts `fhirhook serve`, and returns its exit code and what it complained about.
func tryServe(t *testing.T, args ...string) (code int, complaint string) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var complaints strings.Builder
	code = run(ctx, append([]string{"serve"}, args...), &untilServing{end: end}, &complaints)
	return code, complaints.String()
}

// certificate writes a pair for fhir.example.org.
func certificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"fhir.example.org"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	place(t, certFile, 0o644, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	place(t, keyFile, 0o600, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return certFile, keyFile
}

// place writes a file with exactly this mode.
func place(t *testing.T, path string, mode os.FileMode, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestServe_refusesUnsafeSettings starts the server with settings that are safe one by one, and not together. It must refuse with
// exit code 2 and name the flag, or the command, that makes them safe; the safe ones beside them must start.
func TestServe_refusesUnsafeSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	loose := filepath.Join(dir, "loose")
	if err := os.Mkdir(loose, 0o700); err != nil {
		t.Fatal(err)
	}
	looseCert, looseKey := certificate(t, loose)
	if err := os.Chmod(looseKey, 0o644); err != nil {
		t.Fatal(err)
	}
	masterKey := filepath.Join(dir, "master")
	place(t, masterKey, 0o644, strings.Repeat("ab12", 16)+"\n")
	config := filepath.Join(dir, "config.yaml")
	place(t, config, 0o600, "auth:\n  tokens:\n    - {name: lab, hash: 'sha256:"+strings.Repeat("a", 64)+"', scopes: ['system/*.rs']}\n")
	tests := []struct {
		name string
		args string // KEY, CERT … are replaced; CONFIG says who may call
		want []string
	}{
		// who may connect
		{"the defaults", "", nil},
		{"loopback by IPv6", "--listen [::1]:0", nil},
		{"everything that makes it public", "--config CONFIG --listen 0.0.0.0:0 --tls-cert CERT --tls-key KEY --base-url https://fhir.example.org", nil},
		{"public behind a proxy", "--config CONFIG --listen 0.0.0.0:0 --trusted-proxy 10.0.0.0/8 --base-url https://fhir.example.org", nil},
		{"public, nobody authenticates, in the clear", "--listen 0.0.0.0:0", []string{"fhirhook token create", "--config", "--tls-cert", "--acme-domain", "--trusted-proxy", "127.0.0.1"}},
		{"public by an empty host", "--listen :0", []string{"fhirhook token create", "--tls-cert"}},
		{"public by all of IPv6", "--listen [::]:0", []string{"fhirhook token create", "--tls-cert"}},
		{"public by a name", "--listen fhir.example.org:0", []string{"fhirhook token create", "--tls-cert"}},
		{"public, nobody authenticates", "--listen 0.0.0.0:0 --tls-cert CERT --tls-key KEY", []string{"fhirhook token create", "--config"}},
		{"public, nobody authenticates, behind a proxy", "--listen 0.0.0.0:0 --trusted-proxy 10.0.0.1", []string{"fhirhook token create", "--config"}},
		{"public with tokens in the clear", "--config CONFIG --listen 0.0.0.0:0", []string{"--tls-cert", "--acme-domain", "--trusted-proxy"}},
		{"public with a token made by the command, in the clear", "--data TOKENS --listen 0.0.0.0:0", []string{"--tls-cert", "--acme-domain", "--trusted-proxy"}},
		{"public for development", "--config CONFIG --listen 0.0.0.0:0 --tls-cert CERT --tls-key KEY --dev", []string{"--dev", "127.0.0.1"}},
		{"a port that is none", "--listen 127.0.0.1:99999", []string{"--listen 127.0.0.1:99999", "127.0.0.1:8080"}},
		{"a port that is a word", "--listen 127.0.0.1:port-of-nothing", []string{"--listen 127.0.0.1:port-of-nothing"}},
		{"a port of metrics that is none", "--admin-listen 127.0.0.1:99999", []string{"--admin-listen 127.0.0.1:99999", "127.0.0.1:9090"}},
		// whom to believe
		{"believes everybody", "--trusted-proxy 0.0.0.0/0", []string{"--trusted-proxy 0.0.0.0/0", "name the proxies' addresses"}},
		{"believes everybody of IPv6", "--trusted-proxy ::/0", []string{"--trusted-proxy ::/0", "name the proxies' addresses"}},
		{"believes half of everybody", "--trusted-proxy 128.0.0.0/1", []string{"--trusted-proxy 128.0.0.0/1"}},
		{"believes everybody in disguise", "--trusted-proxy ::ffff:0.0.0.0/96", []string{"--trusted-proxy ::ffff:0.0.0.0/96"}},
		{"public behind everybody", "--config CONFIG --listen 0.0.0.0:0 --trusted-proxy 0.0.0.0/0", []string{"--trusted-proxy 0.0.0.0/0"}},
		{"believes its own network", "--trusted-proxy fd00::/8", nil},
		// where clients are sent
		{"sends tokens in the clear", "--config CONFIG --base-url http://fhir.example.org", []string{"--base-url http://fhir.example.org", "write https://"}},
		{"sends tokens in the clear, public", "--config CONFIG --listen 0.0.0.0:0 --trusted-proxy 10.0.0.1 --base-url http://fhir.example.org", []string{"write https://"}},
		{"sends clients past its TLS", "--tls-cert CERT --tls-key KEY --base-url http://localhost:8080", []string{"--base-url http://localhost:8080", "write https://"}},
		{"sends clients to this machine", "--config CONFIG --base-url http://localhost:8080", nil},
		// certificates
		{"a certificate without its key", "--tls-cert CERT", []string{"--tls-key"}},
		{"a key without its certificate", "--tls-key KEY", []string{"--tls-cert"}},
		{"a key of another certificate", "--tls-cert LOOSECERT --tls-key KEY", []string{"--tls-cert", "--tls-key"}},
		{"a key that everybody reads", "--tls-cert LOOSECERT --tls-key LOOSEKEY", []string{"--tls-key", "chmod"}},
		{"two certificates", "--tls-cert CERT --tls-key KEY --acme-domain fhir.example.org --acme-accept-terms", []string{"leave one out"}},
		{"ACME without its terms", "--acme-domain fhir.example.org", []string{"--acme-accept-terms"}},
		{"ACME for nothing", "--acme-email who@example.org", []string{"--acme-domain"}},
		{"ACME for an address", "--acme-domain 192.0.2.1 --acme-accept-terms", []string{"--acme-domain 192.0.2.1"}},
		{"ACME in the clear", "--acme-domain fhir.example.org --acme-accept-terms --acme-directory http://ca.example.org", []string{"--acme-directory", "https"}},
		{"clients' certificates without TLS", "--tls-client-ca CERT", []string{"--tls-cert"}},
		// who reads what
		{"pages of everybody, nobody authenticates", "--cors-origin *", []string{"--cors-origin *", "fhirhook token create"}},
		{"pages of everybody, with tokens", "--config CONFIG --cors-origin *", nil},
		{"pages of one origin", "--cors-origin https://app.example.org", nil},
		{"pages of null", "--cors-origin null", []string{"--cors-origin null", "https://app.example.org"}},
		{"pages of any host of a domain", "--cors-origin https://*.example.org", []string{"--cors-origin https://*.example.org"}},
		{"pages of half an origin", "--cors-origin https://app.example.org/", []string{"--cors-origin https://app.example.org/"}},
		{"metrics for everybody", "--admin-listen 0.0.0.0:0", []string{"--admin-listen 0.0.0.0:0", "10.1.2.3:9090"}},
		{"metrics at a public address", "--admin-listen 203.0.113.1:0", []string{"--admin-listen 203.0.113.1:0", "administrator's token"}},
		{"metrics where all else is", "--listen 127.0.0.1:18080 --admin-listen 127.0.0.1:18080", []string{"--admin-listen", "another port"}},
		{"metrics on this machine", "--admin-listen 127.0.0.1:0", nil},
		// what lies on the disk
		{"a data folder that everybody writes", "--data LOOSE", []string{"--data", "chmod o-w"}},
		{"a master key that everybody reads", "--key-file MASTER", []string{"MASTER can be read by everybody", "chmod 600"}},
		{"an audit trail that is off and on the disk before the answer", "--audit off --audit-sync", []string{"--audit-sync", "--audit all"}},
		// where notifications go
		{"endpoints everywhere", "--allow-endpoint 0.0.0.0/0", []string{"--allow-endpoint 0.0.0.0/0", "10.20.0.0/16"}},
		{"endpoints everywhere of IPv6", "--allow-endpoint ::/0", []string{"--allow-endpoint ::/0"}},
		{"endpoints everywhere, in halves", "--allow-endpoint 0.0.0.0/1 --allow-endpoint 128.0.0.0/1", []string{"--allow-endpoint 0.0.0.0/1", "--allow-endpoint 128.0.0.0/1", "10.20.0.0/16"}},
		{"endpoints everywhere of IPv6, in parts", "--allow-endpoint fc00::/6", []string{"--allow-endpoint fc00::/6"}},
		{"endpoints in the private networks of IPv6", "--allow-endpoint fc00::/7", nil},
		{"endpoints in the clear everywhere", "--allow-http 0.0.0.0/0", []string{"--allow-http 0.0.0.0/0"}},
		{"endpoints in a network", "--allow-endpoint 10.0.0.0/8", nil},
		// limits that are none
		{"bodies without end", "--max-body 0", []string{"--max-body"}},
		{"clients that stand still", "--stall-timeout -1s", []string{"--stall-timeout"}},
		{"connections without end", "--max-connections -1", []string{"--max-connections"}},
		// several at once: each is named
		{"much", "--listen 0.0.0.0:0 --dev --trusted-proxy 0.0.0.0/0 --cors-origin * --allow-endpoint 0.0.0.0/0 --admin-listen 0.0.0.0:1", []string{"--dev", "--trusted-proxy 0", "--cors-origin *", "--allow-endpoint 0", "--admin-listen 0", "fhirhook token create"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			switch {
			case strings.Contains(tt.args, "TOKENS"):
				if code := run(t.Context(), []string{"token", "create", "--data", data, "--name", "lab", "--scope", "system/*.rs"}, &strings.Builder{}, os.Stderr); code != 0 {
					t.Fatalf("token create exits %d", code)
				}
			case strings.Contains(tt.args, "--data LOOSE"):
				if err := os.Mkdir(data, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(data, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			names := strings.NewReplacer("CONFIG", config, "LOOSECERT", looseCert, "LOOSEKEY", looseKey, "--data LOOSE", "", "--data TOKENS", "", "MASTER", masterKey, "CERT", cert, "KEY", key)
			args := append([]string{"--data", data}, strings.Fields(names.Replace(tt.args))...)
			if !strings.Contains(tt.args, "--listen ") {
				args = append(args, "--listen", "127.0.0.1:0")
			}
			code, complaint := tryServe(t, args...)
			if want := map[bool]int{true: 0, false: exitUsage}[tt.want == nil]; code != want {
				t.Errorf("exits %d, want %d: %s", code, want, complaint)
			}
			for _, word := range tt.want {
				if word = names.Replace(word); !strings.Contains(complaint, word) {
					t.Errorf("%q is not in %s", word, complaint)
				}
			}
			if tt.want != nil && !strings.Contains(tt.args, "TOKENS") && !strings.Contains(tt.args, "LOOSE") {
				if _, err := os.Stat(data); err == nil {
					t.Error("it was refused, and made the data folder all the same")
				}
			}
		})
	}
}
