package subscription

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/tape"
)

// author is a caller with scopes, in the tenant of tests.
func author(t testing.TB, subject string, scopes ...string) *auth.Principal {
	t.Helper()
	parsed, err := auth.ParseScopes(scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return auth.Principal{Issuer: "https://issuer.example", Subject: subject, Tenant: fhir.DefaultTenant, Scopes: parsed}.Compile(criteria.R4())
}

// gateOf is the gate for what one caller writes.
func gateOf(t testing.TB, who *auth.Principal) *Gate {
	o := testOptions(t)
	o.Author, o.Grants = who, NewGrants(criteria.R4(), criteria.Env{})
	return NewGate(o)
}

func anyone(t testing.TB) *auth.Principal {
	t.Helper()
	var none *auth.Authenticator
	who, err := none.Authenticate(t.Context())
	if err != nil || !who.Open() {
		t.Fatal(who, err)
	}
	return who
}

// scopesOf are the conditions of the grant in a version, one text each.
func scopesOf(r *fhir.Resource) (all []string) {
	g := GrantOf(r.Doc())
	if g == nil {
		return nil
	}
	for _, c := range g.Conditions {
		text := c.Scopes.String()
		if c.Admin {
			text = "admin"
		}
		all = append(all, text)
	}
	if !g.Revoked.IsZero() {
		all = append(all, "revoked")
	}
	return all
}

const plainSubscription = `{"resourceType":"Subscription","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"https://hook.example/"}}`

// Whose grant stands there after a write, and after another's write over it.
func TestGate_grantsAreNeverWidenedByOthers(t *testing.T) {
	const all, patients, final = "system/*.rs", "system/Patient.rs", "system/Observation.rs?status=final"
	a, b := author(t, "a", all), author(t, "b", patients)
	admin := auth.Principal{Issuer: "https://issuer.example", Subject: "root", Tenant: fhir.DefaultTenant, Admin: true}.Compile(criteria.R4())
	elsewhere := auth.Principal{Issuer: "https://issuer.example", Subject: "a", Tenant: "elsewhere", Scopes: a.Scopes}.Compile(criteria.R4())
	tests := []struct {
		name    string
		writers []*auth.Principal // each changes it
		want    []string
		by      string
	}{
		{"its author's", []*auth.Principal{a}, []string{all}, "a"},
		{"nobody's", []*auth.Principal{anyone(t)}, nil, ""},
		{"nobody's for ever", []*auth.Principal{anyone(t), a}, nil, ""},
		{"lost to nobody", []*auth.Principal{a, anyone(t)}, nil, ""},
		{"narrowed by another", []*auth.Principal{a, b}, []string{all, patients}, "a"},
		{"not widened by another", []*auth.Principal{b, a}, []string{patients, all}, "b"},
		{"both conditions", []*auth.Principal{b, author(t, "c", final)}, []string{patients, final}, "b"},
		{"an administrator narrows nothing", []*auth.Principal{a, admin}, []string{all}, "a"},
		{"an administrator's, narrowed", []*auth.Principal{admin, b}, []string{patients}, "root"},
		{"the author's token became narrower", []*auth.Principal{a, author(t, "a", final)}, []string{final}, "a"},
		{"the author's token became wider", []*auth.Principal{b, author(t, "b", all)}, []string{all}, "b"},
		{"what another changed the author doesn't widen", []*auth.Principal{a, b, a}, []string{all, patients}, "a"},
		{"an administrator's change counts, too", []*auth.Principal{b, admin, author(t, "b", all)}, []string{patients, all}, "b"},
		{"of the same name elsewhere", []*auth.Principal{a, elsewhere}, nil, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v *fhir.Resource
			for i, who := range tt.writers {
				v = mustAdmit(t, gateOf(t, who), strings.Replace(plainSubscription, `"criteria"`, `"reason":"`+string(rune('a'+i))+`","criteria"`, 1), v)
			}
			if diff := cmp.Diff(tt.want, scopesOf(v)); diff != "" {
				t.Error(diff)
			}
			if g := GrantOf(v.Doc()); g != nil && g.Subject != tt.by || (g == nil) != (tt.by == "") {
				t.Errorf("the grant is %+v, want %q's", g, tt.by)
			}
		})
	}
}

