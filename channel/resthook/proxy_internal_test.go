package resthook

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirhook/channel"
)

// proxyServer is a forward proxy that leads every tunnel to one place, and remembers what it was asked.
type proxyServer struct {
	listener net.Listener
	answer   string // instead of a tunnel
	to       string // where tunnels end

	mu    sync.Mutex // guards asked and conns
	asked []*http.Request
	conns []net.Conn
}

func newProxy(t *testing.T) *proxyServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxyServer{listener: l}
	p.start(t, l)
	return p
}

func (p *proxyServer) start(t *testing.T, l net.Listener) {
	var serving sync.WaitGroup
	serving.Go(func() { // ends when the listener is closed
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, conn)
			p.mu.Unlock()
			serving.Go(func() { p.serve(conn) }) // ends when the connection is closed
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			conn.Close()
		}
		p.mu.Unlock()
		serving.Wait()
	})
}

// forbid makes the proxy refuse everything.
func (p *proxyServer) forbid() { p.answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" }

func (p *proxyServer) serve(conn net.Conn) {
	defer conn.Close()
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r)
	answer, to := p.answer, p.to
	p.mu.Unlock()
	if answer != "" {
		_, _ = io.WriteString(conn, answer)
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	there, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer there.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { // ends with there
		_, _ = io.Copy(conn, there)
		conn.Close()
	}()
	_, _ = io.Copy(there, conn)
}

func (p *proxyServer) proxy(t *testing.T, credentials string) *Proxy {
	t.Helper()
	proxy, err := ParseProxy("http://"+p.listener.Addr().String(), credentials)
	if err != nil {
		t.Fatal(err)
	}
	return proxy
}

// requests are what it was asked, each as method and target.
func (p *proxyServer) requests() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, r := range p.asked {
		all = append(all, r.Method+" "+r.RequestURI)
	}
	return strings.Join(all, ", ")
}

// endpointServer is a receiver that speaks TLS as example.com, and remembers requests.
type endpointServer struct {
	*httptest.Server
	mu   sync.Mutex // guards seen
	seen []*http.Request
}

func newEndpoint(t *testing.T, handle http.HandlerFunc) *endpointServer {
	t.Helper()
	e := &endpointServer{}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.seen = append(e.seen, r)
		e.mu.Unlock()
		if handle != nil {
			handle(w, r)
		}
	}))
	e.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(e.Close)
	return e
}

func (e *endpointServer) requests() []*http.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen
}

func (e *endpointServer) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(e.Certificate())
	return pool
}

func send(t *testing.T, o NetworkOptions, target channel.Target) (channel.Reply, error) {
	t.Helper()
	n, err := NewNetwork(o)
	if err != nil {
		t.Fatal(err)
	}
	hook := New(Options{Network: n})
	defer hook.Close()
	return hook.Send(t.Context(), channel.Message{Target: target, ID: "1", Event: "ping", Test: true})
}

// The proxy is told the address that was judged, and the endpoint the name: neither can be exchanged for another.
func TestProxy_isToldTheJudgedAddress(t *testing.T) {
	e := newEndpoint(t, nil)
	e.StartTLS()
	p := newProxy(t)
	p.to = e.Listener.Addr().String()
	z := newZone(map[string][]string{"example.com": {"2606:2800:220:1::1 10.0.0.5 93.184.216.34"}})
	o := NetworkOptions{Resolver: z.resolver(), Proxy: p.proxy(t, "ward:s3cret:pass"), RootCAs: e.roots()}
	if _, err := send(t, o, channel.Target{Endpoint: "https://example.com/hook"}); err != nil {
		t.Fatal(err)
	}
	if got := p.requests(); got != "CONNECT 93.184.216.34:443" {
		t.Errorf("the proxy was asked: %s", got)
	}
	name, pass, ok := (&http.Request{Header: http.Header{"Authorization": p.asked[0].Header["Proxy-Authorization"]}}).BasicAuth()
	if !ok || name != "ward" || pass != "s3cret:pass" {
		t.Errorf("the proxy was given %q, %q", name, pass)
	}
	r := e.requests()[0]
	if r.Host != "example.com" || r.TLS.ServerName != "example.com" || r.Header.Get("Proxy-Authorization") != "" {
		t.Errorf("the endpoint was asked as %s, by TLS as %s, with %v", r.Host, r.TLS.ServerName, r.Header)
	}
}

func TestProxy_tunnelsHTTPToo(t *testing.T) {
	e := newEndpoint(t, nil)
	e.Start()
	p := newProxy(t)
	p.to = e.Listener.Addr().String()
	z := newZone(map[string][]string{"ris.example": {"10.0.0.5"}})
	o := NetworkOptions{Policy: opening{allow: "ris.example", http: "ris.example"}.policy(t), Resolver: z.resolver(), Proxy: p.proxy(t, "")}
	if _, err := send(t, o, channel.Target{Endpoint: "http://ris.example/hook"}); err != nil {
		t.Fatal(err)
	}
	if got := p.requests(); got != "CONNECT 10.0.0.5:80" {
		t.Errorf("the proxy was asked: %s", got)
	}
}

