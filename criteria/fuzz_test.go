package criteria

import (
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

func FuzzParse(f *testing.F) {
	for _, file := range []string{"testdata/refused.tsv", "testdata/match.tsv"} {
		for _, row := range rows(f, file) {
			f.Add(row[0])
			f.Add(row[1])
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text, R4())
		if err != nil {
			if fhir.KindOf(err) == fhir.Internal {
				t.Fatalf("%q: %v is for no client", text, err)
			}
			return
		}
		again, err := Parse(q.String(), R4())
		if err != nil {
			t.Fatalf("%q prints as %q, which is refused: %v", text, q, err)
		}
		if again.String() != q.String() {
			t.Fatalf("%q prints as %q and then as %q", text, q, again)
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, row := range rows(f, "testdata/match.tsv") {
		f.Add(row[1], row[2])
	}
	f.Fuzz(func(t *testing.T, text, json string) {
		q, err := Parse(text, R4())
		if err != nil {
			return
		}
		doc, err := tape.Parse([]byte(json), 0)
		if err != nil {
			return
		}
		kind := fhir.Type("Observation")
		if types := q.Types(); len(types) > 0 {
			kind = types[0]
		}
		r := &fhir.Resource{Key: fhir.Key{Type: kind}, JSON: doc.Bytes()}
		again, err := Parse(q.String(), R4())
		if err != nil {
			t.Fatal(err)
		}
		found := q.Match(r, testEnv)
		if again.Match(r, testEnv) != found {
			t.Fatalf("%s means something else once printed", q)
		}
		var set Set
		set.Add("1", q)
		if got := set.Match(r, testEnv); (len(got) == 1) != found {
			t.Fatalf("the set says %v, the query %v", got, found)
		}
	})
}
