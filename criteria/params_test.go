package criteria

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"fhirhook/fhir"
	"github.com/google/go-cmp/cmp"
)

func TestParsePairs_decodesInOrder(t *testing.T) {
	got, err := ParsePairs("a=1&b%3Aexact=x+y%2Bz&&c&d==&a=%e2%82%ac;%26")
	if err != nil {
		t.Fatal(err)
	}
	want := []Pair{{"a", "1"}, {"b:exact", "x y+z"}, {"c", ""}, {"d", "="}, {"a", "€;&"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Lenient leaves out names that nobody knows, and nothing else.
func TestParseParams_lenientIgnoresUnknownNamesOnly(t *testing.T) {
	q, ignored, err := ParseParams("Patient", []Pair{{"nmae", "x"}, {"name", "eve"}, {"foo.bar:baz", "1"}}, R4(), true)
	if err != nil {
		t.Fatal(err)
	}
	if q.String() != "Patient?name=eve" || len(ignored) != 2 || ignored[0].Name != "nmae" || ignored[1].Name != "foo.bar:baz" {
		t.Errorf("%s, ignored %v", q, ignored)
	}
	for _, p := range []Pair{
		{"name:foo", "x"},
		{"birthdate", "soon"},
		{"organization.foo", "x"},
		{"organization:Foo.name", "x"},
		{"_has:Observation:patient:foo", "x"},
		{"_has:Observation:foo:code", "x"},
		{"_filter", "foo eq x"},
		{"_filter", "organization.foo eq x"},
		{"_list", "$current-allergies"},
		{"_query", "x"},
		{"gender:in", "x"},
		{"_type", "Patient"},
	} {
		if q, ignored, err := ParseParams("Patient", []Pair{p}, R4(), true); err == nil {
			t.Errorf("%v gives %s, ignored %v", p, q, ignored)
		}
	}
	if _, _, err := ParseParams("Patient", []Pair{{"nmae", "x"}}, R4(), false); fhir.KindOf(err) != fhir.NotSupported {
		t.Errorf("strict: %v", err)
	}
}

func TestParseParams_systemLevel(t *testing.T) {
	q, _, err := ParseParams("", []Pair{{"_type", "Patient,Observation"}, {"_id", "1"}, {"identifier", "a|b"}}, R4(), false)
	if err != nil {
		t.Fatal(err)
	}
	if got := q.String(); got != "[Observation,Patient]?_id=1&identifier=a|b" {
		t.Error(got)
	}
	if diff := cmp.Diff([]Pair{{"_type", "Observation,Patient"}, {"_id", "1"}, {"identifier", "a|b"}}, q.Pairs()); diff != "" {
		t.Error(diff)
	}
	one, _, err := ParseParams("", []Pair{{"_type", "Patient"}, {"name", "x"}}, R4(), false)
	if err != nil || one.String() != "Patient?name=x" {
		t.Errorf("%v, %v", one, err)
	}
	if diff := cmp.Diff([]Pair{{"_type", "Patient"}, {"name", "x"}}, one.Pairs()); diff != "" {
		t.Error(diff)
	}
	for _, pairs := range [][]Pair{
		{{"_type", "Patient,Foo"}},
		{{"_type", "Patient"}, {"_type", "Group"}},
		{{"_type", "Patient,Observation"}, {"birthdate", "2013"}},
		{{"name", "x"}},
	} {
		if q, _, err := ParseParams("", pairs, R4(), true); err == nil {
			t.Errorf("%v is accepted as %s", pairs, q)
		}
	}
	all, _, err := ParseParams("", []Pair{{"_type", ""}, {"_lastUpdated", "gt2020"}}, R4(), false)
	if err != nil || len(all.Types()) != 0 || !all.About("Basic") {
		t.Errorf("%v, %v", all, err)
	}
}

// Every parameter of every type is either refused by name or takes a value of its kind and :missing.
func TestParseParams_knowsEveryParameter(t *testing.T) {
	sample := map[Kind]string{Number: "1", Date: "2013", String: "x", Token: "x", Reference: "1", Quantity: "1", URI: "http://x.example"}
	for _, of := range fhir.Types() {
		for p := range R4().Params(of) {
			value := sample[p.Kind]
			switch p.Code {
			case "near":
				value = "52.37|4.89"
			case parameterFilter:
				value = "_id eq 1"
			}
			for i, c := range p.Components {
				if i > 0 {
					value += "$"
				}
				value += sample[c.Param.Kind]
			}
			q, _, err := ParseParams(of, []Pair{{p.Code, value}}, R4(), true)
			if refused(p.Code) != nil {
				if err == nil {
					t.Errorf("%s.%s is accepted as %s", of, p.Code, q)
				}
				continue
			}
			if err != nil || len(q.Terms()) != 1 {
				t.Errorf("%s.%s=%s: %v, %v", of, p.Code, value, q, err)
			}
			if p.Modifiers() == nil {
				continue
			}
			if _, _, err := ParseParams(of, []Pair{{p.Code + ":missing", "true"}}, R4(), true); err != nil {
				t.Errorf("%s.%s:missing: %v", of, p.Code, err)
			}
		}
	}
}

func TestParse_refusesWhatCostsTooMuch(t *testing.T) {
	if _, err := Parse("Patient?gender="+strings.Repeat("x,", mostValues)+"y", R4()); fhir.KindOf(err) != fhir.TooCostly {
		t.Error(err)
	}
	if _, err := Parse("Patient?gender="+strings.Repeat("x,", mostValues), R4()); err != nil {
		t.Error(err)
	}
}

func TestQuery_concurrentUse(t *testing.T) {
	var set Set
	for i := range 20 {
		set.Add(fmt.Sprint(i), query(t, fmt.Sprintf("Observation?subject=Patient/%d&code:text=x&date=ap2020", i)))
	}
	set.Add("all", query(t, "[*]"))
	r := resource(t, glucose)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				if got := set.Match(r, testEnv); len(got) != 1 {
					t.Errorf("%v", got)
				}
			}
		})
	}
	group.Wait()
}

// A set that is filled anew after its definitions have changed forgets the old ones.
func TestSet_followsNewDefinitions(t *testing.T) {
	old := query(t, "Patient?family=eve&gender=male")
	table := &Definitions{params: map[fhir.Type]map[string]*Param{"Patient": {}}}
	for p := range R4().Params("Patient") {
		table.params["Patient"][p.Code] = p
	}
	gender := *table.params["Patient"]["gender"]
	gender.paths = table.params["Patient"]["language"].paths
	table.params["Patient"]["gender"] = &gender
	renewed, err := Parse(old.String(), table)
	if err != nil {
		t.Fatal(err)
	}
	r := resource(t, `{"resourceType":"Patient","gender":"male","name":[{"family":"Eve"}]}`)
	var set Set
	set.Add("a", old)
	set.Add("b", old)
	set.Add("a", renewed)
	if diff := cmp.Diff([]string{"b"}, set.Match(r, testEnv)); diff != "" {
		t.Error(diff)
	}
}