// The proxy may be reached by TLS, with a certificate of a private authority.
func TestProxy_byTLS(t *testing.T) {
	e := newEndpoint(t, nil)
	e.StartTLS()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: e.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxyServer{listener: l, to: e.Listener.Addr().String()}
	p.start(t, l)
	proxy, err := ParseProxy("https://"+l.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	target := channel.Target{Endpoint: "https://93.184.216.34/hook"}
	_, err = send(t, NetworkOptions{Proxy: proxy, CAFiles: []string{ca}}, target)
	if f, ok := errors.AsType[*channel.SendError](err); !ok || f.Class != ClassTLS || p.requests() != "CONNECT 93.184.216.34:443" {
		t.Errorf("%v, and the proxy was asked %q", err, p.requests()) // the receiver's certificate is for another address
	}
	_, err = send(t, NetworkOptions{Proxy: proxy}, target)
	if f, ok := errors.AsType[*channel.SendError](err); !ok || f.Class != ClassProxy || !strings.Contains(f.Hint, "authority") {
		t.Errorf("a proxy without a known certificate: %v", err)
	}
}

func TestProxy_failures(t *testing.T) {
	tests := []struct{ name, answer, addresses, class, hint, asked string }{
		{"no credentials", "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "93.184.216.34", ClassProxy, "--proxy-auth-file", "CONNECT 93.184.216.34:443"},
		{"forbidden", "HTTP/1.1 403 Forbidden\r\n\r\n", "93.184.216.34 93.184.216.35", ClassProxy, "403", "CONNECT 93.184.216.34:443"},
		{"no way, and another address", "HTTP/1.1 502 Bad Gateway\r\n\r\n", "93.184.216.34 93.184.216.35", ClassProxy, "no way", "CONNECT 93.184.216.34:443, CONNECT 93.184.216.35:443"},
		{"redirect", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "93.184.216.34", ClassProxy, "302", "CONNECT 93.184.216.34:443"},
		{"not HTTP", "SSH-2.0-x\r\n", "93.184.216.34", ClassProxy, "is it a proxy", "CONNECT 93.184.216.34:443"},
		{"endless header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), "93.184.216.34", ClassProxy, "is it a proxy", "CONNECT 93.184.216.34:443"},
		{"speaks before it is asked", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "93.184.216.34", ClassProxy, "before it was asked", "CONNECT 93.184.216.34:443"},
		{"says nothing", "HTTP/1.1 200 OK\r\n", "93.184.216.34", ClassTimeoutConnect, "in time", "CONNECT 93.184.216.34:443"},
		{"private", "HTTP/1.1 200 OK\r\n\r\n", "10.0.0.5", ClassBlocked, "10.0.0.5", ""},
		{"no such name", "HTTP/1.1 200 OK\r\n\r\n", "", ClassDNS, "no address", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxy(t)
			p.answer = tt.answer
			z := newZone(map[string][]string{"example.com": {tt.addresses}})
			o := NetworkOptions{Resolver: z.resolver(), Proxy: p.proxy(t, "ward:s3cret")}
			timeout := time.Minute
			if tt.class == ClassTimeoutConnect {
				t.Parallel()
				timeout = 5 * time.Second // in which at least the proxy is asked
			}
			_, err := send(t, o, channel.Target{Endpoint: "https://example.com/hook", Timeout: timeout})
			e, ok := errors.AsType[*channel.SendError](err)
			if !ok || e.Class != tt.class || !strings.Contains(e.Hint, tt.hint) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "d2FyZ") {
				t.Errorf("got %v, want %s with %q", err, tt.class, tt.hint)
			}
			if got := p.requests(); got != tt.asked {
				t.Errorf("the proxy was asked %q, want %q", got, tt.asked)
			}
		})
	}
}

func TestProxy_isNotThere(t *testing.T) {
	p := newProxy(t)
	p.listener.Close()
	_, err := send(t, NetworkOptions{Proxy: p.proxy(t, "")}, channel.Target{Endpoint: "https://93.184.216.34/hook"})
	if e, ok := errors.AsType[*channel.SendError](err); !ok || e.Class != ClassProxy || !strings.Contains(e.Hint, "--proxy") {
		t.Errorf("got %v", err)
	}
}

func TestParseProxy(t *testing.T) {
	tests := []struct{ url, credentials, bad string }{
		{"http://proxy.example:3128", "", ""},
		{"https://proxy.example", "a:b", ""},
		{"http://10.0.0.1:3128/", "a:", ""},
		{"http://[fd12::1]:3128", "", ""},
		{"proxy.example:3128", "", "as in http://"},
		{"socks5://proxy.example:1080", "", "as in http://"},
		{"http://", "", "as in http://"},
		{"", "", "as in http://"},
		{"http://a:s3cret@proxy.example", "", "--proxy-auth-file"},
		{"http://proxy.example/path", "", "neither path"},
		{"http://proxy.example?x=s3cret", "", "neither path"},
		{"http://proxy.example", "s3cret", "name:password"},
		{"http://proxy.example", ":s3cret", "name:password"},
		{"http://proxy.example", "a:s3cret\nX: y", "name:password"},
	}
	for _, tt := range tests {
		_, err := ParseProxy(tt.url, tt.credentials)
		switch {
		case tt.bad == "" && err != nil:
			t.Errorf("%s: %v", tt.url, err)
		case tt.bad != "" && (err == nil || !strings.Contains(err.Error(), tt.bad) || strings.Contains(err.Error(), "s3cret")):
			t.Errorf("%s: %v, want %q", tt.url, err, tt.bad)
		}
	}
}
