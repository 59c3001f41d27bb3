package resthook_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel"
	"fhirhook/channel/resthook"
)

// The tests of this file are the bullets under DESIGN §4.3's table, for every dialect.

// everyHeader is what every dialect sends, but for what the cell says.
func everyHeader(r resthook.Request) map[string]string {
	got := map[string]string{}
	for _, h := range r.Headers {
		lower := strings.ToLower(h.Name)
		if strings.HasPrefix(lower, "x-fhirhook-") || strings.HasPrefix(lower, "webhook-") {
			got[h.Name] = h.Value
		}
	}
	return got
}

func TestWire_headersOfEveryDialect(t *testing.T) {
	for _, d := range resthook.Dialects() {
		for _, interaction := range []string{"create", "update", "delete"} {
			if interaction == "delete" && !d.CanDelete() {
				continue
			}
			t.Run(d.Name+"/"+interaction, func(t *testing.T) {
				m := tableMessage(d, interaction)
				r := built(t, d, m)
				want := map[string]string{
					"X-Fhirhook-Subscription": "sub",
					"X-Fhirhook-Event":        m.Event,
					"X-Fhirhook-Interaction":  interaction,
					"X-Fhirhook-Resource":     "Encounter/e1/_history/4",
					"X-Fhirhook-Sequence":     "9",
					"X-Fhirhook-Attempt":      "2",
					"webhook-id":              "ID",
					"webhook-timestamp":       "1767323047",
					"webhook-signature":       resthook.SignWebhook([]string{"key"}, "ID", tableTime, r.Body),
				}
				if diff := cmp.Diff(want, everyHeader(r)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// A ping has no number, resource or interaction.
func TestWire_headersOfAPing(t *testing.T) {
	for _, d := range resthook.Dialects() {
		t.Run(d.Name, func(t *testing.T) {
			r := built(t, d, pingMessage())
			want := map[string]string{
				"X-Fhirhook-Subscription": "sub",
				"X-Fhirhook-Event":        "ping",
				"X-Fhirhook-Attempt":      "1",
				"X-Fhirhook-Test":         "true",
				"webhook-id":              "ID",
				"webhook-timestamp":       "1767323047",
				"webhook-signature":       resthook.SignWebhook([]string{"key"}, "ID", tableTime, r.Body),
			}
			if diff := cmp.Diff(want, everyHeader(r)); diff != "" {
				t.Error(diff)
			}
			for _, h := range d.Headers {
				for _, value := range values(r, h.Name) {
					if value == "" || strings.Contains(value, "/") {
						t.Errorf("%s is %q", h.Name, value)
					}
				}
			}
		})
	}
}

func TestWire_noWebhookSignatureWithoutASecret(t *testing.T) {
	for _, d := range resthook.Dialects() {
		m := tableMessage(d, "create")
		m.Target.Secrets = nil
		got := everyHeader(built(t, d, m))
		if _, ok := got["webhook-signature"]; ok || got["webhook-id"] != "ID" || got["webhook-timestamp"] == "" {
			t.Errorf("%s: %v", d.Name, got)
		}
	}
}

// The identity is opaque and never holds a dot, for "id.timestamp.body" is what is signed.
func TestWire_identityHasNoDot(t *testing.T) {
	for _, d := range resthook.Dialects() {
		m := tableMessage(d, "create")
		m.ID = "a.b"
		if r, err := resthook.Build(m, d, tableTime); err == nil {
			t.Errorf("%s: built %+v", d.Name, r)
		}
	}
}

// The envelope's id and the dialect's delivery id are the webhook-id; created_at and timestamp in a body are the
// change's; X-Clinik-Timestamp and t= are of the attempt.
func TestWire_identityAndTimes(t *testing.T) {
	tests := []struct{ dialect, idHeader, timeMember, timeHeader string }{
		{"healthsync", "X-HealthSync-Delivery", "created_at", ""},
		{"clinik", "X-Clinik-Delivery-Id", "timestamp", "X-Clinik-Timestamp"},
		{"webhook-events", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.dialect, func(t *testing.T) {
			d := dialect(t, tt.dialect)
			for _, m := range []channel.Message{tableMessage(d, "create"), tableMessage(d, "delete"), pingMessage()} {
				m.Target.Signature = resthook.FormTimestamped
				first := built(t, d, m)
				again := m
				again.Attempt++
				later, err := resthook.Build(again, d, tableTime.Add(time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				for r, sent := range map[*resthook.Request]string{&first: "1767323047", &later: "1767326647"} {
					var envelope map[string]any
					if err := json.Unmarshal(r.Body, &envelope); err != nil {
						t.Fatal(err)
					}
					if envelope["id"] != values(*r, "webhook-id")[0] {
						t.Errorf("id is %v", envelope["id"])
					}
					if tt.idHeader != "" && values(*r, tt.idHeader)[0] != values(*r, "webhook-id")[0] {
						t.Errorf("%s is %v", tt.idHeader, values(*r, tt.idHeader))
					}
					if got := envelope[tt.timeMember]; tt.timeMember != "" && !m.Test && got != "2026-01-02T03:04:05.006Z" {
						t.Errorf("%s is %v", tt.timeMember, got)
					}
					if tt.timeHeader != "" && values(*r, tt.timeHeader)[0] != sent {
						t.Errorf("%s is %v, want %s", tt.timeHeader, values(*r, tt.timeHeader), sent)
					}
					header := d.For(m.Target).Signature.Header
					if got := values(*r, header)[0]; !strings.HasPrefix(got, "t="+sent+",v1=") {
						t.Errorf("%s is %v, want t=%s", header, got, sent)
					}
				}
				if !m.Test && !bytes.Equal(first.Body, later.Body) {
					t.Errorf("the body differs between tries: %s, %s", first.Body, later.Body)
				}
			}
		})
	}
}

// channel.header: every name that is refused, in any case of letters and whatever the dialect.
func TestParseHeader_refusedNames(t *testing.T) {
	refused := []string{
		"Host", "Content-Length", "Transfer-Encoding", "Connection", "TE", "Trailer", "Upgrade", "Expect",
		"Proxy-Authorization", "Proxy-Connection", "Proxy-Anything",
		"webhook-id", "webhook-timestamp", "webhook-signature", "webhook-anything",
		"X-Fhirhook-Subscription", "X-Fhirhook-Event", "X-Fhirhook-Interaction", "X-Fhirhook-Resource", "X-Fhirhook-Sequence",
		"X-Fhirhook-Attempt", "X-Fhirhook-Test", "X-Fhirhook-Anything",
	}
	own := map[string][]string{
		"kit": {"X-Signature"}, "fhir": nil, "hapi": nil, "webhook-events": nil,
		"medplum":    {"X-Signature", "X-Medplum-Subscription", "X-Medplum-Interaction", "X-Medplum-Deleted-Resource"},
		"healthsync": {"X-HealthSync-Signature", "X-HealthSync-Event", "X-HealthSync-Delivery"},
		"clinik":     {"X-Clinik-Signature", "X-Clinik-Event", "X-Clinik-Delivery-Id", "X-Clinik-Timestamp"},
	}
	for _, name := range names {
		d := dialect(t, name).For(channel.Target{Payload: "application/fhir+json"})
		for _, header := range append(own[name], refused...) {
			for _, spelling := range []string{header, strings.ToLower(header), strings.ToUpper(header)} {
				t.Run(name+"/"+spelling, func(t *testing.T) {
					if h, err := resthook.ParseHeader(spelling+": x", d); err == nil {
						t.Errorf("accepted as %+v", h)
					} else if !strings.Contains(err.Error(), spelling) {
						t.Errorf("%v doesn't name it", err)
					}
				})
			}
		}
		t.Run(name+"/a differing Content-Type", func(t *testing.T) {
			if h, err := resthook.ParseHeader("Content-Type: text/plain", d); err == nil {
				t.Errorf("accepted as %+v", h)
			}
		})
		t.Run(name+"/the same Content-Type", func(t *testing.T) {
			if _, err := resthook.ParseHeader("Content-Type: "+d.ContentType, d); err != nil {
				t.Error(err)
			}
		})
		t.Run(name+"/names of other dialects", func(t *testing.T) {
			for other, headers := range own {
				for _, header := range headers {
					if _, err := resthook.ParseHeader(header+": x", d); err != nil && !d.Owns(header) {
						t.Errorf("%s of %s is refused: %v", header, other, err)
					}
				}
			}
		})
	}
}

// A line is split at its first colon; without one, or with a control character, it is refused.
func TestParseHeader_split(t *testing.T) {
	for _, d := range resthook.Dialects() {
		h, err := resthook.ParseHeader("X-A: b: c", d)
		if err != nil || h != (channel.Header{Name: "X-A", Value: "b: c"}) {
			t.Errorf("%s: %+v, %v", d.Name, h, err)
		}
		for _, line := range []string{"X-A", "", "X-A: b\x00", "X-A: b\r\nX-B: c", "X-A\x7f: b", "X-A: \x1b[2J"} {
			if h, err := resthook.ParseHeader(line, d); err == nil {
				t.Errorf("%s: %q accepted as %+v", d.Name, line, h)
			}
		}
	}
}

// The samples that fhirhook dialects prints are what is sent: they differ in nothing from a request that is built
// of their message, and each says that it is signed with the secret that it names.
func TestDialect_Samples(t *testing.T) {
	for _, d := range append(resthook.Dialects(), acme()) {
		samples, err := d.Samples()
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]bool{}
		for _, s := range samples {
			kinds[s.Kind] = true
			if diff := cmp.Diff(string(wire(t, s.Message, d, s.Time)), string(s.Wire)); diff != "" {
				t.Errorf("%s: %s", s.Kind, diff)
			}
			h := http.Header{}
			for _, header := range s.Request.Headers {
				h.Add(header.Name, header.Value)
			}
			err := resthook.VerifyWebhook(h.Get("webhook-signature"), h.Get("webhook-id"), h.Get("webhook-timestamp"), []string{resthook.SampleSecret}, s.Request.Body, s.Time, time.Second)
			if err != nil {
				t.Errorf("%s %s: %v", d.Name, s.Kind, err)
			}
		}
		want := map[string]bool{"create": true, "update": true, "ping": true}
		if d.CanDelete() {
			want["delete"] = true
		}
		if d.Bare != nil {
			want["bare"] = true
		}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("%s: %s", d.Name, diff)
		}
	}
}

// Within a JSON string a placeholder becomes a part of it, escaped; outside it becomes a value.
func TestBuild_placeholdersInStrings(t *testing.T) {
	d := acme()
	d.Change.Body = `{"a":"\"${tenant}\" \\${tenant}","b":${tenant},"c":"no. ${sequence}","d":${sequence},"e":"${resource}","f":${resource}}`
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	m := tableMessage(d, "create")
	m.Tenant, m.Body = `a"\é<`, []byte(`{"x":"y"}`)
	want := `{"a":"\"a\"\\é<\" \\a\"\\é<","b":"a\"\\é<","c":"no. 9","d":9,"e":"{\"x\":\"y\"}","f":{"x":"y"}}`
	if got := string(built(t, d, m).Body); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNaming_wordsAndCases(t *testing.T) {
	tests := []struct {
		n    resthook.Naming
		what string
		want string
	}{
		{resthook.Naming{}, "update", "practitioner-role.updated"},
		{resthook.Naming{Case: "kebab", Plural: true}, "create", "practitioner-roles.created"},
		{resthook.Naming{Case: "snake"}, "delete", "practitioner_role.deleted"},
		{resthook.Naming{Case: "type"}, "create", "PractitionerRole.created"},
		{resthook.Naming{Case: "type", Plural: true, Created: "added"}, "create", "PractitionerRoles.added"},
		{resthook.Naming{Updated: "changed", Deleted: "gone"}, "update", "practitioner-role.changed"},
		{resthook.Naming{Updated: "changed", Deleted: "gone"}, "delete", "practitioner-role.gone"},
	}
	for _, tt := range tests {
		if got := tt.n.Name("PractitionerRole", tt.what); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.n, got, tt.want)
		}
	}
}
