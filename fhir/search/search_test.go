package search_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// Pages put together are all that matches, sorted, as of the first page: nothing lost, nothing twice, and
// the total exact, whatever is written in between.
func TestSearch_pagesAreTheSortedMatchesAsOfTheFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.writeSome(t, 25)
		filters := w.filters(t)
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"code", "date", "value-quantity", "status", "_id", "_lastUpdated"}), 0, 3, rapid.ID).Draw(t, "sort")
		var sort []string
		for _, k := range keys {
			sort = append(sort, rapid.SampledFrom([]string{"", "-"}).Draw(t, "direction")+k)
		}
		want := w.naive(t, filters, sort)

		params := slices.Clone(filters)
		if len(sort) > 0 {
			params = append(params, pair("_sort", strings.Join(sort, ",")))
		}
		count := rapid.IntRange(1, 9).Draw(t, "count")
		params = append(params, pair("_count", fmt.Sprint(count)))
		counted := rapid.Bool().Draw(t, "counted")
		if !counted {
			params = append(params, pair("_total", "none"))
		}
		var got []string
		for pages := 0; params != nil; pages++ {
			page := w.search(t, "Observation", params...)
			if page.TotalKnown != counted || counted && page.Total != len(want) {
				t.Fatalf("page %d: total %d (%v), want %d", pages, page.Total, page.TotalKnown, len(want))
			}
			if pages > len(want) {
				t.Fatalf("there is no end of pages: %v", got)
			}
			if len(page.Matches) > count || len(page.Matches) == 0 && pages > 0 {
				t.Fatalf("page %d has %d matches of at most %d", pages, len(page.Matches), count)
			}
			if diff := cmp.Diff(params, page.Self); diff != "" {
				t.Fatalf("self of page %d: %s", pages, diff)
			}
			for _, m := range page.Matches {
				got = append(got, m.VersionedReference())
			}
			params = page.Next
			w.writeSome(t, 3)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%v sorted by %v: %s", filters, sort, diff)
		}
	})
}

// A search inside a transaction finds what that transaction wrote, and only what is the tenant's.
func TestFind_seesItsOwnTransaction(t *testing.T) {
	w := newWorld(t)
	w.put(t, `{"resourceType":"Patient","id":"a","identifier":[{"system":"s","value":"1"}]}`)
	var before, after []string
	_, err := w.db.Update(t.Context(), store.Origin{}, func(tx store.Writer) error {
		var err error
		if before, err = find(t, w, tx, "identifier", "s|1"); err != nil {
			return err
		}
		for _, key := range []fhir.Key{{Tenant: tenant, Type: "Patient", ID: "b"}, {Tenant: "other", Type: "Patient", ID: "c"}} {
			if _, err := store.Update(tx, key, read(t, `{"resourceType":"Patient","identifier":[{"system":"s","value":"1"}]}`), "", nil); err != nil {
				return err
			}
		}
		if _, err := store.Delete(tx, fhir.Key{Tenant: tenant, Type: "Patient", ID: "a"}, ""); err != nil {
			return err
		}
		after, err = find(t, w, tx, "identifier", "s|1")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"Patient/a"}, {"Patient/b"}}, [][]string{before, after}); diff != "" {
		t.Error(diff)
	}
}

// A condition must say something, and nothing in it is ever ignored (invariant 6).
func TestFind_isStrict(t *testing.T) {
	w := newWorld(t)
	for _, params := range [][]criteria.Pair{
		{},
		{pair("identifier", "")},
		{pair("_format", "json")},
		{pair("identifer", "x")},
		{pair("identifier:sounds", "x")},
		{pair("identifier", "x"), pair("_count", "1")},
		{pair("identifier", "x"), pair("_sort", "name")},
		{pair("identifier", "x"), pair("-page", "x")},
		{pair("identifier", "x"), pair("_include:iterate", "Patient:organization")},
	} {
		err := w.db.View(t.Context(), func(r store.Reader) error {
			_, err := w.engine.Find(t.Context(), r, search.Request{Tenant: tenant, Type: "Patient", Params: params}, 2)
			return err
		})
		if k := fhir.KindOf(err); k != fhir.NotSupported && k != fhir.Required {
			t.Errorf("%v: got %v", params, err)
		}
	}
}