// What changes nothing makes no version: by GET, edit and PUT, by a client that never saw the grant, and by another.
func TestGate_sameContentKeepsTheGrant(t *testing.T) {
	a, b := author(t, "a", "system/*.rs"), author(t, "b", "system/Patient.rs")
	for _, sent := range []string{
		plainSubscription,
		strings.Replace(plainSubscription, `"criteria"`, `"extension":[{"url":"https://clinic.example/note","valueString":"x"}],"criteria"`, 1),
		strings.Replace(plainSubscription, `"criteria"`, `"extension":[],"criteria"`, 1),
	} {
		v := mustAdmit(t, gateOf(t, a), sent, nil)
		read := string(gateOf(t, a).Redact(v))
		if !strings.Contains(read, `"https://fhirhook.dev/StructureDefinition/subscription-grant","valueString":"{\"issuer\"`) {
			t.Fatal(read)
		}
		later := noon.Add(time.Hour)
		for name, again := range map[string]string{"as it was read": read, "as it was written": sent} {
			for _, who := range []*auth.Principal{a, b, anyone(t)} {
				in, err := gateOf(t, who).Admit(incoming(t, again), v, later)
				if err != nil || !fhir.SameContent(v.Doc(), in.Doc) {
					t.Errorf("%s, by %s: %v\n%s\n%s", name, who.Subject, err, v.JSON, in.Doc.Bytes())
				}
			}
		}
	}
}

// A grant of the client's own making is refused wherever it stands, and its problem named beside others.
func TestGate_trustsNoGrantOfAClient(t *testing.T) {
	a := author(t, "a", "system/Patient.rs")
	text, err := json.Marshal(auth.GrantOf(author(t, "a", "system/*.rs"), noon))
	if err != nil {
		t.Fatal(err)
	}
	forged := func(value string) string { return ext(us+"subscription-grant", value) }
	value := `"valueString":` + string(tape.Quote(string(text)))
	stored := mustAdmit(t, gateOf(t, a), plainSubscription, nil)
	kept := forged(`"valueString":` + string(tape.Quote(func() string { _, s := grantIn(stored.Doc()); return s }())))
	put := func(member, list string) string {
		return strings.Replace(plainSubscription, `"`+member+`"`, `"extension":[`+list+`],"`+member+`"`, 1)
	}
	for name, tt := range map[string]struct {
		sent string
		prev *fhir.Resource
	}{
		"in a create":            {put("criteria", forged(value)), nil},
		"in an update":           {put("criteria", forged(value)), stored},
		"under www":              {put("criteria", strings.Replace(forged(value), "https://", "http://www.", 1)), stored},
		"beside the real one":    {put("criteria", kept+","+forged(value)), stored},
		"before the real one":    {put("criteria", forged(value)+","+kept), stored},
		"the real one, twice":    {put("criteria", kept+","+kept), stored},
		"a copy of the real one": {put("criteria", kept), nil},
		"on the channel":         {put("type", forged(value)), stored},
		"the real one there":     {put("type", kept), stored},
		"as a code":              {put("criteria", forged(strings.Replace(value, "valueString", "valueCode", 1))), stored},
		"without a value":        {put("criteria", forged(`"extension":[]`)), stored},
		"with more":              {put("criteria", strings.Replace(kept, `"valueString"`, `"id":"x","valueString"`, 1)), stored},
		"no JSON":                {put("criteria", forged(`"valueString":"all"`)), stored},
		"as a modifier":          {strings.Replace(plainSubscription, `"criteria"`, `"modifierExtension":[`+kept+`],"criteria"`, 1), stored},
		"in a primitive":         {strings.Replace(plainSubscription, `"criteria"`, `"_status":{"extension":[`+kept+`]},"criteria"`, 1), stored},
	} {
		for _, who := range []*auth.Principal{a, anyone(t)} {
			v, err := admit(t, gateOf(t, who), tt.sent, tt.prev)
			if fhir.KindOf(err) != fhir.BusinessRule || !strings.Contains(err.Error(), "xtension") {
				t.Errorf("%s: %v, %v", name, v, err)
			}
		}
	}
	// A contained Subscription is a copy that nobody acts on, so what stands in it says nothing.
	v := mustAdmit(t, gateOf(t, a), strings.Replace(plainSubscription, `"criteria"`, `"contained":[`+put("criteria", forged(value))+`],"criteria"`, 1), nil)
	if diff := cmp.Diff([]string{"system/Patient.rs"}, scopesOf(v)); diff != "" {
		t.Error(diff)
	}
}

