package criteria

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"fhirhook/fhir"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A set answers as trying each query would, whatever was added, replaced and removed before, and whatever shares a hash.
func TestSet_equalsTheLinearLoop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set Set
		if few := rapid.Uint64Range(0, 3).Draw(t, "hashes"); few > 0 {
			set.hash = func(s string) uint64 { return hashOf(s) % few }
		}
		naive := map[string]*Query{}
		for range rapid.IntRange(1, 25).Draw(t, "changes") {
			id := fmt.Sprint("s", rapid.IntRange(0, 12).Draw(t, "id"))
			if rapid.IntRange(0, 4).Draw(t, "remove") == 0 {
				set.Remove(id)
				delete(naive, id)
				continue
			}
			q := drawQuery(t)
			set.Add(id, q)
			naive[id] = q
		}
		if set.Len() != len(naive) {
			t.Fatalf("%d queries, want %d", set.Len(), len(naive))
		}
		for range 3 {
			kind := rapid.SampledFrom(typePool).Draw(t, "type")
			r := &fhir.Resource{Key: fhir.Key{Type: fhir.Type(kind)}, JSON: []byte(drawResource(t, kind))}
			var want []string
			for id, q := range naive {
				if q.Match(r, testEnv) {
					want = append(want, id)
				}
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, set.Match(r, testEnv)); diff != "" {
				t.Fatalf("on %s (-loop +set):\n%s\n%v", r.JSON, diff, naive)
			}
		}
		for id := range naive {
			set.Remove(id)
		}
		for kind, b := range set.buckets {
			if len(b.filed)+len(b.unfiled)+len(set.byText)+len(set.byID)+len(set.kept) > 0 {
				t.Fatalf("something of %s is left behind", kind)
			}
		}
		if set.Len() != 0 || set.texts.used != set.texts.unused {
			t.Fatalf("%d ids and %d bytes are left behind", set.Len(), set.texts.used-set.texts.unused)
		}
	})
}

// drawQuery draws a query about one type, several or all.
func drawQuery(t *rapid.T) *Query {
	var text string
	switch rapid.IntRange(0, 9).Draw(t, "shape") {
	case 0:
		text = rapid.SampledFrom([]string{"[*]", "[*]?_id=1", "[*]?_id=1,2&_tag=x", "[Patient,Observation]?identifier=x,y", "[Patient,ValueSet]?_id:not=1", "[ValueSet,QuestionnaireResponse]?status=x"}).Draw(t, "several")
	case 1:
		text = rapid.SampledFrom(typePool).Draw(t, "type")
	default:
		kind := rapid.SampledFrom(typePool).Draw(t, "type")
		pairs := make([]Pair, rapid.IntRange(1, 3).Draw(t, "parameters"))
		for i := range pairs {
			pairs[i] = drawPair(t, kind)
		}
		text = expression(kind, pairs...)
	}
	q, err := Parse(text, R4())
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q
}

func TestSet_filesUnderTheRarestTerm(t *testing.T) {
	var set Set
	for i := range 50 {
		set.Add(fmt.Sprint("p", i), query(t, fmt.Sprintf("Observation?status=final&code=http://loinc.org|1&subject=Patient/%d", i)))
		set.Add(fmt.Sprint("c", i), query(t, fmt.Sprintf("Observation?subject=Patient/1&status=final&code=http://loinc.org|c%d", i)))
	}
	for i := 2; i < 50; i++ {
		if term, _ := set.FiledUnder(fmt.Sprint("p", i)); term.Name != "subject" {
			t.Errorf("p%d is filed under %s", i, term.Name)
		}
		if term, _ := set.FiledUnder(fmt.Sprint("c", i)); term.Name != "code" {
			t.Errorf("c%d is filed under %s", i, term.Name)
		}
	}
	set.Add("scan", query(t, "Observation?date=gt2020"))
	if _, ok := set.FiledUnder("scan"); ok {
		t.Error("a range has no equality term")
	}
}

// Chains and composites are filed by what is an equality in them, so that their cost does not follow their number.
func TestSet_filesChainsAndComposites(t *testing.T) {
	w := readWorld(t)
	var set Set
	const n = 2000
	for i := range n {
		set.Add(fmt.Sprint("chain", i), query(t, fmt.Sprintf("Observation?status=final&patient:Patient.organization.identifier=http://org.example|N%d", i)))
		set.Add(fmt.Sprint("composite", i), query(t, fmt.Sprintf("Observation?code-value-quantity=http://c.example|sodium%d$gt5", i)))
	}
	set.Add("chain", query(t, "Observation?status=final&patient:Patient.organization.identifier=http://org.example|N"))
	set.Add("composite", query(t, "Observation?code-value-quantity=http://c.example|sodium$gt5"))
	for _, id := range []string{"chain7", "composite7"} {
		term, ok := set.FiledUnder(id)
		if !ok || term.Name != map[string]string{"chain7": "patient:Patient.organization.identifier", "composite7": "code-value-quantity"}[id] {
			t.Errorf("%s is filed under %v", id, term)
		}
	}
	if unfiled := len(set.buckets["Observation"].unfiled); unfiled > 0 {
		t.Errorf("%d are tried for each resource", unfiled)
	}
	env := w.env()
	for _, r := range w.all {
		if r.Key.String() != "Observation/o2" {
			continue
		}
		ids, undecided := set.Decide(NewSubject(r, env))
		if diff := cmp.Diff([]string{"chain", "composite"}, ids); diff != "" || undecided != nil {
			t.Error(diff, undecided)
		}
	}
}

