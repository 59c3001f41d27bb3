package search_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

var tenants = []string{"t", "u"}

// pool is small, so that searches find something.
var pool = []struct {
	typ    fhir.Type
	bodies []string
	params []criteria.Pair
}{
	{"Patient", []string{
		`"name":[{"family":"Kranz","given":["Ada"]}],"birthDate":"1980-02"`,
		`"name":[{"family":"Kranzler-Ost"}],"birthDate":"1980","identifier":[{"system":"s","value":"1"}]`,
		`"gender":"female","identifier":[{"value":"1"},{"system":"s","value":"2"}],"generalPractitioner":[{"reference":"Practitioner/p1"}]`,
		`"telecom":[{"system":"phone","value":"+49 (30) 1"}],"deceasedBoolean":false`,
		`"managingOrganization":{"reference":"https://own.example/fhir/R4/Organization/1"},"meta":{"profile":["http://p.example/a|1"]}`,
	}, []criteria.Pair{
		pair("family", "kranz"), pair("family:exact", "Kranz"), pair("name", "ost"), pair("name:contains", "ran"), pair("birthdate", "1980"),
		pair("birthdate", "ge1980-02"), pair("birthdate", "lt1980-03"), pair("birthdate", "ap1980"), pair("identifier", "s|1"), pair("identifier", "1"),
		pair("identifier", "|1"), pair("identifier", "s|"), pair("gender", "female"), pair("gender:not", "male"), pair("general-practitioner", "p1"),
		pair("general-practitioner:Practitioner", "p1"), pair("organization", "Organization/1"), pair("organization", "https://own.example/fhir/R4/Organization/1"),
		pair("phone", "49301"), pair("deceased", "false"), pair("birthdate:missing", "true"), pair("_profile", "http://p.example/a"),
		pair("_lastUpdated", "ge2000"), pair("_lastUpdated", "lt2000"), pair("_id", "1,2"),
		pair("_has:Observation:patient:code", "a"), pair("_has:Observation:subject:status", "registered"),
	}},
	{"Observation", []string{
		`"status":"final","code":{"coding":[{"system":"l","code":"a"}]},"subject":{"reference":"Patient/1"},"effectiveDateTime":"2024-03-05","valueQuantity":{"value":5.4}`,
		`"status":"final","code":{"coding":[{"system":"l","code":"b"},{"code":"a"}]},"subject":{"reference":"Patient/2"},"effectivePeriod":{"start":"2023","end":"2024-06"},"valueQuantity":{"value":100,"comparator":">"}`,
		`"status":"final","code":{"text":"none"},"subject":{"reference":"Group/1"},"effectivePeriod":{"start":"2024-03"},"valueQuantity":{"value":-3,"system":"u","code":"mm"}`,
		`"status":"registered","code":{"coding":[{"system":"m","code":"a"}]},"component":[{"code":{"coding":[{"code":"x"}]},"valueQuantity":{"value":1}},{"code":{"coding":[{"code":"y"}]},"valueQuantity":{"value":7}}]`,
	}, []criteria.Pair{
		pair("code", "a"), pair("code", "l|a"), pair("code", "a,b"), pair("code:text", "none"), pair("combo-code", "y"), pair("status", "final"), pair("status", "registered"),
		pair("patient", "1"), pair("subject", "Patient/2"), pair("subject", "Group/1"), pair("subject:Patient", "1"), pair("date", "ge2024"), pair("date", "lt2024-03-06"),
		pair("date", "2024-03"), pair("date", "eb2024-04"), pair("date", "sa2023-06"), pair("date", "ne2024-03-05"), pair("value-quantity", "5.4"),
		pair("value-quantity", "gt5"), pair("value-quantity", "lt0"), pair("value-quantity", "-3|u|mm"), pair("value-quantity", "ap5"),
		pair("combo-value-quantity", "gt6"), pair("combo-value-quantity", "lt2"), pair("component-code-value-quantity", "y$7"),
		pair("patient.name", "kranz"), pair("subject:Patient.birthdate", "ge1980-02"),
	}},
}

