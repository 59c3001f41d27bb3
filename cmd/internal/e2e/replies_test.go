package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fhirhook/channel/channeltest"
)

// replyCase is what a receiver does, and what the record says of it.
type replyCase struct {
	name     string
	step     channeltest.Step
	endpoint string // "": a receiver that does step
	status   int    // that was answered; 0: none
	class    string // "": delivered
	standing string // Subscription.status afterwards; "": active
}

// recorded writes one Patient for receivers of all kinds, and wants one attempt of each on the record that says what
// happened and what to look at, and nothing else.
func recorded(t *testing.T, cases []replyCase) {
	t.Helper()
	t.Parallel()
	server := start(t, t.TempDir())
	subscribe := func(c replyCase) string {
		endpoint := c.endpoint
		if endpoint == "" {
			endpoint = channeltest.New(t).Otherwise(c.step).URL("/hook")
		}
		timeout := "60" // seconds, of what answers
		if c.class == "timeout-reply" {
			timeout = "10" // it has to have begun to answer by then
		}
		return server.create("Subscription", set(endpoint, "Patient", ours+`retry "valueString":"1h,1h"`, // one attempt, however long the test takes
			`http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-timeout "valueUnsignedInt":`+timeout))
	}
	write := func() { server.create("Patient", `{"resourceType":"Patient","name":[{"family":"Quell"}]}`) }
	ids := make([]string, len(cases))
	for i, c := range cases {
		ids[i] = subscribe(c)
	}
	write()
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var attempts []map[string]any
			var state string
			eventually(t, "the attempt", func() bool {
				attempts, state = server.attempts(t, ids[i])
				if len(attempts) == 1 && attempts[0]["error-class"] == "timeout-connect" { // the machine was too busy for a connection
					ids[i] = subscribe(c)
					write()
					return false
				}
				return len(attempts) > 0
			})
			if len(attempts) != 1 {
				t.Fatalf("%d attempts: %v", len(attempts), attempts)
			}
			judgeRecord(t, c, attempts[0], state)
			standing := c.standing
			if standing == "" {
				standing = "active"
			}
			eventually(t, "status "+standing, func() bool {
				return server.must(http.StatusOK, http.MethodGet, "/Subscription/"+ids[i], "").json(t)["status"] == standing
			})
		})
	}
	if code := server.stop(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, server.log)
	}
}

func judgeRecord(t *testing.T, c replyCase, attempt map[string]any, state string) {
	t.Helper()
	want := []string{"duration-ms", "state", "time", "try"}
	if c.status > 0 {
		want = append(want, "status")
	}
	if c.class != "" {
		want = append(want, "error-class", "hint", "next-try", "reply")
	}
	got := slices.Sorted(maps.Keys(attempt))
	if c.class == "" {
		got = slices.DeleteFunc(got, func(name string) bool { return name == "reply" }) // if there was a body
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the record has %v, want %v", got, want)
	}
	wantState := "owed"
	if c.class == "" {
		wantState = "delivered"
	}
	status, _ := attempt["status"].(float64)
	class, _ := attempt["error-class"].(string)
	if class != c.class || int(status) != c.status || state != wantState {
		t.Errorf("class %q, status %v, state %s; want %q, %d, %s: %v", class, status, state, c.class, c.status, wantState, attempt)
	}
	if reply, _ := attempt["reply"].(string); utf8.RuneCountInString(reply) > 1024 {
		t.Errorf("%d characters of the reply were kept", utf8.RuneCountInString(reply))
	}
}

// attempts are what the record says of a Subscription's first notification, as parts by their names.
func (p *process) attempts(t *testing.T, id string) (all []map[string]any, state string) {
	t.Helper()
	entries, _ := p.must(http.StatusOK, http.MethodGet, "/Subscription/"+id+"/$deliveries?sequence=1", "").json(t)["entry"].([]any)
	for _, e := range entries {
		parameters := e.(map[string]any)["resource"].(map[string]any)["parameter"].([]any)
		for _, one := range parameters {
			part := one.(map[string]any)
			if part["name"] == "state" {
				state, _ = part["valueCode"].(string)
			}
			if part["name"] != "attempt" {
				continue
			}
			values := map[string]any{}
			for _, inner := range part["part"].([]any) {
				for key, value := range inner.(map[string]any) {
					if key != "name" {
						values[inner.(map[string]any)["name"].(string)] = value
					}
				}
			}
			all = append(all, values)
		}
	}
	return all, state
}

