package search_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

// alive is a criteria.Resolver over what a test knows to be there.
type alive map[fhir.Key]*fhir.Resource

// Current implements criteria.Resolver.
func (a alive) Current(t fhir.Type, id string) (*fhir.Resource, error) {
	return a[fhir.Key{Tenant: tenant, Type: t, ID: id}], nil
}

// Having implements criteria.Resolver.
func (a alive) Having(t fhir.Type, _ *criteria.Param, _ []string) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		for key, r := range a {
			if key.Type == t && !yield(r, nil) {
				return
			}
		}
	}
}

var linkedQueries = []struct {
	of   fhir.Type
	pair criteria.Pair
}{
	{"Observation", pair("subject:Patient.gender", "male")},
	{"Observation", pair("patient.organization.name", "x")},
	{"Observation", pair("patient.organization.partof.name", "y,x")},
	{"Observation", pair("patient.gender:not", "male")},
	{"Observation", pair("_list", "1,2")},
	{"Observation", pair("code:in", "ValueSet/1")},
	{"Observation", pair("_filter", "patient[gender eq male].organization.name eq x or status eq final")},
	{"Patient", pair("_has:Observation:patient:status", "final")},
	{"Patient", pair("_has:Observation:patient:status:not", "final")},
	{"Patient", pair("organization:below", "Organization/1")},
	{"Patient", pair("organization:above", "2")},
	{"Organization", pair("_has:Patient:organization:_has:Observation:patient:status", "final")},
	{"Organization", pair("_has:Organization:partof:name", "x")},
}

// drawLinked draws a resource that may refer to others; "" deletes it.
func drawLinked(t *rapid.T, of fhir.Type, id string) string {
	ref := func(kind string) string {
		return fmt.Sprintf(`{"reference":"%s%s/%d"}`, rapid.SampledFrom([]string{"", "", "https://own.example/fhir/R4/", "https://other.example/"}).Draw(t, "base"), kind, rapid.IntRange(1, 4).Draw(t, "to"))
	}
	head := fmt.Sprintf(`{"resourceType":%q,"id":%q,`, of, id)
	switch of {
	case "Organization":
		return head + fmt.Sprintf(`"name":%q,"partOf":%s}`, rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name"), ref("Organization"))
	case "Patient":
		return head + fmt.Sprintf(`"gender":%q,"managingOrganization":%s}`, rapid.SampledFrom([]string{"male", "female"}).Draw(t, "gender"), ref("Organization"))
	case "List":
		return head + fmt.Sprintf(`"status":"current","mode":"working","entry":[{"item":%s},{"item":%s}]}`, ref("Observation"), ref("Patient"))
	case "ValueSet":
		return head + fmt.Sprintf(`"status":"active","compose":{"include":[{"system":"http://c.example","concept":[{"code":%q}]}]}}`, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "code"))
	default:
		return head + fmt.Sprintf(`"status":%q,"code":{"coding":[{"system":"http://c.example","code":%q}]},"subject":%s}`,
			rapid.SampledFrom([]string{"final", "amended"}).Draw(t, "status"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "code"), ref("Patient"))
	}
}

// A search sees other resources as they are at its place: not those deleted, nor another tenant's, nor, from
// the second page on, what was written since the first.
func TestSearch_seesOthersAtItsPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		live := alive{}
		step := func(keep bool) {
			of := rapid.SampledFrom([]fhir.Type{"Organization", "Patient", "Observation", "List", "ValueSet"}).Draw(t, "type")
			key := fhir.Key{Tenant: rapid.SampledFrom([]string{tenant, tenant, tenant, "other"}).Draw(t, "tenant"), Type: of, ID: fmt.Sprint(rapid.IntRange(1, 4).Draw(t, "id"))}
			remove := rapid.IntRange(0, 5).Draw(t, "delete") == 0
			var saved store.Saved
			_, err := w.db.Update(context.Background(), store.Origin{}, func(tx store.Writer) (err error) {
				if remove {
					saved, err = store.Delete(tx, key, "")
				} else {
					saved, err = store.Update(tx, key, read(t, drawLinked(t, of, key.ID)), "", nil)
				}
				return err
			})
			switch {
			case err != nil:
				t.Fatal(err)
			case !keep || key.Tenant != tenant:
			case remove:
				delete(live, key)
			default:
				live[key] = saved.Resource
			}
		}
		w.put(t, drawLinked(t, "ValueSet", "1")) // without it the search would be refused
		live[fhir.Key{Tenant: tenant, Type: fhir.ValueSet, ID: "1"}] = w.stored(t, fhir.Key{Tenant: tenant, Type: fhir.ValueSet, ID: "1"})
		for range rapid.IntRange(1, 25).Draw(t, "writes") {
			step(true)
		}
		if live[fhir.Key{Tenant: tenant, Type: fhir.ValueSet, ID: "1"}] == nil {
			return
		}
		q := rapid.SampledFrom(linkedQueries).Draw(t, "query")
		want := live.find(t, w, q.of, q.pair)
		page := w.search(t, q.of, q.pair, pair("_count", "1"))
		got := refs(page.Matches)
		for page.Next != nil {
			step(false) // must change nothing
			var err error
			page, err = w.engine.Search(context.Background(), search.Request{Tenant: tenant, Type: q.of, Params: page.Next, Bases: []string{"https://own.example/fhir/R4"}})
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, refs(page.Matches)...)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s?%v finds %v, want %v", q.of, q.pair, got, want)
		}
	})
}

// find is a search without an engine.
func (a alive) find(t fataler, w *world, of fhir.Type, p criteria.Pair) []string {
	query, _, err := criteria.ParseParams(of, []criteria.Pair{p}, w.defs, false)
	if err != nil {
		t.Fatal(err)
	}
	env := criteria.Env{Now: time.Now(), Bases: []string{"https://own.example/fhir/R4"}, Lookup: criteria.NewLookup(a, w.defs)}
	var found []string
	for key, r := range a {
		if key.Type != of {
			continue
		}
		s := criteria.NewSubject(r, env)
		if query.Matches(s) {
			found = append(found, key.String())
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
	}
	slices.Sort(found)
	return found
}

// stored is the current version of a resource.
func (w *world) stored(t fataler, key fhir.Key) (r *fhir.Resource) {
	err := w.db.View(context.Background(), func(tx store.Reader) (err error) {
		r, err = tx.Read(key, tx.Last())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is not there is no empty answer, and a search that has to look too far ends.
func TestSearch_refusesWhatItCannotDecide(t *testing.T) {
	w := newWorld(t)
	for i := range 30 {
		w.put(t, fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","subject":{"reference":"Patient/p%d"}}`, i, i))
		w.put(t, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","gender":"male"}`, i))
	}
	_, err := w.engine.Search(t.Context(), search.Request{Tenant: tenant, Type: "Observation", Params: []criteria.Pair{pair("code:in", "http://v.example")}})
	if fhir.KindOf(err) != fhir.NotSupported {
		t.Errorf("%v", err)
	}
	tight := search.New(w.db, w.defs, search.Options{MaxScan: 40})
	_, err = tight.Search(t.Context(), search.Request{Tenant: tenant, Type: "Observation", Params: []criteria.Pair{pair("patient.gender", "male")}})
	if fhir.KindOf(err) != fhir.TooCostly {
		t.Errorf("%v", err)
	}
	_, err = tight.Search(t.Context(), search.Request{Tenant: tenant, Type: "Observation", Params: []criteria.Pair{pair("status", "final")}})
	if err != nil {
		t.Errorf("%v", err)
	}
}
