package channeltest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fhirhook/channel"
)

// Verdict is what a status must come to for a channel that counts 2xx as success.
type Verdict struct {
	Status    int
	Delivered bool
	Gone      bool // 410: switch me off
	Spared    bool // 429 and 503: the attempt isn't held against the notification
}

// Verdicts is every final status that HTTP knows, and some that it doesn't.
func Verdicts() []Verdict {
	var all []Verdict
	for code := 200; code < 600; code++ {
		if http.StatusText(code) == "" && code%50 != 49 {
			continue
		}
		all = append(all, Verdict{
			Status: code, Delivered: code < 300, Gone: code == http.StatusGone,
			Spared: code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable,
		})
	}
	return all
}

// Message is a well-formed notification to an endpoint.
func Message(endpoint string) channel.Message {
	return channel.Message{
		Target: channel.Target{Endpoint: endpoint, Timeout: time.Minute},
		ID:     "0192f2d0-6f3a-7c1e-8000-5d1c9a2b7e44", Tenant: "default", Subscription: "7f3c",
		Sequence: 12, Attempt: 1, Event: "diagnostic-report.created", Interaction: "create",
		Type: "DiagnosticReport", Focus: "dr-1", Version: "1", Updated: time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC),
		Body: []byte(`{"resourceType":"DiagnosticReport","id":"dr-1","status":"final","code":{"text":"Blood count"}}`),
	}
}

// Statuses proves that a channel, which must be free to reach loopback over http, reaches the verdict on every
// status, makes one request for each, and reads Retry-After.
func Statuses(t *testing.T, c channel.Channel) {
	for _, v := range Verdicts() {
		t.Run(fmt.Sprint(v.Status), func(t *testing.T) {
			r := New(t).Then(Reply(v.Status, "said so", "Retry-After: 7"))
			reply, err := c.Send(t.Context(), Message(r.URL("/hook")))
			if reply.Status != v.Status {
				t.Errorf("status %d, want %d (%v)", reply.Status, v.Status, err)
			}
			if got := len(r.Requests()); got != 1 {
				t.Errorf("%d requests for one attempt", got)
			}
			if v.Delivered {
				if err != nil {
					t.Errorf("not delivered: %v", err)
				}
				return
			}
			e, ok := errors.AsType[*channel.SendError](err)
			if !ok {
				t.Fatalf("error %v is no SendError", err)
			}
			if e.Class == "" || e.Hint == "" {
				t.Errorf("nothing for a person to go by: %+v", e)
			}
			if e.Gone != v.Gone || e.Spared != v.Spared || e.RetryAfter != 7*time.Second {
				t.Errorf("gone %v, spared %v, retry after %v; want %v, %v, 7s", e.Gone, e.Spared, e.RetryAfter, v.Gone, v.Spared)
			}
		})
	}
}

// Secrets proves that a channel tells no secret, neither in an error nor in what it keeps of a reply, however the
// attempt fails. The channel must be free to reach loopback over http.
func Secrets(t *testing.T, c channel.Channel) {
	const key, token, password, query = "key-5e1f0b7a", "token-93c2d4e8", "hunter-77aa12", "signature-1b2c3d4e"
	target := func(endpoint string) channel.Message {
		m := Message(endpoint)
		m.Target.Secrets = []string{key}
		m.Target.Headers = []channel.Header{{Name: "Authorization", Value: "Bearer " + token}, {Name: "X-Api-Key", Value: password}}
		m.Target.Timeout = 200 * time.Millisecond
		return m
	}
	check := func(t *testing.T, m channel.Message) {
		t.Helper()
		reply, err := c.Send(t.Context(), m)
		if err == nil {
			t.Fatal("it was delivered")
		}
		for _, secret := range []string{key, token, password, query} {
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, secret) {
					t.Errorf("error tells %s: %s", secret, text)
				}
			}
			if strings.Contains(string(reply.Body), secret) {
				t.Errorf("reply tells %s: %s", secret, reply.Body)
			}
		}
	}
	steps := map[string]Step{
		"500 that echoes": Echo(500), "400 that echoes": Echo(400), "status line that echoes": EchoLine(),
		"header that echoes": Raw("HTTP/1.1 200 OK\r\n" + token + " " + password + "\r\n\r\n"),
		"redirect":           Redirect(307, "http://127.0.0.1:1/?"+query), "hang": Hang(), "reset": Reset(), "hang up": HangUp(),
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			check(t, target(New(t).Then(step).URL("/hook?sig="+query)))
		})
	}
	refusing := New(t)
	refusing.Refuse()
	for name, endpoint := range map[string]string{
		"refused":          refusing.URL("/hook?sig=" + query),
		"userinfo":         "http://user:" + password + "@127.0.0.1:1/hook?sig=" + query,
		"blocked":          "http://10.255.255.1/hook?sig=" + query,
		"not a URL":        "http://[" + query,
		"bad escape":       "http://127.0.0.1:1/%zz" + query,
		"no TLS":           "https" + strings.TrimPrefix(New(t).URL("/hook?sig="+query), "http"),
		"scheme":           "ftp://127.0.0.1/?sig=" + query,
		"control":          "http://127.0.0.1:1/\r\n" + query,
		"fragment":         "http://127.0.0.1:1/#" + query,
		"metadata address": "http://169.254.169.254/?sig=" + query,
	} {
		t.Run(name, func(t *testing.T) { check(t, target(endpoint)) })
	}
}