func TestFind_stopsAtTheMostThatIsAsked(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.put(t, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","active":true}`, i))
	}
	err := w.db.View(t.Context(), func(r store.Reader) error {
		found, err := w.engine.Find(t.Context(), r, search.Request{Tenant: tenant, Type: "Patient", Params: []criteria.Pair{pair("active", "true"), pair("_format", "json")}}, 2)
		if len(found) != 2 {
			t.Errorf("found %d", len(found))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSearch_refusesWhatItCannotDo(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		params     []criteria.Pair
		kind       fhir.Kind
		expression string
	}{
		{[]criteria.Pair{pair("_count", "-1")}, fhir.Value, "http._count"},
		{[]criteria.Pair{pair("_count", "ten")}, fhir.Value, "http._count"},
		{[]criteria.Pair{pair("_count", "1"), pair("_count", "2")}, fhir.Invalid, "http._count"},
		{[]criteria.Pair{pair("_count:exact", "1")}, fhir.NotSupported, "http._count"},
		{[]criteria.Pair{pair("_total", "maybe")}, fhir.Value, "http._total"},
		{[]criteria.Pair{pair("_summary", "all")}, fhir.Value, "http._summary"},
		{[]criteria.Pair{pair("_summary", "data"), pair("_summary", "data")}, fhir.Invalid, "http._summary"},
		{[]criteria.Pair{pair("_summary", "text"), pair("_include", "Observation:subject")}, fhir.Invalid, "http._summary"},
		{[]criteria.Pair{pair("_summary", "data"), pair("_elements", "code")}, fhir.Invalid, "http._elements"},
		{[]criteria.Pair{pair("_elements", "coed")}, fhir.Value, "http._elements"},
		{[]criteria.Pair{pair("_contained", "true")}, fhir.NotSupported, "http._contained"},
		{[]criteria.Pair{pair("_contained", "both")}, fhir.NotSupported, "http._contained"},
		{[]criteria.Pair{pair("_containedType", "contained")}, fhir.NotSupported, "http._containedType"},
		{[]criteria.Pair{pair("_sort", "coed")}, fhir.NotSupported, "http._sort"},
		{[]criteria.Pair{pair("_sort", "_score")}, fhir.NotSupported, "http._sort"},
		{[]criteria.Pair{pair("_sort", "code-value-quantity")}, fhir.NotSupported, "http._sort"},
		{[]criteria.Pair{pair("_sort", "code,-code")}, fhir.Value, "http._sort"},
		{[]criteria.Pair{pair("_sort", "code,,date")}, fhir.Value, "http._sort"},
		{[]criteria.Pair{pair("_sort", "--code")}, fhir.NotSupported, "http._sort"},
		{[]criteria.Pair{pair("_sort:desc", "code")}, fhir.NotSupported, "http._sort"},
		{[]criteria.Pair{pair("_sort", "code"), pair("_sort", "date")}, fhir.Invalid, "http._sort"},
		{[]criteria.Pair{pair("_include", "Observation")}, fhir.Value, "http._include"},
		{[]criteria.Pair{pair("_include", "Observation:")}, fhir.Value, "http._include"},
		{[]criteria.Pair{pair("_include", "Observatoin:subject")}, fhir.Value, "http._include"},
		{[]criteria.Pair{pair("_include", "Observation:subjct")}, fhir.Value, "http._include"},
		{[]criteria.Pair{pair("_include", "Observation:code")}, fhir.Value, "http._include"},
		{[]criteria.Pair{pair("_include", "Observation:subject:Pat")}, fhir.Value, "http._include"},
		{[]criteria.Pair{pair("_include", "Observation:subject:Patient:x")}, fhir.Value, "http._include"},
		{[]criteria.Pair{pair("_include:recurse", "Observation:subject")}, fhir.NotSupported, "http._include"},
		{[]criteria.Pair{pair("_revinclude", "Provenance:what")}, fhir.Value, "http._revinclude"},
		{[]criteria.Pair{pair("_query", "x")}, fhir.NotSupported, "http._query"},
		{[]criteria.Pair{pair("_filter", "code like 1")}, fhir.NotSupported, "http._filter"},
		{[]criteria.Pair{pair("_type", "Patient")}, fhir.NotSupported, "http._type"},
		{[]criteria.Pair{pair("code:sounds", "x")}, fhir.NotSupported, "http.code"},
		{[]criteria.Pair{pair("date", "yesterday")}, fhir.Value, "http.date"},
		{[]criteria.Pair{pair("-page", "x")}, fhir.Value, "http.-page"},
		{[]criteria.Pair{pair("-page", "AAAAAAAAAAAAAAAAAAAAAAAA")}, fhir.Value, "http.-page"},
	}
	for _, tt := range tests {
		for _, strict := range []bool{false, true} {
			_, err := w.engine.Search(t.Context(), search.Request{Tenant: tenant, Type: "Observation", Params: tt.params, Strict: strict})
			e, ok := errors.AsType[*fhir.Error](err)
			if !ok || e.Kind != tt.kind || e.Expression != tt.expression || e.Diagnostic == "" {
				t.Errorf("%v: got %v, want kind %d about %s", tt.params, err, tt.kind, tt.expression)
			}
		}
	}
}

// R4 search.html#unknown: the self link shows what was used, and an ignored name is told of.
func TestSearch_selfShowsWhatWasUsed(t *testing.T) {
	w := newWorld(t)
	params := []criteria.Pair{
		pair("_format", "json"), pair("colour", "red"), pair("code", "a"), pair("_count", "99999999999999999999"), pair("status", ""),
		pair("_sort", ""), pair("_pretty", "true"), pair("_contained", "false"), pair("_include", "Observation:subject"), pair("code", "a"),
	}
	page := w.search(t, "Observation", params...)
	want := []criteria.Pair{pair("code", "a"), pair("_count", "1000"), pair("_contained", "false"), pair("_include", "Observation:subject"), pair("code", "a")}
	if diff := cmp.Diff(want, page.Self); diff != "" {
		t.Error(diff)
	}
	if len(page.Issues) != 1 || page.Issues[0].Expression != "http.colour" {
		t.Errorf("issues: %v", page.Issues)
	}
	_, err := w.engine.Search(t.Context(), search.Request{Tenant: tenant, Type: "Observation", Params: params, Strict: true})
	if fhir.KindOf(err) != fhir.NotSupported {
		t.Errorf("strict: %v", err)
	}
}

func TestSearch_countsWithoutResources(t *testing.T) {
	w := newWorld(t)
	const want = 3
	for i := range want {
		w.put(t, fmt.Sprintf(`{"resourceType":"Observation","id":"o%d"}`, i))
	}
	for _, p := range []criteria.Pair{pair("_count", "0"), pair("_summary", "count")} {
		for _, extra := range []criteria.Pair{pair("_total", "accurate"), pair("_total", "none"), pair("_include", "*")} {
			page := w.search(t, "Observation", p, extra)
			if !page.TotalKnown || page.Total != want || len(page.Matches)+len(page.Included) != 0 || page.Next != nil {
				t.Errorf("%v, %v: got %+v, want total %d", p, extra, page, want)
			}
		}
	}
}

func TestSearch_pageLinksAreForTheirOwnSearch(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		w.put(t, fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"code":"a"}]}}`, i))
		w.put(t, fmt.Sprintf(`{"resourceType":"Patient","id":"o%d"}`, i))
	}
	first := w.search(t, "Observation", pair("code", "a"), pair("_count", "2"))
	cursor := first.Next[len(first.Next)-1]
	request := func(tenant string, t fhir.Type, params ...criteria.Pair) search.Request {
		return search.Request{Tenant: tenant, Type: t, Params: append(params, cursor)}
	}
	flipped := []byte(cursor.Value)
	flipped[len(flipped)-1] ^= 1
	damaged := request(tenant, "Observation", pair("code", "a"))
	damaged.Params[1].Value = string(flipped)
	for name, req := range map[string]search.Request{
		"other filter":   request(tenant, "Observation", pair("code", "b")),
		"more filters":   request(tenant, "Observation", pair("code", "a"), pair("status", "final")),
		"other type":     request(tenant, "Patient"),
		"other order":    request(tenant, "Observation", pair("code", "a"), pair("_sort", "date")),
		"other tenant":   request("other", "Observation", pair("code", "a")),
		"damaged cursor": damaged,
	} {
		if _, err := w.engine.Search(t.Context(), req); fhir.KindOf(err) != fhir.Value {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// The size of a page may change on the way.
	page := w.search(t, "Observation", pair("code", "a"), pair("_count", "1"), cursor)
	if got := refs(page.Matches); !slices.Equal(got, []string{"Observation/o2"}) || page.Total != 4 {
		t.Errorf("got %v of %d", got, page.Total)
	}
}

// Another server's store gives links that this one refuses, so that a restored or emptied store can't show
// pages of something else.
func TestSearch_pageLinksAreForTheirOwnStore(t *testing.T) {
	var next [2][]criteria.Pair
	var worlds [2]*world
	for i := range worlds {
		worlds[i] = newWorld(t)
		for j := range 3 {
			worlds[i].put(t, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d"}`, j))
		}
		next[i] = worlds[i].search(t, "Patient", pair("_count", "1")).Next
	}
	if _, err := worlds[0].engine.Search(t.Context(), search.Request{Tenant: tenant, Type: "Patient", Params: next[1]}); fhir.KindOf(err) != fhir.Value {
		t.Errorf("got %v", err)
	}
}

