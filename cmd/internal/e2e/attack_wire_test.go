package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fhirhook/cmd/internal/app"
)

// wire is a way to a server for bytes that no HTTP client would send.
type wire struct {
	addr string
	tls  *tls.Config // nil: in the clear
}

func (p *process) wire(config *tls.Config) wire {
	u, err := url.Parse(p.base)
	if err != nil {
		p.t.Fatal(err)
	}
	return wire{u.Host, config}
}

func (w wire) dial(t testing.TB) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	if w.tls != nil {
		c, err = (&tls.Dialer{Config: w.tls}).DialContext(t.Context(), "tcp", w.addr)
	} else {
		c, err = new(net.Dialer).DialContext(t.Context(), "tcp", w.addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patient)); err != nil {
		t.Fatal(err)
	}
	return c
}

// exchange sends bytes and returns what comes back until the server closes. A reset ends it too.
func (w wire) exchange(t testing.TB, sent string) string {
	t.Helper()
	c := w.dial(t)
	_, _ = io.WriteString(c, sent) // the server may have closed by then
	var got bytes.Buffer
	if _, err := got.ReadFrom(c); err != nil && os.IsTimeout(err) {
		t.Errorf("the connection is still open after %q; it answered %q", clip(sent), clip(got.String()))
	}
	return got.String()
}

func clip(s string) string { return s[:min(len(s), 300)] }

var statusLine = regexp.MustCompile(`HTTP/1\.[01] (\d{3}) `)

// answered are those of all answers in what a server sent.
func answered(got string) (found []string) {
	for _, m := range statusLine.FindAllStringSubmatch(got, -1) {
		found = append(found, m[1])
	}
	return found
}

// ownCertificate makes a certificate for loopback, and a configuration of clients that trust it.
func ownCertificate(t testing.TB) (certFile, keyFile string, client *tls.Config) {
	t.Helper()
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
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	client = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	client.RootCAs.AddCert(cert)
	return certFile, keyFile, client
}

