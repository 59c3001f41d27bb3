package rest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

var rewrite = flag.Bool("update", false, "write docs/status-codes.md")

// issueTypes are the codes of R4's value set issue-type.
var issueTypes = strings.Fields(`invalid structure required value invariant security login unknown expired forbidden
	suppressed processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension
	too-costly business-rule conflict transient lock-error no-store exception timeout incomplete throttled informational`)

func TestOutcomes_coverEveryKind(t *testing.T) {
	t.Parallel()
	for kind := fhir.Internal; kind <= fhir.Unavailable; kind++ {
		o := outcomes[kind]
		if o.Kind != kind {
			t.Errorf("row %d is about kind %d", kind, o.Kind)
		}
		if o.Status < 400 || o.Status > 599 || !slices.Contains(issueTypes, o.Code) || o.Client == "" || o.Operator == "" {
			t.Errorf("%+v is not complete", o)
		}
	}
	if len(outcomes) != int(fhir.Unavailable)+1 {
		t.Errorf("%d rows for %d kinds", len(outcomes), fhir.Unavailable+1)
	}
}

// TestServer_answersEveryKindOnEveryRoute makes the layer below fail in each way on each route: the answer is
// always that kind's status and an OperationOutcome, and an internal error tells nothing but the request id.
func TestServer_answersEveryKindOnEveryRoute(t *testing.T) {
	t.Parallel()
	const secret = "disk /dev/secret is on fire"
	requests := []struct{ method, path, body string }{
		{"GET", "/Patient/1", ""},
		{"GET", "/Patient/1/_history/1", ""},
		{"GET", "/Patient/1/_history", ""},
		{"GET", "/Patient/_history", ""},
		{"GET", "/_history", ""},
		{"GET", "/Patient?name=x", ""},
		{"GET", "?_type=Patient", ""},
		{"POST", "/Patient/_search", ""},
		{"POST", "/_search", ""},
		{"POST", "/Patient", `{"resourceType":"Patient"}`},
		{"PUT", "/Patient/1", `{"resourceType":"Patient","id":"1"}`},
		{"PUT", "/Patient?name=x", `{"resourceType":"Patient"}`},
		{"DELETE", "/Patient/1", ""},
		{"DELETE", "/Patient?name=x", ""},
		{"POST", "", bundleOf("transaction", post("urn:uuid:1", `{"resourceType":"Patient"}`))},
		{"POST", "", bundleOf("batch", post("urn:uuid:1", `{"resourceType":"Patient"}`))},
	}
	failing := &failingStore{}
	h := newHarness(t, func(o *Options) { o.DB, o.Search = failing, failing })
	for _, o := range outcomes {
		failing.err = &fhir.Error{Kind: o.Kind, Expression: "Patient.name", Diagnostic: secret}
		for _, q := range requests {
			r := h.do(q.method, q.path, q.body, "X-Request-Id: id-7")
			outcome, status := r, fmt.Sprint(r.status)
			if strings.Contains(q.body, `"batch"`) {
				outcome, status = reply{body: []byte(r.at("entry", 0, "response", "outcome"))}, r.at("entry", 0, "response", "status")
			}
			if !strings.HasPrefix(status, fmt.Sprint(o.Status)) || outcome.at("issue", 0, "code") != o.Code {
				t.Errorf("%s %s, %s: %s %s", q.method, q.path, o.Name, status, r.body)
			}
			if told := strings.Contains(string(r.body), secret); told == (o.Kind == fhir.Internal) {
				t.Errorf("%s %s, %s: told %v: %s", q.method, q.path, o.Name, told, r.body)
			}
			if o.Kind == fhir.Internal && !strings.Contains(string(r.body), "id-7") {
				t.Errorf("no request id in %s", r.body)
			}
			if retry := r.header.Get("Retry-After") != ""; retry != (r.status == 503 || r.status == 429) {
				t.Errorf("%s: Retry-After %v", o.Name, retry)
			}
		}
	}
}

// failingStore fails at everything.
type failingStore struct {
	store.DB
	err   error
	panic any
}

func (f *failingStore) fail() error {
	if f.panic != nil {
		panic(f.panic)
	}
	return f.err
}

func (f *failingStore) View(context.Context, func(store.Reader) error) error { return f.fail() }

func (f *failingStore) Update(context.Context, store.Origin, func(store.Writer) error) (store.Commit, error) {
	return store.Commit{}, f.fail()
}

func (f *failingStore) Search(context.Context, search.Request) (search.Page, error) {
	return search.Page{}, f.fail()
}

func (f *failingStore) Find(context.Context, store.Reader, search.Request, int) ([]*fhir.Resource, error) {
	return nil, f.fail()
}