func TestSearch_ofAllTypes(t *testing.T) {
	w := newWorld(t)
	for _, s := range []string{
		`{"resourceType":"Patient","id":"1","meta":{"tag":[{"code":"x"}]},"name":[{"family":"B"}]}`,
		`{"resourceType":"Practitioner","id":"1","meta":{"tag":[{"code":"x"}]},"name":[{"family":"A"}]}`,
		`{"resourceType":"Observation","id":"1","meta":{"tag":[{"code":"x"}]}}`,
		`{"resourceType":"Observation","id":"2"}`,
	} {
		w.put(t, s)
	}
	tests := []struct {
		params []criteria.Pair
		want   []string
	}{
		{[]criteria.Pair{pair("_tag", "x")}, []string{"Observation/1", "Patient/1", "Practitioner/1"}},
		{[]criteria.Pair{pair("_id", "1"), pair("_type", "Patient,Observation")}, []string{"Observation/1", "Patient/1"}},
		{[]criteria.Pair{pair("_type", "Practitioner,Patient"), pair("_sort", "family")}, []string{"Practitioner/1", "Patient/1"}},
		{[]criteria.Pair{pair("_type", "Practitioner,Patient"), pair("family", "a")}, []string{"Practitioner/1"}},
		{[]criteria.Pair{pair("_id", "2,1"), pair("_sort", "-_id"), pair("_type", "Observation")}, []string{"Observation/2", "Observation/1"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, refs(w.search(t, "", tt.params...).Matches)); diff != "" {
			t.Errorf("%v: %s", tt.params, diff)
		}
	}
	var all []string
	for params := []criteria.Pair{pair("_count", "1")}; params != nil; {
		page := w.search(t, "", params...)
		all = append(all, refs(page.Matches)...)
		params = page.Next
	}
	if diff := cmp.Diff([]string{"Observation/1", "Observation/2", "Patient/1", "Practitioner/1"}, all); diff != "" {
		t.Error(diff)
	}
	for _, params := range [][]criteria.Pair{
		{pair("_type", "Patient,Observation"), pair("family", "a")}, {pair("_type", "Patient,Observation"), pair("_sort", "family")}, {pair("_sort", "family")}, {pair("_type", "Pat")},
	} {
		if _, err := w.engine.Search(t.Context(), search.Request{Tenant: tenant, Params: params}); fhir.KindOf(err) != fhir.NotSupported {
			t.Errorf("%v: got %v", params, err)
		}
	}
}

// Missing values come last in both directions, and of several values the one counts that is first in the
// direction asked for (R4 search.html#sort).
func TestSearch_sort(t *testing.T) { synctest.Test(t, sortAll) }

func sortAll(t *testing.T) {
	w := newWorld(t)
	for _, s := range []string{
		`{"resourceType":"Patient","id":"a","birthDate":"1980","name":[{"family":"Zeta"},{"family":"alpha"}],"multipleBirthInteger":2}`,
		`{"resourceType":"Patient","id":"b","birthDate":"1980-06-01","name":[{"family":"Émile"}]}`,
		`{"resourceType":"Patient","id":"c","name":[{"family":"beta"}]}`,
		`{"resourceType":"Patient","id":"d","birthDate":"1979-12-31","generalPractitioner":[{"reference":"Practitioner/9"}]}`,
	} {
		w.put(t, s)
		<-time.After(time.Millisecond) // by the bubble's clock
	}
	for sort, want := range map[string]string{
		"family":                                 "a c b d", // alpha beta émile
		"-family":                                "a b c d", // Zeta émile beta
		"birthdate":                              "d a b c", // 1980 begins before 1980-06-01
		"-birthdate":                             "a b d c", // and ends behind it
		"general-practitioner":                   "d a b c",
		"-general-practitioner":                  "d a b c",
		"_id":                                    "a b c d",
		"-_id":                                   "d c b a",
		"_lastUpdated":                           "a b c d",
		"-_lastUpdated,_id":                      "d c b a",
		"general-practitioner,-birthdate,family": "d a b c",
	} {
		var got []string
		for _, m := range w.search(t, "Patient", pair("_sort", sort)).Matches {
			got = append(got, m.Key.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", sort, got, want)
		}
	}
}

func TestSearch_isBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		w.put(t, fmt.Sprintf(`{"resourceType":"Patient","id":"p%02d"}`, i))
		w.put(t, fmt.Sprintf(`{"resourceType":"Observation","id":"o%02d","subject":{"reference":"Patient/p00"}}`, i))
	}
	ask := func(o search.Options, t0 fhir.Type, params ...criteria.Pair) error {
		_, err := search.New(w.db, w.defs, o).Search(t.Context(), search.Request{Tenant: tenant, Type: t0, Params: params})
		return err
	}
	for name, err := range map[string]error{
		"scan":       ask(search.Options{MaxScan: 19}, "Patient"),
		"revinclude": ask(search.Options{MaxScan: 30}, "Patient", pair("_revinclude", "Observation:subject")),
		"included":   ask(search.Options{MaxIncluded: 19}, "Patient", pair("_revinclude", "Observation:subject")),
		"time":       ask(search.Options{Timeout: time.Nanosecond}, "Patient"),
	} {
		if e, ok := errors.AsType[*fhir.Error](err); !ok || e.Kind != fhir.TooCostly || len(e.Diagnostic) < 40 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"scan":      ask(search.Options{MaxScan: 20}, "Patient"),
		"one page":  ask(search.Options{MaxScan: 4}, "Patient", pair("_count", "3"), pair("_total", "none")),
		"an id":     ask(search.Options{MaxScan: 1}, "Patient", pair("_id", "p07")),
		"some ids":  ask(search.Options{MaxScan: 2}, "Patient", pair("_id", "p07,p11,nobody")),
		"inclusion": ask(search.Options{MaxIncluded: 20}, "Patient", pair("_revinclude", "Observation:subject")),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.engine.Search(ctx, search.Request{Tenant: tenant, Type: "Patient"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that went away: %v", err)
	}
}
