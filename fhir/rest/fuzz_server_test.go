package rest

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store/storetest"
)

// FuzzServer sends requests with a path, query, headers and body of its own to the whole endpoint: whatever a client sends is
// answered, and never by a 500.
func FuzzServer(f *testing.F) {
	for _, s := range []struct{ method, path, header, body string }{
		{"GET", "/Patient?name=a&_count=1&_sort=-birthdate&_include=Patient:organization&_elements=id", "", ""},
		{"GET", "/Patient/1/_history/1?_pretty=true", "If-None-Match: W/\"1\"", ""},
		{"GET", "/_history?_since=2026-01-01T00:00:00Z&_count=5", "", ""},
		{"GET", "/Observation?value-quantity=gt5.4|http://unitsofmeasure.org|mg&_has:Group:member:_id=1", "", ""},
		{"GET", "/Patient?_page=AAAA&_filter=name%20eq%20%22a%22", "", ""},
		{"GET", "/Patient/1/$everything?_since=2026&_type=Observation", "", ""},
		{"POST", "/Patient", "If-None-Exist: identifier=1", `{"resourceType":"Patient","identifier":[{"value":"1"}]}`},
		{"PUT", "/Patient/1", "If-Match: W/\"1\"", `{"resourceType":"Patient","id":"1","name":[{"family":"A"}]}`},
		{"PATCH", "/Patient/1", "Content-Type: application/json-patch+json", `[{"op":"add","path":"/active","value":true}]`},
		{"PATCH", "/Patient/1", "Content-Type: application/merge-patch+json", `{"active":null}`},
		{"POST", "", "Prefer: return=minimal", `{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:01a20430-4ac9-75db-87e5-4729f79a7dfe","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=2"}},{"request":{"method":"DELETE","url":"Patient/9?x=y"}}]}`},
		{"POST", "", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient?name=a&_count=0"}},{"request":{"method":"PATCH","url":"Patient/1"},"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W10="}}]}`},
		{"POST", "/Patient/_search", "Content-Type: application/x-www-form-urlencoded", "name=a&birthdate=lt2000&birthdate=ge1990"},
		{"PUT", "/Binary/1", "Content-Type: text/plain", "hello"},
		{"POST", "/Patient", "Content-Encoding: gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"},
		{"POST", "/Patient", "Content-Encoding: zstd", "\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00"},
		{"POST", "/Patient/$validate", "", `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient"}}]}`},
	} {
		f.Add(s.method, s.path, s.header, s.body)
	}
	var log bytes.Buffer
	endpoint := func() *Server {
		log.Reset()
		db := storetest.NewModel()
		s, err := New(Options{
			DB: db, Search: search.New(db, criteria.R4(), search.Options{}), MaxBody: 1 << 16, MaxBundle: 1 << 16, MaxEntries: 20,
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})), Version: "fuzz",
		})
		if err != nil {
			f.Fatal(err)
		}
		return s
	}
	server, used := endpoint(), 0
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	f.Fuzz(func(t *testing.T, method, path, header, body string) {
		u, err := url.ParseRequestURI(Prefix + path)
		if err != nil || u.Host != "" || len(path) > 1<<12 || !strings.Contains(strings.Join(methods, " "), method) || method == "" {
			return // net/http answers that
		}
		if used++; used%1000 == 0 {
			server = endpoint() // what has come together would slow the next ones down
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", io.NopCloser(strings.NewReader(body)))
		r.Method, r.URL, r.RequestURI = method, u, Prefix+path
		if body != "" {
			r.Header.Set("Content-Type", FHIRJSON)
		}
		for line := range strings.SplitSeq(header, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok && !strings.ContainsAny(value, "\r\x00") {
				r.Header.Add(name, value)
			}
		}
		w := httptest.NewRecorder()
		began := time.Now()
		server.ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError || w.Code == 0 {
			t.Errorf("%s %q, %q, %q: %d %s\n%s", method, path, header, body, w.Code, w.Body, log.String())
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s %q, %q took %v", method, path, body, took)
		}
	})
}

// FuzzSpan: what is read of a date lies in order, and an instant lies in its own span.
func FuzzSpan(f *testing.F) {
	for _, s := range []string{"2026", "2026-02", "2026-02-28", "2026-02-28T10:00", "2026-02-28T10:00:59.123Z", "2026-02-28T24:00:00+14:00", "9999-12-31", "0000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := parseSpan(s); ok && !got.low.Before(got.high) {
			t.Errorf("%q is from %v to %v", s, got.low, got.high)
		}
	})
}
