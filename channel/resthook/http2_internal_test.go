package resthook

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"fhirhook/channel"
)

// A peer that is gone without a word is noticed long before a patient timeout ends.
func TestHTTP2_deadConnectionIsNoticed(t *testing.T) {
	s := httptest.NewTLSServer(nil) // for its certificate, which is that of example.com
	t.Cleanup(s.Close)
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Policy: Policy{Dev: true}, RootCAs: roots})
		defer c.Close()
		c.network.https.lines.both.DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				conn := tls.Server(there, &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{"h2"}})
				defer conn.Close()
				_, _ = io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
				_ = http2.NewFramer(conn, nil).WriteSettings()
				_, _ = io.Copy(io.Discard, conn) // and says nothing more
			}()
			return here, nil
		}
		m := message("kit")
		m.Target.Endpoint, m.Target.Timeout = "https://example.com/hook", time.Minute
		began := time.Now()
		_, err := c.Send(t.Context(), m)
		e, ok := errors.AsType[*channel.SendError](err)
		if !ok || e.Class != ClassReset || !strings.Contains(e.Hint, "no ping") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != quietFor+lostAfter {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAvoided(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	a := newAvoided()
	a.add("a.example:443", now)
	if !a.has("a.example:443", now.Add(avoidFor-1)) || a.has("b.example:443", now) {
		t.Error("it is not the endpoint that was added")
	}
	if a.has("a.example:443", now.Add(avoidFor)) {
		t.Error("it is not tried again")
	}
	for i := range 2 * mostAvoid {
		a.add(strconv.Itoa(i), now)
	}
	if len(a.until) > mostAvoid || !a.has(strconv.Itoa(2*mostAvoid-1), now) {
		t.Errorf("%d are remembered", len(a.until))
	}
}

// Endpoints that differ in certificates share no connection, and by http there is no HTTP/2.
func TestNetwork_sharesConnectionsOfOneWayAlone(t *testing.T) {
	t.Parallel()
	n, err := NewNetwork(NetworkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.origins["own.example:443"] = &origin{way: &way{lines: lines{both: new(http.Transport), old: new(http.Transport)}}}
	at := func(raw string) *http.Transport {
		e, err := parseEndpoint(raw)
		if err != nil {
			t.Fatal(err)
		}
		transport, _ := n.to(e, time.Now())
		return transport
	}
	if at("https://own.example/a") == at("https://other.example/a") || at("https://own.example/a") != at("https://own.example/b") {
		t.Error("endpoints of one origin have a transport of their own, and others don't")
	}
	if p := at("http://own.example/").Protocols; p.HTTP2() || p.UnencryptedHTTP2() {
		t.Errorf("http is spoken by %v", p)
	}
	n.avoided.add("own.example:443", time.Now())
	if at("https://own.example/") != n.origins["own.example:443"].way.lines.old {
		t.Error("HTTP/2 is not avoided")
	}
}
