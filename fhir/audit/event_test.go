package audit_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/validate"
)

// TestTrail_showsADeedAsR4HasIt spells one AuditEvent out.
func TestTrail_showsADeedAsR4HasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log.Record([]rest.Deed{deed("default", "7")})
	const want = `{"resourceType":"AuditEvent","id":"ad-20260131-00000000","meta":{"versionId":"1","lastUpdated":"2026-01-31T12:00:00.000Z"},` +
		`"type":{"system":"http://terminology.hl7.org/CodeSystem/audit-event-type","code":"rest","display":"RESTful Operation"},` +
		`"subtype":[{"system":"http://hl7.org/fhir/restful-interaction","code":"read"}],"action":"R","recorded":"2026-01-31T12:00:00.000Z","outcome":"0",` +
		`"agent":[{"type":{"coding":[{"system":"http://dicom.nema.org/resources/ontology/DCM","code":"110152","display":"Destination Role ID"}]},` +
		`"who":{"identifier":{"system":"https://id.example","value":"ada"}},"altId":"ada","requestor":true,"network":{"address":"192.0.2.7","type":"2"}}],` +
		`"source":{"site":"https://own.example/fhir/R4","observer":{"display":"fhirhook"},"type":[{"system":"http://terminology.hl7.org/CodeSystem/security-source-type","code":"4","display":"Application Server"}]},` +
		`"entity":[{"what":{"identifier":{"value":"r-7"}},"type":{"system":"https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType","code":"XrequestId"},` +
		`"detail":[{"type":"method","valueString":"GET"},{"type":"status","valueString":"200"},{"type":"duration-ms","valueString":"1"}]},` +
		`{"what":{"reference":"Patient/7/_history/3"},"type":{"system":"http://hl7.org/fhir/resource-types","code":"Patient"},` +
		`"role":{"system":"http://terminology.hl7.org/CodeSystem/object-role","code":"1","display":"Patient"}}]}`
	all := w.all("default")
	if len(all) != 1 {
		t.Fatalf("%d events", len(all))
	}
	if diff := cmp.Diff(want, string(all[0].JSON)); diff != "" {
		t.Error(diff)
	}
}

// TestTrail_showsValidResources: whatever is recorded, the AuditEvent is one by strict validation, and says who, what and
// how it ended.
func TestTrail_showsValidResources(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	open, err := (*auth.Authenticator)(nil).Authenticate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*rest.Deed)
		want   string // action, outcome, description, who, query
	}{
		{"created by update", func(d *rest.Deed) { d.Interaction, d.Status = "update", http.StatusCreated }, "C 0  ada "},
		{"update", func(d *rest.Deed) { d.Interaction = "update" }, "U 0  ada "},
		{"patch", func(d *rest.Deed) { d.Interaction = "patch" }, "U 0  ada "},
		{"delete", func(d *rest.Deed) { d.Interaction, d.Status = "delete", 204 }, "D 0  ada "},
		{"search", func(d *rest.Deed) { d.Interaction, d.ID, d.Version, d.Query = "search-type", "", 0, "Patient?name=x" }, "E 0  ada Patient?name=x"},
		{"history", func(d *rest.Deed) { d.Interaction, d.Version = "history-instance", 0 }, "R 0  ada "},
		{"operation", func(d *rest.Deed) { d.Interaction, d.Admin = "$rotate-secret", true }, "E 0  ada "},
		{"entry", func(d *rest.Deed) { d.Entry = 12 }, "R 0  ada "},
		{"batch", func(d *rest.Deed) { d.Interaction, d.Type, d.ID, d.Version = "batch", "", "", 0 }, "E 0  ada "},
		{"create, refused", func(d *rest.Deed) { d.Interaction, d.ID, d.Status, d.Issue = "create", "", 422, "business-rule" }, "C 4 422 business-rule ada "},
		{"forbidden", func(d *rest.Deed) { d.Status, d.Issue, d.Reason = 403, "forbidden", "only administrators may" }, "R 4 403 forbidden only administrators may ada "},
		{"a bug", func(d *rest.Deed) { d.Status, d.Issue = 500, "exception" }, "R 8 500 exception ada "},
		{"no disk", func(d *rest.Deed) { d.Status, d.Issue = 503, "transient" }, "R 12 503 transient ada "},
		{"nobody", func(d *rest.Deed) { d.Who, d.Query, d.Status, d.Issue = nil, "Patient?name=x", 401, "login" }, "R 4 401 login not identified "},
		{"open", func(d *rest.Deed) { d.Who, d.From = open, "default" }, "R 0  anyone: no authentication is configured "},
		{"from elsewhere", func(d *rest.Deed) { d.From = "home" }, "R 0  ada "},
		{"no text", func(d *rest.Deed) { d.RequestID, d.Issue, d.Status = "a\x01\xffb", "\n", 400 }, "R 4 400 ada "},
		{"no id", func(d *rest.Deed) { d.ID, d.Version = `a"/b`, 0 }, "R 0  ada "},
		{"no type", func(d *rest.Deed) { d.Type, d.ID, d.Version, d.Status = "Nonsense", "1", 0, 404 }, "R 4 404 ada "},
		{"a long query", func(d *rest.Deed) { d.Query = "Patient?name=" + strings.Repeat("é", 9000) }, "R 0  ada Patient?name=" + strings.Repeat("é", 4089) + "\uFFFD"},
	}
	for _, tt := range tests {
		d := deed("default", "7")
		tt.change(&d)
		w.log.Record([]rest.Deed{d})
		all := w.all("default")
		r := all[len(all)-1]
		in, err := fhir.Read(r.JSON, 0)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for _, problem := range validate.Strict.Validate(in) {
			t.Errorf("%s: %v", tt.name, problem)
		}
		root := r.Doc().Root()
		who := root.Get("agent").At(0).Get("who")
		name := who.Path("identifier", "value").Text()
		if name == "" {
			name = who.Get("display").Text()
		}
		var query []byte
		for e := range root.Get("entity").Elements() {
			if text := e.Get("query").Text(); text != "" {
				if query, err = base64.StdEncoding.DecodeString(text); err != nil {
					t.Error(err)
				}
			}
		}
		got := strings.Join([]string{root.Get("action").Text(), root.Get("outcome").Text(), root.Get("outcomeDesc").Text(), name, string(query)}, " ")
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}