// Taking a grant out leaves what a client wrote, byte for byte.
func TestWithGrant_leavesTheRest(t *testing.T) {
	a := auth.GrantOf(author(t, "a", "system/Observation.rs?code=a%26b"), noon)
	other := auth.GrantOf(author(t, "b", "system/*.rs"), noon)
	for _, list := range []string{"", `{"url":"https://a.example/"}`, `{"url":"https://a.example/"},{"url":"https://b.example/"}`} {
		body := plainSubscription
		if list != "" {
			body = strings.Replace(plainSubscription, `"criteria"`, `"extension":[`+list+`],"criteria"`, 1)
		}
		doc := incoming(t, body).Doc
		with := WithGrant(doc, a)
		if got := GrantOf(with); !a.Same(got) || got.Same(other) {
			t.Errorf("%+v, want %+v", got, a)
		}
		if got := string(WithGrant(WithGrant(with, other), nil).Bytes()); got != body {
			t.Errorf("%s became %s", body, got)
		}
	}
	first := strings.Replace(string(WithGrant(incoming(t, plainSubscription).Doc, a).Bytes()), `"extension":[`, `"extension":[{"url":"https://a.example/"},`, 1)
	last := strings.Replace(first, `"}],`, `"},{"url":"https://b.example/"}],`, 1)
	got := string(WithGrant(incoming(t, last).Doc, nil).Bytes())
	if want := strings.Replace(plainSubscription, `"criteria"`, `"extension":[{"url":"https://a.example/"},{"url":"https://b.example/"}],"criteria"`, 1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Without authentication nothing is limited; with it, what has no grant, a revoked one or another tenant's sees nothing.
func TestParse_seesByItsGrant(t *testing.T) {
	patient := &fhir.Resource{Key: fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "p"}, Version: 1, JSON: []byte(`{"resourceType":"Patient","id":"p"}`)}
	who := author(t, "a", "system/Patient.rs")
	g := auth.GrantOf(who, noon)
	foreign := *g
	foreign.Tenant = "elsewhere"
	for name, tt := range map[string]struct {
		grant *auth.Grant
		sees  bool
		why   string
	}{
		"its author's":     {g, true, ""},
		"an administrator": {&auth.Grant{Tenant: fhir.DefaultTenant, Conditions: []auth.Condition{{Admin: true}}}, true, ""},
		"none":             {nil, false, "$take-over"},
		"revoked":          {g.Revoke(nil, noon), false, "revoked on 2026-03-01T12:00:00.000Z"},
		"another tenant's": {&foreign, false, "the grant of a"},
		"of other types":   {auth.GrantOf(author(t, "a", "system/Observation.rs", "system/Patient.cud"), noon), false, "does not cover"},
	} {
		doc := WithGrant(incoming(t, plainSubscription).Doc, tt.grant)
		o := testOptions(t)
		open, err := Parse(subKey("s"), 1, doc, o)
		if err != nil || open.View.Limited() || open.Blind() != "" {
			t.Errorf("%s, without authentication: %v, %v", name, open, err)
		}
		o.Grants = NewGrants(criteria.R4(), criteria.Env{})
		s, err := Parse(subKey("s"), 1, doc, o)
		if err != nil || s.View.Finds(patient, noon) != tt.sees || (s.Blind() == "") != tt.sees || !strings.Contains(s.Blind(), tt.why) {
			t.Errorf("%s: %v, %q", name, err, s.Blind())
		}
	}
}
