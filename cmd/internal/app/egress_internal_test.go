package app

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fhirhook/channel/resthook"
)

// asked is a lookup that remembers.
type asked struct{ endpoints []string }

func (a *asked) LookUp(_ context.Context, endpoint string) {
	a.endpoints = append(a.endpoints, endpoint)
}

// The name of an endpoint is asked for when the body of the one Subscription that names it was read to its end: not for
// a client whose body nobody reads, since that one isn't let in, and never twice.
func TestLookAhead(t *testing.T) {
	const body = `{"resourceType":"Subscription","channel":{"type":"rest-hook","endpoint":"https://a.example/hook"}}`
	large := strings.Replace(body, `"channel"`, `"reason":"`+strings.Repeat("x", mostLookAhead)+`","channel"`, 1)
	tests := []struct {
		name, method, path, body string
		unread                   bool
		want                     string
	}{
		{"create", http.MethodPost, "/fhir/R4/Subscription", body, false, "https://a.example/hook"},
		{"create with a slash", http.MethodPost, "/fhir/R4/Subscription/", body, false, "https://a.example/hook"},
		{"update", http.MethodPut, "/fhir/R4/Subscription/1", body, false, "https://a.example/hook"},
		{"conditional update", http.MethodPut, "/fhir/R4/Subscription?criteria=Patient", body, false, "https://a.example/hook"},
		{"a client that isn't let in", http.MethodPost, "/fhir/R4/Subscription", body, true, ""},
		{"another type", http.MethodPost, "/fhir/R4/Patient", body, false, ""},
		{"a type that begins alike", http.MethodPost, "/fhir/R4/SubscriptionStatus", body, false, ""},
		{"a search", http.MethodPost, "/fhir/R4/Subscription/_search", body, false, ""},
		{"an operation", http.MethodPost, "/fhir/R4/Subscription/1/$ping", body, false, ""},
		{"a patch", http.MethodPatch, "/fhir/R4/Subscription/1", body, false, ""},
		{"a Bundle", http.MethodPost, "/fhir/R4/", body, false, ""},
		{"no endpoint", http.MethodPost, "/fhir/R4/Subscription", `{"resourceType":"Subscription"}`, false, ""},
		{"no JSON", http.MethodPost, "/fhir/R4/Subscription", body[:40], false, ""},
		{"no object", http.MethodPost, "/fhir/R4/Subscription", `{"channel":{"endpoint":7}}`, false, ""},
		{"too large", http.MethodPost, "/fhir/R4/Subscription", large, false, ""},
		{"nothing", http.MethodPost, "/fhir/R4/Subscription", "", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a asked
			h := lookAhead(&a, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if tt.unread {
					return
				}
				for range 2 {
					got, err := io.ReadAll(r.Body)
					if err != nil || len(got) > 0 && string(got) != tt.body {
						t.Errorf("the body arrives as %d bytes, %v", len(got), err)
					}
				}
			}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(tt.method, tt.path, io.MultiReader(strings.NewReader(tt.body))))
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			if !slices.Equal(a.endpoints, want) {
				t.Errorf("asked for %v, want %v", a.endpoints, want)
			}
		})
	}
}

// Every problem is named, and no credentials.
func TestOptions_readOutbound(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	tests := []struct {
		name  string
		o     Options
		words []string // none: nothing is wrong
	}{
		{"nothing", Options{}, nil},
		{"a proxy", Options{Outbound: Outbound{Proxy: "http://proxy.example:3128", ProxyAuthFile: file("auth", "ward:s3cret\n")}}, nil},
		{"a proxy by the environment", Options{Outbound: Outbound{Proxy: "http://proxy.example:3128", ProxyAuth: "ward:s3cret"}}, nil},
		{"a closed range in an open one", Options{AllowEndpoints: []string{"10.0.0.0/8"}, Outbound: Outbound{DenyEndpoints: []string{"10.0.0.0/24", "ris.example:8443"}}}, nil},
		{
			"lists",
			Options{AllowEndpoints: []string{"10.0.0.0/8", "ris.example"}, AllowHTTP: []string{"0.0.0.0/0", "::/0"}, Outbound: Outbound{DenyEndpoints: []string{"10.0.0.0/8", "RIS.example.", "10.0.0.0/33"}}},
			[]string{"--allow-http 0.0.0.0/0: this would send health data unencrypted", "--allow-http ::/0", "--deny-endpoint 10.0.0.0/8: it is allowed as well", "--deny-endpoint RIS.example.: it is allowed", "--deny-endpoint 10.0.0.0/33"},
		},
		{"lists and a proxy", Options{AllowHTTP: []string{"0.0.0.0/0"}, Outbound: Outbound{Proxy: "socks://s3cret"}}, []string{"--allow-http", "--proxy: must be"}},
		{"a password in the URL", Options{Outbound: Outbound{Proxy: "http://ward:s3cret@proxy.example"}}, []string{"--proxy: the URL holds credentials", "--proxy-auth-file"}},
		{"credentials twice", Options{Outbound: Outbound{Proxy: "http://proxy.example", ProxyAuth: "ward:s3cret", ProxyAuthFile: file("auth2", "ward:s3cret")}}, []string{"both hold"}},
		{"credentials for nothing", Options{Outbound: Outbound{ProxyAuthFile: file("auth3", "ward:s3cret")}}, []string{"for no proxy"}},
		{"an empty file", Options{Outbound: Outbound{Proxy: "http://proxy.example", ProxyAuthFile: file("empty", "\n")}}, []string{"is empty"}},
		{"no file", Options{Outbound: Outbound{Proxy: "http://proxy.example", ProxyAuthFile: filepath.Join(dir, "none")}}, []string{"--proxy-auth-file: "}},
		{"no password", Options{Outbound: Outbound{Proxy: "http://proxy.example", ProxyAuth: "s3cret"}}, []string{"name:password"}},
		{
			"authorities and origins",
			Options{Outbound: Outbound{CAFiles: []string{file("ca", "s3cret")}, Endpoints: []resthook.Origin{{Origin: "https://a.example"}, {Origin: "http://b.example", CAFile: "x"}}}},
			[]string{"--ca-file: ", "endpoints, entry 1", "endpoints, entry 2"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p problems
			n := tt.o.readOutbound(&p)
			err := p.err()
			if len(tt.words) == 0 {
				if err != nil || n == nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			for _, words := range append(tt.words, "configuration") {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("%q isn't in %v", words, err)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("told: %v", err)
			}
		})
	}
}