func TestPitfall_receiverReplies(t *testing.T) {
	recorded(t, []replyCase{
		{"200 with {}", channeltest.Reply(200, "{}"), "", 200, "", ""},
		{"204", channeltest.Status(204), "", 204, "", ""},
		{"302 to a private address", channeltest.Redirect(302, "http://10.0.0.1/"), "", 302, "redirect", ""},
		{"410", channeltest.Status(410), "", 410, "status-410", "off"},
		{"429 with Retry-After", channeltest.RetryAfter(429, "120"), "", 429, "status-429", ""},
		{"endless slow body", channeltest.Drip(200, 20*time.Millisecond), "", 200, "timeout-reply", ""},
		{"connection reset", channeltest.Reset(), "", 0, "reset", ""},
		{"broken TLS", nil, strings.Replace(channeltest.New(t).URL("/hook"), "http", "https", 1), 0, "tls", ""},
	})
}

// TestPitfall_retryAfterOnlyLengthens: a receiver that asks for two minutes is asked after two and not after the
// ladder's one, and one that asks for a second is not asked before its ladder.
func TestPitfall_retryAfterOnlyLengthens(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	for _, tt := range []struct {
		asks string
		want time.Duration
	}{{"120", 2 * time.Minute}, {"1", time.Minute}, {"86400", time.Hour}} {
		id := server.create("Subscription", set(channeltest.New(t).Otherwise(channeltest.RetryAfter(429, tt.asks)).URL("/hook"), "Patient", ours+`retry "valueString":"1m,1h"`))
		server.create("Patient", `{"resourceType":"Patient"}`)
		eventually(t, "the attempt", func() bool {
			attempts, _ := server.attempts(t, id)
			if len(attempts) == 0 {
				return false
			}
			began, err := time.Parse(time.RFC3339, attempts[0]["time"].(string))
			next, err2 := time.Parse(time.RFC3339, attempts[0]["next-try"].(string))
			if err != nil || err2 != nil || next.Sub(began) < tt.want || next.Sub(began) > tt.want+patient {
				t.Errorf("Retry-After %s: the next try is %s after the attempt (%v, %v), want %s", tt.asks, next.Sub(began), err, err2, tt.want)
			}
			return true
		})
	}
}

// TestDelivery_nonsenseBecomesARecord: whatever a receiver answers becomes an attempt on the record, with an error
// class and a hint, and nothing else.
func TestDelivery_nonsenseBecomesARecord(t *testing.T) {
	bomb := "\x1f\x8b\x08" + strings.Repeat("\x00", 4000)
	recorded(t, []replyCase{
		{"not HTTP", channeltest.Raw("220 mail.example ESMTP\r\n"), "", 0, "malformed", ""},
		{"a status that is no number", channeltest.Raw("HTTP/1.1 abc OK\r\n\r\n"), "", 0, "malformed", ""},
		{"a status that ends no exchange", channeltest.Raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "", 101, "malformed", ""},
		{"a status above 599", channeltest.Reply(799, "what?"), "", 799, "malformed", ""},
		{"half a header", channeltest.Raw("HTTP/1.1 200 OK\r\nX-A: "), "", 0, "reset", ""},
		{"two lengths", channeltest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "", 0, "malformed", ""},
		{"an encoding that isn't one", channeltest.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nab"), "", 0, "malformed", ""},
		{"1xx without end", channeltest.Interim(), "", 0, "malformed", ""},
		{"headers without end", channeltest.EndlessHeader(), "", 0, "malformed", ""},
		{"a body without end, and 200", channeltest.Giant(200, 1<<40), "", 200, "", ""},
		{"a body without end, and 500", channeltest.Giant(500, 1<<40), "", 500, "status-5xx", ""},
		{"a gzip bomb, and 200", channeltest.Reply(200, bomb, "Content-Encoding: gzip"), "", 200, "", ""},
		{"a gzip bomb, and 500", channeltest.Reply(500, bomb, "Content-Encoding: gzip"), "", 500, "status-5xx", ""},
		{"control characters and no UTF-8", channeltest.Reply(400, "\x00\x1b[31m\xff\xfe\x07"), "", 400, "status-4xx", ""},
		{"a redirect to a private address", channeltest.Redirect(308, "http://169.254.169.254/latest/meta-data"), "", 308, "redirect", ""},
		{"an expired certificate", nil, expired(t), 0, "tls", ""},
		{"a certificate that nobody signed", nil, selfSigned(t), 0, "tls", ""},
		{"no reply at all", channeltest.Hang(), "", 0, "timeout-reply", ""},
		{"hanging up", channeltest.HangUp(), "", 0, "reset", ""},
		{"nothing that listens", nil, refusing, 0, "refused", ""},
		{"a name without an address", nil, "http://no-such-host.invalid/hook", 0, "dns", ""},
	})
}

func quietly(s *httptest.Server) string {
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	return s.URL
}

func selfSigned(t *testing.T) string {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return quietly(s)
}

// expired is a receiver whose certificate ended in 2001.
func expired(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}
