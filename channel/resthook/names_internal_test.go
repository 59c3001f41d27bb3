package resthook

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The verdict at the write knows what a name resolves to, if somebody asked before; a name server that is slow, fails
// or knows nothing refuses nobody.
func TestNetwork_LookUp(t *testing.T) {
	tests := []struct {
		name, url, answers string
		open               opening
		words              string
	}{
		{"public", "https://victim.example/", "93.184.216.34", opening{}, ""},
		{"private", "https://victim.example/", "10.0.0.5", opening{}, "victim.example resolves to 10.0.0.5, which is a private address; ask the operator to allow it with --allow-endpoint 10.0.0.5/32"},
		{"all private", "https://victim.example/", "10.0.0.5 fd12::1", opening{}, "private"},
		{"a mix", "https://victim.example/", "10.0.0.5 93.184.216.34", opening{}, ""},
		{"no such name", "https://victim.example/", "", opening{}, ""},
		{"a failing name server", "https://victim.example/", "fails", opening{}, ""},
		{"allowed by range", "https://victim.example/", "10.0.0.5", opening{allow: "10.0.0.0/8"}, ""},
		{"allowed by name", "https://victim.example/", "10.0.0.5", opening{allow: "victim.example"}, ""},
		{"denied", "https://victim.example/", "93.184.216.34", opening{deny: "93.184.216.34"}, "which is closed"},
		{"http that only a range could open", "http://victim.example/", "93.184.216.34", opening{http: "10.0.0.0/8"}, "not encrypted"},
		{"a port in a range", "https://victim.example:6379/", "10.0.0.5", opening{allow: "10.0.0.0/8 10.0.0.6:6379"}, "port 6379"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z := newZone(map[string][]string{"victim.example": {tt.answers}})
			n, err := NewNetwork(NetworkOptions{Policy: tt.open.policy(t), Resolver: z.resolver()})
			if err != nil {
				t.Fatal(err)
			}
			if err := n.CheckURL(tt.url); err != nil || z.questions("victim.example") > 0 {
				t.Fatalf("before anybody asked: %v, %d questions", err, z.questions("victim.example"))
			}
			n.LookUp(t.Context(), tt.url)
			asked := z.questions("victim.example")
			n.LookUp(t.Context(), tt.url)
			err = n.CheckURL(tt.url)
			if tt.words == "" && err != nil || tt.words != "" && (err == nil || !strings.Contains(err.Error(), tt.words)) {
				t.Errorf("got %v, want %q", err, tt.words)
			}
			if asked == 0 || z.questions("victim.example") != asked {
				t.Errorf("%d questions, then %d", asked, z.questions("victim.example"))
			}
		})
	}
}

// Nobody is asked about what is refused or known anyway.
func TestNetwork_LookUp_asksNobody(t *testing.T) {
	z := newZone(map[string][]string{"victim.example": {"10.0.0.5"}})
	n, err := NewNetwork(NetworkOptions{Policy: opening{deny: "victim.example"}.policy(t), Resolver: z.resolver()})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"https://victim.example/", "http://other.example/", "nonsense", "https://localhost/", "https://10.0.0.5/", "https://metadata.google.internal/"} {
		n.LookUp(t.Context(), url)
	}
	if len(z.asked) > 0 {
		t.Errorf("asked %v", z.asked)
	}
}

// A silent name server costs two seconds, once in half a minute; an answer counts as long.
func TestNames_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(map[string][]string{"silent.example": {"silence"}, "a.example": {"10.0.0.5", "10.0.0.6"}})
		n := newNames(z.resolver())
		spent := func(host string) time.Duration {
			start := time.Now()
			n.ask(t.Context(), host)
			return time.Since(start)
		}
		if d := spent("a.example"); d != 0 {
			t.Errorf("an answer took %s", d)
		}
		if d := spent("silent.example"); d != mostAsk {
			t.Errorf("no answer took %s", d)
		}
		for _, host := range []string{"silent.example", "b.example"} {
			if d := spent(host); d != 0 {
				t.Errorf("%s: a silent name server was asked again, for %s", host, d)
			}
		}
		if got, known := n.of("a.example", time.Now()); !known || joined(got) != "10.0.0.5" {
			t.Errorf("known: %v, %t", got, known)
		}
		<-time.After(silence)
		if _, known := n.of("a.example", time.Now()); known {
			t.Error("an answer counts for ever")
		}
		n.ask(t.Context(), "a.example")
		if got, _ := n.of("a.example", time.Now()); joined(got) != "10.0.0.6" {
			t.Errorf("asked again: %v", got)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		n.ask(gone, "c.example")
		if _, known := n.of("c.example", time.Now()); known || n.isSilent(time.Now()) {
			t.Error("a client that went away left something behind")
		}
	})
}
