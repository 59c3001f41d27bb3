package resthook

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Proxy is the forward proxy through which all requests leave. It is asked for tunnels (CONNECT) to addresses that
// were judged before, for http endpoints as well, so that it can neither see nor change where a request goes.
type Proxy struct {
	address string // host:port
	host    string // for its certificate
	secure  bool   // talk to the proxy itself by TLS
	login   string // Proxy-Authorization; "": none
}

// ParseProxy reads the proxy's URL, as in http://proxy.example:3128, and its credentials, as in name:password, ""
// for none. Errors never quote credentials.
func ParseProxy(raw, credentials string) (*Proxy, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("must be the proxy's URL, as in http://proxy.example:3128")
	case u.User != nil:
		return nil, errors.New("the URL holds credentials, and command lines and logs are read by others: put them into a file, and name it with --proxy-auth-file")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("a proxy's URL has neither path nor query, as in http://proxy.example:3128")
	}
	p := &Proxy{host: u.Hostname(), secure: u.Scheme == "https"}
	port := u.Port()
	switch {
	case port == "" && p.secure:
		port = "443"
	case port == "":
		port = "80"
	}
	p.address = net.JoinHostPort(p.host, port)
	if credentials == "" {
		return p, nil
	}
	name, _, ok := strings.Cut(credentials, ":")
	if !ok || name == "" || hasControl(credentials) {
		return nil, errors.New("its credentials must be one line, as in name:password")
	}
	p.login = "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
	return p, nil
}

// tunnel makes connections through a Proxy.
type tunnel struct {
	*Proxy
	roots *x509.CertPool // for an https proxy
}

// mostProxyReply bounds what a proxy answers to CONNECT.
const mostProxyReply = 16 << 10

// proxyError is a failure that is the proxy's, not the endpoint's.
type proxyError struct {
	hint   string
	status int // 0: no answer
	err    error
}

func (e *proxyError) Error() string { return e.hint }
func (e *proxyError) Unwrap() error { return e.err }

// another tells whether another address of the same name may be worth a try.
func (e *proxyError) another() bool { return e.status >= 500 }

// connect opens a tunnel to an address.
func (t *tunnel) connect(ctx context.Context, to netip.AddrPort) (net.Conn, *proxyError) {
	conn, err := t.open(ctx)
	if err != nil {
		return nil, &proxyError{hint: "no connection to the forward proxy (--proxy): " + classify(err, connecting).hint, err: ended(err)}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a past deadline ends what waits
	failure := t.ask(conn, to)
	if !stop() && failure == nil {
		failure = &proxyError{hint: slowProxy, err: context.Cause(ctx)}
	}
	if failure != nil {
		_ = conn.Close() // the failure is told already
		return nil, failure
	}
	return conn, nil
}

const slowProxy = "the forward proxy (--proxy) didn't answer in time"

// ended keeps of an error only that time was up, or that somebody stopped.
func ended(err error) error {
	for _, e := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return e
		}
	}
	return nil
}

func (t *tunnel) open(ctx context.Context) (net.Conn, error) {
	nd := net.Dialer{KeepAlive: 15 * time.Second}
	conn, err := nd.DialContext(ctx, "tcp", t.address)
	if err != nil || !t.secure {
		return conn, err
	}
	secured := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.roots, ServerName: t.host})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error says more
		return nil, err
	}
	return secured, nil
}

func (t *tunnel) ask(conn net.Conn, to netip.AddrPort) *proxyError {
	var request strings.Builder
	fmt.Fprintf(&request, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\nUser-Agent: %s\r\n", to, Product)
	if t.login != "" {
		fmt.Fprintf(&request, "Proxy-Authorization: %s\r\n", t.login)
	}
	request.WriteString("\r\n")
	if _, err := io.WriteString(conn, request.String()); err != nil {
		return &proxyError{hint: "the forward proxy (--proxy) broke off: " + classify(err, connected).hint}
	}
	reader := bufio.NewReader(io.LimitReader(conn, mostProxyReply))
	reply, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // the connection is the body
	switch {
	case err != nil && timeout(err):
		return &proxyError{hint: slowProxy, err: context.DeadlineExceeded}
	case err != nil:
		return &proxyError{hint: "the forward proxy (--proxy) gave no HTTP answer; is it a proxy?"}
	case reply.StatusCode == http.StatusProxyAuthRequired:
		return &proxyError{hint: "the forward proxy answered 407: it wants credentials, which --proxy-auth-file names", status: reply.StatusCode}
	case reply.StatusCode/100 == 5:
		return &proxyError{hint: fmt.Sprintf("the forward proxy answered %d: it found no way to the endpoint", reply.StatusCode), status: reply.StatusCode}
	case reply.StatusCode/100 != 2:
		return &proxyError{hint: fmt.Sprintf("the forward proxy answered %d: it doesn't let this server reach %s", reply.StatusCode, to), status: reply.StatusCode}
	case reader.Buffered() > 0:
		return &proxyError{hint: "the forward proxy (--proxy) sent something before it was asked for it", status: reply.StatusCode}
	default:
		return nil
	}
}
