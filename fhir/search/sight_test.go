package search_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

// hidden is a tag that takes a resource out of sight.
const hidden = `"meta":{"tag":[{"code":"hidden"}]},`

func outOfSight(r *fhir.Resource) bool { return bytes.Contains(r.JSON, []byte(`"hidden"`)) }

func inSight(r *fhir.Resource, _ criteria.Env) bool { return !outOfSight(r) }

// sightWorld draws patients, observations and lists that refer to each other; some are hidden.
func sightWorld(t *rapid.T) (bodies []string) {
	for i := range rapid.IntRange(1, 40).Draw(t, "resources") {
		mark := rapid.SampledFrom([]string{"", "", hidden}).Draw(t, "mark")
		to := rapid.IntRange(0, 5).Draw(t, "to")
		bodies = append(bodies, rapid.SampledFrom([]string{
			fmt.Sprintf(`{"resourceType":"Patient","id":"%d",%s"name":[{"family":"F%d"}],"generalPractitioner":[{"reference":"Practitioner/%d"}]}`, i%6, mark, to, to),
			fmt.Sprintf(`{"resourceType":"Practitioner","id":"%d",%s"name":[{"family":"F%d"}]}`, i%6, mark, to),
			fmt.Sprintf(`{"resourceType":"Observation","id":"%d",%s"status":"final","code":{"coding":[{"code":"c%d"}]},"subject":{"reference":"Patient/%d"}}`, i, mark, to%2, to),
			fmt.Sprintf(`{"resourceType":"List","id":"%d",%s"status":"current","mode":"working","entry":[{"item":{"reference":"Patient/%d"}},{"item":{"reference":"Patient/%d"}}]}`, i%3, mark, to, i%6),
		}).Draw(t, "body"))
	}
	return bodies
}

// sightRequests lead from one resource to others on every way there is.
func sightRequests() []search.Request {
	request := func(t fhir.Type, params ...criteria.Pair) search.Request {
		return search.Request{Tenant: tenant, Type: t, Params: params, Bases: []string{"https://own.example/fhir/R4"}}
	}
	in := request("Observation")
	in.Compartment = search.Compartment{Type: "Patient", ID: "1"}
	return []search.Request{
		in,
		request("Patient"), request("Observation", pair("code", "c1")), request("Observation", pair("subject.family", "F1")),
		request("Observation", pair("subject:Patient.general-practitioner.family", "F2")),
		request("Patient", pair("_has:Observation:patient:code", "c0")),
		request("Practitioner", pair("_has:Patient:general-practitioner:_has:Observation:patient:code", "c1")),
		request("Patient", pair("_list", "1")), request("Patient", pair("_id", "0,1,2,3,4,5")),
		request("Patient", pair("family:missing", "false"), pair("_sort", "-family")),
		request("Observation", pair("_sort", "-_lastUpdated"), pair("_total", "none"), pair("_count", "3")),
		request("Observation", pair("_include", "Observation:subject"), pair("_include:iterate", "Patient:general-practitioner")),
		request("Patient", pair("_revinclude", "Observation:patient"), pair("_revinclude", "List:item")),
		request("", pair("_type", "Patient,Observation,List"), pair("_count", "2")),
		request("Observation", pair("_filter", "subject.family eq F1 or code eq c0")),
		request("Observation", pair("_summary", "count")),
	}
}

// TestEngine_asSomebodyFindsWhatWouldBeFoundIfNothingElseWereThere holds a store with hidden resources against one
// without them: no way that a search knows tells them apart.
func TestEngine_asSomebodyFindsWhatWouldBeFoundIfNothingElseWereThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all, seen := newWorld(t), newWorld(t)
		for _, body := range sightWorld(t) {
			all.put(t, body)
			if in := read(t, body); bytes.Contains(in.Doc.Bytes(), []byte(`"hidden"`)) {
				seen.remove(t, fhir.Key{Tenant: tenant, Type: in.Type, ID: in.ID})
			} else {
				seen.put(t, body)
			}
		}
		indexed := newHistory(t, all.db, 0)
		for range 2 {
			if _, err := indexed.index.Absorb(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		engines := map[string]*search.Engine{
			"walking": all.engine, "by the index": search.New(all.db, all.defs, search.Options{Index: indexed.index}),
		}
		for _, req := range sightRequests() {
			want := everything(t, seen.engine, req)
			req.Sees = inSight
			for name, engine := range engines {
				if diff := cmp.Diff(want, everything(t, engine, req)); diff != "" {
					t.Fatalf("%s?%v, %s: %s", req.Type, req.Params, name, diff)
				}
			}
		}
	})
}

