package criteria

import (
	"errors"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"fhirhook/fhir"
)

// testWorld is a Resolver over resources in memory. Having offers all of a type, which it may.
type testWorld struct {
	all   []*fhir.Resource
	asked int
	fails error
}

func (w *testWorld) Current(t fhir.Type, id string) (*fhir.Resource, error) {
	w.asked++
	for _, r := range w.all {
		if r.Key.Type == t && r.Key.ID == id {
			return r, w.fails
		}
	}
	return nil, w.fails
}

func (w *testWorld) Having(t fhir.Type, _ *Param, _ []string) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		w.asked++
		if w.fails != nil {
			yield(nil, w.fails)
			return
		}
		for _, r := range w.all {
			if r.Key.Type == t && !yield(r, nil) {
				return
			}
		}
	}
}

func (w *testWorld) env() Env {
	e := testEnv
	e.Lookup = NewLookup(w, R4())
	return e
}

// find is what a search finds, in order.
func (w *testWorld) find(q *Query, env Env) ([]string, error) {
	if err := q.Check(env); err != nil {
		return nil, err
	}
	var found []string
	for _, r := range w.all {
		s := NewSubject(r, env)
		matches := q.Matches(s)
		if err := s.Err(); err != nil {
			return nil, err
		}
		if matches {
			found = append(found, r.Key.String())
		}
	}
	slices.Sort(found)
	return found, nil
}

func readWorld(tb testing.TB) *testWorld {
	tb.Helper()
	content, err := os.ReadFile("testdata/world.ndjson")
	if err != nil {
		tb.Fatal(err)
	}
	w := &testWorld{}
	for line := range strings.Lines(string(content)) {
		w.all = append(w.all, resource(tb, strings.TrimSpace(line)))
	}
	return w
}

// TestQuery_linkedTruthTable holds each row of testdata/linked.tsv against all resources of the world: parsed,
// printed and parsed again, and in a set.
func TestQuery_linkedTruthTable(t *testing.T) {
	w := readWorld(t)
	shared := w.env()
	for _, row := range rows(t, "testdata/linked.tsv") {
		if len(row) != 2 {
			t.Errorf("%q has not two columns", row)
			continue
		}
		q := query(t, row[0])
		again := query(t, q.String())
		if again.String() != q.String() {
			t.Errorf("%s prints as %s and then as %s", row[0], q, again)
		}
		for _, env := range []Env{shared, w.env()} {
			for _, q := range []*Query{q, again} {
				checkFound(t, w, row[0], row[1], q, env)
			}
		}
	}
}

func checkFound(t *testing.T, w *testWorld, text, want string, q *Query, env Env) {
	t.Helper()
	found, err := w.find(q, env)
	if reason, refused := strings.CutPrefix(want, "!"); refused {
		e, ok := errors.AsType[*fhir.Error](err)
		if !ok || !strings.Contains(e.Diagnostic, reason) || e.Expression == "" {
			t.Errorf("%s: found %v, %v, want a refusal with %q", text, found, err, reason)
		}
		checkUndecided(t, w, q, env)
		return
	}
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	if !slices.Equal(strings.Fields(want), found) {
		t.Errorf("%s: found %v, want %v", text, found, strings.Fields(want))
	}
	var set Set
	set.Add("1", q)
	for _, r := range w.all {
		ids, undecided := set.Decide(NewSubject(r, env))
		if (len(ids) == 1) != slices.Contains(found, r.Key.String()) || undecided != nil {
			t.Errorf("%s: on %s the set says %v, %v", text, r.Key, ids, undecided)
		}
	}
}

// checkUndecided finds that a set leaves open what can't be told, and nothing of other types.
func checkUndecided(t *testing.T, w *testWorld, q *Query, env Env) {
	t.Helper()
	var set Set
	set.Add("1", q)
	for _, r := range w.all {
		ids, undecided := set.Decide(NewSubject(r, env))
		if len(ids) > 0 || len(undecided) > 0 && (!q.About(r.Key.Type) || undecided[0].IDs[0] != "1") {
			t.Errorf("%s: on %s the set says %v, %v", q, r.Key, ids, undecided)
		}
	}
}

// What can't be read is no answer: neither yes nor, which would be worse, no.
func TestQuery_failsWhenTheStoreDoes(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, text := range []string{
		"Observation?subject:Patient.name=x", "Observation?_has:AuditEvent:entity:agent=x", "Observation?_list=1", "Observation?code:in=http://x.example",
		"Observation?code:not-in=http://x.example", "Observation?code:below=http://x.example|1", "Observation?_filter=not(patient.name eq x)",
		"QuestionnaireResponse?questionnaire.title=x", "Procedure?location:below=1", "Procedure?location:above=1",
	} {
		w := readWorld(t)
		w.fails = broken
		env := w.env()
		failed := false
		for _, r := range w.all {
			s := NewSubject(r, env)
			query(t, text).Matches(s)
			failed = failed || errors.Is(s.Err(), broken)
		}
		if !failed {
			t.Errorf("%s does not fail", text)
		}
	}
}

func TestQuery_withoutResolverIsUndecided(t *testing.T) {
	s := NewSubject(resource(t, `{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/1"}}`), testEnv)
	if query(t, "Observation?subject:Patient.name=x").Matches(s) || s.Err() == nil {
		t.Error("a chain is decided without a look at the other resource")
	}
	if !query(t, "Observation?subject=Patient/1").Matches(s) || s.Err() != nil {
		t.Errorf("the failure stays: %v", s.Err())
	}
}

// An evaluation ends, whatever the data are.
func TestLookup_isBounded(t *testing.T) {
	w := &testWorld{all: []*fhir.Resource{resource(t, `{"resourceType":"Patient","id":"hub"}`)}}
	for i := range 400 {
		w.all = append(w.all, resource(t, `{"resourceType":"Observation","id":"`+fhir.NewID()+`","subject":{"reference":"Patient/hub"},"hasMember":[{"reference":"Observation/x"}],"status":"s`+string(rune('a'+i%3))+`"}`))
	}
	q := query(t, "Patient?_has:Observation:patient:patient._has:Observation:patient:patient._has:Observation:patient:status=none")
	s := NewSubject(w.all[0], w.env())
	if q.Matches(s) || fhir.KindOf(s.Err()) != fhir.TooCostly {
		t.Errorf("%v", s.Err())
	}
	if w.asked > 10*mostLooks {
		t.Errorf("asked %d times", w.asked)
	}
}

// What was looked up once is not asked for again, and does not change the verdict on costs.
func TestLookup_remembers(t *testing.T) {
	w := readWorld(t)
	env := w.env()
	q := query(t, "Observation?patient.organization.name=ward")
	for range 3 {
		if _, err := w.find(q, env); err != nil {
			t.Fatal(err)
		}
	}
	if w.asked > 10 {
		t.Errorf("asked %d times", w.asked)
	}
}

func TestLookup_elsewhereSeesOtherResources(t *testing.T) {
	here, there := readWorld(t), readWorld(t)
	there.all = slices.DeleteFunc(there.all, func(r *fhir.Resource) bool { return r.Key.String() == "ValueSet/listed2" })
	q := query(t, "Observation?code:in=http://v.example/listed")
	env := here.env()
	found, err := here.find(q, env)
	if err != nil || !slices.Equal(found, []string{"Observation/o2"}) {
		t.Fatal(found, err)
	}
	env.Lookup = env.Lookup.Elsewhere(there, R4())
	found, err = there.find(q, env)
	if err != nil || !slices.Equal(found, []string{"Observation/o1"}) {
		t.Fatal(found, err)
	}
}
