package resthook_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"fhirhook/channel/resthook"
)

const acmeText = `
listen: 127.0.0.1:8080   # another key of the file
dialects:
- name: acme
  about: ours
  change:
    method: PUT
    to: resource
    body: '{"what": ${event}, "text": "${type}/${focus} was ${action}"}'
  ping: {method: POST}
  content-type: application/json
  signature: {header: X-Acme-Signature, form: timestamped}
  headers:
  - {name: X-Acme-Id, value: '${id}', only: update}
  success: 200-204,409
  timeout: 1m30s
  retry: 1s,2s
  requests: 2
  orders: [resource]
  interactions: [create]
  names: {case: snake, plural: true, created: added}
  events:
  - {name: 'report.${action}', type: DiagnosticReport, interactions: [create, delete]}
  - {name: report.final, type: DiagnosticReport, interactions: [update], criteria: status=final, enters: true}
  declares: [report.seen]
`

func TestParseDialects_readsEveryField(t *testing.T) {
	got, err := resthook.ParseDialects([]byte(acmeText))
	if err != nil {
		t.Fatal(err)
	}
	want := []resthook.Dialect{{
		Name: "acme", About: "ours",
		Change:      resthook.Form{Method: "PUT", Address: resthook.AtResource, Body: `{"what": ${event}, "text": "${type}/${focus} was ${action}"}`},
		Ping:        resthook.Form{Method: "POST"},
		ContentType: "application/json",
		Signature:   resthook.Signature{Header: "X-Acme-Signature", Form: "timestamped"},
		Headers:     []resthook.OwnHeader{{Name: "X-Acme-Id", Value: "${id}", On: "update"}},
		Success:     resthook.Codes{{From: 200, To: 204}, {From: 409, To: 409}},
		Timeout:     90e9, Ladder: "1s,2s", Requests: 2, Orders: []string{"resource"}, Interactions: []string{"create"},
		Names: resthook.Naming{Case: "snake", Plural: true, Created: "added"},
		Events: []resthook.Event{
			{Name: "report.created", Type: "DiagnosticReport", Interactions: []string{"create"}},
			{Name: "report.deleted", Type: "DiagnosticReport", Interactions: []string{"delete"}},
			{Name: "report.final", Type: "DiagnosticReport", Interactions: []string{"update"}, Criteria: "status=final", Enters: true},
		},
		Declares: []string{"report.seen"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := got[0].Check(); err != nil {
		t.Error(err)
	}
}

// What can't be read is told line by line, all of it at once, in words that know nothing of Go.
func TestParseDialects_namesEveryLine(t *testing.T) {
	_, err := resthook.ParseDialects([]byte(`dialects:
- name: a
  nmae: b
  change: POST
  ping: {method: POST, adress: resource}
  delete: {method: POST, to: resurce}
  success: 2xx
  timeout: soon
  requests: many
  orders: none
  headers: [{name: X-A, vlaue: x}]
  events:
  - {name: a, type: Patient, interactions: [create], enters: perhaps}
- name: b
  success: [200]
  timout: 3s
- name: c
  name: d
`))
	if err == nil {
		t.Fatal("accepted")
	}
	got := strings.Split(err.Error(), "\n")
	want := []string{
		"line 3: no key nmae is known here",
		"line 4: `POST` must be a mapping of keys to values",
		"line 5: no key adress is known here",
		`line 6: "resurce" is no address style: endpoint or resource`,
		`line 7: "2xx" is not a status code or a range of them between 200 and 599, as in 200-299,410`,
		"line 8: `soon` must be a time with its unit, as in 30s",
		"line 9: `many` must be a whole number",
		"line 10: `none` must be a list",
		"line 11: no key vlaue is known here",
		"line 13: `perhaps` must be true or false",
		"line 15: a set of status codes is a text such as 200-299,410",
		"line 16: no key timout is known here",
		`line 18: mapping key "name" already defined at line 17`,
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseDialects_otherTexts(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "listen: x\n", "dialects: []\n", "dialects:\n"} {
		if ds, err := resthook.ParseDialects([]byte(text)); err != nil || len(ds) != 0 {
			t.Errorf("%q: %v, %v", text, ds, err)
		}
	}
	for _, text := range []string{"- a\n", "dialects: kit\n", "dialects: {name: x}\n", "dialects: [x]\n", "a: [\n", "\x00"} {
		if ds, err := resthook.ParseDialects([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, ds)
		}
	}
}

// What fhirhook dialects NAME prints can be put into a configuration file as it is.
func TestDialect_describedAndReadAgain(t *testing.T) {
	for _, d := range append(resthook.Dialects(), acme()) {
		text, err := yaml.Marshal(map[string][]resthook.Dialect{"dialects": {d}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := resthook.ParseDialects(text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if diff := cmp.Diff([]resthook.Dialect{d}, got); diff != "" {
			t.Errorf("%s\n%s", text, diff)
		}
	}
}

// FuzzParseDialects: no text makes the reader fail other than by an error, and what Check passes makes requests
// whose bodies are JSON.
func FuzzParseDialects(f *testing.F) {
	builtin, err := os.ReadFile("dialects.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		string(builtin), acmeText, "dialects: [&a {name: x, change: *a}]", "dialects:\n- name: a\n  change: {body: '\"${event}\\'}\n",
		"dialects: [{<<: {name: b}, timeout: 1h}]", "dialects: [{success: 200, orders: [none], headers: [{value: '${'}]}]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ds, err := resthook.ParseDialects(text)
		for _, d := range ds {
			if d.Check() != nil || err != nil {
				continue
			}
			samples, err := d.Samples()
			if err != nil {
				t.Fatalf("%+v passed, and: %v", d, err)
			}
			for _, s := range samples {
				if s.Request.Body != nil && !json.Valid(s.Request.Body) {
					t.Errorf("body of %s is no JSON: %q", s.Kind, s.Request.Body)
				}
			}
		}
	})
}

// FuzzTemplate: a body that passes as a template stays JSON whatever the message holds.
func FuzzTemplate(f *testing.F) {
	f.Add(`{"a":${tenant},"b":"x ${tenant} y"}`, `a"b\`)
	f.Add(`"${tenant}${tenant}"`, "\u2028\x00\xff")
	f.Add(`["\\${tenant}","\"${tenant}"]`, `</script>`)
	f.Fuzz(func(t *testing.T, body, tenant string) {
		d := acme()
		d.Change.Body = body
		if body == "" || d.Check() != nil {
			return
		}
		m := messages()["create"]
		m.Tenant = tenant
		r, err := resthook.Build(m, d, m.Updated)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(r.Body) {
			t.Errorf("%q became %q", body, r.Body)
		}
	})
}
