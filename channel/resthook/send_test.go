package resthook_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fhirhook/channel"
	"fhirhook/channel/channeltest"
	"fhirhook/channel/resthook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open is a Channel that may reach loopback over http.
func open(t testing.TB) *resthook.Channel {
	c := resthook.New(resthook.Options{Policy: resthook.Policy{Dev: true}})
	t.Cleanup(c.Close)
	return c
}

func TestChannel_statuses(t *testing.T) { channeltest.Statuses(t, open(t)) }

func TestChannel_tellsNoSecrets(t *testing.T) { channeltest.Secrets(t, open(t)) }

// What arrives is what the goldens show, byte for byte, but for host, time and what follows from it.
func TestChannel_sendsWhatBuildBuilt(t *testing.T) {
	for _, d := range resthook.Dialects() {
		t.Run(d.Name, func(t *testing.T) {
			r := channeltest.New(t)
			m := messages()["create"]
			m.Target.Endpoint, m.Target.Dialect = r.URL("/hooks/fhir?site=7"), d.Name
			reply, err := open(t).Send(t.Context(), m)
			if err != nil || reply.Status != 200 {
				t.Fatalf("%+v, %v", reply, err)
			}
			got := r.Requests()[0]
			at := unix(t, got.Header("webhook-timestamp"))
			want, body, _ := bytes.Cut(wire(t, m, d, at), []byte("\r\n\r\n"))
			if diff := cmp.Diff(string(want), got.Head); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(string(body), string(got.Body)); diff != "" {
				t.Error(diff)
			}
			if err := resthook.VerifyWebhook(got.Header("webhook-signature"), m.ID, got.Header("webhook-timestamp"), m.Target.Secrets, got.Body, at, time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChannel_failures(t *testing.T) {
	refusing := channeltest.New(t)
	refusing.Refuse()
	tests := []struct {
		name     string
		step     channeltest.Step
		endpoint string // "": a receiver that does step
		class    string
		status   int
	}{
		{"500", channeltest.Status(500), "", resthook.ClassStatus5xx, 500},
		{"503", channeltest.RetryAfter(503, "120"), "", resthook.ClassStatus5xx, 503},
		{"404", channeltest.Status(404), "", resthook.ClassStatus4xx, 404},
		{"401", channeltest.Status(401), "", resthook.ClassStatus4xx, 401},
		{"410", channeltest.Status(410), "", resthook.ClassStatus410, 410},
		{"429", channeltest.Status(429), "", resthook.ClassStatus429, 429},
		{"redirect", channeltest.Redirect(307, "http://10.0.0.1/"), "", resthook.ClassRedirect, 307},
		{"redirect to another place", channeltest.Redirect(302, channeltest.New(t).URL("/elsewhere")), "", resthook.ClassRedirect, 302},
		{"not modified", channeltest.Status(304), "", resthook.ClassRedirect, 304},
		{"switching protocols", channeltest.Raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "", resthook.ClassMalformed, 101},
		{"hang", channeltest.Hang(), "", resthook.ClassTimeoutReply, 0},
		{"drip with 200", channeltest.Drip(200, 5*time.Millisecond), "", resthook.ClassTimeoutReply, 200},
		{"drip with 429", channeltest.Drip(429, 5*time.Millisecond), "", resthook.ClassStatus429, 429},
		{"reset", channeltest.Reset(), "", resthook.ClassReset, 0},
		{"hang up", channeltest.HangUp(), "", resthook.ClassReset, 0},
		{"half a header", channeltest.Raw("HTTP/1.1 200 OK\r\nX-A: "), "", resthook.ClassReset, 0},
		{"not HTTP", channeltest.Raw("220 mail.example ESMTP\r\n"), "", resthook.ClassMalformed, 0},
		{"1xx without end", channeltest.Interim(), "", resthook.ClassMalformed, 0},
		{"headers without end", channeltest.EndlessHeader(), "", resthook.ClassMalformed, 0},
		{"two lengths", channeltest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "", resthook.ClassMalformed, 0},
		{"odd encoding", channeltest.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nab"), "", resthook.ClassMalformed, 0},
		{"refused", nil, refusing.URL("/"), resthook.ClassRefused, 0},
		{"private address", nil, "http://10.0.0.5/", resthook.ClassBlocked, 0},
		{"not a URL", nil, "nonsense", resthook.ClassMessage, 0},
		{"http where TLS is expected", channeltest.Status(200), "https", resthook.ClassTLS, 0},
	}
	c := open(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			endpoint := tt.endpoint
			if endpoint == "" || endpoint == "https" {
				endpoint += strings.TrimPrefix(channeltest.New(t).Then(tt.step).URL("/hook"), strings.Repeat("http", len(endpoint)/5))
			}
			m := channeltest.Message(endpoint)
			m.Target.Timeout = time.Minute
			if tt.class == resthook.ClassTimeoutReply || strings.HasPrefix(tt.name, "drip") {
				t.Parallel()                       // with others that wait as long
				m.Target.Timeout = 5 * time.Second // in which at least the connection is made, and a reply begins
			}
			reply, err := c.Send(t.Context(), m)
			e, ok := errors.AsType[*channel.SendError](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if e.Class != tt.class || reply.Status != tt.status {
				t.Errorf("class %s, status %d; want %s, %d (%v)", e.Class, reply.Status, tt.class, tt.status, e)
			}
			if e.Hint == "" {
				t.Error("no hint")
			}
		})
	}
}

func TestChannel_deliveredInSpiteOf(t *testing.T) {
	tests := []struct {
		name string
		step channeltest.Step
		body int
	}{
		{"a giant body", channeltest.Giant(200, 1<<30), 16 << 10},
		{"a body cut short", channeltest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), 3},
		{"an early hint", channeltest.Raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 0},
		{"no length", channeltest.Raw("HTTP/1.1 200 OK\r\n\r\nabc"), 3},
		{"HTTP/1.0", channeltest.Raw("HTTP/1.0 200 OK\r\n\r\n"), 0},
		{"a compressed body", channeltest.Reply(200, "\x1f\x8b\x08bomb", "Content-Encoding: gzip"), 7},
		{"no content", channeltest.Status(204), 0},
	}
	c := open(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := channeltest.New(t).Then(tt.step)
			reply, err := c.Send(t.Context(), channeltest.Message(r.URL("/hook")))
			if err != nil || len(reply.Body) != tt.body {
				t.Errorf("%d bytes, %v; want %d", len(reply.Body), err, tt.body)
			}
		})
	}
}

// The dialects' success sets: a 3xx is success for medplum and not followed; only 200 for webhook-events.
func TestChannel_successIsTheDialects(t *testing.T) {
	elsewhere := channeltest.New(t)
	tests := []struct {
		dialect string
		step    channeltest.Step
		class   string
	}{
		{"medplum", channeltest.Redirect(301, elsewhere.URL("/")), ""},
		{"medplum", channeltest.Status(400), resthook.ClassStatus4xx},
		{"webhook-events", channeltest.Status(200), ""},
		{"webhook-events", channeltest.Status(201), resthook.ClassStatus2xx},
		{"kit", channeltest.Status(201), ""},
		{"no-such", channeltest.Status(200), resthook.ClassMessage},
	}
	for _, tt := range tests {
		m := channeltest.Message(channeltest.New(t).Then(tt.step).URL("/"))
		m.Target.Dialect = tt.dialect
		_, err := open(t).Send(t.Context(), m)
		class := ""
		if e, ok := errors.AsType[*channel.SendError](err); ok {
			class = e.Class
		}
		if class != tt.class {
			t.Errorf("%s: class %q, want %q", tt.dialect, class, tt.class)
		}
	}
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// DESIGN invariant 8: a receiver that echoes gives nothing away in what is kept of its reply.
func TestChannel_replyIsRedacted(t *testing.T) {
	r := channeltest.New(t).Then(channeltest.Echo(200))
	m := messages()["create"]
	m.Target.Endpoint = r.URL("/hook?code=very-secret-code")
	reply, err := open(t).Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(reply.Body, []byte("secret")) || !bytes.Contains(reply.Body, []byte("Authorization: ********")) {
		t.Errorf("kept:\n%s", reply.Body)
	}
}

func TestChannel_keepsConnections(t *testing.T) {
	r := channeltest.New(t).Otherwise(channeltest.Reply(200, strings.Repeat("x", 40<<10)))
	c := open(t)
	for range 5 {
		if _, err := c.Send(t.Context(), channeltest.Message(r.URL("/"))); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Connections(); n != 1 {
		t.Errorf("%d connections for 5 requests one after another", n)
	}
}

// A client's Idempotency-Key must not make net/http send a second time within one attempt.
func TestChannel_oneAttemptIsOneRequest(t *testing.T) {
	r := channeltest.New(t).Then(channeltest.Status(200), channeltest.HangUp())
	c := open(t)
	m := channeltest.Message(r.URL("/"))
	m.Target.Headers = []channel.Header{{Name: "Idempotency-Key", Value: "1"}}
	if _, err := c.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), m); err == nil {
		t.Error("the hang-up went unnoticed")
	}
	if n := len(r.Requests()); n != 2 {
		t.Errorf("%d requests for 2 attempts", n)
	}
}

var errStopping = errors.New("stopping")

// The caller's stop is no failure of the endpoint: the attempt doesn't count.
func TestChannel_stopIsNoFailure(t *testing.T) {
	r := channeltest.New(t).Otherwise(channeltest.Hang())
	c := open(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1) // the one result of the Send below
	go func() {
		_, err := c.Send(ctx, channeltest.Message(r.URL("/")))
		done <- err
	}()
	r.Await(1)
	cancel(errStopping)
	if err := <-done; !errors.Is(err, errStopping) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Send(ctx, channeltest.Message(r.URL("/"))); !errors.Is(err, errStopping) {
		t.Errorf("after the stop: %v", err)
	}
	if n := len(r.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// Thirty attempts at a receiver that hangs leave neither goroutine nor connection behind (TestMain looks).
func TestChannel_hangingReceiverLeavesNothing(t *testing.T) {
	r := channeltest.New(t).Otherwise(channeltest.Hang())
	c := open(t)
	before := goleak.IgnoreCurrent()
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			m := channeltest.Message(r.URL("/"))
			m.Target.Timeout = 100 * time.Millisecond
			if _, err := c.Send(t.Context(), m); err == nil {
				t.Error("delivered")
			}
		})
	}
	wg.Wait()
	c.Close()
	r.Refuse()
	for began := time.Now(); ; { // Find looks for half a second, and a busy machine may take longer over it
		err := goleak.Find(before)
		if err == nil {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal(err)
		}
	}
}

func TestChannel_tls(t *testing.T) {
	ok := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(ok.Close)
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // the point of the test
	old.Config.ErrorLog = quiet()
	ok.Config.ErrorLog = quiet()
	old.StartTLS()
	t.Cleanup(old.Close)
	mutual := httptest.NewUnstartedServer(http.NotFoundHandler())
	mutual.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	mutual.Config.ErrorLog = quiet()
	mutual.StartTLS()
	t.Cleanup(mutual.Close)
	roots := x509.NewCertPool()
	roots.AddCert(ok.Certificate())
	roots.AddCert(old.Certificate())
	roots.AddCert(mutual.Certificate())
	known := resthook.New(resthook.Options{Policy: resthook.Policy{Dev: true}, RootCAs: roots})
	t.Cleanup(known.Close)
	tests := []struct {
		name, url string
		c         *resthook.Channel
		hint      string
	}{
		{"known authority", ok.URL, known, ""},
		{"unknown authority", ok.URL, open(t), "authority"},
		{"too old", old.URL, known, "TLS"},
		{"client certificate wanted", mutual.URL, known, "broke off the TLS handshake"},
		{"another name", strings.Replace(ok.URL, "127.0.0.1", "localhost", 1), known, "another host name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.c.Send(t.Context(), channeltest.Message(tt.url))
			if tt.hint == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*channel.SendError](err)
			if !ok || e.Class != resthook.ClassTLS || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got %v, want tls with %q", err, tt.hint)
			}
		})
	}
}