func (w *world) remove(t fataler, key fhir.Key) {
	t.Helper()
	_, err := w.db.Update(context.Background(), store.Origin{}, func(tx store.Writer) error {
		_, err := store.Delete(tx, key, "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// everything is what all pages of a search say, totals included.
func everything(t fataler, e *search.Engine, req search.Request) (found []string) {
	t.Helper()
	for {
		page, err := e.Search(context.Background(), req)
		if err != nil {
			t.Fatalf("%s?%v: %v", req.Type, req.Params, err)
		}
		found = append(found, fmt.Sprint("total ", page.Total, page.TotalKnown))
		found = append(found, refs(page.Matches)...)
		included := refs(page.Included)
		slices.Sort(included)
		found = append(found, included...)
		if page.Next == nil {
			if slices.Contains(req.Params, pair("_sort", "-_lastUpdated")) {
				slices.Sort(found) // the two stores were written at different times
			}
			return found
		}
		req.Params = page.Next
	}
}

// TestFind_isForWhatIsInSight: a condition can't be used to learn of what is hidden.
func TestFind_isForWhatIsInSight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, `{"resourceType":"Patient","id":"a",`+hidden+`"name":[{"family":"F"}]}`)
	w.put(t, `{"resourceType":"Patient","id":"b","name":[{"family":"F"}]}`)
	err := w.db.View(t.Context(), func(r store.Reader) error {
		found, err := w.engine.Find(t.Context(), r, search.Request{Tenant: tenant, Type: "Patient", Params: []criteria.Pair{pair("family", "F")}, Sees: inSight}, 10)
		if diff := cmp.Diff([]string{"Patient/b"}, refs(found)); diff != "" {
			t.Error(diff)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestEngine_evaluatesWhatItShows: what isn't shown of a resource can't be guessed by searching for it, neither
// there nor through a resource that leads to it.
func TestEngine_evaluatesWhatItShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, `{"resourceType":"Subscription","id":"s","status":"active","reason":"planted","criteria":"Patient","channel":{"type":"rest-hook"}}`)
	masked := func(r *fhir.Resource) *fhir.Resource {
		return &fhir.Resource{Key: r.Key, Version: r.Version, Updated: r.Updated, JSON: bytes.ReplaceAll(r.JSON, []byte("planted"), []byte("********"))}
	}
	for word, want := range map[string]int{"planted": 0, "active": 1} {
		e := search.New(w.db, w.defs, search.Options{Show: masked})
		page, err := e.Search(t.Context(), search.Request{Tenant: tenant, Type: fhir.Subscription, Params: []criteria.Pair{pair("_content", word)}})
		if err != nil || len(page.Matches) != want {
			t.Errorf("%s: found %v, %v", word, refs(page.Matches), err)
		}
	}
}

// What Show hides is in no index: not by R4's parameters, nor by those that clients define.
func TestIndexOptions_showKeepsWhatIsHiddenOutOfTheIndex(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.NewModel()
	defs := criteria.R4()
	options := search.IndexOptions{Show: func(r *fhir.Resource) *fhir.Resource {
		return &fhir.Resource{Key: r.Key, Version: r.Version, Updated: r.Updated, Deleted: r.Deleted, JSON: bytes.ReplaceAll(r.JSON, []byte("Kranz"), []byte("masked"))}
	}}
	catalogue := search.NewCatalogue(defs, nil)
	index := search.NewIndex(db, defs, options)
	own := search.NewOwnIndex(db, catalogue, func(context.Context) ([]string, error) { return []string{tenant}, nil }, options)
	w := &world{db: db, engine: search.New(db, defs, search.Options{Index: index, Own: own})}
	w.put(t, `{"resourceType":"SearchParameter","id":"n","url":"urn:shown","status":"active","code":"shown","base":["Patient"],"type":"string","expression":"Patient.name.family"}`)
	w.put(t, `{"resourceType":"Patient","id":"1","name":[{"family":"Kranz"}]}`)
	for busy := true; busy; {
		first, err := index.Step(ctx)
		second, problem := own.Step(ctx)
		if busy = first || second; err != nil || problem != nil {
			t.Fatal(err, problem)
		}
	}
	if !own.Progress().Built || index.Place() < 2 {
		t.Fatal("nothing is indexed")
	}
	// The engine sees everything, and so would find the value if it were in the index.
	for _, code := range []string{"family", "shown"} {
		if page := w.search(t, "Patient", pair(code, "kranz")); len(page.Matches) != 0 {
			t.Errorf("%s finds by the index what is hidden from it", code)
		}
	}
	// Without an index it does find it.
	w.engine = search.New(db, defs, search.Options{})
	if page := w.search(t, "Patient", pair("family", "kranz")); len(page.Matches) != 1 {
		t.Error("a walk doesn't find it")
	}
}
