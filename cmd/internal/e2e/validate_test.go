package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"fhirhook/cmd/internal/app"
)

// issuesOf lists the elements that an OperationOutcome finds fault with, none if there are only informations.
func (a answer) issuesOf(t testing.TB) (elements []string) {
	t.Helper()
	all, _ := a.json(t)["issue"].([]any)
	for _, one := range all {
		one, _ := one.(map[string]any)
		if one["severity"] == "information" {
			continue
		}
		where, _ := one["expression"].([]any)
		elements = append(elements, fmt.Sprint(where...))
	}
	slices.Sort(elements)
	return elements
}

// TestServer_validateSaysWhatAWriteWould judges Subscriptions and SearchParameters without storing them: whatever
// $validate finds, the write is refused for, and what it doesn't, the write is not.
func TestServer_validateSaysWhatAWriteWould(t *testing.T) {
	t.Parallel()
	const extension = `{"url":"https://fhirhook.dev/StructureDefinition/subscription-%s","value%s":"%s"}`
	channel := func(more string) string {
		return `"status":"requested","channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:40001/hook"` + more + `}`
	}
	with := func(name, kind, value string) string {
		return `"criteria":"Patient",` + channel("") + `,"extension":[` + fmt.Sprintf(extension, name, kind, value) + `]`
	}
	tests := []struct {
		name, members string
		want          []string
	}{
		{"nothing", `"criteria":"Patient?name=a",` + channel(""), nil},
		{"an unknown parameter", `"criteria":"Patient?shoe=9",` + channel(""), []string{"Subscription.criteria"}},
		{"a bad value", `"criteria":"Patient?birthdate=x",` + channel(""), []string{"Subscription.criteria"}},
		{"another channel", `"criteria":"Patient","status":"requested","channel":{"type":"email","endpoint":"mailto:a@b.example"}`, []string{"Subscription.channel.endpoint", "Subscription.channel.type"}},
		{"an endpoint that is closed", `"criteria":"Patient","status":"requested","channel":{"type":"rest-hook","endpoint":"http://10.1.2.3/"}`, []string{"Subscription.channel.endpoint"}},
		{"a reserved header", `"criteria":"Patient",` + channel(`,"header":["Host: x"]`), []string{"Subscription.channel.header[0]"}},
		{"a ladder", with("retry", "String", "soon"), []string{"Subscription.extension[0].valueString"}},
		{"a dialect", with("dialect", "Code", "klingon"), []string{"Subscription.extension[0].valueCode"}},
		{"an event", with("event", "String", "teapot.boiled"), []string{"Subscription.extension[0].valueString"}},
		{"a status that only the server sets", `"criteria":"Patient","status":"error","channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:40001/"}`, []string{"Subscription.status"}},
		{"all at once", `"criteria":"Patient?shoe=9",` + channel(`,"header":["Host: x","nonsense"]`) + `,"extension":[` + fmt.Sprintf(extension, "retry", "String", "soon") + `]`, []string{
			"Subscription.channel.header[0]", "Subscription.channel.header[1]", "Subscription.criteria", "Subscription.extension[0].valueString",
		}},
		{"structure, too", `"criteria":"Patient?shoe=9","shoe":9,` + channel(""), []string{"Subscription.criteria", "Subscription.shoe"}},
	}
	p := start(t, t.TempDir(), func(o *app.Options) {
		o.Dev = false
		o.AllowEndpoints, o.AllowHTTP = []string{"127.0.0.0/8"}, []string{"127.0.0.0/8"}
	})
	for _, tt := range tests {
		body := `{"resourceType":"Subscription","reason":"x",` + tt.members + `}`
		got := p.must(http.StatusOK, http.MethodPost, "/Subscription/$validate", body).issuesOf(t)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: $validate finds %v, want %v", tt.name, got, tt.want)
		}
		inner := `{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"create"},{"name":"resource","resource":` + body + `}]}`
		if also := p.must(http.StatusOK, http.MethodPost, "/Subscription/$validate", inner).issuesOf(t); !slices.Equal(also, got) {
			t.Errorf("%s: as Parameters it finds %v", tt.name, also)
		}
	}
	if total, _ := p.totalOf("Subscription"); total != 0 {
		t.Errorf("%d Subscriptions were stored", total)
	}
	for _, tt := range tests {
		a, err := p.request(http.MethodPost, "/Subscription", `{"resourceType":"Subscription","reason":"x",`+tt.members+`}`)
		if err != nil || (a.status == http.StatusCreated) != (tt.want == nil) {
			t.Errorf("%s: written it is %d, %v: %s", tt.name, a.status, err, a.body)
		}
	}

	// What stands there counts: a mask keeps its value, and error means requested, on the same Subscription alone.
	const masked = `{"resourceType":"Subscription","id":"s","reason":"x","status":"error","criteria":"Patient","channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:40001/","header":["Authorization: ********"]}}`
	p.must(http.StatusCreated, http.MethodPut, "/Subscription/s", strings.NewReplacer("********", "Bearer of-the-test", "error", "active").Replace(masked))
	for path, want := range map[string][]string{
		"/Subscription/s/$validate":           nil,
		"/Subscription/$validate?mode=update": nil,
		"/Subscription/$validate":             {"Subscription.channel.header[0]", "Subscription.status"},
	} {
		if got := p.must(http.StatusOK, http.MethodPost, path, masked).issuesOf(t); !slices.Equal(got, want) {
			t.Errorf("%s finds %v, want %v", path, got, want)
		}
	}
	moved := strings.Replace(masked, "127.0.0.1:40001/", "127.0.0.1:40002/", 1)
	if got := p.must(http.StatusOK, http.MethodPost, "/Subscription/s/$validate", moved).issuesOf(t); !slices.Equal(got, []string{"Subscription.channel.header[0]"}) {
		t.Errorf("with another origin it finds %v", got)
	}

	bad := strings.Replace(nickname, "Patient.name.where(use='nickname').given", "Patient.name.shuffle()", 1)
	if got := p.must(http.StatusOK, http.MethodPost, "/SearchParameter/$validate", bad).issuesOf(t); !slices.Equal(got, []string{"SearchParameter.expression"}) {
		t.Errorf("of a SearchParameter it finds %v", got)
	}
}
