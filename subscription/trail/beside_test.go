package trail_test

import (
	"fmt"
	"strings"
	"testing"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// small is a world with so many attempts of a Patient's notifications.
func small(t *testing.T, attempts int) *world {
	t.Helper()
	w := newWorld(t)
	for i := range attempts {
		w.record(t, store.Attempt{
			Lane: lane("a"), Number: uint64(i + 1), Time: noon, State: store.Delivered, Try: 1,
			Focus: fhir.Key{Tenant: tenant, Type: "Patient", ID: "1"}, Version: 1, Interaction: fhir.Create,
		})
	}
	return w
}

// TestTrail_onlySearchesOfTheTypeSeeIt keeps the view out of what means stored resources.
func TestTrail_onlySearchesOfTheTypeSeeIt(t *testing.T) {
	t.Parallel()
	w := small(t, 3)
	w.put(t, "own", `{"resourceType":"AuditEvent","id":"own","entity":[{"what":{"reference":"Patient/1"}}]}`)
	for name, tt := range map[string]struct {
		request search.Request
		want    int
	}{
		"its type":             {search.Request{Type: fhir.AuditEvent}, 4},
		"its type by _type":    {search.Request{Params: []criteria.Pair{pair("_type", "AuditEvent,Patient")}}, 4},
		"everything":           {search.Request{Params: []criteria.Pair{pair("_lastUpdated", "gt2000")}}, 1},
		"around a patient":     {search.Request{Type: fhir.AuditEvent, Compartment: search.Compartment{Type: "Patient", ID: "1"}}, 1},
		"another type":         {search.Request{Type: "Patient"}, 0},
		"a _has of AuditEvent": {search.Request{Type: "Patient", Params: []criteria.Pair{pair("_has:AuditEvent:entity:type", "transmit")}}, 0},
	} {
		tt.request.Tenant = tenant
		page, err := w.engine.Search(t.Context(), tt.request)
		if err != nil || page.Total != tt.want || len(page.Matches) != tt.want {
			t.Errorf("%s: %d of %d, %v, want %d", name, len(page.Matches), page.Total, err, tt.want)
		}
	}
	err := w.db.View(t.Context(), func(r store.Reader) error {
		found, err := w.engine.Find(t.Context(), r, search.Request{Tenant: tenant, Type: fhir.AuditEvent, Params: []criteria.Pair{pair("entity", "Patient/1")}}, 10)
		if len(found) != 1 || found[0].Key.ID != "own" {
			t.Errorf("a condition selects %v", refs(found))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTrail_aSearchLooksAtABoundedNumber refuses what would be too much, and does what needs less.
func TestTrail_aSearchLooksAtABoundedNumber(t *testing.T) {
	t.Parallel()
	w := small(t, 50)
	e := search.New(w.db, criteria.R4(), search.Options{Virtuals: []search.Virtual{w.trail}, MaxScan: 30})
	run := func(params ...criteria.Pair) error {
		_, err := e.Search(t.Context(), search.Request{Tenant: tenant, Type: fhir.AuditEvent, Params: params})
		return err
	}
	if err := run(pair("subtype", "failed")); fhir.KindOf(err) != fhir.TooCostly || !strings.Contains(err.Error(), "narrow it down") {
		t.Errorf("more than MaxScan: %v", err)
	}
	for _, params := range [][]criteria.Pair{
		{pair("_count", "10")}, // counted, but not looked at
		{pair("_count", "10"), pair("_sort", "-date"), pair("_total", "none"), pair("date", "lt2000")},
		{pair("entity", "Subscription/b"), pair("outcome", "0")},
		{pair("entity", "Patient/2"), pair("outcome", "0")},
		{pair("_id", lastOf(w)), pair("outcome", "0")},
	} {
		if err := run(params...); err != nil {
			t.Errorf("%v: %v", params, err)
		}
	}
}

func lastOf(w *world) string { return w.shown[len(w.shown)-1].Key.ID }

func TestTrail_explainSaysWhatWasMade(t *testing.T) {
	t.Parallel()
	w := small(t, 5)
	page := w.search(t, noon, pair("_explain", "true"), pair("entity", "Subscription/a,Patient/7"), pair("date", "ge2026-05-01"), pair("_sort", "-date"), pair("_total", "none"))
	want := "AuditEvent: 5 were made, each a view of a line in the log of delivery attempts, the newest first, until the page was full, of those that refer to one of 2 resources, from 2026-05-01T00:00:00.000Z on."
	if got := fmt.Sprint(page.Plan); !strings.Contains(got, want) {
		t.Errorf("%s", got)
	}
}
