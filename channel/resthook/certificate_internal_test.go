package resthook

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirhook/channel"
)

// identity is a self-signed certificate for 127.0.0.1, with its key.
type identity struct{ cert, key []byte }

func newIdentity(t *testing.T, name string) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return identity{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
}

func (i identity) pair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(i.cert, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// write replaces a file as operators' tools do: all at once.
func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	return name
}

// later makes every way look at its files with the next request.
func (n *Network) later() {
	ways := []*way{n.plain, n.https}
	for _, o := range n.origins {
		ways = append(ways, o.way)
	}
	for _, w := range ways {
		w.mu.Lock()
		w.looked = w.looked.Add(-time.Hour)
		w.mu.Unlock()
	}
}

func ping(t *testing.T, hook *Channel, endpoint string) error {
	t.Helper()
	_, err := hook.Send(t.Context(), channel.Message{Target: channel.Target{Endpoint: endpoint}, ID: "1", Event: "ping", Test: true})
	return err
}

func hookTo(t *testing.T, o NetworkOptions) (*Channel, *Network) {
	t.Helper()
	o.Policy.Dev = true
	n, err := NewNetwork(o)
	if err != nil {
		t.Fatal(err)
	}
	hook := New(Options{Network: n})
	t.Cleanup(hook.Close)
	return hook, n
}

