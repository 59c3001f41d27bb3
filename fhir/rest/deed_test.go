package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

// ledger keeps deeds as lines.
type ledger struct {
	mu    sync.Mutex // guards what follows
	deeds []Deed
	err   error
}

func (l *ledger) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *ledger) Record(deeds []Deed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deeds = append(l.deeds, deeds...)
}

// take returns what was recorded since, each in one line.
func (l *ledger) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, d := range l.deeds {
		who := "nobody"
		if d.Who != nil {
			who = d.Who.Tenant + ":" + d.Who.Subject
			if d.From != d.Who.Tenant {
				who += "(" + d.From + ")"
			}
		}
		about := string(d.Type)
		if d.ID != "" {
			about += "/" + d.ID
		}
		if d.Version > 0 {
			about += fmt.Sprintf("/%d", d.Version)
		}
		fmt.Fprintf(&b, "%d %s %s %s %s [%s] %d%s", d.Entry, who, d.Method, d.Interaction, about, d.Query, d.Status, d.Issue)
		if d.Writes {
			b.WriteString(" w")
		}
		if d.Admin {
			b.WriteString(" a")
		}
		b.WriteString("\n")
	}
	l.deeds = nil
	return b.String()
}

// audited is a server with callers, whose deeds are kept.
func audited(t *testing.T) (*harness, *ledger) {
	t.Helper()
	l, known := &ledger{}, callers{}
	known.add(t, "root", "", true)
	known.add(t, "lab", "system/Patient.cruds system/Observation.rs", false)
	own := Operation{
		Name: "count", Level: OnType, Types: []fhir.Type{"Patient"}, Methods: []string{http.MethodGet, http.MethodPost}, Needs: auth.Read,
		Handle: func(context.Context, OperationRequest) (OperationAnswer, error) {
			return OperationAnswer{Status: http.StatusOK}, nil
		},
	}
	keep := own
	keep.Name, keep.Admin = "sweep", true
	h := newHarness(t, func(o *Options) {
		o.Audit, o.Authenticator, o.Operations, o.DeleteMultiple = l, known, []Operation{own, keep}, true
	})
	return h, l
}

const ofLab, ofRoot = "Authorization: Bearer lab", "Authorization: Bearer root"

