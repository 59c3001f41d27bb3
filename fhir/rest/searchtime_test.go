package rest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/search"
)

// TestSearchTime_isOfAllConditionsTogether: a request that holds up others can't search as long as it likes, in one
// condition or in many.
func TestSearchTime_isOfAllConditionsTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSearchTime(nil)
		slow := func(took time.Duration) error {
			return s.search(t.Context(), func(ctx context.Context) error {
				select {
				case <-time.After(took):
					return nil
				case <-ctx.Done():
					return fmt.Errorf("walk: %w", ctx.Err())
				}
			})
		}
		for range 4 {
			if err := slow(searchPatience / 4); err != nil {
				t.Fatal(err)
			}
		}
		if err := slow(time.Millisecond); fhir.KindOf(err) != fhir.TooCostly {
			t.Errorf("got %v", err)
		}
		s = newSearchTime(nil)
		if err := slow(time.Hour); fhir.KindOf(err) != fhir.TooCostly || !strings.Contains(err.Error(), "nobody else can write") {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := newSearchTime(nil).search(ctx, func(ctx context.Context) error { return ctx.Err() }); fhir.KindOf(err) == fhir.TooCostly {
			t.Errorf("whoever gave up is told %v", err)
		}
		bundle := newBundleTime()
		for range int(bundlePatience / searchPatience) {
			s = newSearchTime(bundle) // each write of a batch has its own
			if err := slow(searchPatience); err != nil {
				t.Fatal(err)
			}
		}
		s = newSearchTime(bundle)
		if err := slow(0); fhir.KindOf(err) != fhir.TooCostly || !strings.Contains(err.Error(), "of this Bundle") {
			t.Errorf("got %v", err)
		}
		var none *searchTime
		if err := none.search(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
	})
}

// TestServer_boundsWhatASearchSays: parameters without number, and answers to them, have an end.
func TestServer_boundsWhatASearchSays(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const form = "Content-Type: application/x-www-form-urlencoded"
	if r := h.do("POST", "/Patient/_search", strings.Repeat("name=a&", 2000), form); r.status != 422 || r.at("issue", 0, "code") != "too-costly" {
		t.Errorf("%d %.200s", r.status, r.body)
	}
	if r := h.do("POST", "/Patient/_search", "name="+strings.Repeat("a", maxForm), form); r.status != 413 {
		t.Errorf("%d %.200s", r.status, r.body)
	}
	h.must(200, "POST", "/Patient/_search", strings.Repeat("name=a&", 1000), form)
	if r := h.do("GET", "/Patient?"+strings.Repeat("birthdate=x&", 900), ""); r.status != 400 || r.count("issue") > mostIssues+2 {
		t.Errorf("%d: %d issues", r.status, r.count("issue"))
	}
}

// slowSearcher takes its time, unless it is given up.
type slowSearcher struct {
	Searcher
	took time.Duration
}

func (s slowSearcher) Search(ctx context.Context, q search.Request) (search.Page, error) {
	select {
	case <-time.After(s.took):
		return s.Searcher.Search(ctx, q)
	case <-ctx.Done():
		return search.Page{}, fmt.Errorf("walk: %w", ctx.Err())
	}
}

// TestBundle_searchesHaveAnEndTogether: a batch of searches can't occupy the server for as long as there are entries, and
// what comes too late fails alone. A transaction of them changes nothing then.
func TestBundle_searchesHaveAnEndTogether(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	put := `{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1"}}`
	entries := []string{ask("GET", "Patient"), ask("GET", "Patient"), ask("GET", "Patient"), put, ask("GET", "Patient?_id=1"), ask("GET", "Patient/1")}
	process := func(kind string) reply {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(context.Background(), "POST", Prefix, strings.NewReader(bundleOf(kind, entries...)))
		r.Header.Set("Content-Type", FHIRJSON)
		h.server.ServeHTTP(w, r)
		return reply{w.Code, w.Header(), w.Body.Bytes()}
	}
	synctest.Test(t, func(t *testing.T) {
		h.server.Search = slowSearcher{h.server.Search, bundlePatience/2 - time.Second}
		began := time.Now()
		r := process("transaction")
		if took := time.Since(began); r.status != 422 || r.at("issue", 0, "code") != "too-costly" || took > bundlePatience || len(h.changes()) > 0 {
			t.Errorf("%d after %s: %s", r.status, took, r.body)
		}
		began = time.Now()
		r = process("batch")
		if took := time.Since(began); r.status != 200 || took > bundlePatience {
			t.Errorf("%d after %s: %s", r.status, took, r.body)
		}
		var got []string
		for i := range entries {
			got = append(got, r.at("entry", i, "response", "status")[:3]+r.at("entry", i, "response", "outcome", "issue", 0, "code"))
		}
		if want := "200 200 422too-costly 201 422too-costly 422too-costly"; strings.Join(got, " ") != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestBundle_whatItReadsHasAnEnd: the answers to a small Bundle can't fill the memory.
func TestBundle_whatItReadsHasAnEnd(t *testing.T) {
	t.Parallel()
	three := bundleOf("batch", ask("GET", "Patient/1"), ask("GET", "Patient/1"), ask("GET", "Patient/1"))
	h := newHarness(t, func(o *Options) { o.MaxBundle = int64(len(three)) })
	h.must(201, "PUT", "/Patient/1", `{"resourceType":"Patient","id":"1","name":[{"text":"`+strings.Repeat("x", 3*len(three))+`"}]}`)
	r := h.must(200, "POST", "", three)
	for i, want := range []string{"200 OK", "200 OK", "422 Unprocessable Entity"} {
		if got := r.at("entry", i, "response", "status"); got != want {
			t.Errorf("entry %d: %s, want %s", i, got, want)
		}
	}
}
