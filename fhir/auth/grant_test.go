package auth_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fhirhook/criteria"
	"fhirhook/fhir/auth"
)

var at = time.Date(2026, 3, 14, 9, 26, 53, 589_000_000, time.UTC)

func reread(t testing.TB, g *auth.Grant) *auth.Grant {
	t.Helper()
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var back *auth.Grant
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

// TestGrant_storedFormStaysReadable is the form that stands in stores.
func TestGrant_storedFormStaysReadable(t *testing.T) {
	t.Parallel()
	const want = `{"issuer":"https://issuer.example","subject":"app","tenant":"clinic","created":"2026-03-14T09:26:53.589Z",` +
		`"conditions":[{"scopes":["patient/Observation.rs?status=final","system/Patient.r"],"patient":"1"}]}`
	g := auth.GrantOf(caller(t, "1", "system/Patient.r", "patient/Observation.read?status=final", "system/Patient.r"), at)
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(g, reread(t, g), cmp.AllowUnexported(auth.Scope{})); diff != "" {
		t.Error(diff)
	}
}

// TestGrant_outlivesTheToken: it is about what the caller may, not until when the token says so.
func TestGrant_outlivesTheToken(t *testing.T) {
	t.Parallel()
	p := caller(t, "", "system/Patient.r")
	p.Expires = at.Add(-time.Hour)
	r := resource(t, `{"resourceType":"Patient","id":"1"}`)
	if !reread(t, auth.GrantOf(p, at)).Access(criteria.R4()).Sees(r, env) {
		t.Error("not seen")
	}
}

func TestGrant_Revoke(t *testing.T) {
	t.Parallel()
	g := auth.GrantOf(caller(t, "", "system/*.cruds"), at)
	by := &auth.Principal{Issuer: auth.CreatedTokens, Subject: "root", Admin: true}
	r := resource(t, `{"resourceType":"Patient","id":"1"}`)
	revoked := reread(t, g.Revoke(by, at.Add(time.Hour)))
	if revoked.Access(criteria.R4()).Sees(r, env) || revoked.RevokedBy != "fhirhook:tokens root" || !g.Access(criteria.R4()).Sees(r, env) {
		t.Errorf("%+v", revoked)
	}
	for _, both := range []*auth.Grant{revoked.Intersect(g), g.Intersect(revoked)} {
		if both.Access(criteria.R4()).Sees(r, env) {
			t.Error("an update brings back what was revoked")
		}
	}
}

func TestGrant_By(t *testing.T) {
	t.Parallel()
	p := caller(t, "", "system/*.r")
	g := auth.GrantOf(p, at)
	other, issuer, elsewhere := *p, *p, *p
	other.Subject, issuer.Issuer, elsewhere.Tenant = "App", "https://issuer.example/", "clinic2"
	if !g.By(p) || g.By(&other) || g.By(&issuer) || g.By(&elsewhere) || g.By(nil) || (*auth.Grant)(nil).By(p) {
		t.Error("a grant is its author's, and nobody else's")
	}
	open, err := (*auth.Authenticator)(nil).Authenticate(t.Context())
	if err != nil || auth.GrantOf(open, at) != nil || g.By(open) {
		t.Error("nobody in particular grants something")
	}
}

// TestGrant_intersectStaysSmall: who writes again and again with the same or with fewer scopes leaves one
// condition.
func TestGrant_intersectStaysSmall(t *testing.T) {
	t.Parallel()
	wide, narrow, other := caller(t, "", "system/Patient.r", "system/Observation.rs"), caller(t, "", "system/Patient.r"), caller(t, "1", "patient/*.rs")
	admin := auth.Principal{Tenant: tenant, Admin: true, Issuer: "x"}.Compile(criteria.R4())
	g := auth.GrantOf(admin, at)
	for i, tt := range []struct {
		by   *auth.Principal
		want []auth.Condition
	}{
		{admin, []auth.Condition{{Admin: true}}},
		{wide, []auth.Condition{{Scopes: wide.Scopes}}},
		{admin, []auth.Condition{{Scopes: wide.Scopes}}},
		{narrow, []auth.Condition{{Scopes: narrow.Scopes}}},
		{wide, []auth.Condition{{Scopes: narrow.Scopes}}},
		{other, []auth.Condition{{Scopes: narrow.Scopes}, {Scopes: other.Scopes, Patient: "1"}}},
		{other, []auth.Condition{{Scopes: narrow.Scopes}, {Scopes: other.Scopes, Patient: "1"}}},
		{caller(t, "2", "patient/*.rs"), []auth.Condition{{Scopes: narrow.Scopes}, {Scopes: other.Scopes, Patient: "1"}, {Scopes: other.Scopes, Patient: "2"}}},
	} {
		g = g.Intersect(auth.GrantOf(tt.by, at))
		less := cmpopts.SortSlices(func(a, b auth.Scope) bool { return a.String() < b.String() })
		if diff := cmp.Diff(tt.want, g.Conditions, cmp.AllowUnexported(auth.Scope{}), cmpopts.EquateEmpty(), less); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
		if g.Issuer != "x" {
			t.Errorf("step %d: it is %s's now", i, g.Issuer)
		}
	}
}

// TestGrant_tooManyConditionsLeaveNothing: to drop one would give what it withholds.
func TestGrant_tooManyConditionsLeaveNothing(t *testing.T) {
	t.Parallel()
	r := resource(t, `{"resourceType":"Patient","id":"1"}`)
	g := auth.GrantOf(caller(t, "", "system/Patient.r"), at)
	for i := range 40 {
		g = g.Intersect(auth.GrantOf(caller(t, "", "system/Patient.r?_id=1", fmt.Sprintf("system/Patient.r?_id=%d", i+2)), at))
		if sees := g.Access(criteria.R4()).Sees(r, env); sees != (i < 15) {
			t.Fatalf("after %d callers: %t, with %d conditions", i+1, sees, len(g.Conditions))
		}
	}
}

func TestGrant_tenantsHaveNothingInCommon(t *testing.T) {
	t.Parallel()
	here := auth.GrantOf(caller(t, "", "system/*.cruds"), at)
	p := *caller(t, "", "system/*.cruds")
	p.Tenant = "elsewhere"
	both := here.Intersect(auth.GrantOf(&p, at))
	if both.Access(criteria.R4()).May(auth.Everything, "Patient") || here.Intersect(nil) != nil || (*auth.Grant)(nil).Intersect(here) != nil {
		t.Error("something is granted")
	}
}
