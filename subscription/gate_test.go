package subscription

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// incoming is a body as a client sends it.
func incoming(t testing.TB, json string) fhir.Incoming {
	t.Helper()
	in, err := fhir.Read([]byte(json), 0)
	if err != nil {
		t.Fatalf("%s: %v", json, err)
	}
	return in
}

// put stores what the gate admits as the version behind prev.
func admit(t testing.TB, g *Gate, json string, prev *fhir.Resource) (*fhir.Resource, error) {
	t.Helper()
	in, err := g.Admit(incoming(t, json), prev, noon)
	if err != nil {
		return nil, err
	}
	r := &fhir.Resource{Key: fhir.Key{Tenant: fhir.DefaultTenant, Type: fhir.Subscription, ID: "s"}, Version: 1, Updated: noon}
	if prev != nil {
		r.Version = prev.Version + 1
	}
	r.JSON = fhir.Stamp(in.Doc, "s", r.Version, noon)
	return r, nil
}

func mustAdmit(t testing.TB, g *Gate, json string, prev *fhir.Resource) *fhir.Resource {
	t.Helper()
	r, err := admit(t, g, json, prev)
	if err != nil {
		t.Fatalf("%s\n%v", json, err)
	}
	return r
}

// at makes a Subscription with one endpoint, with headers and a secret ("" for none).
func at(endpoint, secret string, headers ...string) string {
	s := `{"resourceType":"Subscription","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"` + endpoint + `"`
	if len(headers) > 0 {
		s += `,"header":["` + strings.Join(headers, `","`) + `"]`
	}
	s += "}"
	if secret != "" {
		s += `,"extension":[` + ext(us+"subscription-secret", `"valueString":"`+secret+`"`) + `]`
	}
	return s + "}"
}

func TestGate_ownsStatusAndError(t *testing.T) {
	const past, future = `"2026-03-01T12:00:00Z"`, `"2026-03-01T12:00:00.001Z"`
	was := func(status, errorText string) string {
		s := `,"status":"` + status + `"`
		if errorText != "" {
			s += `,"error":"` + errorText + `"`
		}
		return s
	}
	tests := []struct {
		name         string
		stored, sent string // members
		wantStatus   string
		wantError    string
		refused      bool
	}{
		{name: "create without", wantStatus: "active"},
		{name: "create requested", sent: was("requested", ""), wantStatus: "active"},
		{name: "create active", sent: was("active", ""), wantStatus: "active"},
		{name: "create off", sent: was("off", ""), wantStatus: "off"},
		{name: "create error", sent: was("error", ""), refused: true},
		{name: "create with an error text", sent: `,"error":"mine","_error":{"extension":[{"url":"u","valueCode":"x"}]}`, wantStatus: "active"},
		{name: "create with the end now", sent: `,"end":` + past, wantStatus: "off"},
		{name: "create with the end to come", sent: `,"end":` + future, wantStatus: "active"},
		{name: "GET, edit, PUT in error", stored: was("error", "it fails"), sent: was("error", "it fails"), wantStatus: "active"},
		{name: "re-arm", stored: was("off", "it failed"), sent: was("requested", "it failed"), wantStatus: "active"},
		{name: "re-arm without status", stored: was("off", "it failed"), wantStatus: "active"},
		{name: "re-arm after the end", stored: was("off", ""), sent: was("active", "") + `,"end":` + past, wantStatus: "off"},
		{name: "off stays off and says why", stored: was("off", "it failed"), sent: was("off", "forged"), wantStatus: "off", wantError: "it failed"},
		{name: "off stays off, error left out", stored: was("off", "it failed"), sent: was("off", ""), wantStatus: "off", wantError: "it failed"},
		{name: "switch off", stored: was("active", ""), sent: was("off", "forged"), wantStatus: "off"},
		{name: "switch off while in error", stored: was("error", "it fails"), sent: was("off", "it fails"), wantStatus: "off"},
	}
	g := NewGate(testOptions(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var prev *fhir.Resource
			if tt.stored != "" {
				prev = &fhir.Resource{Key: fhir.Key{Type: fhir.Subscription, ID: "s"}, Version: 4, JSON: document(t, body(tt.stored, "")).Bytes()}
			}
			r, err := admit(t, g, body(tt.sent, ""), prev)
			if (err != nil) != tt.refused {
				t.Fatal(err)
			}
			if tt.refused {
				return
			}
			root := r.Doc().Root()
			if diff := cmp.Diff([]string{tt.wantStatus, tt.wantError}, []string{root.Get("status").Text(), root.Get("error").Text()}); diff != "" {
				t.Errorf("%s\n%s", r.JSON, diff)
			}
			if tt.wantError == "" && (root.Get("error").Exists() || root.Get("_error").Exists()) {
				t.Errorf("an error element is left: %s", r.JSON)
			}
		})
	}
}