// smuggling are requests that two readers may cut differently. Each is followed by a whole request that must not be carried out; %s
// is that request, and %x its length in hexadecimal where a chunk holds it.
var smuggling = []struct{ name, head, body string }{
	{"CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"},
	{"TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "1\r\nx\r\n0\r\n\r\n"},
	{"TE and CL 0", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n"},
	{"TE.TE second unknown", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"},
	{"TE.TE twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"},
	{"TE xchunked", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"},
	{"TE list", "Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n"},
	{"TE space before colon", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n"},
	{"TE tab before colon", "Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"},
	{"TE vertical tab", "Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n"},
	{"TE form feed", "Transfer-Encoding: chunked\x0c\r\n", "0\r\n\r\n"},
	{"TE NUL", "Transfer-Encoding: chunked\x00\r\n", "0\r\n\r\n"},
	{"TE quoted", "Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"},
	{"TE with a parameter", "Transfer-Encoding: chunked;x=y\r\n", "0\r\n\r\n"},
	{"TE folded", "Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"},
	{"TE behind a folded line", "X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"},
	{"TE behind a bare CR", "X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"},
	{"TE behind a bare LF", "X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"},
	{"first line indented", " X: y\r\nContent-Length: 0\r\n", ""},
	{"CL twice the same", "Content-Length: 0\r\nContent-Length: 0\r\n", ""},
	{"CL twice different", "Content-Length: 0\r\nContent-Length: 5\r\n", "hello"},
	{"CL list", "Content-Length: 0, 0\r\n", ""},
	{"CL negative", "Content-Length: -1\r\n", ""},
	{"CL plus", "Content-Length: +0\r\n", ""},
	{"CL hexadecimal", "Content-Length: 0x0\r\n", ""},
	{"CL too large", "Content-Length: 18446744073709551616\r\n", ""},
	{"CL with a space inside", "Content-Length: 0 0\r\n", ""},
	{"CL empty", "Content-Length:\r\n", ""},
	{"CL in Arabic digits", "Content-Length: ٠\r\n", ""},
	{"CL space before colon", "Content-Length : 0\r\n", ""},
	{"CL underscore", "Content_Length: 3\r\nContent-Length: 0\r\nContent-Length: 3\r\n", "abc"},
	{"bare LF ends the head", "Content-Length: 0\r\nX: y\n\n", ""},
	{"bare LF in the head", "Content-Length: 0\nX: y\r\n", ""},
	{"bare CR in the head", "Content-Length: 0\rX: y\r\n", ""},
	{"NUL in a name", "X\x00Y: z\r\nContent-Length: 0\r\n", ""},
	{"NUL in a value", "X: y\x00z\r\nContent-Length: 0\r\n", ""},
	{"no colon", "Content-Length 0\r\n", ""},
	{"no name", ": 0\r\nContent-Length: 0\r\n", ""},
	{"Host twice", "Host: localhost\r\nContent-Length: 0\r\n", ""},
	{"chunk size negative", "Transfer-Encoding: chunked\r\n", "-1\r\nx\r\n0\r\n\r\n"},
	{"chunk size plus", "Transfer-Encoding: chunked\r\n", "+1\r\nx\r\n0\r\n\r\n"},
	{"chunk size 0x", "Transfer-Encoding: chunked\r\n", "0x1\r\nx\r\n0\r\n\r\n"},
	{"chunk size overflows", "Transfer-Encoding: chunked\r\n", "10000000000000001\r\nx\r\n0\r\n\r\n"},
	{"chunk size with a space", "Transfer-Encoding: chunked\r\n", "1 \r\nx\r\n0\r\n\r\n"},
	{"chunk size underscore", "Transfer-Encoding: chunked\r\n", "0_1\r\nx\r\n0\r\n\r\n"},
	{"chunk size empty", "Transfer-Encoding: chunked\r\n", "\r\nx\r\n0\r\n\r\n"},
	{"chunk size ends with LF", "Transfer-Encoding: chunked\r\n", "1\nx\r\n0\r\n\r\n"},
	{"chunk data without CRLF", "Transfer-Encoding: chunked\r\n", "1\r\nxx0\r\n\r\n"},
	{"chunk data ends with LF", "Transfer-Encoding: chunked\r\n", "1\r\nx\n0\r\n\r\n"},
	{"chunk extension holds LF", "Transfer-Encoding: chunked\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n"},
	{"chunk extension holds CR", "Transfer-Encoding: chunked\r\n", "1;a\rb\r\nx\r\n0\r\n\r\n"},
	{"chunk extension holds NUL", "Transfer-Encoding: chunked\r\n", "1;a\x00\r\nx\r\n0\r\n\r\n"},
	{"chunk extension too long", "Transfer-Encoding: chunked\r\n", "1;" + strings.Repeat("a", 1000) + "\r\nx\r\n0\r\n\r\n"},
	{"trailer Content-Length", "Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 5\r\n\r\n"},
	{"trailer Transfer-Encoding", "Transfer-Encoding: chunked\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{"trailer Host", "Transfer-Encoding: chunked\r\n", "0\r\nHost: elsewhere\r\n\r\n"},
	{"trailer folded", "Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n z\r\n\r\n"},
	{"trailer ends with LF", "Transfer-Encoding: chunked\r\n", "0\r\nX: y\n\n"},
}

// requestLines are request lines that two readers may understand differently.
var requestLines = []struct{ name, line string }{
	{"absolute form of another host", "GET http://elsewhere.example/fhir/R4/metadata HTTP/1.1"},
	{"absolute form of another scheme", "GET file:///etc/passwd HTTP/1.1"},
	{"absolute form with a user", "GET http://user@HOST/fhir/R4/metadata HTTP/1.1"},
	{"fragment", "GET /fhir/R4/metadata#x HTTP/1.1"},
	{"space in the target", "GET /fhir/R4/metadata x HTTP/1.1"},
	{"two spaces", "GET  /fhir/R4/metadata HTTP/1.1"},
	{"tab", "GET\t/fhir/R4/metadata\tHTTP/1.1"},
	{"NUL in the target", "GET /fhir/R4/metadata\x00 HTTP/1.1"},
	{"bare CR in the line", "GET /fhir/R4/metadata\rX HTTP/1.1"},
	{"backslash", "GET \\fhir\\R4\\metadata HTTP/1.1"},
	{"relative", "GET fhir/R4/metadata HTTP/1.1"},
	{"CONNECT", "CONNECT elsewhere.example:443 HTTP/1.1"},
	{"HTTP/0.9", "GET /fhir/R4/metadata"},
	{"HTTP/1.2", "GET /fhir/R4/metadata HTTP/1.2"},
	{"HTTP/2 in the clear", "PRI * HTTP/2.0"},
	{"lower-case version", "GET /fhir/R4/metadata http/1.1"},
	{"malformed method", "G(T /fhir/R4/metadata HTTP/1.1"},
	{"empty line first", "\r\nGET /fhir/R4/metadata HTTP/1.1"},
	{"space first", " GET /fhir/R4/metadata HTTP/1.1"},
}

// TestAttack_smuggling hides a write behind a request: it must not be carried out, and the connection must end with the answer
// to the first, in the clear and within TLS.
func TestAttack_smuggling(t *testing.T) {
	t.Parallel()
	cert, key, client := ownCertificate(t)
	plain := start(t, t.TempDir())
	secure := start(t, t.TempDir(), func(o *app.Options) { o.TLS.Cert, o.TLS.Key = cert, key })
	for over, w := range map[string]wire{"clear": plain.wire(nil), "tls": secure.wire(client)} {
		hidden := func(id string) string {
			body := fmt.Sprintf(`{"resourceType":"Patient","id":%q}`, id)
			return fmt.Sprintf("PUT /fhir/R4/Patient/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/fhir+json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", id, w.addr, len(body), body)
		}
		stored := func(id string) bool {
			got := w.exchange(t, fmt.Sprintf("GET /fhir/R4/Patient/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", id, w.addr))
			return strings.HasPrefix(got, "HTTP/1.1 200 ")
		}
		got := w.exchange(t, fmt.Sprintf("POST /fhir/R4/Patient/_search HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", w.addr)+hidden("pipelined"))
		if found := answered(got); len(found) != 2 || !stored("pipelined") {
			t.Fatalf("%s: a request behind a well-formed one is not carried out, so the cases below prove nothing: %q", over, got)
		}
		refused := func(t *testing.T, id, sent string) {
			t.Helper()
			got := w.exchange(t, sent+hidden(id))
			found := answered(got)
			if len(found) > 1 || len(found) == 1 && found[0][0] != '4' {
				t.Errorf("answered %v: %q", found, clip(got))
			}
			if stored(id) {
				t.Error("the hidden request was carried out")
			}
		}
		for i, c := range smuggling {
			t.Run(over+"/"+c.name, func(t *testing.T) {
				refused(t, fmt.Sprintf("head-%d", i), "POST /fhir/R4/Patient/_search HTTP/1.1\r\nHost: "+w.addr+"\r\n"+c.head+"\r\n"+c.body)
			})
		}
		for i, c := range requestLines {
			t.Run(over+"/"+c.name, func(t *testing.T) {
				refused(t, fmt.Sprintf("line-%d", i), strings.ReplaceAll(c.line, "HOST", w.addr)+"\r\nHost: "+w.addr+"\r\n\r\n")
			})
		}
		t.Run(over+"/chunks in HTTP 1.0", func(t *testing.T) {
			refused(t, "old", "POST /fhir/R4/Patient/_search HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		})
		t.Run(over+"/no Host", func(t *testing.T) { refused(t, "hostless", "GET /fhir/R4/metadata HTTP/1.1\r\n\r\n") })
	}
}

// TestAttack_headerInjection puts line breaks where a client's text goes into a header of the answer.
func TestAttack_headerInjection(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	w := p.wire(nil)
	for name, head := range map[string]string{
		"request id":       "X-Request-Id: a\rSet-Cookie: x=y\r\n",
		"request id, LF":   "X-Request-Id: a\nSet-Cookie: x=y\r\n",
		"request id, NUL":  "X-Request-Id: a\x00b\r\n",
		"tenant":           "X-Fhirhook-Tenant: a\rSet-Cookie: x=y\r\n",
		"security context": "X-Security-Context: a\rSet-Cookie: x=y\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := w.exchange(t, "GET /fhir/R4/metadata HTTP/1.1\r\nHost: "+w.addr+"\r\nConnection: close\r\n"+head+"\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 400 ") || strings.Contains(got, "Set-Cookie") {
				t.Errorf("answered %q", clip(got))
			}
		})
	}
	t.Run("content type of a Binary", func(t *testing.T) {
		body := `{"resourceType":"Binary","id":"x","contentType":"text/plain\r\nSet-Cookie: x=y","data":"aGVsbG8="}`
		if a, err := p.request(http.MethodPut, "/Binary/x", body); err != nil || a.status >= http.StatusInternalServerError {
			t.Fatalf("%v, %v", a.status, err)
		}
		got := w.exchange(t, "GET /fhir/R4/Binary/x HTTP/1.1\r\nHost: "+w.addr+"\r\nConnection: close\r\nAccept: text/*\r\n\r\n")
		if strings.Contains(got, "\nSet-Cookie") {
			t.Errorf("answered %q", clip(got))
		}
	})
}

// TestAttack_http2 sends frames that no HTTP/2 client would.
func TestAttack_http2(t *testing.T) {
	t.Parallel()
	cert, key, client := ownCertificate(t)
	p := start(t, t.TempDir(), func(o *app.Options) { o.TLS.Cert, o.TLS.Key = cert, key })
	client.NextProtos = []string{"h2"}
	w := p.wire(client)
	const body = `{"resourceType":"Patient","id":"h2"}`
	for name, c := range map[string]struct {
		fields []string // name, value
		data   string
		path   string
		status string // "": the stream or connection ends without an answer
	}{
		"well-formed":                {[]string{"content-type", "application/fhir+json"}, body, "/fhir/R4/Patient/h2", "201"},
		"transfer-encoding":          {[]string{"transfer-encoding", "chunked", "content-type", "application/fhir+json"}, body, "/fhir/R4/Patient/evil1", ""},
		"connection":                 {[]string{"connection", "keep-alive", "content-type", "application/fhir+json"}, body, "/fhir/R4/Patient/evil2", ""},
		"content-length too small":   {[]string{"content-length", "3", "content-type", "application/fhir+json"}, body, "/fhir/R4/Patient/evil3", ""},
		"line break in a value":      {[]string{"x", "a\r\nb: c"}, body, "/fhir/R4/Patient/evil4", ""},
		"upper-case name":            {[]string{"Content-Type", "application/fhir+json"}, body, "/fhir/R4/Patient/evil5", ""},
		"pseudo header after others": {[]string{"x", "y", ":authority", "elsewhere"}, body, "/fhir/R4/Patient/evil6", ""},
		"relative path":              {nil, body, "fhir/R4/Patient/evil7", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn := w.dial(t)
			if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
				t.Fatal(err)
			}
			f := http2.NewFramer(conn, conn)
			f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			fields := append([]string{":method", "PUT", ":scheme", "https", ":path", c.path, ":authority", w.addr}, c.fields...)
			for i := 0; i < len(fields); i += 2 {
				if err := encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
					t.Fatal(err)
				}
			}
			_ = f.WriteSettings() // what the server makes of it shows below
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
			_ = f.WriteData(1, true, []byte(strings.ReplaceAll(c.data, `"h2"`, fmt.Sprintf("%q", c.path[strings.LastIndexByte(c.path, '/')+1:]))))
			got := ""
			for {
				frame, err := f.ReadFrame()
				if err != nil {
					break
				}
				if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
					got = headers.PseudoValue("status")
					break
				}
				if _, reset := frame.(*http2.RSTStreamFrame); reset {
					break
				}
				if _, away := frame.(*http2.GoAwayFrame); away {
					break
				}
			}
			if got != c.status && (c.status != "" || !strings.HasPrefix(got, "4")) {
				t.Errorf("status %q, want %q", got, c.status)
			}
		})
	}
	check := w
	check.tls = client.Clone()
	check.tls.NextProtos = nil
	for i := 1; i <= 7; i++ {
		got := check.exchange(t, fmt.Sprintf("GET /fhir/R4/Patient/evil%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", i, w.addr))
		if !strings.HasPrefix(got, "HTTP/1.1 404 ") {
			t.Errorf("evil%d: %q", i, clip(got))
		}
	}
}