// Loopback is refused before a connection is made: nothing reaches the port.
func TestChannel_blockedReachesNothing(t *testing.T) {
	r := channeltest.New(t)
	_, port, err := net.SplitHostPort(r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := resthook.New(resthook.Options{Policy: policy(t, false, "localhost:1", "localhost 127.0.0.0/8")})
	t.Cleanup(c.Close)
	for _, host := range []string{"localhost", "127.0.0.1", "::ffff:127.0.0.1"} {
		_, err := c.Send(t.Context(), channeltest.Message("http://"+net.JoinHostPort(host, port)+"/"))
		e, ok := errors.AsType[*channel.SendError](err)
		if !ok || e.Class != resthook.ClassBlocked {
			t.Errorf("%s: %v", host, err)
		}
	}
	if n := len(r.Requests()) + r.Connections(); n != 0 {
		t.Errorf("%d requests or connections", n)
	}
}

func TestChannel_proxyOfTheEnvironmentIsIgnored(t *testing.T) {
	proxy := channeltest.New(t)
	t.Setenv("HTTP_PROXY", proxy.URL(""))
	t.Setenv("HTTPS_PROXY", proxy.URL(""))
	r := channeltest.New(t)
	if _, err := open(t).Send(t.Context(), channeltest.Message(r.URL("/"))); err != nil || len(proxy.Requests()) != 0 {
		t.Errorf("%v, %d requests to the proxy", err, len(proxy.Requests()))
	}
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func unix(t testing.TB, s string) time.Time {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(n, 0)
}
