package criteria

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirhook/fhir"
	"pgregory.net/rapid"
)

func fhirType(name string) fhir.Type { return fhir.Type(name) }

// found tells whether a query made of the pairs finds the JSON.
func finds(t *rapid.T, json, kind string, pairs ...Pair) bool {
	q, err := Parse(expression(kind, pairs...), R4())
	if err != nil {
		t.Fatalf("%s: %v", expression(kind, pairs...), err)
	}
	return q.Match(&fhir.Resource{Key: fhir.Key{Type: fhir.Type(kind)}, JSON: []byte(json)}, testEnv)
}

func TestQuery_alternativesAreOr(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(typePool).Draw(t, "type")
		json, p := drawResource(t, kind), drawParam(t, kind)
		a, b := drawValue(t, p), drawValue(t, p)
		either := finds(t, json, kind, Pair{p.Code, a + "," + b})
		if want := finds(t, json, kind, Pair{p.Code, a}) || finds(t, json, kind, Pair{p.Code, b}); either != want {
			t.Fatalf("%s=%s,%s: %v, want %v", p.Code, a, b, either, want)
		}
	})
}

func TestQuery_repetitionIsAndInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(typePool).Draw(t, "type")
		json := drawResource(t, kind)
		a, b := drawPair(t, kind), drawPair(t, kind)
		want := finds(t, json, kind, a) && finds(t, json, kind, b)
		if finds(t, json, kind, a, b) != want || finds(t, json, kind, b, a) != want {
			t.Fatalf("%v and %v: want %v", a, b, want)
		}
		one, _ := Parse(expression(kind, a, b), R4())
		two, _ := Parse(expression(kind, b, a, b), R4())
		if one.String() != two.String() {
			t.Fatalf("%s and %s are one query", one, two)
		}
	})
}

func TestToken_notIsTheComplement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(typePool).Draw(t, "type")
		json, p := drawResource(t, kind), drawParam(t, kind)
		if p.Kind != Token {
			return // not a token
		}
		v := drawValue(t, p) + "," + drawValue(t, p)
		if finds(t, json, kind, Pair{p.Code + ":not", v}) == finds(t, json, kind, Pair{p.Code, v}) {
			t.Fatalf("%s=%s", p.Code, v)
		}
	})
}

func TestMissing_trueXorFalse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(typePool).Draw(t, "type")
		json, p := drawResource(t, kind), drawParam(t, kind)
		if p.Kind == Composite {
			return // composites have no :missing
		}
		missing := finds(t, json, kind, Pair{p.Code + ":missing", "true"})
		if missing == finds(t, json, kind, Pair{p.Code + ":missing", "false"}) {
			t.Fatalf("%s is missing and is not", p.Code)
		}
		v := Pair{p.Code, drawValue(t, p)}
		if missing && finds(t, json, kind, v) {
			t.Fatalf("%v is found though it is missing", v)
		}
	})
}

func TestQuery_printedAndParsedIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(typePool).Draw(t, "type")
		json := drawResource(t, kind)
		pairs := []Pair{drawPair(t, kind), drawPair(t, kind)}
		q, err := Parse(expression(kind, pairs...), R4())
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(q.String(), R4())
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		if again.String() != q.String() {
			t.Fatalf("%s prints again as %s", q, again)
		}
		r := &fhir.Resource{Key: fhir.Key{Type: fhir.Type(kind)}, JSON: []byte(json)}
		if q.Match(r, testEnv) != again.Match(r, testEnv) {
			t.Fatalf("%s means something else once printed", q)
		}
		fromPairs, _, err := ParseParams(fhir.Type(kind), q.Pairs(), R4(), false)
		if err != nil || fromPairs.String() != q.String() {
			t.Fatalf("%v: %v, %v", q.Pairs(), fromPairs, err)
		}
	})
}

func TestEscape_isUndoneBySplitting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringMatching(`[a,|$\\é ]*`), 1, 4).Draw(t, "parts")
		escaped := make([]string, len(parts))
		for i, p := range parts {
			escaped[i] = escape(p)
			if err := checkEscapes(escaped[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, sep := range []byte(",|$") {
			got := split(strings.Join(escaped, string(sep)), sep)
			for i := range got {
				got[i] = unescape(got[i])
			}
			if !slices.Equal(got, parts) {
				t.Fatalf("%q comes back as %q", parts, got)
			}
		}
	})
}

func TestFold_isStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		once := fold(s)
		if fold(once) != once {
			t.Fatalf("%q folds to %q and then to %q", s, once, fold(once))
		}
		if upper := fold(strings.ToUpper(s)); len(s) < 40 && ascii(s) && upper != once {
			t.Fatalf("%q and its upper case fold to %q and %q", s, once, upper)
		}
	})
}