// The certificate of an origin goes to that origin and to no other, and a new file counts without a restart; one that
// can't be used changes nothing, and is logged.
func TestNetwork_clientCertificate(t *testing.T) {
	dir := t.TempDir()
	server, first, second := newIdentity(t, "server"), newIdentity(t, "first"), newIdentity(t, "second")
	start := func() *endpointServer {
		e := newEndpoint(t, nil)
		e.TLS = &tls.Config{Certificates: []tls.Certificate{server.pair(t)}, ClientAuth: tls.RequestClientCert}
		e.StartTLS()
		return e
	}
	with, without := start(), start()
	ca := write(t, filepath.Join(dir, "ca.pem"), server.cert)
	cert, key := write(t, filepath.Join(dir, "cert.pem"), first.cert), write(t, filepath.Join(dir, "key.pem"), first.key)
	var logged bytes.Buffer
	hook, n := hookTo(t, NetworkOptions{
		CAFiles: []string{ca}, Origins: []Origin{{Origin: with.URL, ClientCert: cert, ClientKey: key}}, Log: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	shown := func(e *endpointServer) string {
		t.Helper()
		if err := ping(t, hook, e.URL); err != nil {
			t.Fatal(err)
		}
		seen := e.requests()
		if certificates := seen[len(seen)-1].TLS.PeerCertificates; len(certificates) > 0 {
			return certificates[0].Subject.CommonName
		}
		return ""
	}
	if got := shown(with); got != "first" {
		t.Errorf("shown to the origin: %q", got)
	}
	if got := shown(without); got != "" {
		t.Errorf("shown to another origin: %q", got)
	}
	write(t, cert, second.cert) // and not yet the key
	n.later()
	if got := shown(with); got != "first" || !strings.Contains(logged.String(), "certificates.unusable") {
		t.Errorf("between two files: %q, logged %s", got, logged.String())
	}
	write(t, key, second.key)
	n.later()
	if got := shown(with); got != "second" || !strings.Contains(logged.String(), "certificates.read") {
		t.Errorf("after both files: %q, logged %s", got, logged.String())
	}
	if strings.Contains(logged.String(), "PRIVATE") {
		t.Errorf("logged:\n%s", logged.String())
	}
}

// Files with authorities add to the machine's and are read again; an origin's own file stands alone.
func TestNetwork_authorities(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newIdentity(t, "ours"), newIdentity(t, "theirs")
	start := func(i identity) string {
		e := newEndpoint(t, nil)
		e.TLS = &tls.Config{Certificates: []tls.Certificate{i.pair(t)}}
		e.StartTLS()
		return e.URL
	}
	our, their, pinned := start(ours), start(theirs), start(theirs)
	ca := write(t, filepath.Join(dir, "ca.pem"), ours.cert)
	own := write(t, filepath.Join(dir, "own.pem"), ours.cert)
	hook, n := hookTo(t, NetworkOptions{CAFiles: []string{ca}, Origins: []Origin{{Origin: pinned, CAFile: own}}})
	expect := func(when, url string, known bool) {
		t.Helper()
		err := ping(t, hook, url)
		e, ok := errors.AsType[*channel.SendError](err)
		if known && err != nil || !known && (!ok || e.Class != ClassTLS) {
			t.Errorf("%s: %v, want known: %t", when, err, known)
		}
	}
	expect("the file's authority", our, true)
	expect("another authority", their, false)
	expect("an origin that is pinned to another", pinned, false)
	write(t, ca, append(append([]byte(nil), ours.cert...), theirs.cert...))
	expect("another authority, not looked at yet", their, false)
	n.later()
	expect("another authority that was added", their, true)
	expect("an origin that is still pinned", pinned, false)
	write(t, own, theirs.cert)
	n.later()
	expect("an origin that is pinned anew", pinned, true)
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	n.later()
	expect("a file that has gone", their, true)
}

func TestNewNetwork_namesEveryProblem(t *testing.T) {
	dir := t.TempDir()
	one, other := newIdentity(t, "one"), newIdentity(t, "other")
	cert, key := write(t, filepath.Join(dir, "cert.pem"), one.cert), write(t, filepath.Join(dir, "key.pem"), other.key)
	secret, empty := write(t, filepath.Join(dir, "secret"), []byte("s3cret\n")), write(t, filepath.Join(dir, "empty"), []byte("\n"))
	_, err := NewNetwork(NetworkOptions{
		CAFiles: []string{key, filepath.Join(dir, "no-such.pem")},
		Origins: []Origin{
			{Origin: "https://a.example"},
			{Origin: "https://b.example", ClientCert: cert},
			{Origin: "http://c.example", CAFile: cert},
			{Origin: "https://d.example/hook", CAFile: cert},
			{Origin: "https://user:s3cret@e.example", CAFile: cert},
			{Origin: "https://10.0.0.5", CAFile: cert},
			{Origin: "https://f.example", ClientCert: cert, ClientKey: key},
			{Origin: "https://g.example", OAuth2: &OAuth2{}},
			{Origin: "https://h.example", OAuth2: &OAuth2{TokenURL: "http://id.example/token", ClientID: "a", ClientSecretFile: empty, Scopes: []string{"a b"}}},
			{Origin: "https://i.example", OAuth2: &OAuth2{TokenURL: "https://10.0.0.6/token", ClientID: "a", ClientSecretFile: secret}},
			{Origin: "https://j.example:443", CAFile: cert},
			{Origin: "https://J.example", CAFile: cert},
			{Origin: "https://k.example", CAFile: key},
			{},
		},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{
		"--ca-file: " + key + " holds no certificate", "no-such.pem",
		"entry 1 (a.example:443): nothing is set", "entry 2 (b.example:443): client-cert and client-key belong together",
		"entry 3 (c.example:80): origin: what is set here would go out unencrypted", "entry 4 (d.example:443): origin: it is scheme, host and port",
		"entry 5 (not a URL): origin: the endpoint holds credentials", "entry 6 (10.0.0.5:443): origin: 10.0.0.5 is a private address",
		"entry 7 (f.example:443): client-cert", "entry 8 (g.example:443): oauth2: token-url is missing", "oauth2: client-id is missing", "oauth2: client-secret-file is missing",
		"entry 9 (h.example:443): oauth2: token-url: the client's secret would go out unencrypted", "must hold the secret alone", `"a b" is no scope`,
		"entry 10 (i.example:443): oauth2: token-url: 10.0.0.6 is a private address", "entry 12 (j.example:443): origin: there is an entry for it already",
		"entry 13 (k.example:443): ca-file", "entry 14 (no origin)",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q isn't named in:\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "entry 11") {
		t.Errorf("told:\n%v", err)
	}
}

func TestParseOrigins(t *testing.T) {
	got, err := ParseOrigins([]byte(`
endpoints:
  - origin: https://ris.example:8443
    client-cert: cert.pem
    client-key: key.pem
    ca-file: ca.pem
    oauth2: {token-url: https://id.example/token, client-id: ward, client-secret-file: secret, scopes: [a, b], audience: ris}
listen: 127.0.0.1:8080
`))
	if err != nil || len(got) != 1 || got[0].CAFile != "ca.pem" || got[0].OAuth2.Audience != "ris" || len(got[0].OAuth2.Scopes) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = ParseOrigins([]byte("endpoints:\n  - origin: https://a.example\n    client-secret: x\n    oauth2: {scopes: a}\n"))
	if err == nil || !strings.Contains(err.Error(), "line 3: no key client-secret is known here") || !strings.Contains(err.Error(), "line 4: `a` must be a list") {
		t.Errorf("got %v", err)
	}
	if got, err := ParseOrigins([]byte("# nothing\n")); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}
