package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	models "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"fhirhook/fhir/auth"
)

var published = &auth.Smart{
	Issuer: "https://id.example/", JWKS: "https://id.example/keys", Authorization: "https://id.example/auth", Token: "https://id.example/token",
	Capabilities: []string{"permission-v2"},
}

// ways are how a server may authenticate.
func ways(t *testing.T) map[string]func(*Options) {
	known := callers{}
	known.add(t, "lab", "system/Patient.rs", false)
	smart := func(s *auth.Smart, err error) func(*Options) {
		return func(o *Options) {
			o.Authenticator = known
			o.Smart = func(context.Context, bool) (*auth.Smart, error) { return s, err }
		}
	}
	return map[string]func(*Options){
		"open":    func(*Options) {},
		"tokens":  smart(nil, auth.ErrNoIssuer),
		"issuer":  smart(published, nil),
		"silent":  smart(nil, errors.New("no route to 10.1.2.3")),
		"pending": smart(nil, nil),
	}
}

// TestSmart_configurationIsThereWhereAnIssuerIs: public, cached, and without a word of what went wrong inside.
func TestSmart_configurationIsThereWhereAnIssuerIs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"open": 404, "tokens": 404, "issuer": 200, "silent": 503} {
		h := newHarness(t, ways(t)[name])
		r := h.must(want, "GET", "/.well-known/smart-configuration", "")
		if want != http.StatusOK {
			if r.at("resourceType") != "OperationOutcome" || strings.Contains(string(r.body), "10.1.2.3") {
				t.Errorf("%s: %s", name, r.body)
			}
			continue
		}
		var got auth.Smart
		if err := json.Unmarshal(r.body, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*published, got); diff != "" {
			t.Error(diff)
		}
		if r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "public, max-age=300" || r.header.Get("Content-Length") == "" {
			t.Errorf("%v", r.header)
		}
		if head := h.must(200, "HEAD", "/.well-known/smart-configuration", ""); len(head.body) > 0 || head.header.Get("Content-Length") != r.header.Get("Content-Length") {
			t.Errorf("HEAD: %v %s", head.header, head.body)
		}
		h.must(204, "OPTIONS", "/.well-known/smart-configuration", "")
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			if r := h.must(405, method, "/.well-known/smart-configuration", ""); r.header.Get("Allow") != "OPTIONS, GET, HEAD" {
				t.Errorf("%s: %v", method, r.header)
			}
		}
	}
}

// TestMetadata_saysHowToGetIn: what is true of each way, and nothing else.
func TestMetadata_saysHowToGetIn(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		services, uris, description string
	}{
		"open":    {"", "", "Nobody is authenticated"},
		"tokens":  {"OAuth", "", "a token that the operator"},
		"issuer":  {"SMART-on-FHIR OAuth", "authorize=https://id.example/auth token=https://id.example/token", "a JWT of the issuer"},
		"pending": {"SMART-on-FHIR OAuth", "", "a JWT of the issuer"},
	} {
		h := newHarness(t, ways(t)[name])
		c, err := models.UnmarshalCapabilityStatement(h.must(200, "GET", "/metadata", "").body)
		if err != nil {
			t.Fatal(err)
		}
		how := c.Rest[0].Security
		var services, uris []string
		for _, s := range how.Service {
			services = append(services, *s.Coding[0].Code)
		}
		for _, e := range how.Extension {
			for _, one := range e.Extension {
				uris = append(uris, one.Url+"="+*one.ValueUri)
			}
		}
		if got := strings.Join(services, " "); got != want.services {
			t.Errorf("%s: services %s", name, got)
		}
		if got := strings.Join(uris, " "); got != want.uris {
			t.Errorf("%s: URIs %s", name, got)
		}
		if !strings.Contains(*how.Description, want.description) {
			t.Errorf("%s: %s", name, *how.Description)
		}
	}
}

// TestOpenAPI_saysHowToGetIn: tools that read it know that a token is needed, and where it comes from.
func TestOpenAPI_saysHowToGetIn(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"open": "", "tokens": "bearer", "issuer": "bearer issuer", "pending": "bearer"} {
		h := newHarness(t, ways(t)[name])
		w := httptest.NewRecorder()
		h.server.OpenAPI(w, httptest.NewRequestWithContext(t.Context(), "GET", "/openapi.json", nil))
		var doc struct {
			Security   []map[string][]string
			Components struct {
				SecuritySchemes map[string]struct{ Type, Scheme, OpenIDConnectURL string }
			}
			Paths map[string]map[string]struct{ Security []map[string][]string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, one := range doc.Security {
			for scheme := range one {
				got = append(got, scheme)
				if doc.Components.SecuritySchemes[scheme].Type == "" {
					t.Errorf("%s: %s is not declared", name, scheme)
				}
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q", name, got)
		}
		if n := len(doc.Paths["/metadata"]["get"].Security); want != "" && n != len(got)+1 || want == "" && n != 0 {
			t.Errorf("%s: metadata has %d", name, n)
		}
		if url := doc.Components.SecuritySchemes["issuer"].OpenIDConnectURL; name == "issuer" && url != "https://id.example/.well-known/openid-configuration" {
			t.Errorf("%s: %s", name, url)
		}
	}
}
