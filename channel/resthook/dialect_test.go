package resthook_test

import (
	"testing"
	"time"

	"fhirhook/channel"
	"fhirhook/channel/resthook"
)

func TestDialects_areWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range resthook.Dialects() {
		if err := d.Check(); err != nil {
			t.Error(err)
		}
		if seen[d.Name] {
			t.Errorf("%s is there twice", d.Name)
		}
		seen[d.Name] = true
		if got, ok := resthook.Lookup(d.Name); !ok || got.Name != d.Name {
			t.Errorf("%s isn't found", d.Name)
		}
	}
	if resthook.Dialects()[0].Name != resthook.Default {
		t.Error("the default isn't the first")
	}
}

func TestDialect_For(t *testing.T) {
	fhir := dialect(t, "fhir")
	if got := fhir.For(channel.Target{}); got.Change.Method != "POST" || got.Change.Body != "" || got.ContentType != "" {
		t.Errorf("without a payload: %+v", got)
	}
	got := fhir.For(channel.Target{Payload: "application/json", Timeout: time.Second})
	if got.Change.Method != "PUT" || got.ContentType != "application/json" || got.Timeout != time.Second {
		t.Errorf("with a payload: %+v", got)
	}
	if kit := dialect(t, "kit").For(channel.Target{Payload: "application/json"}); kit.ContentType != "application/fhir+json" {
		t.Errorf("kit takes the payload's type: %+v", kit)
	}
}

func TestDialect_Event(t *testing.T) {
	always := func(resthook.Event) bool { return true }
	tests := []struct {
		dialect, typ, interaction string
		fits                      func(resthook.Event) bool
		want                      string
	}{
		{"kit", "DiagnosticReport", "create", nil, "diagnostic-report.created"},
		{"kit", "PractitionerRole", "update", nil, "practitioner-role.updated"},
		{"kit", "Patient", "delete", nil, "patient.deleted"},
		{"clinik", "DiagnosticReport", "create", nil, "lab.created"},
		{"clinik", "MedicationRequest", "delete", nil, "prescription.deleted"},
		{"clinik", "PractitionerRole", "update", nil, "practitioner-role.updated"},
		{"clinik", "Medication", "update", nil, "medication.updated"},
		{"healthsync", "DocumentReference", "create", nil, "document.uploaded"},
		{"healthsync", "DiagnosticReport", "update", nil, "diagnostic-report.updated"},
		{"healthsync", "DiagnosticReport", "update", always, "analysis.completed"},
		{"healthsync", "AuditEvent", "create", nil, "share.accessed"},
		{"healthsync", "Consent", "create", nil, "share.created"},
		{"healthsync", "Consent", "create", always, "document.shared"},
		{"webhook-events", "Encounter", "delete", nil, "medical-encounters.removed"},
		{"webhook-events", "ImagingStudy", "create", nil, "imaging-studies.created"},
		{"webhook-events", "AllergyIntolerance", "update", nil, "allergy-intolerances.updated"},
		{"webhook-events", "Media", "update", nil, "media.updated"},
		{"webhook-events", "EffectEvidenceSynthesis", "update", nil, "effect-evidence-syntheses.updated"},
	}
	for _, tt := range tests {
		if got := dialect(t, tt.dialect).Event(tt.typ, tt.interaction, tt.fits); got != tt.want {
			t.Errorf("%s: %s of %s is %s, want %s", tt.dialect, tt.interaction, tt.typ, got, tt.want)
		}
	}
}

func TestParseCodes(t *testing.T) {
	for _, s := range []string{"200", "200-299", "200-299,410", "200-399,429,503"} {
		c, err := resthook.ParseCodes(s)
		if err != nil || c.String() != s {
			t.Errorf("%s became %s, %v", s, c, err)
		}
	}
	c, err := resthook.ParseCodes("200-204, 410")
	if err != nil || !c.Has(204) || c.Has(205) || !c.Has(410) || c.Has(200-1) {
		t.Errorf("%v, %v", c, err)
	}
	for _, s := range []string{"", "2xx", "299-200", "100", "600", "200-", "-299", "200,,201", "0200", "+200"} {
		if c, err := resthook.ParseCodes(s); err == nil {
			t.Errorf("%q was read as %v", s, c)
		}
	}
}
