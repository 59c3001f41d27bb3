package auth_test

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"fhirhook/criteria"
	"fhirhook/fhir/auth"
)

// TestConfig_example reads the example of docs/authentication.md.
func TestConfig_example(t *testing.T) {
	t.Parallel()
	page := string(must(os.ReadFile("../../docs/authentication.md")))
	_, text, _ := strings.Cut(page, "```yaml\n")
	text, _, found := strings.Cut(text, "```")
	if !found {
		t.Fatal("the page has no example")
	}
	var file struct{ Auth auth.Config }
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	c := file.Auth
	if err := c.Check(criteria.R4(), false); err != nil {
		t.Error(err)
	}
	want := auth.Quota{Resources: 1_000_000, Subscriptions: 500, StorageBytes: 10 << 30, Notifications: 50, Requests: 200.5}
	if diff := cmp.Diff(want, c.QuotaOf("clinic-a")); diff != "" {
		t.Error(diff)
	}
	if c.QuotaOf("clinic-b") != (auth.Quota{}) || c.QuotaOf("clinic-c") != (auth.Quota{Requests: 100}) {
		t.Error("wrong quotas")
	}
	if got := c.Tokens[0].Expires.Format("2006-01-02"); got != "2027-01-01" || !c.Issuers[0].Admin || c.Issuers[0].TenantClaim != "organization" {
		t.Errorf("%+v", c)
	}
}

func TestConfig_CheckNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, hash := auth.NewToken()
	c := auth.Config{
		Tokens: []auth.Token{
			{Name: "", Hash: "fhk_THETOKENITSELF", Scopes: []string{"system/Observation.sr", "system/Nothing.r"}},
			{Name: "a", Hash: hash, Admin: true, Tenant: "clinic"},
			{Name: "a", Hash: hash, Admin: true, Tenant: "clinic", Patient: "a/b"},
			{Name: "b", Hash: "sha256:" + strings.Repeat("z", 64), Admin: true, Tenant: "unheard-of"},
			{Name: "c", Hash: auth.HashToken("c"), Scopes: []string{"system/*.r"}},
		},
		Issuers: []auth.Issuer{
			{URL: "http://id.example.org", Tenant: "clinic"},
			{URL: "https://u:p@id.example.org", Audience: []string{""}, TenantClaim: "t", Tenant: "clinic"},
			{URL: "https://id.example.org", Audience: []string{"x"}, Algorithms: []string{"HS256", "none"}, JWKS: "file:///x", Tenant: "../.."},
			{URL: "http://127.0.0.1:1", Audience: []string{"x"}, Tenant: "clinic"},
			{URL: "https://id.example.org", Audience: []string{"x"}, Tenant: "clinic"},
		},
		Quota:   auth.Quota{Requests: -1},
		Tenants: map[string]auth.Quota{"clinic": {}, "a b": {Notifications: math.NaN()}},
	}
	err := c.Check(criteria.R4(), false)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{
		"auth.tokens[0].name:", "auth.tokens[0].hash:", ".rs", "Nothing", "auth.tokens[0].tenant: name one",
		"auth.tokens[2].name: another", "auth.tokens[2].hash: another", "auth.tokens[2].patient:",
		"auth.tokens[3].hash:", `auth.tokens[3].tenant: "unheard-of"`, "auth.tokens[4].tenant: name one",
		"auth.issuers[0].issuer: it has to begin with https", "auth.issuers[0].audience:",
		"auth.issuers[1].issuer: a URL with a user", "auth.issuers[1].audience:", "auth.issuers[1].tenant: all tokens",
		`auth.issuers[2].algorithms: "HS256"`, `auth.issuers[2].algorithms: "none"`, "auth.issuers[2].jwks:", "auth.issuers[2].tenant:",
		"auth.issuers[3].issuer: without TLS", "--dev", "auth.issuers[4].issuer:",
		"auth.quota.requests:", "auth.tenants.name:", "auth.tenants[a b].notifications:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s", want)
		}
	}
	if strings.Contains(err.Error(), "THETOKENITSELF") || strings.Contains(err.Error(), "u:p") {
		t.Errorf("a secret is told: %v", err)
	}
	if t.Failed() {
		t.Log(err)
	}
}
