package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
	"fhirhook/fhir/validate"
)

// issues are the codes and first expressions of an OperationOutcome's issues.
func issues(t *testing.T, outcome tape.Node) string {
	t.Helper()
	var all []string
	for i := range outcome.Get("issue").Elements() {
		all = append(all, i.Get("code").Text()+" "+i.Get("expression").At(0).Text())
	}
	return strings.Join(all, ", ")
}

func parsed(t *testing.T, body []byte) tape.Node {
	t.Helper()
	doc, err := tape.Parse(body, 0)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return doc.Root()
}

// TestValidator_refusesOnEachWay: whichever way a resource comes, a typo in it is refused with its path, and
// nothing is stored.
func TestValidator_refusesOnEachWay(t *testing.T) {
	t.Parallel()
	const bad = `{"resourceType":"Patient","id":"1","contact":[{"nmae":{"text":"x"}}]}`
	transaction := func(kind, entry string) string {
		return `{"resourceType":"Bundle","type":"` + kind + `","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},` + entry + `]}`
	}
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
		headers                  []string
	}{
		{"create", "POST", "/Patient", bad, 400, "structure Patient.contact[0].nmae", nil},
		{"update", "PUT", "/Patient/1", bad, 400, "structure Patient.contact[0].nmae", nil},
		{"conditional create", "POST", "/Patient", bad, 400, "structure Patient.contact[0].nmae", []string{"If-None-Exist: identifier=x"}},
		{"transaction", "POST", "", transaction("transaction", `{"resource":`+bad+`,"request":{"method":"PUT","url":"Patient/1"}}`), 400, "structure Bundle.entry[1].resource.contact[0].nmae", nil},
		{"a typo in a condition", "POST", "", transaction("transaction", `{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExists":"x"}}`), 400, "structure Bundle.entry[1].request.ifNoneExists", nil},
		{"a typo in the Bundle", "POST", "", `{"resourceType":"Bundle","type":"transaction","entries":[]}`, 400, "structure Bundle.entries", nil},
		{"several", "POST", "/Patient", `{"resourceType":"Patient","activ":true,"birthDate":"x"}`, 400, "structure Patient.activ, value Patient.birthDate", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, func(o *Options) { o.Validator = validate.Structure })
			got := h.do(tt.method, tt.path, tt.body, tt.headers...)
			if told := issues(t, parsed(t, got.body)); got.status != tt.status || told != tt.want {
				t.Errorf("%d %s, want %d %s", got.status, told, tt.status, tt.want)
			}
			if last := h.last(); last != 0 {
				t.Errorf("%d rows were written", last)
			}
		})
	}
}

func (h *harness) last() (last store.Seq) {
	h.t.Helper()
	if err := h.db.View(context.Background(), func(r store.Reader) error {
		last = r.Last()
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	return last
}

// TestValidator_batchEntriesFailAlone: a bad entry of a batch leaves the others alone.
func TestValidator_batchEntriesFailAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.Validator = validate.Structure })
	got := h.do("POST", "", `{"resourceType":"Bundle","type":"batch","entry":[
{"resource":{"resourceType":"Patient","activ":true},"request":{"method":"POST","url":"Patient"}},
{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExists":"x"}},
{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}`)
	entries := parsed(t, got.body).Get("entry")
	for i, want := range []string{"400", "400", "201"} {
		if status := entries.At(i).Path("response", "status").Text(); !strings.HasPrefix(status, want) {
			t.Errorf("entry %d: %s, want %s", i, status, want)
		}
	}
	if told := issues(t, entries.At(1).Path("response", "outcome")); told != "structure Bundle.entry[1].request.ifNoneExists" {
		t.Error(told)
	}
}

// TestValidator_judgesWhatAPatchLeaves refuses the patch, not the resource: 422.
func TestValidator_judgesWhatAPatchLeaves(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.Validator = validate.Structure })
	h.do("PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","active":true}`)
	got := h.do("PATCH", "/Patient/1", `[{"op":"add","path":"/activ","value":1},{"op":"add","path":"/gendr","value":"x"}]`, "Content-Type: application/json-patch+json")
	if told := issues(t, parsed(t, got.body)); got.status != http.StatusUnprocessableEntity || told != "business-rule Patient.activ, structure Patient.gendr" {
		t.Errorf("%d %s", got.status, told)
	}
	if last := h.last(); last != 1 {
		t.Errorf("%d rows", last)
	}
}

// TestValidator_strictIs422: well shaped, and still not what R4 asks for.
func TestValidator_strictIs422(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.Validator = validate.Strict })
	got := h.do("POST", "/DiagnosticReport", `{"resourceType":"DiagnosticReport","status":"completed"}`)
	if told := issues(t, parsed(t, got.body)); got.status != http.StatusUnprocessableEntity || told != "code-invalid DiagnosticReport.status, required DiagnosticReport.code" {
		t.Errorf("%d %s", got.status, told)
	}
}

func TestQuiet_marksTheVersions(t *testing.T) {
	t.Parallel()
	const body = `{"resourceType":"Patient"}`
	tests := []struct {
		name   string
		allow  bool
		header string
		status int
		server bool
	}{
		{"not asked", true, "", 201, false},
		{"yes", true, NotifyHeader + ": yes", 201, false},
		{"no", true, NotifyHeader + ": no", 201, true},
		{"anything else", true, NotifyHeader + ": maybe", 400, false},
		{"not allowed", false, NotifyHeader + ": no", 403, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, func(o *Options) { o.AllowQuiet = tt.allow })
			var headers []string
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			transaction := `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + body + `,"request":{"method":"POST","url":"Patient"}}]}`
			if got := h.do("POST", "/Patient", body, headers...); got.status != tt.status {
				t.Fatalf("%d, want %d: %s", got.status, tt.status, got.body)
			}
			h.do("POST", "", transaction, headers...)
			rows := 0
			if err := h.db.View(t.Context(), func(r store.Reader) error {
				for c, err := range r.Changes(0) {
					if err != nil {
						return err
					}
					rows++
					if c.Origin.Server != tt.server || (c.Origin.Cause == QuietCause) != tt.server {
						t.Errorf("row %d: Server is %v", c.Seq, c.Origin.Server)
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 2, false: 0}[tt.status == 201]; rows != want {
				t.Errorf("%d rows, want %d", rows, want)
			}
		})
	}
}
