package search_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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

// defined are what clients define in the tests, by id: each a few ways.
var defined = map[string][]string{
	"n": {
		nickname,
		`{"resourceType":"SearchParameter","id":"n","url":"urn:nickname","status":"active","code":"nickname","base":["Patient"],"type":"string","expression":"Patient.name.family"}`,
		`{"resourceType":"SearchParameter","id":"n","url":"urn:nickname","status":"draft","code":"nickname","base":["Patient"],"type":"string","expression":"Patient.name.family"}`,
		`{"resourceType":"SearchParameter","id":"n","url":"urn:nickname","status":"active","code":"nickname","base":["Patient"],"type":"string","expression":"Patient.name.given","description":"x"}`,
		`{"resourceType":"SearchParameter","id":"n","url":"urn:nickname","status":"active","code":"nickname","base":["Patient"],"type":"string","expression":"Patient.name.given","description":"y"}`,
	},
	"f": { // in the place of R4's own
		`{"resourceType":"SearchParameter","id":"f","url":"http://hl7.org/fhir/SearchParameter/individual-family","status":"active","code":"family","base":["Patient"],"type":"string","expression":"Patient.name.given"}`,
	},
	"b": {
		`{"resourceType":"SearchParameter","id":"b","url":"urn:born","status":"active","code":"born","base":["Patient"],"type":"date","expression":"Patient.birthDate"}`,
		`{"resourceType":"SearchParameter","id":"b","url":"urn:born","status":"active","code":"born","base":["Patient"],"type":"token","expression":"Patient.gender"}`,
	},
}

var ownParams = []criteria.Pair{
	pair("nickname", "ada"), pair("nickname", "kranz"), pair("nickname:exact", "Ada"), pair("nickname:missing", "true"), pair("family", "ada"), pair("family", "kranz"),
	pair("born", "1980"), pair("born", "ge1980-02"), pair("born", "female"), pair("born:not", "male"), pair("gender", "female"), pair("birthdate", "1980"), pair("_id", "1,2"),
}

