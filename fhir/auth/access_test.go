package auth_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

const tenant = "clinic"

func resource(t testing.TB, body string) *fhir.Resource {
	t.Helper()
	var head struct{ ResourceType, ID string }
	if err := json.Unmarshal([]byte(body), &head); err != nil {
		t.Fatal(err)
	}
	return &fhir.Resource{Key: fhir.Key{Tenant: tenant, Type: fhir.Type(head.ResourceType), ID: head.ID}, Version: 1, JSON: []byte(body)}
}

func caller(t testing.TB, patient string, scopes ...string) *auth.Principal {
	t.Helper()
	parsed, err := auth.ParseScopes(scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return auth.Principal{Issuer: "https://issuer.example", Subject: "app", Tenant: tenant, Scopes: parsed, Patient: patient}.Compile(criteria.R4())
}

var env = criteria.Env{Bases: []string{"https://own.example/fhir/R4"}}

// TestAccess_scopes is what each kind of scope allows, of a small world.
func TestAccess_scopes(t *testing.T) {
	t.Parallel()
	world := []*fhir.Resource{
		resource(t, `{"resourceType":"Patient","id":"1"}`),
		resource(t, `{"resourceType":"Patient","id":"2"}`),
		resource(t, `{"resourceType":"Observation","id":"a","status":"final","category":[{"coding":[{"code":"laboratory"}]}],"subject":{"reference":"Patient/1"}}`),
		resource(t, `{"resourceType":"Observation","id":"b","status":"final","subject":{"reference":"Patient/2"}}`),
		resource(t, `{"resourceType":"Observation","id":"c","status":"preliminary","meta":{"tag":[{"code":"x"}]},"subject":{"reference":"https://own.example/fhir/R4/Patient/1"}}`),
		resource(t, `{"resourceType":"Observation","id":"d","subject":{"reference":"https://other.example/fhir/R4/Patient/1"}}`),
		resource(t, `{"resourceType":"Observation","id":"e","subject":{"reference":"Patient/11"}}`),
		resource(t, `{"resourceType":"Observation","id":"f","subject":{"reference":"Group/1"}}`),
		resource(t, `{"resourceType":"Medication","id":"m","meta":{"tag":[{"code":"x"}]}}`),
		resource(t, `{"resourceType":"Practitioner","id":"1"}`),
	}
	for _, tt := range []struct {
		name, patient string
		scopes        []string
		p             auth.Permissions
		want          string
	}{
		{"none", "", nil, auth.Everything, ""},
		{"all of a type", "", []string{"system/Observation.r"}, auth.Read, "Observation/a Observation/b Observation/c Observation/d Observation/e Observation/f"},
		{"another permission", "", []string{"system/Observation.r"}, auth.Search, ""},
		{"one of several permissions", "", []string{"system/Observation.r"}, auth.Read | auth.Search, "Observation/a Observation/b Observation/c Observation/d Observation/e Observation/f"},
		{"writing is not reading", "", []string{"system/*.cud"}, auth.Read | auth.Search, ""},
		{"user is the tenant's", "", []string{"user/Patient.rs"}, auth.Search, "Patient/1 Patient/2"},
		{"a restriction", "", []string{"system/Observation.rs?status=final"}, auth.Search, "Observation/a Observation/b"},
		{"two parameters hold together", "", []string{"system/Observation.rs?status=final&category=laboratory"}, auth.Search, "Observation/a"},
		{"two scopes add up", "", []string{"system/Observation.rs?status=final", "system/Observation.rs?status=preliminary", "system/Patient.r"}, auth.Search, "Observation/a Observation/b Observation/c"},
		{"permissions don't mix between scopes", "", []string{"system/Observation.r?status=final", "system/Observation.s"}, auth.Read, "Observation/a Observation/b"},
		{"a restriction of all types", "", []string{"system/*.rs?_tag=x"}, auth.Search, "Observation/c Medication/m"},
		{"a patient", "1", []string{"patient/*.rs"}, auth.Search, "Patient/1 Observation/a Observation/c"},
		{"a patient and a restriction", "1", []string{"patient/Observation.rs?status=final"}, auth.Search, "Observation/a"},
		{"a patient's type that is in no compartment", "1", []string{"patient/Medication.rs", "patient/Practitioner.rs"}, auth.Search, ""},
		{"a patient and all that is nobody's", "1", []string{"patient/Observation.rs", "user/Practitioner.r"}, auth.Read, "Observation/a Observation/c Practitioner/1"},
		{"a patient scope without a patient", "", []string{"patient/*.cruds"}, auth.Read, ""},
		{"a patient that is two", "1,Patient/2", []string{"patient/*.cruds"}, auth.Read, ""},
		{"a patient that is everybody", "*", []string{"patient/*.cruds"}, auth.Read, ""},
		{"a patient does not narrow other scopes", "1", []string{"system/Patient.r"}, auth.Read, "Patient/1 Patient/2"},
		{"an unknown parameter gives nothing", "", []string{"system/Observation.rs?colour=red"}, auth.Search, ""},
		{"and leaves the others alone", "", []string{"system/Observation.rs?colour=red", "system/Patient.s?_id=2"}, auth.Search, "Patient/2"},
		{"a chain gives nothing", "", []string{"system/Observation.rs?subject:Patient.name=x", "system/Patient.rs?_has:Observation:subject:status=final"}, auth.Search, ""},
		{"a list gives nothing", "", []string{"system/Observation.rs?_list=5"}, auth.Search, ""},
		{"a value set gives nothing", "", []string{"system/Observation.rs?code:not-in=http://example.org/vs"}, auth.Search, ""},
		{"a result parameter gives nothing", "", []string{"system/Observation.rs?_include=Observation:subject", "system/Patient.rs?_count=1"}, auth.Search, ""},
		{"what restricts nothing gives nothing", "", []string{"system/Observation.rs?_format=json"}, auth.Search, ""},
		{"an empty value gives nothing", "", []string{"system/Observation.rs?status="}, auth.Search, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := caller(t, tt.patient, tt.scopes...).Access()
			var got []string
			for _, r := range world {
				if a.Allows(tt.p, r, env) {
					got = append(got, r.Key.String())
					if !a.May(tt.p, r.Key.Type) {
						t.Errorf("%s is allowed, and its type isn't", r.Key)
					}
				} else if a.Entirely(tt.p, r.Key.Type) {
					t.Errorf("%s is withheld, and the whole type isn't", r.Key)
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAccess_ofNobodyAndOfEverybody(t *testing.T) {
	t.Parallel()
	r := resource(t, `{"resourceType":"Patient","id":"1"}`)
	there := resource(t, `{"resourceType":"Patient","id":"1"}`)
	there.Key.Tenant = "elsewhere"
	admin := auth.Principal{Tenant: tenant, Admin: true}.Compile(criteria.R4())
	for _, tt := range []struct {
		name            string
		access          *auth.Access
		here, elsewhere bool
	}{
		{"no authentication", nil, true, true},
		{"the zero value", &auth.Access{}, false, false},
		{"an administrator", admin.Access(), true, false},
		{"an administrator elsewhere", admin.In("elsewhere").Access(), false, true},
		{"all scopes", caller(t, "", "system/*.cruds").Access(), true, false},
		{"no scope", caller(t, "").Access(), false, false},
		{"a principal that was not compiled", (&auth.Principal{Tenant: tenant, Admin: true}).Access(), false, false},
		{"no principal", (*auth.Principal)(nil).Access(), false, false},
		{"no grant", (*auth.Grant)(nil).Access(criteria.R4()), false, false},
		{"an empty grant", (&auth.Grant{Tenant: tenant}).Access(criteria.R4()), false, false},
	} {
		for p := auth.Create; p <= auth.Search; p <<= 1 {
			if got := tt.access.Allows(p, r, env); got != tt.here {
				t.Errorf("%s: %s here is %t", tt.name, p, got)
			}
			if got := tt.access.Allows(p, there, env); got != tt.elsewhere {
				t.Errorf("%s: %s elsewhere is %t", tt.name, p, got)
			}
			if got, want := tt.access.May(p, "Patient"), tt.here || tt.elsewhere; got != want {
				t.Errorf("%s: may %s is %t", tt.name, p, got)
			}
		}
	}
	if caller(t, "", "system/*.cruds").In("elsewhere") != nil || caller(t, "", "system/*.r").In(tenant) == nil || admin.In("../x") != nil {
		t.Error("only an administrator acts in another tenant")
	}
}

func TestAccess_Types(t *testing.T) {
	t.Parallel()
	a := caller(t, "1", "patient/*.rs", "system/Medication.c", "user/Practitioner.s").Access()
	types := a.Types(auth.Search)
	if !slices.Contains(types, "Observation") || !slices.Contains(types, "Practitioner") || slices.Contains(types, "Medication") || slices.Contains(types, "Organization") {
		t.Error(types)
	}
	if diff := cmp.Diff([]fhir.Type{"Medication"}, a.Types(auth.Create)); diff != "" {
		t.Error(diff)
	}
	if got := (*auth.Access)(nil).Types(auth.Read); len(got) != len(fhir.Types()) {
		t.Errorf("%d types", len(got))
	}
}

// TestAccess_updatesMoveNothingAcrossABorder: both what was there and what will be have to be allowed.
func TestAccess_updatesMoveNothingAcrossABorder(t *testing.T) {
	t.Parallel()
	a := caller(t, "1", "patient/Observation.cud?status=final").Access()
	mine := resource(t, `{"resourceType":"Observation","id":"a","status":"final","subject":{"reference":"Patient/1"}}`)
	open := resource(t, `{"resourceType":"Observation","id":"a","status":"preliminary","subject":{"reference":"Patient/1"}}`)
	theirs := resource(t, `{"resourceType":"Observation","id":"a","status":"final","subject":{"reference":"Patient/2"}}`)
	gone := &fhir.Resource{Key: mine.Key, Version: 2, Deleted: true}
	for _, tt := range []struct {
		name          string
		before, after *fhir.Resource
		want          bool
	}{
		{"within", mine, mine, true},
		{"out of the compartment", mine, theirs, false},
		{"into the compartment", theirs, mine, false},
		{"out of the restriction", mine, open, false},
		{"into the restriction", open, mine, false},
		{"create", nil, mine, true},
		{"create elsewhere", nil, theirs, false},
		{"revive", gone, mine, true},
		{"delete", mine, gone, true},
		{"delete without a tombstone", mine, nil, true},
		{"delete theirs", theirs, gone, false},
		{"delete again", gone, gone, true},
		{"nothing", nil, nil, false},
	} {
		if got := a.AllowsChange(tt.before, tt.after, env); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
		if !(*auth.Access)(nil).AllowsChange(tt.before, tt.after, env) {
			t.Errorf("%s: refused without authentication", tt.name)
		}
	}
	if creator := caller(t, "", "system/Observation.u").Access(); creator.AllowsChange(nil, mine, env) || creator.AllowsChange(gone, mine, env) || creator.AllowsChange(mine, nil, env) {
		t.Error("who may update may create or delete")
	}
}

// TestAccess_tombstonesSayNothing: a deleted version is seen by who sees the whole type only.
func TestAccess_tombstonesSayNothing(t *testing.T) {
	t.Parallel()
	gone := &fhir.Resource{Key: fhir.Key{Tenant: tenant, Type: "Observation", ID: "a"}, Version: 2, Deleted: true}
	for scope, want := range map[string]bool{
		"system/Observation.rs": true, "patient/Observation.rs": false, "system/Observation.rs?status=final": false, "system/Observation.rs?status:not=final": false, "system/Patient.rs": false,
	} {
		if got := caller(t, "1", scope).Access().Sees(gone, env); got != want {
			t.Errorf("%s: %t", scope, got)
		}
	}
}

// TestAccess_leavesTheEvaluationUnderWayAlone: a resolver may ask Sees while a chain is being followed.
func TestAccess_leavesTheEvaluationUnderWayAlone(t *testing.T) {
	t.Parallel()
	q, err := criteria.Parse("Observation?subject:Patient.name=x", criteria.R4())
	if err != nil {
		t.Fatal(err)
	}
	r := resource(t, `{"resourceType":"Observation","id":"a","status":"final","subject":{"reference":"Patient/1"}}`)
	lookup := env
	lookup.Lookup = criteria.NewLookup(nil, criteria.R4())
	s := criteria.NewSubject(r, lookup)
	if q.Matches(s) || s.Err() == nil {
		t.Fatal("it could be decided without a resolver")
	}
	if !caller(t, "1", "patient/Observation.rs?status=final").Access().Sees(r, lookup) {
		t.Error("not seen")
	}
	if s.Err() == nil {
		t.Error("the error of the evaluation under way is gone")
	}
}

func TestAccess_isSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	a := caller(t, "1", "patient/*.rs", "system/Observation.rs?status=final").Access()
	r := resource(t, `{"resourceType":"Observation","id":"a","status":"final","subject":{"reference":"Patient/1"}}`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, typ := range fhir.Types() {
				a.May(auth.Read, typ)
			}
			if !a.Sees(r, env) {
				t.Error("not seen")
			}
		})
	}
	all.Wait()
}

// TestAccess_scopesOnlyAdd: a further scope never takes anything away, and a further condition never gives anything.
func TestAccess_scopesOnlyAdd(t *testing.T) {
	t.Parallel()
	pool := []string{
		"system/Observation.rs", "system/*.r", "patient/*.rs", "patient/Observation.cruds", "user/Patient.s", "system/Observation.rs?status=final",
		"system/*.cruds?_tag=x", "patient/Observation.r?status=final", "system/Patient.rs?_id=2", "system/Observation.r?colour=red",
	}
	world := []*fhir.Resource{resource(t, `{"resourceType":"Medication","id":"1"}`)}
	for i := range 3 {
		world = append(world, resource(t, fmt.Sprintf(`{"resourceType":"Patient","id":"%d"}`, i)))
		for _, status := range []string{"final", "preliminary"} {
			world = append(world, resource(t, fmt.Sprintf(`{"resourceType":"Observation","id":"%d%s","status":%q,"meta":{"tag":[{"code":%q}]},"subject":{"reference":"Patient/%d"}}`, i, status, status, "xyz"[i:i+1], i)))
		}
	}
	scopes := rapid.SliceOfN(rapid.SampledFrom(pool), 0, 4)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := scopes.Draw(rt, "a"), scopes.Draw(rt, "b")
		patients := rapid.SampledFrom([]string{"", "1", "2"})
		pa, pb := patients.Draw(rt, "patient of a"), patients.Draw(rt, "patient of b")
		one, other := caller(t, pa, a...), caller(t, pb, b...)
		both := auth.GrantOf(one, at).Intersect(auth.GrantOf(other, at)).Access(criteria.R4())
		sum := caller(t, pa, append(slices.Clone(a), b...)...).Access()
		stored := reread(t, auth.GrantOf(one, at)).Access(criteria.R4())
		for _, r := range world {
			for p := auth.Create; p <= auth.Search; p <<= 1 {
				x, y := one.Access().Allows(p, r, env), other.Access().Allows(p, r, env)
				if got := both.Allows(p, r, env); got != (x && y) {
					rt.Fatalf("%s of %s: %t and %t make %t", p, r.Key, x, y, got)
				}
				if x && !sum.Allows(p, r, env) {
					rt.Fatalf("%s of %s: a further scope takes it away", p, r.Key)
				}
				if stored.Allows(p, r, env) != x {
					rt.Fatalf("%s of %s: the stored grant says something else", p, r.Key)
				}
			}
		}
	})
}

func BenchmarkAccess(b *testing.B) {
	r := resource(b, `{"resourceType":"Observation","id":"a","status":"final","subject":{"reference":"Patient/1"}}`)
	for name, scopes := range map[string]string{"type": "system/Observation.rs", "patient": "patient/*.rs", "restricted": "system/Observation.rs?status=final"} {
		b.Run(name, func(b *testing.B) {
			a := caller(b, "1", scopes).Access()
			b.ReportAllocs()
			for b.Loop() {
				if !a.Sees(r, env) {
					b.Fatal("not seen")
				}
			}
		})
	}
}