func TestWithStatus_leavesAllOtherBytes(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"put in", `{"resourceType":"Subscription","x":1.50}`, `{"resourceType":"Subscription","status":"error","error":"a <b> & \"c\"","x":1.50}`},
		{"replaced", `{"error":"old","\u0078":"\u00e9","resourceType":"Subscription","status":"off"}`, `{"error":"a <b> & \"c\"","\u0078":"\u00e9","resourceType":"Subscription","status":"error"}`},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, string(WithStatus(document(t, tt.in), Erroneous, `a <b> & "c"`))); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	for in, want := range map[string]string{
		`{"resourceType":"Subscription","status":"error","error":"x"}`:             `{"resourceType":"Subscription","status":"active"}`,
		`{"error":"x","_error":{},"resourceType":"Subscription","status":"error"}`: `{"resourceType":"Subscription","status":"active"}`,
		`{"resourceType":"Subscription","error":"x","a":1}`:                        `{"resourceType":"Subscription","status":"active","a":1}`,
	} {
		if diff := cmp.Diff(want, string(WithStatus(document(t, in), Active, ""))); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

func TestGate_showsNoSecret(t *testing.T) {
	const planted = "geheim"
	g := NewGate(testOptions(t))
	json := `{"resourceType":"Subscription","extension":[` + ext("https://www.medplum.com/fhir/StructureDefinition-subscriptionSecret", `"valueString":"geheim1"`) +
		`],"contained":[{"resourceType":"Subscription","id":"c","channel":{"header":["X-C: geheim2","geheim3"]}}],"criteria":"Patient","channel":{"type":"rest-hook","endpoint":"https://h.example.org/x",` +
		`"header":["Authorization: Bearer geheim4","X-Empty:","Referer: https://a:geheim5"],"extension":[` + ext("http://www.fhirhook.dev/StructureDefinition/subscription-secret", `"valueString":"geheim1"`) +
		`,{"url":"https://example.org/outer","extension":[` + ext(us+"subscription-secret", `"valueString":"geheim6"`) + `]}]}}`
	r := mustAdmit(t, g, json, nil)
	shown := string(g.Redact(r))
	if strings.Contains(shown, planted) {
		t.Errorf("a secret shows: %s", shown)
	}
	for _, want := range []string{`"Authorization: ********"`, `"X-Empty: ********"`, `"Referer: ********"`, `"X-C: ********"`, `"valueString":"********"`} {
		if !strings.Contains(shown, want) {
			t.Errorf("%s is not in %s", want, shown)
		}
	}
	if got := string(g.Echo(r, incoming(t, json))); got != string(r.JSON) {
		t.Errorf("the create's own answer hides what was just sent: %s", got)
	}
	if got := string(g.Echo(r, incoming(t, at("https://h.example.org/x", "********", "Authorization: ********")))); strings.Contains(got, planted) {
		t.Errorf("an answer shows what its sender did not send: %s", got)
	}
	patient := &fhir.Resource{Key: fhir.Key{Type: "Patient"}, JSON: []byte(`{"resourceType":"Patient"}`)}
	if got := string(g.Redact(patient)); got != string(patient.JSON) {
		t.Errorf("another type was changed: %s", got)
	}
	if got := g.Redact(&fhir.Resource{Key: r.Key, Deleted: true}); got != nil {
		t.Errorf("a tombstone has %s", got)
	}
}

func TestGate_masksSentBack(t *testing.T) {
	const here = "https://h.example.org/a"
	tests := []struct {
		name     string
		stored   string
		sent     string
		want     string // what is stored then, by its secret members; "" if it is refused
		refusals int
	}{
		{"kept", at(here, "key", "A: 1", "B: 2"), at(here, Mask, "A: ********", "B: ********"), `key|A: 1|B: 2`, 0},
		{"kept on another path and query", at(here, "key", "A: 1"), at("https://h.example.org/b?c=d", Mask, "A: ********"), `key|A: 1`, 0},
		{"kept with the port spelt out and the host in capitals", at(here, "key"), at("https://H.example.org:443/a", Mask), `key`, 0},
		{"replaced", at(here, "key", "A: 1"), at(here, "new", "A: 3"), `new|A: 3`, 0},
		{"taken away", at(here, "key", "A: 1"), at(here, ""), ``, 0},
		{"header renamed in case only", at(here, "", "Authorization: x:y"), at(here, "", "authorization: ********"), `authorization: x:y`, 0},
		{"blanks around the mask", at(here, "", "A:1"), at(here, "", "A:  ********  "), `A:1`, 0},
		{"twice the same name, in order", at(here, "", "A: 1", "B: 2", "A: 3"), at(here, "", "A: ********", "A: ********", "B: ********"), `A: 1|A: 3|B: 2`, 0},
		{"twice, one replaced in its place", at(here, "", "A: 1", "A: 2"), at(here, "", "A: 9", "A: ********"), `A: 9|A: 2`, 0},
		{"once, one more added", at(here, "", "A: 1"), at(here, "", "A: 9", "A: ********"), `A: 9|A: 1`, 0},
		{"twice, one taken away: which?", at(here, "", "A: 1", "A: 2"), at(here, "", "A: ********"), "", 1},
		{"more masks than values", at(here, "", "A: 1"), at(here, "", "A: ********", "A: ********"), "", 2},
		{"a mask for a new header", at(here, "key"), at(here, Mask, "A: ********"), "", 1},
		{"a mask for no key", at(here, ""), at(here, Mask), "", 1},
		{"another host", at(here, "key", "A: 1"), at("https://evil.example.org/a", Mask, "A: ********"), "", 2},
		{"another port", at(here, "key"), at("https://h.example.org:8443/a", Mask), "", 1},
		{"another host whose name begins the same", at(here, "key"), at("https://h.example.org.evil.example.net/a", Mask), "", 1},
		{"another origin with new values", at(here, "key", "A: 1"), at("https://other.example.org/a", "new", "A: 2"), `new|A: 2`, 0},
		{"in a create", "", at(here, Mask, "A: ********"), "", 2},
		{"inside a contained Subscription", at(here, "key"), `{"resourceType":"Subscription","contained":[` + at(here, Mask, "A: ********") + `],"criteria":"Patient","channel":{"type":"rest-hook","endpoint":"` + here + `"}}`, "", 2},
	}
	g := NewGate(testOptions(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var prev *fhir.Resource
			if tt.stored != "" {
				prev = mustAdmit(t, g, tt.stored, nil)
			}
			r, err := admit(t, g, tt.sent, prev)
			if tt.refusals > 0 {
				got := issues(err)
				if len(got) != tt.refusals || got[0].Kind != fhir.BusinessRule || !strings.HasPrefix(got[0].At, "Subscription.") {
					t.Fatalf("%d refusals, not %d: %v", len(got), tt.refusals, err)
				}
				if strings.Contains(err.Error(), "key") && strings.Contains(err.Error(), `"key"`) {
					t.Errorf("the error tells the secret: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var secrets, headers []string
			for _, s := range spots(r.Doc()) {
				if s.line {
					headers = append(headers, s.node.Text())
				} else {
					secrets = append(secrets, s.node.Text())
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(append(secrets, headers...), "|")); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("after a deletion", func(t *testing.T) {
		gone := &fhir.Resource{Key: fhir.Key{Type: fhir.Subscription, ID: "s"}, Version: 2, Deleted: true}
		if _, err := admit(t, g, at(here, Mask), gone); len(issues(err)) != 1 {
			t.Errorf("a mask outlived a deletion: %v", err)
		}
	})
}

// What is read and written back unchanged is no change: no version, no notification.
func TestGate_readAndWrittenBackIsTheSame(t *testing.T) {
	g := NewGate(testOptions(t))
	r := mustAdmit(t, g, at("https://h.example.org/a", `k\u00e9y`, `A: \u0031`, "A: 2"), nil)
	again := mustAdmit(t, g, string(g.Redact(r)), r)
	if !fhir.SameContent(r.Doc(), again.Doc()) {
		t.Errorf("%s\n%s", r.JSON, again.JSON)
	}
}

func TestGate_passesOtherTypes(t *testing.T) {
	in := incoming(t, `{"resourceType":"Patient","status":"error"}`)
	got, err := NewGate(testOptions(t)).Admit(in, nil, noon)
	if err != nil || got.Doc != in.Doc {
		t.Errorf("%v, %v", got, err)
	}
}
