package resthook_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
	"fhirhook/channel/channeltest"
	"fhirhook/channel/resthook"
)

var update = flag.Bool("update", false, "write the goldens anew")

// wire is the bytes that net/http sends for a message.
func wire(t testing.TB, m channel.Message, d resthook.Dialect, at time.Time) []byte {
	t.Helper()
	r, err := resthook.Build(m, d, at)
	if err != nil {
		t.Fatal(err)
	}
	req, err := r.HTTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The cases of the goldens: what each dialect sends for a create, an update on a retry, a delete and a test.
func messages() map[string]channel.Message {
	target := channel.Target{
		Endpoint: "https://receiver.example:8443/hooks/fhir?site=7",
		Payload:  "application/fhir+json",
		Headers: []channel.Header{
			{Name: "Authorization", Value: "Bearer secret-token-abc-123"},
			{Name: "X-Route", Value: "b"},
			{Name: "X-Route", Value: "a: c"},
		},
		Secrets: []string{"abc"},
	}
	m := channeltest.Message("")
	m.Target = target
	m.Body = []byte(`{"resourceType":"DiagnosticReport","id":"dr-1","meta":{"versionId":"1"},"status":"final","text":{"div":"<div>5 < 7 & \u00e9</div>"},"valueX":1.0}`)
	update := m
	update.Interaction, update.Event, update.Version, update.Sequence, update.Attempt = "update", "diagnostic-report.updated", "2", 13, 3
	remove := m
	remove.Interaction, remove.Event, remove.Version, remove.Sequence, remove.Body = "delete", "diagnostic-report.deleted", "3", 14, nil
	ping := channel.Message{
		Target: target, ID: "0192f2d0-aaaa-7c1e-8000-5d1c9a2b7e44", Tenant: m.Tenant, Subscription: m.Subscription,
		Attempt: 1, Event: resthook.PingEvent, Test: true,
	}
	bare := m
	bare.Target.Payload, bare.Target.Secrets, bare.Target.Headers = "", nil, nil
	return map[string]channel.Message{"create": m, "retry": update, "delete": remove, "ping": ping, "bare": bare}
}

func TestBuild_goldens(t *testing.T) {
	at := time.Date(2026, 3, 4, 6, 0, 0, 0, time.UTC)
	for _, d := range resthook.Dialects() {
		for name, m := range messages() {
			t.Run(d.Name+"/"+name, func(t *testing.T) {
				if m.Interaction == "delete" && d.DeleteCarriesVersion() {
					m.Body = messages()["create"].Body
				}
				if m.Interaction == "delete" && !d.CanDelete() {
					if _, err := resthook.Build(m, d, at); err == nil || !strings.Contains(err.Error(), "no message for deletions") {
						t.Errorf("error %v", err)
					}
					return
				}
				got := wire(t, m, d, at)
				file := filepath.Join("testdata", "request", d.Name+"."+name+".http")
				if *update {
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// subscription-signature sets the value of the dialect's header, X-Signature where it has none.
func TestBuild_signatureForm(t *testing.T) {
	at := time.Date(2026, 3, 4, 6, 0, 0, 0, time.UTC)
	headers := map[string]string{
		"kit": "X-Signature", "fhir": "X-Signature", "hapi": "X-Signature", "webhook-events": "X-Signature",
		"medplum": "X-Signature", "healthsync": "X-HealthSync-Signature", "clinik": "X-Clinik-Signature",
	}
	for _, d := range resthook.Dialects() {
		for _, form := range resthook.Forms() {
			t.Run(d.Name+"/"+form, func(t *testing.T) {
				m := messages()["create"]
				m.Target.Signature = form
				r, err := resthook.Build(m, d, at)
				if err != nil {
					t.Fatal(err)
				}
				want, err := resthook.Sign(form, m.Target.Secrets, r.Body, at)
				if err != nil {
					t.Fatal(err)
				}
				if got := values(r, headers[d.Name]); len(got) != 1 || got[0] != want {
					t.Errorf("%s is %q, want %q", headers[d.Name], got, want)
				}
			})
		}
	}
}

func TestBuild_noSecretNoSignature(t *testing.T) {
	for _, d := range resthook.Dialects() {
		m := messages()["create"]
		m.Target.Secrets = nil
		m.Target.Signature = resthook.FormBody
		r, err := resthook.Build(m, d, time.Unix(1700000000, 0))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range r.Headers {
			if strings.Contains(strings.ToLower(h.Name), "signature") {
				t.Errorf("%s sends %s without a secret", d.Name, h.Name)
			}
		}
	}
}

// DESIGN §4.3: the body never differs between tries.
func TestBuild_bodyIsTheSameAtEveryTry(t *testing.T) {
	for _, d := range resthook.Dialects() {
		m := messages()["create"]
		first, err := resthook.Build(m, d, time.Unix(1700000000, 0))
		if err != nil {
			t.Fatal(err)
		}
		m.Attempt = 7
		later, err := resthook.Build(m, d, time.Unix(1700009999, 0))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Body, later.Body) {
			t.Errorf("%s: %s, then %s", d.Name, first.Body, later.Body)
		}
		if a, b := values(first, "webhook-id"), values(later, "webhook-id"); a[0] != b[0] {
			t.Errorf("%s: the id changed", d.Name)
		}
	}
}

func TestBuild_address(t *testing.T) {
	tests := []struct{ endpoint, want string }{
		{"https://h.example", "https://h.example/DiagnosticReport/dr-1"},
		{"https://h.example/", "https://h.example/DiagnosticReport/dr-1"},
		{"https://h.example/fhir", "https://h.example/fhir/DiagnosticReport/dr-1"},
		{"https://h.example/fhir/", "https://h.example/fhir/DiagnosticReport/dr-1"},
		{"https://h.example/fhir//", "https://h.example/fhir//DiagnosticReport/dr-1"},
		{"https://h.example/a%2Fb?code=x/y", "https://h.example/a%2Fb/DiagnosticReport/dr-1?code=x/y"},
	}
	for _, tt := range tests {
		m := messages()["create"]
		m.Target.Endpoint = tt.endpoint
		r, err := resthook.Build(m, dialect(t, "fhir"), time.Unix(1700000000, 0))
		if err != nil || r.URL != tt.want || r.Method != "PUT" {
			t.Errorf("%s: %s %s, %v, want %s", tt.endpoint, r.Method, r.URL, err, tt.want)
		}
		r, err = resthook.Build(m, dialect(t, "kit"), time.Unix(1700000000, 0))
		if err != nil || r.URL != tt.endpoint {
			t.Errorf("kit: %s became %s, %v", tt.endpoint, r.URL, err)
		}
	}
}

func TestBuild_refuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*channel.Message)
	}{
		{"an id with a dot", func(m *channel.Message) { m.ID = "a.b" }},
		{"no id", func(m *channel.Message) { m.ID = "" }},
		{"no resource", func(m *channel.Message) { m.Body = nil }},
		{"no interaction", func(m *channel.Message) { m.Interaction = "" }},
		{"an unknown signature form", func(m *channel.Message) { m.Target.Signature = "md5" }},
		{"an id that climbs", func(m *channel.Message) { m.Focus = ".." }},
		{"an event name that breaks the line", func(m *channel.Message) { m.Event = "a\r\nHost: b" }},
		{"a header that breaks the line", func(m *channel.Message) { m.Target.Headers[0].Value = "a\nb" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := messages()["create"]
			m.Target.Headers = []channel.Header{{Name: "X-A", Value: "b"}}
			tt.change(&m)
			if r, err := resthook.Build(m, dialect(t, "fhir"), time.Unix(1700000000, 0)); err == nil {
				t.Errorf("built %+v", r)
			}
		})
	}
}

// A Subscription's headers can't displace what the server says about a delivery, whatever was stored.
func TestBuild_ownHeadersStand(t *testing.T) {
	m := messages()["create"]
	for _, name := range []string{"Host", "content-length", "X-FHIRHOOK-Sequence", "Webhook-Id", "x-signature", "Connection"} {
		m.Target.Headers = append(m.Target.Headers, channel.Header{Name: name, Value: "forged"})
	}
	if got := wire(t, m, dialect(t, "kit"), time.Unix(1700000000, 0)); bytes.Contains(got, []byte("forged")) {
		t.Errorf("sent:\n%s", got)
	}
}

func values(r resthook.Request, name string) []string {
	var all []string
	for _, h := range r.Headers {
		if h.Name == name {
			all = append(all, h.Value)
		}
	}
	return all
}

func ExampleBuild() {
	d, _ := resthook.Lookup("kit")
	r, err := resthook.Build(channel.Message{
		Target: channel.Target{Endpoint: "https://receiver.example/hook", Secrets: []string{"abc"}},
		ID:     "0192f2d0-6f3a-7c1e-8000-5d1c9a2b7e44", Subscription: "7f3c", Sequence: 1, Attempt: 1,
		Event: "patient.created", Interaction: "create", Type: "Patient", Focus: "p1", Version: "1",
		Body: []byte(`{"resourceType":"Patient","id":"p1"}`),
	}, d, time.Unix(1700000000, 0))
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Method, r.URL)
	for _, h := range r.Headers {
		if h.Name == "X-Signature" || h.Name == "X-Fhirhook-Resource" {
			fmt.Println(h.Name+":", h.Value)
		}
	}
	// Output:
	// POST https://receiver.example/hook
	// X-Fhirhook-Resource: Patient/p1/_history/1
	// X-Signature: 92e4ef8020f671f294e0af176b034ddfc67e071bbf4857b142d8eeb8a0c5c90f
}