// Whatever clients define, change and take back, however far each index is and wherever it was interrupted, a
// search finds what a walk finds.
func TestOwnIndex_findsWhatAWalkFinds(t *testing.T) {
	t.Parallel()
	used := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		db := storetest.Rerun(storetest.NewModel())
		keep := rapid.SampledFrom([]time.Duration{time.Nanosecond, time.Hour}).Draw(t, "keep")
		h := newHistory(t, db, keep)
		catalogue := search.NewCatalogue(h.defs, nil)
		var own *search.OwnIndex
		restart := func() { own = search.NewSmallOwnIndex(db, catalogue, tenants, keep, h.clock) }
		restart()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			var err error
			switch rapid.IntRange(0, 11).Draw(t, "step") {
			case 0:
				_, err = h.index.Step(ctx)
			case 1, 2, 3:
				_, err = own.Step(ctx)
			case 4:
				if rapid.Bool().Draw(t, "orderly") {
					err = own.Leave(ctx)
				}
				restart()
			case 5, 6:
				h.define(t)
			default:
				h.write(t)
			}
			if err != nil {
				t.Fatal(err)
			}
			if own.Progress().Parameters > 0 && own.Progress().Done > 0 {
				used++
			}
			err = db.View(ctx, func(r store.Reader) error {
				at := r.Last()
				if len(h.places) > 0 && rapid.Bool().Draw(t, "in the past") {
					at = rapid.SampledFrom(h.places).Draw(t, "place")
				}
				who := rapid.SampledFrom(tenants).Draw(t, "tenant")
				defs, err := catalogue.At(r, who, at)
				if err != nil {
					return err
				}
				params := rapid.SliceOfN(rapid.SampledFrom(ownParams), 1, 3).Draw(t, "params")
				query, _, err := criteria.ParseParams("Patient", params, defs, true)
				if err != nil || len(query.Terms()) == 0 {
					return nil //nolint:nilerr // not defined, or otherwise
				}
				find := func(o search.Options) (refs []string) {
					found, err := search.New(db, h.defs, o).Matching(ctx, r, at, query, search.Request{Tenant: who}, 100)
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range found {
						refs = append(refs, f.VersionedReference())
					}
					return refs
				}
				if diff := cmp.Diff(find(search.Options{}), find(search.Options{Index: h.index, Own: own})); diff != "" {
					t.Fatalf("Patient?%v as of row %d of %d, %+v: %s", params, at, r.Last(), own.Progress(), diff)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := search.CheckIndex(ctx, db, h.defs, nil); err != nil {
			t.Fatal(err)
		}
	})
	if used == 0 {
		t.Error("the index was never used")
	}
}

// define changes or deletes a definition.
func (h *history) define(t *rapid.T) {
	id := rapid.SampledFrom([]string{"n", "f", "b"}).Draw(t, "definition")
	key := fhir.Key{Tenant: rapid.SampledFrom(tenants).Draw(t, "tenant"), Type: fhir.SearchParameter, ID: id}
	body := rapid.SampledFrom(append(defined[id], "")).Draw(t, "body")
	c, err := h.db.Update(context.Background(), store.Origin{}, func(w store.Writer) error {
		if body == "" {
			_, err := store.Delete(w, key, "")
			return err
		}
		_, err := store.Update(w, key, read(t, body), "", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Seq > 0 {
		h.places = append(h.places, c.Seq)
	}
}

// What is defined over many resources is indexed from the log, says how far it has come, and goes on where a
// restart found it. Then searches look at what matches, and no longer at all of the type.
func TestOwnIndex_buildsInPieces(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	clock := func() time.Time { return time.Now() }
	for i := range 2500 {
		w.put(t, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","name":[{"use":"nickname","given":["G%04d"]}]}`, i, i))
	}
	index := search.NewSmallIndex(w.db, w.defs, time.Hour, clock)
	if err := index.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	for busy := true; busy; {
		var err error
		if busy, err = index.Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	w.put(t, nickname)
	catalogue := search.NewCatalogue(w.defs, nil)
	own := search.NewSmallOwnIndex(w.db, catalogue, []string{tenant}, time.Hour, clock)
	find := func(most int) (int, error) {
		e := search.New(w.db, w.defs, search.Options{Index: index, Own: own, MaxScan: most})
		page, err := e.Search(ctx, search.Request{Tenant: tenant, Type: "Patient", Params: []criteria.Pair{pair("nickname", "G0007")}})
		return len(page.Matches), err
	}
	if _, err := find(100); fhir.KindOf(err) != fhir.TooCostly {
		t.Errorf("before it is indexed a search looks at everything: %v", err)
	}
	if n, err := find(5000); err != nil || n != 1 {
		t.Errorf("found %d, %v", n, err)
	}
	if _, err := own.Step(ctx); err != nil {
		t.Fatal(err)
	}
	if p := own.Progress(); p.Built || p.Done == 0 || p.Done >= p.Of || p.Parameters != 1 {
		t.Errorf("after one step: %+v", p)
	}
	before := own.Progress().Done
	if err := own.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	own = search.NewSmallOwnIndex(w.db, catalogue, []string{tenant}, time.Hour, clock)
	for busy, first := true, true; busy; first = false {
		var err error
		if busy, err = own.Step(ctx); err != nil {
			t.Fatal(err)
		}
		if p := own.Progress(); first && p.Done <= before {
			t.Errorf("it began again: %+v", p)
		}
	}
	if p := own.Progress(); !p.Built || p.Done != p.Of {
		t.Errorf("at the end: %+v", p)
	}
	if n, err := find(10); err != nil || n != 1 {
		t.Errorf("found %d, %v", n, err)
	}
	w.delete(t, fhir.SearchParameter, "n")
	if _, err := own.Step(ctx); err != nil {
		t.Fatal(err)
	}
	if p := own.Progress(); p.Parameters != 0 {
		t.Errorf("what was deleted is indexed: %+v", p)
	}
}

// Searches beside a follower that begins anew again and again find what walks find.
func TestOwnIndex_searchesBesideItsFollower(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	catalogue := search.NewCatalogue(w.defs, nil)
	own := search.NewSmallOwnIndex(w.db, catalogue, []string{tenant}, time.Hour, time.Now)
	index := search.NewSmallIndex(w.db, w.defs, time.Hour, time.Now)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { // ends with ctx
		for ctx.Err() == nil {
			busy, err := own.Step(ctx)
			if err != nil {
				done <- err
				return
			}
			if !busy {
				runtime.Gosched()
			}
		}
		done <- nil
	}()
	for i := range 300 {
		w.put(t, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","name":[{"use":"nickname","given":["A%d"],"family":"B%d"}]}`, i%40, i%3, i%2))
		if i%5 == 0 {
			w.put(t, defined["n"][i/5%2])
		}
		find := func(o search.Options) []string {
			page, err := search.New(w.db, w.defs, o).Search(ctx, search.Request{Tenant: tenant, Type: "Patient", Params: []criteria.Pair{pair("nickname", "A1,B1")}})
			if err != nil {
				t.Fatal(err)
			}
			return refs(page.Matches)
		}
		if diff := cmp.Diff(find(search.Options{}), find(search.Options{Index: index, Own: own})); diff != "" {
			t.Fatalf("write %d, %+v: %s", i, own.Progress(), diff)
		}
	}
	stop()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