func TestClassify_knowsErrorsOfOtherLayers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err    error
		status int
		code   string
	}{
		{context.DeadlineExceeded, 503, "timeout"},
		{fmt.Errorf("commit: %w", context.DeadlineExceeded), 503, "timeout"},
		{context.Canceled, 499, "transient"},
		{os.ErrDeadlineExceeded, 408, "timeout"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, 408, "timeout"},
		{store.ErrClosed, 503, "transient"},
		{io.ErrUnexpectedEOF, 400, "structure"},
		{errors.New("anything else"), 500, "exception"},
		{store.ErrNotFound, 500, "exception"},
		{fmt.Errorf("wrapped: %w", fhir.Errorf(fhir.Gone, "", "gone")), 410, "deleted"},
		{&fhir.Error{Kind: 250}, 500, "exception"},
		{echo.ErrNotFound, 404, "not-found"},
		{echo.ErrMethodNotAllowed, 405, "not-supported"},
		{echo.ErrStatusRequestEntityTooLarge, 413, "too-long"},
		{echo.ErrTeapot, 500, "exception"},
	}
	for _, tt := range tests {
		o, _ := classify(tt.err)
		if o.Status != tt.status || o.Code != tt.code {
			t.Errorf("%v: %d %s, want %d %s", tt.err, o.Status, o.Code, tt.status, tt.code)
		}
	}
}

func TestFailure_listsEveryIssue(t *testing.T) {
	t.Parallel()
	err := fhir.Join([]*fhir.Error{
		fhir.Errorf(fhir.Value, "Patient.birthDate", "no date"), fhir.Errorf(fhir.Required, "Patient.name", "no name"),
	})
	o, body := failure(err, "r")
	want := `{"resourceType":"OperationOutcome","issue":[` +
		`{"severity":"error","code":"value","details":{"text":"no date"},"diagnostics":"no date","expression":["Patient.birthDate"]},` +
		`{"severity":"error","code":"required","details":{"text":"no name"},"diagnostics":"no name","expression":["Patient.name"]}]}`
	if diff := cmp.Diff(want, string(body)); diff != "" || o.Status != 400 {
		t.Errorf("%d %s", o.Status, diff)
	}
}

// TestServer_survivesPanics: the client learns the request id, the log learns the rest, and the next request works.
func TestServer_survivesPanics(t *testing.T) {
	t.Parallel()
	failing := &failingStore{panic: "secret plans"}
	h := newHarness(t, func(o *Options) { o.DB = failing })
	r := h.do("GET", "/Patient/1", "", "X-Request-Id: p-1")
	if r.status != 500 || strings.Contains(string(r.body), "secret") || !strings.Contains(string(r.body), "p-1") {
		t.Errorf("%d %s", r.status, r.body)
	}
	h.must(200, "GET", "/metadata", "")
	h.http.Close() // so that nobody writes the log any more
	if log := h.log.String(); !strings.Contains(log, "secret plans") || !strings.Contains(log, "p-1") {
		t.Errorf("log: %s", log)
	}
}

// TestServer_givesUpWithItsClient writes nothing for a client that hung up.
func TestServer_givesUpWithItsClient(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	body := strings.NewReader(`{"resourceType":"Patient"}`)
	h.server.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", Prefix+"/Patient", body))
	if w.Body.Len() > 0 || h.rows() != "" {
		t.Errorf("%s; stored %q", w.Body, h.rows())
	}
}

// TestServer_boundsBodies reads no further than the limit, whatever the length that is declared.
func TestServer_boundsBodies(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(o *Options) { o.MaxBody = 1000 })
	for _, declared := range []int64{-1, 1 << 40} {
		endless := &countingReader{}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, Prefix+"/Patient", endless)
		r.ContentLength = declared
		h.server.ServeHTTP(w, r)
		if w.Code != 413 || endless.n > 4096 {
			t.Errorf("declared %d: status %d after %d bytes", declared, w.Code, endless.n)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, Prefix+"/Patient", io.MultiReader(strings.NewReader(`{"resource`), &brokenReader{}))
	h.server.ServeHTTP(w, r)
	if w.Code != 400 {
		t.Errorf("truncated: status %d %s", w.Code, w.Body)
	}
}

type countingReader struct{ n int }

func (c *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	c.n += len(p)
	return len(p), nil
}

type brokenReader struct{}

func (*brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestStatusCodes_documentIsTheTable keeps docs/status-codes.md and the table the same; -update writes it.
func TestStatusCodes_documentIsTheTable(t *testing.T) {
	t.Parallel()
	const path = "../../docs/status-codes.md"
	want := statusCodes()
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("run go test ./fhir/rest -run StatusCodes -update:\n%s", diff)
	}
}

func statusCodes() string {
	var b strings.Builder
	b.WriteString(`# Status codes

<!-- Made from the table in fhir/rest/outcome.go by: go test ./fhir/rest -run StatusCodes -update -->

Every 4xx and 5xx answer of the FHIR endpoint is an OperationOutcome. Its first issue has the code below, a text
that says what is wrong and what to do, and, where it is about an element, the element's FHIRPath; about a header
or parameter, ` + "`http.`" + ` and its name. Support asks for the request id (` + "`X-Request-Id`" + ` of the answer) and looks it up in the log.

| status | issue code | name in the code | for the client | for the operator |
|---|---|---|---|---|
`)
	rows := append(slices.Clone(outcomes), timedOut, slowClient, hungUp)
	slices.SortStableFunc(rows, func(a, b outcome) int { return a.Status - b.Status })
	for _, o := range rows {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", o.Status, o.Code, o.Name, o.Client, o.Operator)
	}
	return b.String()
}
