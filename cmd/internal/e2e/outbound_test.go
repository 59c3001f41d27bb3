package e2e_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/cmd/internal/app"
)

// TestServer_endpointsWithTokensThroughAProxy lets the server meet an endpoint as hospital networks want it: through a
// forward proxy, by a private authority, with a token by client credentials. Neither token, client secret nor the
// proxy's password is told by anything that the server says.
func TestServer_endpointsWithTokensThroughAProxy(t *testing.T) {
	const client, pass, word = "client-s3cret", "proxy-s3cret", "tkn-s3cret"
	seen := make(chan *http.Request, 64) // requests at the endpoint; never closed
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			_, secret, _ := r.BasicAuth()
			w.Header().Set("Content-Type", "application/json")
			if secret != client {
				w.WriteHeader(http.StatusUnauthorized)
			}
			fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, word)
			return
		}
		seen <- r
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "you sent %s", r.Header.Get("Authorization"))
	}))
	t.Cleanup(endpoint.Close)
	proxy, asked := newTunnel(t)

	dir := t.TempDir()
	file := func(name string, text []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	p := start(t, t.TempDir(), func(o *app.Options) {
		o.CAFiles = []string{file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: endpoint.Certificate().Raw}))}
		o.Proxy, o.ProxyAuthFile = "http://"+proxy, file("proxy", []byte("ward:"+pass))
		o.DenyEndpoints = []string{"192.0.2.0/24", "closed.example"}
		o.Endpoints = []resthook.Origin{{Origin: endpoint.URL, OAuth2: &resthook.OAuth2{
			TokenURL: endpoint.URL + "/token", ClientID: "ward", ClientSecretFile: file("secret", []byte(client+"\n")),
		}}}
	})
	subscription := func(endpoint, header string) string {
		return fmt.Sprintf(`{"resourceType":"Subscription","status":"requested","reason":"r","criteria":"Observation",
			"channel":{"type":"rest-hook","endpoint":%q,"payload":"application/fhir+json","header":[%q]}}`, endpoint, header)
	}
	for _, tt := range []struct{ endpoint, header, words, at string }{
		{endpoint.URL + "/hook", "Authorization: Bearer mine", "remove that line", "Subscription.channel.header[0]"},
		{"https://closed.example/hook", "X-A: 1", "closed.example is closed by the operator", "Subscription.channel.endpoint"},
		{"https://192.0.2.7/hook", "X-A: 1", "192.0.2.7 is closed by the operator", "Subscription.channel.endpoint"},
		{"https://10.0.0.5/hook", "X-A: 1", "--allow-endpoint 10.0.0.5/32", "Subscription.channel.endpoint"},
		{"https://93.184.216.34:25/hook", "X-A: 1", "port 25 is that of mail", "Subscription.channel.endpoint"},
	} {
		refused := string(p.must(http.StatusUnprocessableEntity, http.MethodPost, "/Subscription", subscription(tt.endpoint, tt.header)).body)
		if !strings.Contains(refused, tt.words) || !strings.Contains(refused, tt.at) || strings.Contains(refused, "mine") {
			t.Errorf("%s is refused with %s", tt.endpoint, refused)
		}
	}

	id := p.create("Subscription", subscription(endpoint.URL+"/hook", "X-A: 1"))
	p.create("Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`)
	select {
	case r := <-seen:
		if got := r.Header.Get("Authorization"); got != "Bearer "+word {
			t.Errorf("the endpoint got %q", got)
		}
	case <-time.After(patient):
		t.Fatalf("nothing arrived; %s", p.must(http.StatusOK, http.MethodGet, "/Subscription/"+id+"/$deliveries", "").body)
	}
	told := string(p.must(http.StatusOK, http.MethodPost, "/Subscription/"+id+"/$ping", "").body)
	told += string(p.must(http.StatusOK, http.MethodGet, "/Subscription/"+id+"/$deliveries", "").body)
	told += string(p.must(http.StatusOK, http.MethodGet, "/Subscription/"+id, "").body)
	if !strings.Contains(told, "you sent ********") {
		t.Errorf("the reply is not kept: %s", told)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	told += p.log.String()
	for _, secret := range []string{client, pass, word, "d2FyZD"} { // the last is how the proxy's credentials travel
		if strings.Contains(told, secret) {
			t.Errorf("%s is told in %s", secret, told)
		}
	}
	if got := asked(); !strings.HasPrefix(got, "CONNECT "+strings.TrimPrefix(endpoint.URL, "https://")+" HTTP/1.1\r\n") || !strings.Contains(got, "Proxy-Authorization: Basic d2FyZDpwcm94eS1zM2NyZXQ=\r\n") {
		t.Errorf("the proxy was asked\n%s", got)
	}
}

// newTunnel is a forward proxy that makes every tunnel it is asked for. asked is how it was asked first.
func newTunnel(t *testing.T) (addr string, asked func() string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards first and conns
	var first string
	var conns []net.Conn
	var serving sync.WaitGroup
	keep := func(conn net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, conn)
	}
	serve := func(here net.Conn) {
		defer here.Close()
		var head []byte
		for b := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, b...) {
			if _, err := io.ReadFull(here, b); err != nil {
				return
			}
		}
		mu.Lock()
		if first == "" {
			first = string(head)
		}
		mu.Unlock()
		there, err := net.Dial("tcp", strings.Fields(string(head))[1])
		if err != nil {
			return
		}
		defer there.Close()
		keep(there)
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		serving.Go(func() { // ends when either end is closed
			_, _ = io.Copy(here, there)
			here.Close()
		})
		_, _ = io.Copy(there, here)
	}
	serving.Go(func() { // ends when the listener is closed
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			keep(conn)
			serving.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return l.Addr().String(), func() string {
		mu.Lock()
		defer mu.Unlock()
		return first
	}
}