// TestServer_accountsForEveryRequest: one deed for each request, and one for each entry of a Bundle that was carried out. A
// body leaves no trace.
func TestServer_accountsForEveryRequest(t *testing.T) {
	t.Parallel()
	h, l := audited(t)
	const planted = "Plantedfamily"
	patient := func(id string) string {
		return `{"resourceType":"Patient","id":"` + id + `","name":[{"family":"` + planted + `"}]}`
	}
	bundle := func(kind string, entries ...string) string {
		return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
	}
	entry := func(method, url, resource string) string {
		if resource != "" {
			resource = `,"resource":` + resource
		}
		return `{"request":{"method":"` + method + `","url":"` + url + `"}` + resource + `}`
	}
	tests := []struct {
		name, method, path, body string
		headers                  []string
		want                     string
	}{
		{"create by update", "PUT", "/Patient/a", patient("a"), []string{ofLab}, "0 default:lab PUT update Patient/a/1 [] 201 w\n"},
		{"update", "PUT", "/Patient/a", strings.Replace(patient("a"), planted, planted+"2", 1), []string{ofLab}, "0 default:lab PUT update Patient/a/2 [] 200 w\n"},
		{"read", "GET", "/Patient/a", "", []string{ofLab}, "0 default:lab GET read Patient/a/2 [] 200\n"},
		{"head", "HEAD", "/Patient/a", "", []string{ofLab}, "0 default:lab HEAD read Patient/a/2 [] 200\n"},
		{"not modified", "GET", "/Patient/a", "", []string{ofLab, `If-None-Match: W/"2"`}, "0 default:lab GET read Patient/a/2 [] 304\n"},
		{"vread", "GET", "/Patient/a/_history/1", "", []string{ofLab}, "0 default:lab GET vread Patient/a/1 [] 200\n"},
		{"history", "GET", "/Patient/a/_history?_count=1", "", []string{ofLab}, "0 default:lab GET history-instance Patient/a [Patient/a/_history?_count=1] 200\n"},
		{"history of all", "GET", "/_history", "", []string{ofRoot}, "0 default:root GET history-system  [_history] 200\n"},
		{"search", "GET", "/Patient?name=x&access_token=Plantedtoken", "", []string{ofLab}, "0 default:lab GET search-type Patient [Patient?name=x] 200\n"},
		{"search by post", "POST", "/Patient/_search", "name=y", []string{ofLab, "Content-Type: application/x-www-form-urlencoded"}, "0 default:lab POST search-type Patient [Patient?name=y] 200\n"},
		{"search refused", "GET", "/Practitioner?name=x", "", []string{ofLab}, "0 default:lab GET search-type Practitioner [Practitioner?name=x] 403forbidden\n"},
		{"compartment", "GET", "/Patient/a/Observation", "", []string{ofLab}, "0 default:lab GET search-type Patient/a [Patient/a/Observation] 200\n"},
		{"unknown", "GET", "/Patient/zz", "", []string{ofLab}, "0 default:lab GET read Patient/zz [] 404not-found\n"},
		{"no type", "GET", "/Nonsense/zz", "", []string{ofLab}, "0 default:lab GET read Nonsense/zz [] 404not-found\n"},
		{"no token", "GET", "/Patient/a", "", nil, "0 nobody GET read Patient/a [] 401login\n"},
		{"bad token", "PUT", "/Patient/a", patient("a"), []string{"Authorization: Bearer nonsense"}, "0 nobody PUT update Patient/a [] 401login w\n"},
		{"bad body", "POST", "/Patient", "{", []string{ofLab}, "0 default:lab POST create Patient [] 400structure w\n"},
		{"conditional create", "POST", "/Patient", patient("x"), []string{ofLab, "If-None-Exist: _id=a"}, "0 default:lab POST create Patient/a/2 [Patient?_id=a] 200 w\n"},
		{"operation", "GET", "/Patient/$count?of=x", "", []string{ofLab}, "0 default:lab GET $count Patient [Patient/$count?of=x] 200\n"},
		{"operation by post", "POST", "/Patient/$count", "", []string{ofLab}, "0 default:lab POST $count Patient [Patient/$count] 200 w\n"},
		{"an administrator's", "POST", "/Patient/$sweep", "", []string{ofRoot}, "0 default:root POST $sweep Patient [Patient/$sweep] 200 w a\n"},
		{"an administrator's, refused", "POST", "/Patient/$sweep", "", []string{ofLab}, "0 default:lab POST $sweep Patient [Patient/$sweep] 403forbidden w a\n"},
		{"in another tenant", "GET", "/Patient/a", "", []string{ofRoot, "X-Fhirhook-Tenant: other"}, "0 other:root(default) GET read Patient/a [] 404not-found\n"},
		{"in another tenant, refused", "GET", "/Patient/a", "", []string{ofLab, "X-Fhirhook-Tenant: other"}, "0 default:lab GET read Patient/a [] 403forbidden\n"},
		{"the statement", "GET", "/metadata", "", nil, ""},
		{
			"batch", "POST", "", bundle("batch", entry("PUT", "Patient/b", patient("b")), entry("GET", "Patient?name=x", ""), entry("GET", "Practitioner/1", ""), `{"request":{}}`),
			[]string{ofLab},
			"0 default:lab POST batch  [] 200 w\n1 default:lab PUT update Patient/b/1 [] 201 w\n2 default:lab GET search-type Patient [Patient?name=x] 200\n3 default:lab GET read Practitioner/1 [] 403forbidden\n",
		},
		{
			"transaction", "POST", "", bundle("transaction", entry("GET", "Patient?_id=b", ""), entry("DELETE", "Patient/b", ""), entry("PUT", "Patient/c", patient("c"))),
			[]string{ofLab},
			"0 default:lab POST transaction  [] 200 w\n1 default:lab GET search-type Patient [Patient?_id=b] 200\n2 default:lab DELETE delete Patient/b/2 [] 204 w\n3 default:lab PUT update Patient/c/1 [] 201 w\n",
		},
		{
			"a transaction that fails", "POST", "", bundle("transaction", entry("PUT", "Patient/d", patient("d")), entry("PUT", "Practitioner/e", `{"resourceType":"Practitioner","id":"e"}`)),
			[]string{ofLab},
			"0 default:lab POST transaction  [] 403forbidden w\n",
		},
		{
			"a delete of several", "DELETE", "/Patient?name=" + planted, "",
			[]string{ofLab},
			"0 default:lab DELETE delete Patient [Patient?name=" + planted + "] 204 w\n0 default:lab DELETE delete Patient/a [Patient?name=" + planted + "] 204 w\n0 default:lab DELETE delete Patient/c [Patient?name=" + planted + "] 204 w\n",
		},
	}
	for _, tt := range tests {
		r := h.do(tt.method, tt.path, tt.body, tt.headers...)
		l.mu.Lock()
		text := fmt.Sprintf("%+v", l.deeds)
		l.mu.Unlock()
		if got := l.take(); got != tt.want {
			t.Errorf("%s: status %d\n%s", tt.name, r.status, cmp.Diff(tt.want, got))
		}
		if tt.name != "a delete of several" && strings.Contains(text, planted) || strings.Contains(text, "Plantedtoken") {
			t.Errorf("%s: it holds what it should not: %s", tt.name, text)
		}
	}
}

// TestServer_doesNothingThatItCantAccountFor: while nothing can be kept, nothing is read or written, and it is said why.
func TestServer_doesNothingThatItCantAccountFor(t *testing.T) {
	t.Parallel()
	h, l := audited(t)
	l.err = &fhir.Error{Kind: fhir.Unavailable, Diagnostic: "the audit trail can't be written", Err: errors.New("disk full")}
	for _, request := range []struct{ method, path, body string }{
		{"PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`}, {"GET", "/Patient/a", ""}, {"GET", "/Patient", ""}, {"POST", "/Patient/$count", ""},
	} {
		r := h.must(http.StatusServiceUnavailable, request.method, request.path, request.body, ofLab)
		if text := r.at("issue", 0, "diagnostics"); text != "the audit trail can't be written" || r.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %s", request.method, request.path, r.body)
		}
	}
	h.must(http.StatusOK, "GET", "/metadata", "")
	if rows, deeds := h.rows(), l.take(); rows != "" || deeds != "" {
		t.Errorf("written: %s; recorded: %s", rows, deeds)
	}
}

// slow is an Auditor that is told while nothing was answered yet.
type slow struct {
	*ledger
	recorded func()
}

func (s slow) Record(d []Deed) {
	s.recorded()
	s.ledger.Record(d)
}

// TestServer_accountsBeforeItAnswers: when a client reads its answer, what it did is recorded.
func TestServer_accountsBeforeItAnswers(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	l := slow{&ledger{}, func() {
		if w.Body.Len() > 0 {
			t.Error("the answer was begun")
		}
	}}
	h := newHarness(t, func(o *Options) { o.Audit = l })
	h.server.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", Prefix+"/Patient/a", nil))
	if got := l.take(); got != "0 default: GET read Patient/a [] 404not-found\n" || w.Code != http.StatusNotFound {
		t.Errorf("%d, %s", w.Code, got)
	}
}