// drawDate draws a date in any precision near 2013, with the interval that it means, found by time.Parse.
func drawDate(t *rapid.T) (text string, low, next time.Time) {
	at := time.Date(2013, 1, 14, 10, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(-40*24*60, 40*24*60).Draw(t, "minutes")) * time.Minute)
	zone := rapid.SampledFrom([]string{"Z", "+02:00", "-05:30"}).Draw(t, "zone")
	layouts := []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04:05.00"}
	n := rapid.IntRange(0, len(layouts)-1).Draw(t, "precision")
	text = at.Format(layouts[n])
	if n < 3 {
		low, _ = time.Parse(layouts[n], text)
	} else {
		text += zone
		low, _ = time.Parse(layouts[n]+"Z07:00", text)
	}
	next = []time.Time{
		low.AddDate(1, 0, 0), low.AddDate(0, 1, 0), low.AddDate(0, 0, 1),
		low.Add(time.Minute), low.Add(time.Second), low.Add(10 * time.Millisecond),
	}[n]
	return text, low, next
}

// The prefixes as R4 defines them, over half-open intervals of time.Time.
func TestDate_agreesWithNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value, sl, sn := drawDate(t)
		target, tl, tn := drawDate(t)
		json := `{"resourceType":"Observation","effectiveDateTime":"` + target + `"}`
		if rapid.Bool().Draw(t, "period") {
			stop, low, next := drawDate(t)
			json = periodJSON(target, stop)
			if tn = next; !tl.Before(next) {
				return // the period ends before it begins
			}
			_ = low
		}
		eq := !tl.Before(sl) && !tn.After(sn)
		want := map[string]bool{
			"eq": eq, "ne": !eq, "gt": tn.After(sn), "lt": tl.Before(sl), "ge": tn.After(sn) || eq, "le": tl.Before(sl) || eq,
			"sa": !tl.Before(sn), "eb": !tn.After(sl),
		}
		got := map[string]bool{}
		for prefix := range want {
			got[prefix] = finds(t, json, "Observation", Pair{"date", prefix + value})
			if got[prefix] != want[prefix] {
				t.Fatalf("%s%s on %s: %v, want %v", prefix, value, json, got[prefix], want[prefix])
			}
		}
		switch {
		case got["eq"] == got["ne"]:
			t.Fatal("eq and ne agree")
		case (got["gt"] || got["eq"]) != got["ge"], (got["lt"] || got["eq"]) != got["le"]:
			t.Fatal("ge is not gt or eq, or le not lt or eq")
		case got["sa"] && !got["gt"], got["eb"] && !got["lt"]:
			t.Fatal("sa without gt, or eb without lt")
		}
	})
}

func drawNumber(t *rapid.T) string {
	n := strconv.Itoa(rapid.IntRange(-300, 300).Draw(t, "whole"))
	if n == "0" && rapid.Bool().Draw(t, "negative zero") {
		n = "-0"
	}
	if d := rapid.IntRange(0, 3).Draw(t, "decimals"); d > 0 {
		n += fmt.Sprintf(".%0*d", d, rapid.IntRange(0, []int{9, 99, 999}[d-1]).Draw(t, "fraction"))
	}
	if rapid.Bool().Draw(t, "exponential") {
		n += "e" + strconv.Itoa(rapid.IntRange(-4, 4).Draw(t, "exponent"))
	}
	return n
}

// The prefixes as R4 defines them, over big.Rat.
func TestNumber_agreesWithNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value, target := drawNumber(t), drawNumber(t)
		v, _ := new(big.Rat).SetString(value)
		x, _ := new(big.Rat).SetString(target)
		mantissa, exponent, _ := strings.Cut(value, "e")
		_, fraction, _ := strings.Cut(mantissa, ".")
		half, _ := new(big.Rat).SetString("5e-" + strconv.Itoa(len(fraction)+1))
		if exponent != "" {
			power, _ := new(big.Rat).SetString("1e" + exponent)
			half.Mul(half, power)
		}
		low, high := new(big.Rat).Sub(v, half), new(big.Rat).Add(v, half)
		eq := x.Cmp(low) >= 0 && x.Cmp(high) < 0
		tenth := new(big.Rat).Abs(new(big.Rat).Mul(v, big.NewRat(1, 10)))
		want := map[string]bool{
			"eq": eq, "ne": !eq, "gt": x.Cmp(v) > 0, "lt": x.Cmp(v) < 0, "ge": x.Cmp(v) >= 0, "le": x.Cmp(v) <= 0,
			"sa": x.Cmp(v) > 0, "eb": x.Cmp(v) < 0,
			"ap": new(big.Rat).Abs(new(big.Rat).Sub(x, v)).Cmp(tenth) <= 0,
		}
		json := `{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":` + target + `}]}`
		for prefix, w := range want {
			if got := finds(t, json, "RiskAssessment", Pair{"probability", prefix + value}); got != w {
				t.Fatalf("%s%s on %s: %v, want %v", prefix, value, target, got, w)
			}
		}
	})
}
