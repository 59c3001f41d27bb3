package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
	"fhirhook/fhir/tape"
)

// harness is a server over a store whose transactions all run twice.
type harness struct {
	t      testing.TB
	db     store.DB
	server *Server
	http   *httptest.Server
	log    *bytes.Buffer
}

func newHarness(t testing.TB, change ...func(*Options)) *harness {
	t.Helper()
	h := &harness{t: t, db: storetest.Rerun(storetest.NewModel()), log: &bytes.Buffer{}}
	o := Options{
		DB: h.db, Search: search.New(h.db, criteria.R4(), search.Options{}), Definitions: func(context.Context, string) (*criteria.Definitions, error) { return criteria.R4(), nil },
		Log: slog.New(slog.NewTextHandler(&lockedWriter{w: h.log}, nil)), Version: "test",
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if h.server, err = New(o); err != nil {
		t.Fatal(err)
	}
	h.http = httptest.NewServer(h.server)
	t.Cleanup(h.http.Close)
	return h
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request below [base]; headers are "Name: value". A body is FHIR JSON unless a header says else.
func (h *harness) do(method, path, body string, headers ...string) reply {
	h.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, h.http.URL+Prefix+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity") // the transport would ask for gzip, and hide it
	if body != "" {
		req.Header.Set("Content-Type", FHIRJSON)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if value == "-" {
			req.Header.Del(name)
			continue
		}
		req.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, got}
}

// must is do for what has to answer with a status.
func (h *harness) must(status int, method, path, body string, headers ...string) reply {
	h.t.Helper()
	r := h.do(method, path, body, headers...)
	if r.status != status {
		h.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

// at reads a value of the answer by member names and indexes; strings come without quotes.
func (r reply) at(path ...any) string {
	doc, err := tape.Parse(r.body, 0)
	if err != nil {
		return "not JSON: " + err.Error()
	}
	n := doc.Root()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			n = n.Get(step)
		case int:
			n = n.At(step)
		}
	}
	if n.Kind() == tape.String {
		return n.Text()
	}
	return string(n.Raw())
}

func (r reply) count(name string) int {
	doc, err := tape.Parse(r.body, 0)
	if err != nil {
		return -1
	}
	return doc.Root().Get(name).Len()
}

// link finds a link of a Bundle, "" if it has none.
func (r reply) link(relation string) string {
	var b struct {
		Link []struct{ Relation, URL string }
	}
	if json.Unmarshal(r.body, &b) == nil {
		for _, l := range b.Link {
			if l.Relation == relation {
				return l.URL
			}
		}
	}
	return ""
}

// changes returns the log.
func (h *harness) changes() (all []store.Change) {
	h.t.Helper()
	err := h.db.View(context.Background(), func(r store.Reader) error {
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// rows dumps the log, to be compared with itself later.
func (h *harness) rows() string {
	h.t.Helper()
	var b strings.Builder
	for _, c := range h.changes() {
		b.WriteString(c.Resource.VersionedReference() + " " + c.Interaction.String() + " " + string(c.Resource.JSON) + "\n")
	}
	return b.String()
}

// stored returns the current version's JSON.
func (h *harness) stored(t fhir.Type, id string) string {
	h.t.Helper()
	var json string
	err := h.db.View(context.Background(), func(r store.Reader) error {
		found, err := r.Read(fhir.Key{Tenant: fhir.DefaultTenant, Type: t, ID: id}, r.Last())
		if err == nil {
			json = string(found.JSON)
		}
		return err
	})
	if err != nil {
		h.t.Fatalf("%s/%s: %v", t, id, err)
	}
	return json
}
