package rest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirhook/fhir"
)

// TestSearchTime_isOfAllConditionsTogether: a request that holds up others can't search as long as it likes, in one
// condition or in many.
func TestSearchTime_isOfAllConditionsTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSearchTime()
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
		s = newSearchTime()
		if err := slow(time.Hour); fhir.KindOf(err) != fhir.TooCostly || !strings.Contains(err.Error(), "nobody else can write") {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := newSearchTime().search(ctx, func(ctx context.Context) error { return ctx.Err() }); fhir.KindOf(err) == fhir.TooCostly {
			t.Errorf("whoever gave up is told %v", err)
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
