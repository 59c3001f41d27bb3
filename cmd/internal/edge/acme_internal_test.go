package edge

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/crypto/acme"
)

// directory is an ACME authority (RFC 8555) as far as one account and one order a time need it. It validates by
// tls-alpn-01 (RFC 8737) at one address, whatever the name.
type directory struct {
	*httptest.Server
	t    *testing.T
	ca   *issuer
	addr func() string // where the names are

	mu     sync.Mutex // guards what follows
	name   string     // that is ordered
	proved bool
	issued int64
	chain  []byte
	did    []string
}

func newDirectory(t *testing.T, ca *issuer, addr func() string) *directory {
	t.Helper()
	d := &directory{t: t, ca: ca, addr: addr}
	d.Server = httptest.NewTLSServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	w.Header().Set("Replay-Nonce", base64.RawURLEncoding.EncodeToString(nonce))
	var jws struct{ Payload string }
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&jws); err != nil {
			d.t.Errorf("%s: %v", r.URL, err)
		}
	}
	payload, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	d.did = append(d.did, r.URL.Path)
	switch r.URL.Path {
	case "/":
		d.answer(w, http.StatusOK, map[string]any{"newNonce": d.URL + "/nonce", "newAccount": d.URL + "/account", "newOrder": d.URL + "/orders"})
	case "/nonce":
	case "/account":
		w.Header().Set("Location", d.URL+"/account/1")
		d.answer(w, http.StatusCreated, map[string]any{"status": "valid"})
	case "/orders":
		var order struct{ Identifiers []struct{ Value string } }
		if err := json.Unmarshal(payload, &order); err != nil || len(order.Identifiers) != 1 {
			d.t.Errorf("order %s: %v", payload, err)
			return
		}
		d.name, d.proved, d.chain = order.Identifiers[0].Value, false, nil
		w.Header().Set("Location", d.URL+"/order")
		d.answer(w, http.StatusCreated, d.order())
	case "/order":
		d.answer(w, http.StatusOK, d.order())
	case "/authorization":
		d.answer(w, http.StatusOK, d.authorization())
	case "/challenge":
		d.validate()
		d.answer(w, http.StatusOK, d.authorization()["challenges"].([]any)[0])
	case "/finalize":
		d.finalize(payload)
		d.answer(w, http.StatusOK, d.order())
	case "/certificate":
		_, _ = w.Write(d.chain)
	default:
		http.NotFound(w, r)
	}
}

func (d *directory) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (d *directory) order() map[string]any {
	o := map[string]any{
		"status": "pending", "identifiers": []any{map[string]any{"type": "dns", "value": d.name}},
		"authorizations": []any{d.URL + "/authorization"}, "finalize": d.URL + "/finalize",
	}
	switch {
	case d.chain != nil:
		o["status"], o["certificate"] = "valid", d.URL+"/certificate"
	case d.proved:
		o["status"] = "ready"
	}
	return o
}

func (d *directory) authorization() map[string]any {
	status := "pending"
	if d.proved {
		status = "valid"
	}
	return map[string]any{
		"status": status, "identifier": map[string]any{"type": "dns", "value": d.name},
		"challenges": []any{map[string]any{"type": "tls-alpn-01", "url": d.URL + "/challenge", "status": status, "token": "a-token"}},
	}
}

// validate asks the server at the name for the certificate that proves it (RFC 8737 section 3).
func (d *directory) validate() {
	conn, err := tls.Dial("tcp", d.addr(), &tls.Config{ServerName: d.name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true}) //nolint:gosec // the certificate is its own proof
	if err != nil {
		d.t.Errorf("tls-alpn-01: %v", err)
		return
	}
	defer conn.Close()
	leaf := conn.ConnectionState().PeerCertificates[0]
	d.proved = conn.ConnectionState().NegotiatedProtocol == acme.ALPNProto && slices.Equal(leaf.DNSNames, []string{d.name}) &&
		slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Critical && e.Id.String() == "1.3.6.1.5.5.7.1.31" })
	if !d.proved {
		d.t.Errorf("tls-alpn-01: a certificate for %v by %q", leaf.DNSNames, conn.ConnectionState().NegotiatedProtocol)
	}
}

func (d *directory) finalize(payload []byte) {
	var body struct{ CSR string }
	if err := json.Unmarshal(payload, &body); err != nil {
		d.t.Error(err)
	}
	der, _ := base64.RawURLEncoding.DecodeString(body.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || !d.proved {
		d.t.Errorf("finalize: proved %t, %v", d.proved, err)
		return
	}
	d.issued++
	d.chain = d.ca.sign(d.t, 100+d.issued, csr.PublicKey, csr.DNSNames)
}

// TestServer_getsItsCertificateByACME starts with nothing, proves its name, and has a certificate before a client came; the next
// start takes it from the folder.
func TestServer_getsItsCertificateByACME(t *testing.T) {
	const name = "fhir.example.org"
	ca, cache := newIssuer(t), t.TempDir()
	var addr string
	authority := newDirectory(t, ca, func() string { return addr })
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	write(t, caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw}))
	options := Options{TLS: TLS{ACME: ACME{
		Domains: []string{name}, Email: "who@example.org", Cache: cache, Directory: authority.URL, CA: caFile, AcceptTerms: true,
	}}}
	if err := options.TLS.Check(); err != nil {
		t.Fatal(err)
	}
	client := ca.client(t)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	client.Transport.(*http.Transport).DialContext = dial
	for start := range 2 {
		s, err := New(options, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		if err != nil {
			t.Fatal(err)
		}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String()
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(l) }() // stops at Close
		s.authority.fetch(t.Context())
		response, err := get(t, client, "https://"+name)
		if err != nil {
			t.Fatalf("start %d: %v", start, err)
		}
		if serial := response.TLS.PeerCertificates[0].SerialNumber.Int64(); serial != 101 {
			t.Errorf("start %d: certificate %d", start, serial)
		}
		if _, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "other.example.org", RootCAs: ca.pool, MinVersion: tls.VersionTLS12}); err == nil {
			t.Error("a certificate for a name that is not ours")
		}
		_ = s.Close()
		<-ended
	}
	authority.mu.Lock()
	defer authority.mu.Unlock()
	if authority.issued != 1 {
		t.Errorf("%d certificates were issued: %v", authority.issued, authority.did)
	}
	entries, err := os.ReadDir(cache)
	if err != nil || len(entries) < 2 {
		t.Errorf("the cache holds %v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v, %v", e.Name(), info.Mode(), err)
		}
	}
}
