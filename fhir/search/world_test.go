package search_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

const tenant = "t"

// world is a store with an engine over it, and what the test itself knows of the observations in it.
type world struct {
	db           store.DB
	defs         *criteria.Definitions
	engine       *search.Engine
	observations map[string]observation
}

// observation is what a naive search needs to know of one.
type observation struct {
	resource           *fhir.Resource
	code, status, date string // "" for none
	value              float64
	hasValue           bool
}

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func newWorld(t fataler) *world {
	t.Helper()
	db := storetest.Rerun(storetest.NewModel())
	defs := criteria.R4()
	return &world{db, defs, search.New(db, defs, search.Options{}), map[string]observation{}}
}

func pair(name, value string) criteria.Pair { return criteria.Pair{Name: name, Value: value} }

func read(t fataler, body string) fhir.Incoming {
	t.Helper()
	in, err := fhir.Read([]byte(body), 0)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return in
}

func (w *world) put(t fataler, body string) {
	t.Helper()
	in := read(t, body)
	_, err := w.db.Update(context.Background(), store.Origin{}, func(tx store.Writer) error {
		_, err := store.Update(tx, fhir.Key{Tenant: tenant, Type: in.Type, ID: in.ID}, in, "", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) search(t fataler, typ fhir.Type, params ...criteria.Pair) search.Page {
	t.Helper()
	page, err := w.engine.Search(context.Background(), search.Request{Tenant: tenant, Type: typ, Params: params, Bases: []string{"https://own.example/fhir/R4"}})
	if err != nil {
		t.Fatalf("%s?%v: %v", typ, params, err)
	}
	return page
}

func find(t *testing.T, w *world, r store.Reader, name, value string) ([]string, error) {
	found, err := w.engine.Find(t.Context(), r, search.Request{Tenant: tenant, Type: "Patient", Params: []criteria.Pair{pair(name, value)}}, 10)
	return refs(found), err
}

func refs(all []*fhir.Resource) []string {
	var out []string
	for _, r := range all {
		out = append(out, r.Key.String())
	}
	return out
}

// writeSome creates, changes and deletes observations at random, and confuses matters as another tenant.
func (w *world) writeSome(t *rapid.T, most int) {
	for range rapid.IntRange(0, most).Draw(t, "writes") {
		id := fmt.Sprintf("o%d", rapid.IntRange(0, 14).Draw(t, "id"))
		who := rapid.SampledFrom([]string{tenant, tenant, tenant, "other"}).Draw(t, "tenant")
		o := observation{
			code:   rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "code"),
			status: rapid.SampledFrom([]string{"final", "registered"}).Draw(t, "status"),
			date:   rapid.SampledFrom([]string{"", "2024", "2024-03", "2024-03-05", "2023-12-31"}).Draw(t, "date"),
		}
		members := []string{`"resourceType":"Observation"`, fmt.Sprintf(`"status":%q`, o.status)}
		if o.code != "" {
			members = append(members, fmt.Sprintf(`"code":{"coding":[{"code":%q}]}`, o.code))
		}
		if o.date != "" {
			members = append(members, fmt.Sprintf(`"effectiveDateTime":%q`, o.date))
		}
		if value := rapid.SampledFrom([]string{"", "1", "1.0", "10", "9", "-2"}).Draw(t, "value"); value != "" {
			o.hasValue = true
			if _, err := fmt.Sscan(value, &o.value); err != nil {
				t.Fatal(err)
			}
			members = append(members, `"valueQuantity":{"value":`+value+`}`)
		}
		remove := rapid.IntRange(0, 4).Draw(t, "delete") == 0
		key := fhir.Key{Tenant: who, Type: "Observation", ID: id}
		var saved store.Saved
		_, err := w.db.Update(context.Background(), store.Origin{}, func(tx store.Writer) (err error) {
			if remove {
				saved, err = store.Delete(tx, key, "")
			} else {
				saved, err = store.Update(tx, key, read(t, "{"+strings.Join(members, ",")+"}"), "", nil)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if who != tenant {
			continue
		}
		if o.resource = saved.Resource; remove {
			delete(w.observations, id)
		} else {
			w.observations[id] = o
		}
	}
}

// filters draws filters that find some observations.
func (w *world) filters(t *rapid.T) []criteria.Pair {
	return rapid.SliceOfN(rapid.SampledFrom([]criteria.Pair{
		pair("code", "a,b"), pair("code:not", "c"), pair("status", "final"), pair("date", "ge2024"), pair("date", "2024-03"),
		pair("value-quantity", "lt10"), pair("date:missing", "false"), pair("_id", "o1,o2,o3,o5,o7,o11,nobody"), pair("_id", "|o1,o2"), pair("_lastUpdated", "gt2000-01-01"),
	}), 0, 2).Draw(t, "filters")
}

// naive is a search without an engine: it looks at everything and sorts what criteria finds. The keys of the
// order come from what the test wrote, not from criteria.
func (w *world) naive(t fataler, filters []criteria.Pair, sort []string) []string {
	t.Helper()
	query, _, err := criteria.ParseParams("Observation", filters, w.defs, false)
	if err != nil {
		t.Fatal(err)
	}
	var found []observation
	for _, o := range w.observations {
		if query.Match(o.resource, criteria.Env{Now: time.Now()}) {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b observation) int {
		for _, key := range sort {
			code, descending := strings.CutPrefix(key, "-")
			if c := compare(t, a, b, code, descending); c != 0 {
				return c
			}
		}
		return strings.Compare(a.resource.Key.ID, b.resource.Key.ID)
	})
	var out []string
	for _, o := range found {
		out = append(out, o.resource.VersionedReference())
	}
	return out
}

func compare(t fataler, a, b observation, code string, descending bool) int {
	missing := func(a, b bool) (int, bool) { // whether a and b have a value
		switch {
		case a && b:
			return 0, false
		case a:
			return -1, true
		case b:
			return 1, true
		default:
			return 0, true
		}
	}
	c := 0
	switch code {
	case "_id":
		c = strings.Compare(a.resource.Key.ID, b.resource.Key.ID)
	case "_lastUpdated":
		c = a.resource.Updated.Compare(b.resource.Updated)
	case "status":
		c = strings.Compare(a.status, b.status)
	case "code":
		if m, ok := missing(a.code != "", b.code != ""); ok {
			return m
		}
		c = strings.Compare(a.code, b.code)
	case "value-quantity":
		if m, ok := missing(a.hasValue, b.hasValue); ok {
			return m
		}
		c = cmp.Compare(a.value, b.value)
	case "date":
		if m, ok := missing(a.date != "", b.date != ""); ok {
			return m
		}
		edge := map[string]int{"2023-12-31": 1, "2024": 2, "2024-03": 3, "2024-03-05": 4} // by first day
		if descending {
			edge = map[string]int{"2023-12-31": 1, "2024-03-05": 2, "2024-03": 3, "2024": 4} // by last day
		}
		c = cmp.Compare(edge[a.date], edge[b.date])
	default:
		t.Fatalf("no naive order by %s", code)
	}
	if descending {
		return -c
	}
	return c
}
