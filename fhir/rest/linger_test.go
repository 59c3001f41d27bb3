package rest

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestServer_answersThoseWhoSendToTheEnd: a client that reads only when it has sent everything gets its 413, too.
func TestServer_answersThoseWhoSendToTheEnd(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.MaxBody = 1 << 20 })
	server := httptest.NewServer(h.server)
	t.Cleanup(server.Close)
	body := strings.Repeat("x", 9<<20)
	for name, framed := range map[string]string{
		"with its length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body),
		"in chunks":       fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body),
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST %s/Patient HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\n%s", Prefix, framed); err != nil {
			t.Errorf("%s: the connection broke while sending: %v", name, err)
			continue
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if res.StatusCode != http.StatusRequestEntityTooLarge || !res.Close {
			t.Errorf("%s: %s, closing %t", name, res.Status, res.Close)
		}
		res.Body.Close()
	}
}
