package criteria

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fhirhook/fhir"
)

// drawFilter draws a filter on Patients, with its meaning as a function of gender and family.
func drawFilter(t *rapid.T, depth int) (string, func(gender, family string) bool) {
	if depth > 0 {
		switch rapid.IntRange(0, 3).Draw(t, "shape") {
		case 0:
			text, f := drawFilter(t, depth-1)
			return "not(" + text + ")", func(g, n string) bool { return !f(g, n) }
		case 1:
			left, f := drawFilter(t, depth-1)
			right, h := drawFilter(t, depth-1)
			if rapid.Bool().Draw(t, "and") {
				return "(" + left + ") and (" + right + ")", func(g, n string) bool { return f(g, n) && h(g, n) }
			}
			return "( " + left + " )  or  (" + right + ")", func(g, n string) bool { return f(g, n) || h(g, n) }
		}
	}
	v := rapid.SampledFrom([]string{"x", "Y", "xy"}).Draw(t, "value")
	low := fold(v)
	switch rapid.IntRange(0, 5).Draw(t, "test") {
	case 0:
		return "gender eq " + v, func(g, _ string) bool { return g == low }
	case 1:
		return "gender ne " + v, func(g, _ string) bool { return g != "" && g != low }
	case 2:
		return fmt.Sprintf("family eq %q", v), func(_, n string) bool { return n == low }
	case 3:
		return "family ne " + v, func(_, n string) bool { return n != "" && n != low }
	case 4:
		return "gender pr true", func(g, _ string) bool { return g != "" }
	default:
		return "family pr false", func(_, n string) bool { return n == "" }
	}
}

func TestFilter_agreesWithNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, means := drawFilter(t, 4)
		gender := rapid.SampledFrom([]string{"", "x", "y", "xy"}).Draw(t, "gender")
		family := rapid.SampledFrom([]string{"", "x", "y", "xy"}).Draw(t, "family")
		json := `{"resourceType":"Patient","id":"1"`
		if gender != "" {
			json += `,"gender":"` + gender + `"`
		}
		if family != "" {
			json += `,"name":[{"family":"` + family + `"}]`
		}
		json += "}"
		q, err := Parse(expression("Patient", Pair{"_filter", text}), R4())
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := Parse(q.String(), R4())
		if err != nil || again.String() != q.String() {
			t.Fatalf("%s prints as %s and then as %v, %v", text, q, again, err)
		}
		r := &fhir.Resource{Key: fhir.Key{Type: "Patient", ID: "1"}, JSON: []byte(json)}
		for _, q := range []*Query{q, again} {
			if got, want := q.Match(r, testEnv), means(gender, family); got != want {
				t.Fatalf("%s on %s: %v, want %v", q, json, got, want)
			}
		}
	})
}

// and and or are read from left to right, neither before the other (R4 search_filter.html).
func TestFilter_hasNoPrecedence(t *testing.T) {
	json := `{"resourceType":"Patient","gender":"male","active":false}`
	for text, want := range map[string]bool{
		"gender eq male or gender eq male and active eq true":   false,
		"gender eq male or (gender eq male and active eq true)": true,
		"active eq true and active eq true or gender eq male":   true,
		"active eq true and (active eq true or gender eq male)": false,
	} {
		if got := matches(t, "Patient?_filter="+text, json); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, row := range rows(f, "testdata/linked.tsv") {
		if q, err := Parse(row[0], R4()); err == nil {
			for _, p := range q.Pairs() {
				if p.Name == parameterFilter {
					f.Add(p.Value)
				}
			}
		}
	}
	f.Add(`patient[name eq "]"].name sw (`)
	f.Add(`not(not(name pr true)) or code eq |x`)
	w := readWorld(f)
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?") // as decoding sees to it
		q, _, err := ParseParams("Observation", []Pair{{parameterFilter, text}}, R4(), false)
		if err != nil {
			if k := fhir.KindOf(err); k == fhir.Internal {
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
		env := w.env()
		for _, r := range w.all {
			a, b := NewSubject(r, env), NewSubject(r, env)
			if x, y := q.Matches(a), again.Matches(b); a.Err() == nil && b.Err() == nil && x != y {
				t.Fatalf("%q means something else once printed, as %q, on %s", text, again, r.Key)
			}
		}
	})
}

func FuzzSpoken(f *testing.F) {
	for _, s := range []string{"a b", `"a b" OR c`, "(bone OR liver) and metastases", "not x", "((a", ") b", `"`, "AND OR", "é-è", "a,b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := parseWording(text)
		if err != nil {
			return
		}
		w.in("")
		w.in(wordsOf(text))
	})
}
