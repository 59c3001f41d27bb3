package resthook_test

import (
	"strings"
	"testing"

	"fhirhook/channel"
	"fhirhook/channel/channeltest"
	"fhirhook/channel/resthook"
)

// The answer to a test tells what its receiver has to verify; nothing else does, and never the key.
func TestChannel_aTestTellsItsSignatures(t *testing.T) {
	t.Parallel()
	for _, d := range resthook.Dialects() {
		r := channeltest.New(t)
		m := channel.Message{
			ID: "t1", Tenant: "default", Subscription: "s", Attempt: 1, Event: "ping", Test: true,
			Target: channel.Target{Endpoint: r.URL("/"), Dialect: d.Name, Signature: "timestamped", Secrets: []string{"new-key", "old-key"}},
		}
		reply, err := open(t).Send(t.Context(), m)
		if err != nil {
			t.Fatal(d.Name, err)
		}
		names := map[string]bool{}
		for _, h := range reply.Signed {
			names[strings.ToLower(h.Name)] = true
			if got := r.Requests()[0].Header(h.Name); got != h.Value {
				t.Errorf("%s: %s was %q, and is told as %q", d.Name, h.Name, got, h.Value)
			}
			if strings.Contains(h.Value, "-key") {
				t.Errorf("%s: %s tells a key", d.Name, h.Name)
			}
		}
		for _, want := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			if !names[want] {
				t.Errorf("%s: %s is missing in %v", d.Name, want, reply.Signed)
			}
		}
		if len(names) != 4 {
			t.Errorf("%s: %d headers: %v", d.Name, len(names), reply.Signed)
		}
		m.Test, m.Type, m.Focus, m.Version, m.Interaction, m.Body = false, "Patient", "1", "1", "create", []byte("{}")
		if reply, err := open(t).Send(t.Context(), m); err != nil || reply.Signed != nil {
			t.Errorf("%s: a delivery tells %v, %v", d.Name, reply.Signed, err)
		}
	}
}
