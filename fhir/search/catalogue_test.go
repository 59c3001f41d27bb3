package search_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
)

const nickname = `{"resourceType":"SearchParameter","id":"n","url":"urn:nickname","status":"active","code":"nickname","base":["Patient"],"type":"string","expression":"Patient.name.where(use='nickname').given"}`

// as replaces parts of a text, which must be there.
func as(t fataler, text string, oldNew ...string) string {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("%s has no %s", text, oldNew[i])
		}
	}
	return strings.NewReplacer(oldNew...).Replace(text)
}

// expressionAt is what nickname of Patient means at a place, "" for nothing.
func (w *world) expressionAt(t fataler, c *search.Catalogue, tenant string, at store.Seq) (expression string) {
	t.Helper()
	err := w.db.View(context.Background(), func(r store.Reader) error {
		defs, err := c.At(r, tenant, at)
		if err != nil {
			return err
		}
		if p, ok := defs.Param("Patient", "nickname"); ok {
			expression = p.Expression
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return expression
}

func TestCatalogue_atEachPlaceWhatWasInForceThere(t *testing.T) {
	w := newWorld(t)
	w.put(t, `{"resourceType":"Patient","id":"p"}`)
	w.put(t, as(t, nickname, "active", "draft"))
	w.put(t, nickname)
	w.put(t, `{"resourceType":"Patient","id":"q"}`)
	w.put(t, as(t, nickname, "given", "family"))
	w.put(t, as(t, nickname, "active", "retired"))
	w.put(t, nickname)
	w.delete(t, fhir.SearchParameter, "n")
	w.put(t, nickname)
	const given, family = "Patient.name.where(use='nickname').given", "Patient.name.where(use='nickname').family"
	want := []string{"", "", "", given, given, family, "", given, "", given}
	for range 2 { // the second time from what is kept
		for _, order := range []func([]int){func([]int) {}, slices.Reverse[[]int]} {
			places := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
			order(places)
			for _, at := range places {
				if got := w.expressionAt(t, w.engine.Catalogue(), tenant, store.Seq(at)); got != want[at] {
					t.Errorf("at %d it is %q, want %q", at, got, want[at])
				}
			}
		}
	}
	if got := w.expressionAt(t, w.engine.Catalogue(), "other", 9); got != "" {
		t.Errorf("another tenant has %q", got)
	}
}

func (w *world) delete(t fataler, typ fhir.Type, id string) {
	t.Helper()
	_, err := w.db.Update(context.Background(), store.Origin{}, func(tx store.Writer) error {
		_, err := store.Delete(tx, fhir.Key{Tenant: tenant, Type: typ, ID: id}, "")
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// A transaction finds by what it defined itself; one that comes to nothing leaves nothing behind.
func TestEngine_findsByWhatTheTransactionDefined(t *testing.T) {
	w := newWorld(t)
	w.put(t, `{"resourceType":"Patient","id":"p","name":[{"use":"nickname","given":["Bob"],"family":"Q"}]}`)
	w.put(t, as(t, nickname, "given", "family")) // so that there is something to remember wrongly
	define := func(expression string, fail error) (ids []string) {
		t.Helper()
		_, err := w.db.Update(t.Context(), store.Origin{}, func(tx store.Writer) error {
			ids = nil
			key := fhir.Key{Tenant: tenant, Type: fhir.SearchParameter, ID: "n"}
			if _, err := store.Update(tx, key, read(t, as(t, nickname, "given", expression)), "", nil); err != nil {
				return err
			}
			found, err := w.engine.Find(t.Context(), tx, search.Request{Tenant: tenant, Type: "Patient", Params: []criteria.Pair{pair("nickname", "Bob")}}, 2)
			for _, f := range found {
				ids = append(ids, f.Key.ID)
			}
			return errors.Join(err, fail)
		})
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
		return ids
	}
	if got := define("given", errors.New("never mind")); !slices.Equal(got, []string{"p"}) {
		t.Errorf("inside it found %v", got)
	}
	if got := w.search(t, "Patient", pair("nickname", "Bob")); len(got.Matches) != 0 {
		t.Errorf("what was undone is found by: %v", got.Matches)
	}
	if got := define("period.start.extension.value.as(string)", nil); len(got) != 0 {
		t.Errorf("another definition at the same place found %v", got)
	}
	define("given", nil)
	if got := w.search(t, "Patient", pair("nickname", "Bob")); len(got.Matches) != 1 {
		t.Errorf("found %v", got.Matches)
	}
}

// The pages of one search are of one place, its definitions included.
func TestEngine_pagesKeepTheirDefinitions(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"a", "b", "c"} {
		w.put(t, `{"resourceType":"Patient","id":"`+id+`","name":[{"use":"nickname","given":["Bob"]}]}`)
	}
	w.put(t, nickname)
	page := w.search(t, "Patient", pair("nickname", "Bob"), pair("_count", "2"))
	w.delete(t, fhir.SearchParameter, "n")
	page = w.search(t, "Patient", page.Next...)
	if len(page.Matches) != 1 || page.Matches[0].Key.ID != "c" || len(page.Issues) > 0 {
		t.Errorf("the second page has %v, %v", page.Matches, page.Issues)
	}
	if page := w.search(t, "Patient", pair("nickname", "Bob")); len(page.Issues) != 1 {
		t.Errorf("a new search knows of no problem: %v", page.Issues)
	}
}

func TestCatalogue_tellsWhatWasLost(t *testing.T) {
	part := `{"resourceType":"SearchParameter","id":"part","url":"urn:part","status":"active","code":"part","base":["Observation"],"type":"token","expression":"Observation.bodySite"}`
	whole := `{"resourceType":"SearchParameter","id":"whole","url":"urn:whole","status":"active","code":"whole","base":["Observation"],"type":"composite","expression":"Observation","component":[{"definition":"urn:part","expression":"bodySite"}]}`
	tests := []struct {
		name   string
		change func(w *world)
		code   string
		want   string
	}{
		{"nothing", func(*world) {}, "family", ""},
		{"deleted", func(w *world) { w.delete(t, fhir.SearchParameter, "part") }, "part", "SearchParameter/part, which defined part, was deleted"},
		{"retired", func(w *world) { w.put(t, as(t, part, "active", "retired")) }, "part", "SearchParameter/part, which defined part, has status retired now"},
		{"renamed", func(w *world) { w.put(t, as(t, part, `"code":"part"`, `"code":"piece"`)) }, "part", "SearchParameter/part, which defined part, defines piece now"},
		{"changed", func(w *world) { w.put(t, as(t, part, "bodySite", "method")) }, "part", "SearchParameter/part, which defined part, was changed"},
		{"without its component", func(w *world) { w.delete(t, fhir.SearchParameter, "part") }, "whole", "SearchParameter/whole, which defined whole, has no effect any more (urn:part is not a search parameter of Observation here)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(t, part)
			w.put(t, whole)
			tt.change(w)
			var got string
			err := w.db.View(t.Context(), func(r store.Reader) (err error) {
				got, err = w.engine.Catalogue().Lost(r, tenant, r.Last(), func(code string) bool { return code == tt.code })
				return err
			})
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func TestCatalogue_admitsBesideWhatIsThere(t *testing.T) {
	w := newWorld(t)
	w.put(t, nickname)
	tests := []struct{ name, json, want string }{
		{"itself", nickname, ""},
		{"itself with another url", as(t, nickname, "urn:nickname", "urn:new"), ""},
		{"another with the same code", as(t, nickname, `"id":"n"`, `"id":"m"`, "urn:nickname", "urn:m", "given", "family"), "Patient has a search parameter nickname already (urn:nickname)"},
		{"another with the same url", as(t, nickname, `"id":"n"`, `"id":"m"`, "given", "family"), "another SearchParameter with the url"},
		{"another that says the same", as(t, nickname, `"id":"n"`, `"id":"m"`, "urn:nickname", "urn:m"), ""},
		{"a draft of anything", as(t, nickname, `"id":"n"`, `"id":"m"`, "active", "draft", `"code":"nickname"`, `"code":"family"`), ""},
		{"two problems", as(t, nickname, `"Patient"]`, `"Pacient"]`, `"string"`, `"text"`), "Pacient"},
		{"another type", `{"resourceType":"Patient","id":"x","status":"active"}`, ""},
	}
	for _, tt := range tests {
		in := read(t, tt.json)
		_, err := w.db.Update(t.Context(), store.Origin{}, func(tx store.Writer) error {
			prev, err := tx.Read(fhir.Key{Tenant: tenant, Type: in.Type, ID: in.ID}, tx.Last())
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return w.engine.Catalogue().Admit(tx, tenant, in, prev)
		})
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) && !strings.Contains(all(err), tt.want)):
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && fhir.KindOf(err) != fhir.BusinessRule:
			t.Errorf("%s: kind %d", tt.name, fhir.KindOf(err))
		}
	}
}

// all is what every problem of an error says.
func all(err error) string {
	e, ok := errors.AsType[*fhir.Error](err)
	if !ok {
		return ""
	}
	text := e.Diagnostic
	for _, more := range e.More {
		text += "\n" + more.Diagnostic
	}
	return text
}