// history is a store, with an index that follows it as a test says.
type history struct {
	db     store.DB
	defs   *criteria.Definitions
	index  *search.Index
	clock  func() time.Time
	keep   time.Duration
	places []store.Seq
}

func newHistory(t fataler, db store.DB, keep time.Duration) *history {
	h := &history{db: db, defs: criteria.R4(), keep: keep, clock: func() time.Time { return time.Now().Add(time.Minute) }}
	h.restart(t)
	return h
}

// restart forgets what was in memory, as a crash does.
func (h *history) restart(t fataler) {
	t.Helper()
	h.index = search.NewSmallIndex(h.db, h.defs, h.keep, h.clock)
	if err := h.index.Begin(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// write changes, deletes or revives some resources in one transaction.
func (h *history) write(t *rapid.T) {
	n := rapid.IntRange(1, 4).Draw(t, "writes")
	var steps []func(store.Writer) error
	for range n {
		kind := rapid.SampledFrom(pool).Draw(t, "kind")
		key := fhir.Key{Tenant: rapid.SampledFrom(tenants).Draw(t, "tenant"), Type: kind.typ, ID: fmt.Sprint(rapid.IntRange(1, 5).Draw(t, "id"))}
		if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
			steps = append(steps, func(w store.Writer) error { _, err := store.Delete(w, key, ""); return err })
			continue
		}
		in := read(t, fmt.Sprintf(`{"resourceType":%q,"id":%q,%s}`, kind.typ, key.ID, rapid.SampledFrom(kind.bodies).Draw(t, "body")))
		steps = append(steps, func(w store.Writer) error { _, err := store.Update(w, key, in, "", nil); return err })
	}
	c, err := h.db.Update(context.Background(), store.Origin{}, func(w store.Writer) error {
		for _, step := range steps {
			if err := step(w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Seq > 0 {
		h.places = append(h.places, c.Seq)
	}
}

// compare holds searches by the index against walks, as of a place.
func (h *history) compare(t *rapid.T, r store.Reader, at store.Seq) {
	kind := rapid.SampledFrom(pool).Draw(t, "kind")
	params := rapid.SliceOfN(rapid.SampledFrom(kind.params), 1, 3).Draw(t, "params")
	query, _, err := criteria.ParseParams(kind.typ, params, h.defs, false)
	if err != nil {
		t.Fatal(err)
	}
	req := search.Request{Tenant: rapid.SampledFrom(tenants).Draw(t, "tenant"), Bases: []string{"https://own.example/fhir/R4"}}
	most := rapid.SampledFrom([]int{1, 2, 100}).Draw(t, "most")
	find := func(o search.Options) []string {
		found, err := search.New(h.db, h.defs, o).Matching(context.Background(), r, at, query, req, most)
		if err != nil {
			t.Fatalf("%v: %v", params, err)
		}
		var refs []string
		for _, f := range found {
			refs = append(refs, f.VersionedReference())
		}
		return refs
	}
	if diff := cmp.Diff(find(search.Options{}), find(search.Options{Index: h.index})); diff != "" {
		t.Fatalf("%s?%v as of row %d of %d, the index being at %d: %s", kind.typ, params, at, r.Last(), h.index.Place(), diff)
	}
}

// around holds searches in compartments by the index against those by walks.
func (h *history) around(t *rapid.T) {
	req := search.Request{
		Tenant: rapid.SampledFrom(tenants).Draw(t, "tenant"), Type: rapid.SampledFrom([]fhir.Type{"", "Patient", "Observation"}).Draw(t, "type"), Bases: []string{"https://own.example/fhir/R4"},
		Compartment: search.Compartment{Type: "Patient", ID: rapid.SampledFrom([]string{"1", "2", "5", "none"}).Draw(t, "patient")},
		Params:      []criteria.Pair{pair("_count", "3")},
	}
	if req.Type != "" && rapid.Bool().Draw(t, "filtered") {
		req.Params = append(req.Params, pair("_lastUpdated", "ge2000"))
	}
	if diff := cmp.Diff(everything(t, search.New(h.db, h.defs, search.Options{}), req), everything(t, search.New(h.db, h.defs, search.Options{Index: h.index}), req)); diff != "" {
		t.Fatalf("%s %v in %v: %s", req.Type, req.Params, req.Compartment, diff)
	}
}

// include holds inclusions by the index against those by walks.
func (h *history) include(t *rapid.T) {
	req := search.Request{
		Tenant: rapid.SampledFrom(tenants).Draw(t, "tenant"), Type: "Patient", Bases: []string{"https://own.example/fhir/R4"},
		Params: []criteria.Pair{pair("_revinclude", rapid.SampledFrom([]string{"Observation:subject", "Observation:patient:Patient", "*"}).Draw(t, "inclusion"))},
	}
	find := func(o search.Options) []string {
		page, err := search.New(h.db, h.defs, o).Search(context.Background(), req)
		if err != nil {
			t.Fatal(err)
		}
		return refs(slices.Concat(page.Matches, page.Included))
	}
	if diff := cmp.Diff(find(search.Options{}), find(search.Options{Index: h.index})); diff != "" {
		t.Fatalf("%v: %s", req.Params, diff)
	}
}

// Whatever was written, deleted and revived, however far the index lags and wherever it was interrupted, a
// search by it finds what a walk finds, as of any place, and inside of transactions as well.
func TestIndex_findsWhatAWalkFinds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		db := storetest.Rerun(storetest.NewModel())
		h := newHistory(t, db, rapid.SampledFrom([]time.Duration{time.Nanosecond, time.Hour}).Draw(t, "keep"))
		ctx := context.Background()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			var err error
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				_, err = h.index.Absorb(ctx)
			case 1, 2, 3:
				_, err = h.index.Step(ctx)
			case 4:
				err = h.index.Flush(ctx)
			case 5:
				h.restart(t)
			default:
				h.write(t)
			}
			if err != nil {
				t.Fatal(err)
			}
			err = db.View(ctx, func(r store.Reader) error {
				at := r.Last()
				if len(h.places) > 0 && rapid.Bool().Draw(t, "in the past") {
					at = rapid.SampledFrom(h.places).Draw(t, "place")
				}
				h.compare(t, r, at)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		h.include(t)
		h.around(t)
		if err := search.CheckIndex(ctx, db, h.defs, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// A condition inside a transaction sees what the transaction wrote, and what the index has not read yet.
func TestIndex_isSoundInsideATransaction(t *testing.T) {
	t.Parallel()
	db := storetest.NewModel()
	h := newHistory(t, db, time.Hour)
	engine := search.New(db, h.defs, search.Options{Index: h.index})
	create := func(w store.Writer, id, value string) error {
		_, err := store.Create(w, fhir.Key{Tenant: tenant, Type: "Patient", ID: id}, read(t, `{"resourceType":"Patient","identifier":[{"value":"`+value+`"}]}`), nil)
		return err
	}
	find := func(r store.Reader, value string) []string {
		found, err := engine.Find(t.Context(), r, search.Request{Tenant: tenant, Type: "Patient", Params: []criteria.Pair{pair("identifier", value)}}, 5)
		if err != nil {
			t.Fatal(err)
		}
		return refs(found)
	}
	for i, id := range []string{"a", "b"} { // the index knows a and not b
		if _, err := db.Update(t.Context(), store.Origin{}, func(w store.Writer) error { return create(w, id, "1") }); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if _, err := h.index.Absorb(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := db.Update(t.Context(), store.Origin{}, func(w store.Writer) error {
		if err := create(w, "c", "1"); err != nil {
			return err
		}
		if _, err := store.Delete(w, fhir.Key{Tenant: tenant, Type: "Patient", ID: "a"}, ""); err != nil {
			return err
		}
		if got, want := find(w, "1"), []string{"Patient/b", "Patient/c"}; !slices.Equal(got, want) {
			t.Errorf("found %v, want %v", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
