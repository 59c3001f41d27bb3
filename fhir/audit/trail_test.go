package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/audit"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// TestTrail_isSearchedLikeAnyType: by what R4 defines for AuditEvent.
func TestTrail_isSearchedLikeAnyType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	record := func(after time.Duration, change func(*rest.Deed)) {
		d := deed("default", "")
		change(&d)
		w.set(w.now().Add(after))
		w.log.Record([]rest.Deed{d})
	}
	record(0, func(d *rest.Deed) { d.ID = "1" })
	record(time.Minute, func(d *rest.Deed) { d.ID, d.Interaction, d.Status = "2", "update", 201 })
	record(time.Minute, func(d *rest.Deed) { d.ID, d.Status, d.Issue, d.Who = "1", 403, "forbidden", caller("default", "bob") })
	record(time.Hour, func(d *rest.Deed) { d.Type, d.ID, d.Interaction = "Subscription", "s", "$rotate-secret" })
	record(30*time.Hour, func(d *rest.Deed) { d.Interaction, d.Query = "search-type", "Patient?name=x" })
	for query, want := range map[string]string{
		"":                                 "Patient/1/_history/3 Patient/2/_history/3 Patient/1/_history/3 Subscription/s/_history/3 search-type",
		"_sort=-date":                      "search-type Subscription/s/_history/3 Patient/1/_history/3 Patient/2/_history/3 Patient/1/_history/3",
		"_sort=-date&_count=2&_total=none": "search-type Subscription/s/_history/3",
		"entity=Patient/1":                 "Patient/1/_history/3 Patient/1/_history/3",
		"entity=Patient/1&outcome=4":       "Patient/1/_history/3",
		"entity=Patient/1,Subscription/s":  "Patient/1/_history/3 Patient/1/_history/3 Subscription/s/_history/3",
		"altid=bob":                        "Patient/1/_history/3",
		"action=C,U":                       "Patient/2/_history/3",
		"subtype=operation":                "Subscription/s/_history/3",
		"subtype=https://fhirhook.dev/CodeSystem/operation%7Crotate-secret": "Subscription/s/_history/3",
		"subtype=http://hl7.org/fhir/restful-interaction%7Csearch-type":     "search-type",
		"address=192.0.2.7&date=ge2026-02-01":                               "search-type",
		"date=2026-01-31T12:01":                                             "Patient/2/_history/3",
		"_lastUpdated=lt2026-01-31T12:02:00Z":                               "Patient/1/_history/3 Patient/2/_history/3",
		"type=rest&entity-type=Subscription":                                "Subscription/s/_history/3",
		"_id=" + w.all("default")[1].Key.ID:                                 "Patient/2/_history/3",
		"_id=ad-20260131-0000000a":                                          "",
		"date=2030":                                                         "",
	} {
		if diff := cmp.Diff(want, w.found("default", query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

// TestTrail_tenantsNeverMeet: neither by a search nor by an id. What came from nobody known is the default tenant's to see,
// without what it was about.
func TestTrail_tenantsNeverMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unknown := deed("default", "secret-id")
	unknown.RequestID, unknown.Who, unknown.Status, unknown.Query = "r", nil, 401, "Patient?name=secret-name"
	w.log.Record([]rest.Deed{deed("a", "of-a"), deed("b", "of-b"), unknown, deed("default", "mine")})
	for tenant, want := range map[string]string{
		"a": "Patient/of-a/_history/3", "b": "Patient/of-b/_history/3", "default": "read Patient/mine/_history/3", "c": "", "-": "", "": "",
	} {
		got := ""
		for _, r := range w.all(tenant) {
			got += " " + told(r)
			if strings.Contains(string(r.JSON), "secret") {
				t.Errorf("%s sees %s", tenant, r.JSON)
			}
		}
		if got = strings.TrimSpace(got); got != want {
			t.Errorf("%q sees %s", tenant, got)
		}
		if tenant != "" && tenant != "-" && w.found(tenant, "") != want {
			t.Errorf("%q finds %s", tenant, w.found(tenant, ""))
		}
	}
	for _, r := range w.all("a") {
		key := r.Key
		for _, tenant := range []string{"b", "default", "c"} {
			key.Tenant = tenant
			if _, err := w.trail.Read(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s reads what is a's: %v", tenant, err)
			}
		}
	}
}

// TestTrail_idsArePlaces: every id that was shown is read, and no other is.
func TestTrail_idsArePlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 50 {
		w.log.Record([]rest.Deed{deed("default", fmt.Sprint(i))})
	}
	known := map[string]bool{}
	for _, r := range w.all("default") {
		known[r.Key.ID] = true
		if got, err := w.trail.Read(t.Context(), r.Key); err != nil || string(got.JSON) != string(r.JSON) || !w.trail.Owns(r.Key.ID) {
			t.Errorf("%s: %v", r.Key, err)
		}
	}
	for offset := range 2000 {
		id := fmt.Sprintf("ad-20260131-%08s", strings.ToLower(fmt.Sprintf("%o", offset)))
		_, err := w.trail.Read(t.Context(), fhir.Key{Tenant: "default", Type: fhir.AuditEvent, ID: id})
		if errors.Is(err, store.ErrNotFound) == known[id] {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range []string{
		"", "x", "ad-", "ad-20260131-", "ad-20260131-0000000", "ad-20260131-000000000", "ad-20260132-00000000", "ad-20261301-00000000",
		"ad-20260131-0000000A", "ad-20260131-0000000w", "ad-20260131-+0000000", "ad-20260131-0000 000", "AD-20260131-00000000", "at-20260131-00000000", "ad-2026013100000000-", "ad-../../x-00000000",
	} {
		if w.trail.Owns(id) {
			t.Errorf("%q is an id", id)
		}
	}
}

// TestTrail_stretchesAreFoundByHalving: a part of the time has what the whole has of it, whatever is in the files.
func TestTrail_stretchesAreFoundByHalving(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		defer w.stop()
		for range rapid.IntRange(0, 60).Draw(rt, "bursts") {
			w.set(w.now().Add(time.Duration(rapid.SampledFrom([]int{0, 1, 1000, 3600_000, 20 * 3600_000}).Draw(rt, "gap")) * time.Millisecond))
			d := deed(rapid.SampledFrom([]string{"default", "other"}).Draw(rt, "tenant"), "1")
			d.Query = strings.Repeat("x", rapid.SampledFrom([]int{0, 10, 7000}).Draw(rt, "length"))
			w.log.Record(slices.Repeat([]rest.Deed{d}, rapid.IntRange(1, 12).Draw(rt, "at once")))
		}
		all := w.all("default")
		since := begin.Add(time.Duration(rapid.IntRange(-1, 400).Draw(rt, "since")) * time.Hour)
		until := since.Add(time.Duration(rapid.IntRange(0, 400).Draw(rt, "length")) * time.Hour)
		var want, got []string
		for _, r := range all {
			if !r.Updated.Before(since) && r.Updated.Before(until) {
				want = append(want, r.Key.ID)
			}
		}
		for r, err := range w.trail.Walk(context.Background(), search.Extent{Tenant: "default", Since: since, Until: until}) {
			if err != nil {
				rt.Fatal(err)
			}
			got = append(got, r.Key.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatal(diff)
		}
		if !slices.IsSorted(got) {
			rt.Fatal("ids don't rise with time")
		}
	})
}

// TestTrail_pagesShowEachOnce: going through pages while more is recorded shows what the first page's search would have.
func TestTrail_pagesShowEachOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := ""
	for i := range 25 {
		w.set(w.now().Add(time.Second))
		w.log.Record([]rest.Deed{deed("default", fmt.Sprint(i))})
		want = fmt.Sprintf("Patient/%d/_history/3 ", i) + want
	}
	params, got := []criteria.Pair{{Name: "_sort", Value: "-date"}, {Name: "_count", Value: "4"}}, ""
	for pages := 0; params != nil && pages < 20; pages++ {
		page, err := w.engine.Search(t.Context(), search.Request{Tenant: "default", Type: fhir.AuditEvent, Params: params, Strict: true, Bases: []string{site}, Now: w.now()})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Matches {
			got += told(r) + " "
		}
		if page.TotalKnown && page.Total != 25 {
			t.Errorf("total %d", page.Total)
		}
		params = page.Next
		w.set(w.now().Add(time.Second))
		w.log.Record([]rest.Deed{deed("default", "later")})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

var _ rest.Auditor = (*audit.Log)(nil)