// A term that does not hold decides, in whatever order and however filed; else what can't be told stays open.
func TestSet_leavesOpenOnlyWhatNoTermDecides(t *testing.T) {
	w := readWorld(t)
	var set Set
	set.Add("no", query(t, "Observation?code:in=http://v.example/none&patient:Patient.gender=male"))
	set.Add("no too", query(t, "Observation?patient:Patient.gender=male&code:in=http://v.example/none&status=final"))
	set.Add("open", query(t, "Observation?code:in=http://v.example/none&patient:Patient.gender=female"))
	env := w.env()
	for _, r := range w.all {
		if r.Key.String() != "Observation/o1" {
			continue
		}
		ids, undecided := set.Decide(NewSubject(r, env))
		if len(ids) > 0 || len(undecided) != 1 || !slices.Equal(undecided[0].IDs, []string{"open"}) {
			t.Errorf("%v, %v", ids, undecided)
		}
		w.fails = fmt.Errorf("the disk is gone")
		_, undecided = set.Decide(NewSubject(r, w.env()))
		if len(undecided) != 3 {
			t.Errorf("%v", undecided)
		}
	}
}

func TestSet_identicalCriteriaAreOneEntry(t *testing.T) {
	var set Set
	set.Add("b", query(t, "Patient?name=eve&gender=male,female"))
	set.Add("a", query(t, "Patient?gender=female,male,male&name=%65ve&name=eve"))
	if len(set.byText) != 1 {
		t.Errorf("%d entries", len(set.byText))
	}
	r := resource(t, `{"resourceType":"Patient","gender":"female","name":[{"given":["Eve"]}]}`)
	if diff := cmp.Diff([]string{"a", "b"}, set.Match(r, testEnv)); diff != "" {
		t.Error(diff)
	}
}

func TestSet_keepsNoTextsOfWhatWasRemoved(t *testing.T) {
	var set Set
	for i := range 20_000 {
		set.Add(fmt.Sprint("s", i), query(t, fmt.Sprintf("Patient?identifier=%d", i)))
		if i >= 100 {
			set.Remove(fmt.Sprint("s", i-100))
		}
	}
	if set.Len() != 100 || set.texts.used > 4*chunkSize {
		t.Errorf("%d ids, %d bytes", set.Len(), set.texts.used)
	}
	r := resource(t, `{"resourceType":"Patient","identifier":[{"value":"19950"},{"value":"7"}]}`)
	if diff := cmp.Diff([]string{"s19950"}, set.Match(r, testEnv)); diff != "" {
		t.Error(diff)
	}
}

func TestSet_keepsFewQueriesCompiled(t *testing.T) {
	var set Set
	for i := range mostRecent + 100 {
		set.Add(fmt.Sprint("s", i), query(t, fmt.Sprintf("Patient?identifier=%d", i)))
	}
	for i := range mostRecent + 100 {
		r := resource(t, fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"value":"%d"}]}`, i))
		if diff := cmp.Diff([]string{fmt.Sprint("s", i)}, set.Match(r, testEnv)); diff != "" {
			t.Fatal(diff)
		}
	}
	if n := len(set.recent.compiled); n != mostRecent {
		t.Errorf("%d are kept compiled, want %d", n, mostRecent)
	}
}

const glucose = `{"resourceType":"Observation","id":"1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"c7"}]},"subject":{"reference":"Patient/8"},"effectiveDateTime":"2026-01-01","valueQuantity":{"value":5}}`

func fill(tb testing.TB, n int) *Set {
	var set Set
	for i := range n {
		text := fmt.Sprintf("Observation?subject=Patient/%d", i)
		if i%2 == 1 {
			text = fmt.Sprintf("Observation?code=http://loinc.org|c%d", i)
		}
		set.Add(fhir.NewID(), query(tb, text))
	}
	return &set
}

// Memory is a promise (under half a KB for a subscription), and unlike time it can be told in a test.
func TestSet_takesLessThanHalfAKilobyteEach(t *testing.T) {
	R4()
	const n = 20_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	set := fill(t, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / n
	runtime.KeepAlive(set)
	t.Logf("%d bytes each", each)
	if each > 400 {
		t.Errorf("%d bytes each", each)
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		start := time.Now()
		set := fill(b, n)
		built := time.Since(start)
		r := resource(b, glucose)
		r.Doc()
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(set.Match(r, testEnv)) != 2 {
					b.Fatal("wrong count")
				}
			}
			b.ReportMetric(float64(built.Milliseconds()), "ms-to-build")
		})
	}
}

// BenchmarkLinear tries the criteria of the larger set one by one.
func BenchmarkLinear(b *testing.B) {
	set := fill(b, 100_000)
	queries := make([]*Query, 0, set.Len())
	for _, m := range set.askers.all {
		q, err := set.query(m.entry)
		if err != nil {
			b.Fatal(err)
		}
		queries = append(queries, q)
	}
	r := resource(b, glucose)
	r.Doc()
	for b.Loop() {
		s := NewSubject(r, testEnv)
		for _, q := range queries {
			q.Matches(s)
		}
	}
}
