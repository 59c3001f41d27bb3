package auth_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir/auth"
)

func TestParseScope(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text      string
		want      auth.Scope
		canonical string // "": the text
	}{
		{text: "system/Observation.rs", want: auth.Scope{Context: auth.System, Type: "Observation", Permissions: auth.Read | auth.Search}},
		{text: "user/*.cruds", want: auth.Scope{Context: auth.User, Permissions: auth.Everything}},
		{text: "patient/Patient.r", want: auth.Scope{Context: auth.Patient, Type: "Patient", Permissions: auth.Read}},
		{text: "system/DiagnosticReport.cud", want: auth.Scope{Context: auth.System, Type: "DiagnosticReport", Permissions: auth.Create | auth.Update | auth.Delete}},
		{text: "system/Subscription.*", want: auth.Scope{Context: auth.System, Type: "Subscription", Permissions: auth.Everything}, canonical: "system/Subscription.cruds"},
		{text: "patient/*.read", want: auth.Scope{Context: auth.Patient, Permissions: auth.Read | auth.Search}, canonical: "patient/*.rs"},
		{text: "user/Condition.write", want: auth.Scope{Context: auth.User, Type: "Condition", Permissions: auth.Create | auth.Update | auth.Delete}, canonical: "user/Condition.cud"},
		{
			text: "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
			want: auth.Scope{
				Context: auth.Patient, Type: "Observation", Permissions: auth.Read | auth.Search,
				Restriction: "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
			},
		},
		{text: "openid", canonical: "openid"},
		{text: "launch/patient"},
		{text: "fhirhook/admin"},
		{text: "https://example.org/scope.rs?x"},
	} {
		got, err := auth.ParseScope(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if tt.want != (auth.Scope{}) && got != tt.want {
			t.Errorf("%s: %s", tt.text, cmp.Diff(tt.want, got, cmp.AllowUnexported(auth.Scope{})))
		}
		if tt.want == (auth.Scope{}) && (got.Context != auth.None || got.Permissions != 0) {
			t.Errorf("%s has an effect: %+v", tt.text, got)
		}
		want := tt.canonical
		if want == "" {
			want = tt.text
		}
		if got.String() != want {
			t.Errorf("%s is printed as %s, want %s", tt.text, got, want)
		}
	}
}

func TestParseScope_saysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"", "empty"},
		{"system/Observation.sr", "in the order of cruds: .rs"},
		{"system/Observation.dc", "in the order of cruds: .cd"},
		{"system/Observation.rr", "stands twice"},
		{"system/Observation.rsx", "letters of cruds"},
		{"system/Observation.R", "letters of cruds"},
		{"system/Observation.", "nothing"},
		{"system/Observation", "what may be done is missing"},
		{"system", "a slash, a type"},
		{"System/Observation.rs", "lower case"},
		{"PATIENT/*.rs", "lower case"},
		{"system/observation.rs", "no resource type"},
		{"system/.rs", "no resource type"},
		{"system/Observation,Patient.rs", "no resource type"},
		{"system/Resource.rs", "no resource type"},
		{"system/Observation.rs?", "restriction is missing"},
		{"system/Observation.rs?&&", "restriction is missing"},
		{"system/Observation.rs?code=%zz", "percent-encoded"},
		{"system/Observation.rs?code=%ff", "UTF-8"},
		{"system/Observation.rs?code=a b", "percent-encode"},
		{"system/Observation.rs?code=\"a\"", "percent-encode"},
		{"system/Observation.rs?code=a\\|b", "percent-encode"},
		{"system/Observation.rs\n", "percent-encode"},
		{"system/Öbservation.rs", "percent-encode"},
		{"system/Observation.rs?code=" + strings.Repeat("a", 2048), "longer than"},
	} {
		got, err := auth.ParseScope(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
		if got != (auth.Scope{}) {
			t.Errorf("%q gives %+v all the same", tt.text, got)
		}
	}
}

func TestParseScopes_namesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := auth.ParseScopes("system/Observation.sr openid", "system/Nothing.r")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{".rs", `"openid": it has no effect`, "Nothing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell %q", err, want)
		}
	}
}

func TestScopes_JSON(t *testing.T) {
	t.Parallel()
	scopes, err := auth.ParseScopes("system/Observation.read patient/*.cruds?_tag=x")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(scopes)
	if err != nil || string(text) != `["system/Observation.rs","patient/*.cruds?_tag=x"]` {
		t.Errorf("%s, %v", text, err)
	}
	var back auth.Scopes
	if err := json.Unmarshal(text, &back); err != nil || back.String() != scopes.String() {
		t.Errorf("%v, %v", back, err)
	}
	// What a later version may have written gives nothing, and the rest stays readable.
	if err := json.Unmarshal([]byte(`["system/Observation.xyz","system/Patient.r"]`), &back); err != nil || back[0].Permissions != 0 || back[1].Permissions != auth.Read {
		t.Errorf("%+v, %v", back, err)
	}
}

func FuzzParseScope(f *testing.F) {
	for _, seed := range []string{
		"system/Observation.rs", "patient/*.cruds?_tag=a|b&_id=1", "user/Condition.write", "openid", "launch/patient",
		"system/Observation.rs?code=%2C%5C", "system/Observation.sr", "patient/", "/", "system/*.*?",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := auth.ParseScope(text)
		if err != nil {
			if s != (auth.Scope{}) {
				t.Fatalf("%q is refused and gives %+v", text, s)
			}
			return
		}
		again, err := auth.ParseScope(s.String())
		if err != nil || again != s {
			t.Fatalf("%q is printed as %q, which is read as %+v, %v", text, s, again, err)
		}
		if (s.Context == auth.None) != (s.Permissions == 0) {
			t.Fatalf("%q: %+v", text, s)
		}
	})
}
