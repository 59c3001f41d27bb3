package resthook_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/channel/channeltest"
	"fhirhook/channel/resthook"
)

func TestFold_caseHyphensAndUnderscoresAreIgnored(t *testing.T) {
	for _, name := range []string{"practitioner-role.created", "PractitionerRole.Created", "PRACTITIONER_ROLE.created", "practitionerrole.created"} {
		if got := resthook.Fold(name); got != "practitionerrole.created" {
			t.Errorf("%s became %s", name, got)
		}
	}
}

func TestNaming_genericNamesAreOfR4AndOfTheDialect(t *testing.T) {
	tests := []struct {
		n                resthook.Naming
		typ, interaction string
		want             []string
		service          string
	}{
		{resthook.Naming{}, "PractitionerRole", "create", []string{"practitionerrole.created"}, ""},
		{resthook.Naming{Case: "snake"}, "PractitionerRole", "delete", []string{"practitionerrole.deleted"}, ""},
		{resthook.Naming{Plural: true, Deleted: "removed"}, "Library", "delete", []string{"library.deleted", "library.removed", "libraries.deleted", "libraries.removed"}, "libraries"},
		{resthook.Naming{Plural: true, Deleted: "removed"}, "Media", "update", []string{"media.updated"}, "media"},
		{resthook.Naming{Created: "Added"}, "Patient", "create", []string{"patient.created", "patient.added"}, ""},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.n.Generic(tt.typ, tt.interaction)); diff != "" {
			t.Errorf("%+v: %s of %s (-want +got)\n%s", tt.n, tt.interaction, tt.typ, diff)
		}
		if got := tt.n.Service(tt.typ); got != tt.service {
			t.Errorf("%+v: %s is the service %q, want %q", tt.n, tt.typ, got, tt.service)
		}
	}
}

func TestParseCodes_rangeMayEndAt600(t *testing.T) {
	c, err := resthook.ParseCodes("200, 201 ,410 - 600")
	if err != nil || c.String() != "200,201,410-600" || !c.Has(599) || c.Has(202) {
		t.Errorf("%v, %v", c, err)
	}
	for _, s := range []string{"600-600", "600", "200-601", "199-600", "99999999999999999999"} {
		if c, err := resthook.ParseCodes(s); err == nil {
			t.Errorf("%q was read as %v", s, c)
		}
	}
}

// DESIGN 4.2: success codes come first, before any rule on a code.
func TestChannel_successCodesOfTheSubscriptionComeFirst(t *testing.T) {
	tests := []struct {
		codes  string
		status int
		ok     bool
		note   string
	}{
		{"200,201,410-600", 410, true, ""},
		{"200,201,410-600", 503, true, ""},
		{"200,201,410-600", 201, true, ""},
		{"200,201,410-600", 204, false, ""},
		{"302", 302, true, "302 counts as success here; the redirect was not followed"},
		{"302", 200, false, ""},
		{"429", 429, true, ""},
		{"", 200, true, ""},
		{"", 410, false, ""},
	}
	c := open(t)
	for _, tt := range tests {
		r := channeltest.New(t).Otherwise(channeltest.Redirect(tt.status, "https://elsewhere.example/"))
		m := channeltest.Message(r.URL("/hook"))
		m.Target.Success = tt.codes
		reply, err := c.Send(t.Context(), m)
		if (err == nil) != tt.ok || reply.Status != tt.status || reply.Note != tt.note {
			t.Errorf("%q, %d: %+v, %v", tt.codes, tt.status, reply, err)
		}
		if n := len(r.Requests()); n != 1 {
			t.Errorf("%q, %d: %d requests", tt.codes, tt.status, n)
		}
	}
}
