package subscription

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// plainCatalogue reads every SearchParameter each time it is asked.
type plainCatalogue struct{}

func (plainCatalogue) At(r store.Reader, tenant string, at store.Seq) (*criteria.Definitions, error) {
	var defs []criteria.Definition
	for res, err := range r.Type(tenant, fhir.SearchParameter, "", at) {
		if err != nil {
			return nil, err
		}
		if root := res.Doc().Root(); criteria.InForce(root) {
			def, problems := criteria.ReadDefinition(root)
			if err := fhir.Join(problems); err != nil {
				return nil, err
			}
			defs = append(defs, def)
		}
	}
	d, _ := criteria.R4().Extend(defs, nil)
	return d, nil
}

func (plainCatalogue) Lost(r store.Reader, tenant string, at store.Seq, uses func(string) bool) (string, error) {
	if uses("nick") {
		return "the definition of nick went", nil
	}
	return "", nil
}

// nick defines the search parameter nick.
func nick(typ, expression, status string) string {
	return fmt.Sprintf(`{"resourceType":"SearchParameter","url":"urn:nick","status":%q,"code":"nick","base":["Patient"],"type":%q,"expression":%q}`, status, typ, expression)
}

var (
	nickGiven  = nick("string", "Patient.name.given", "active")
	nickFamily = nick("string", "Patient.name.family", "active")
	nickToken  = nick("token", "Patient.identifier", "active")
	nickGone   = nick("string", "Patient.name.given", "retired")
)

func person(given, family string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","name":[{"given":[%q],"family":%q}]}`, given, family)
}

func standing(w *world, id string) (status, text string) {
	w.t.Helper()
	err := w.db.View(context.Background(), func(r store.Reader) error {
		s, err := r.Read(fhir.Key{Tenant: "a", Type: fhir.Subscription, ID: id}, r.Last())
		if err == nil {
			status, text = string(statusOf(s)), s.Doc().Root().Get("error").Text()
		}
		return err
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return status, text
}

// A Subscription whose search parameter goes says so and waits; with the parameter's return it is notified of
// everything since, by the numbers that follow, whatever the server was stopped and started in between.
func TestMatcher_waitsForADefinitionThatWent(t *testing.T) {
	o := MatcherOptions{Parse: testOptions(t), Catalogue: plainCatalogue{}}
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarts %t", restarts), func(t *testing.T) {
			w := newWorld(t, o.Parse)
			m := matchAll(t, w, o)
			run := func() {
				t.Helper()
				if restarts {
					m = matchAll(t, w, o)
					return
				}
				for moved := true; moved; {
					var err error
					if moved, err = m.step(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			w.write("a", fhir.SearchParameter, "n", nickGiven)
			w.smuggle("a", fhir.Subscription, "s", watch("Patient?nick=bob"))
			w.smuggle("a", fhir.Subscription, "other", watch("Patient?gender=male"))
			w.write("a", "Patient", "1", person("Bob", "x"))
			run()
			w.write("a", fhir.SearchParameter, "n", "")
			run()
			status, text := standing(w, "s")
			if status != "error" || !strings.Contains(text, "the definition of nick went") || !strings.Contains(text, `"nick" is not a search parameter`) {
				t.Errorf("status %s: %s", status, text)
			}
			if status, _ := standing(w, "other"); status == "error" {
				t.Errorf("a Subscription that does not use it is in %s", status)
			}
			w.write("a", "Patient", "2", person("Bob", "x"))
			w.write("a", "Patient", "3", person("Eve", "Bob"))
			run()
			w.write("a", fhir.SearchParameter, "n", nickFamily)
			w.write("a", "Patient", "4", person("Bob", "x"))
			w.write("a", "Patient", "5", person("x", "Bob"))
			run()
			run()
			want := map[store.Lane][]verdict{{Tenant: "a", Subscription: "s"}: {
				{1, "Patient/1", 1, fhir.Create}, {2, "Patient/3", 1, fhir.Create}, {3, "Patient/5", 1, fhir.Create},
			}}
			if diff := gocmp.Diff(want, w.verdicts()); diff != "" {
				t.Error(diff)
			}
			if status, text := standing(w, "s"); status != "active" || text != "" {
				t.Errorf("status %s: %s", status, text)
			}
			if m.Broken() != 0 {
				t.Errorf("%d are broken", m.Broken())
			}
		})
	}
}

// The definitions of one tenant are nothing to another, and a definition counts for its whole transaction.
func TestMatcher_definitionsCountForTheirTransactionAndTenant(t *testing.T) {
	o := MatcherOptions{Parse: testOptions(t), Catalogue: plainCatalogue{}}
	w := newWorld(t, o.Parse)
	for _, tenant := range []string{"a", "b"} {
		w.write(tenant, fhir.SearchParameter, "n", nickGiven)
		w.smuggle(tenant, fhir.Subscription, "s", watch("Patient?nick=bob"))
	}
	_, err := w.db.Update(t.Context(), store.Origin{}, func(tx store.Writer) error {
		for _, json := range []string{person("Bob", "x"), person("x", "Bob"), nickFamily, person("y", "Bob")} {
			in, err := fhir.Read([]byte(json), 0)
			if err != nil {
				return err
			}
			id := map[bool]string{true: "n", false: in.Doc.Root().Get("name").At(0).Get("given").At(0).Text()}[in.Type == fhir.SearchParameter]
			if _, err := store.Update(tx, fhir.Key{Tenant: "a", Type: in.Type, ID: id}, in, "", nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.write("b", "Patient", "1", person("Bob", "x"))
	o2 := o
	m := NewMatcher(w.db, o2)
	m.bounds.rows = 2 // so that the transaction is read in pieces
	if err := m.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for moved := true; moved; {
		if moved, err = m.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[store.Lane][]verdict{
		{Tenant: "a", Subscription: "s"}: {{1, "Patient/x", 1, fhir.Create}, {2, "Patient/y", 1, fhir.Create}},
		{Tenant: "b", Subscription: "s"}: {{1, "Patient/1", 1, fhir.Create}},
	}
	if diff := gocmp.Diff(want, w.verdicts()); diff != "" {
		t.Error(diff)
	}
}

func TestNames_findsCodesAsWords(t *testing.T) {
	tests := []struct {
		json string
		want bool
	}{
		{`{"criteria":"Patient?nick=bob"}`, true},
		{`{"criteria":"Observation?subject:Patient.nick:exact=bob"}`, true},
		{`{"criteria":"Patient?_has:Observation:subject:nick=1"}`, true},
		{`{"criteria":"Patient?nickname=bob"}`, false},
		{`{"criteria":"Patient?my-nick=bob"}`, false},
		{`{"criteria":"Patient?my-nick=bob&nick=x"}`, true},
		{`{"criteria":"Patient?%6Eick=bob"}`, true},
		{`{"criteria":"Patient?\u006eick=bob"}`, true},
		{`nick`, true},
		{``, false},
	}
	for _, tt := range tests {
		if got := names([]byte(tt.json), "nick"); got != tt.want {
			t.Errorf("names(%s) is %t", tt.json, got)
		}
		if got := namesAny([]byte(tt.json), map[string]bool{"x-y": true, "nick": true}); got != tt.want {
			t.Errorf("namesAny(%s) is %t", tt.json, got)
		}
	}
}

// brittle is a store whose queue takes so many more transactions.
type brittle struct {
	store.DB
	left int
}

var errCrash = errors.New("crash")

func (b *brittle) Queue() store.Queue { return brittleQueue{b.DB.Queue(), b} }

type brittleQueue struct {
	store.Queue
	b *brittle
}

func (q brittleQueue) Update(ctx context.Context, l store.Lease, fn func(store.QueueWriter) error) error {
	if q.b.left--; q.b.left < 0 {
		return errCrash
	}
	return q.Queue.Update(ctx, l, fn)
}

// waiting is what Subscriptions are owed when their definitions come, change and go, told from the whole log:
// what comes while one can't be compiled is judged by what it means once it can be.
func (w *world) waiting(o Options) map[store.Lane][]verdict {
	all := map[store.Lane][]verdict{}
	err := w.db.View(context.Background(), func(r store.Reader) error {
		type keeping struct {
			at   *fhir.Resource
			held []store.Change
		}
		lanes := map[store.Lane]*keeping{}
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			k := c.Resource.Key
			o.Definitions, _ = plainCatalogue{}.At(r, k.Tenant, c.End)
			if k.Type == fhir.Subscription {
				lane := store.Lane{Tenant: k.Tenant, Subscription: k.ID}
				s := lanes[lane]
				if s == nil {
					s = &keeping{}
					lanes[lane] = s
				}
				// What the definitions change, they change before the Subscription changes itself.
				w.settleHeld(all, lane, s.at, &s.held, o, r)
				if s.at = c.Resource; c.Resource.Deleted || statusOf(c.Resource) == Off {
					s.at, s.held = nil, nil
				}
			}
			for lane, s := range lanes {
				if lane.Tenant == k.Tenant && s.at != nil {
					s.held = append(s.held, c)
					if _, err := Parse(s.at.Key, s.at.Version, s.at.Doc(), o); err == nil {
						w.settleHeld(all, lane, s.at, &s.held, o, r)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return all
}

func (w *world) settleHeld(all map[store.Lane][]verdict, lane store.Lane, at *fhir.Resource, held *[]store.Change, o Options, r store.Reader) {
	if at == nil {
		return
	}
	s, err := Parse(at.Key, at.Version, at.Doc(), o)
	if err != nil {
		return
	}
	for _, c := range *held {
		judged := c.Resource
		if c.Interaction == fhir.Delete {
			if judged, err = r.Version(c.Resource.Key, c.Resource.Version-1); err != nil {
				w.t.Fatalf("%v", err)
			}
		}
		if !c.Origin.Server && s.Interactions.Has(c.Interaction) && s.Query.Match(judged, criteria.Env{Now: c.Resource.Updated}) {
			all[lane] = append(all[lane], verdict{uint64(len(all[lane]) + 1), c.Resource.Key.String(), c.Resource.Version, c.Interaction})
		}
	}
	*held = nil
}

// Whatever comes and goes, wherever the Matcher crashes, each Subscription is owed what the log says.
func TestMatcher_agreesWithTheNaiveLoopWhenDefinitionsChange(t *testing.T) {
	o := testOptions(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, o)
		var m *Matcher
		db := &brittle{DB: w.db}
		step := func(left int) bool {
			if m == nil {
				db.left = left
				m = NewMatcher(db, MatcherOptions{Parse: o, Catalogue: plainCatalogue{}})
				m.bounds = bounds{rows: rapid.IntRange(1, 3).Draw(rt, "rows"), bytes: 1 << 20, verdicts: rapid.IntRange(1, 3).Draw(rt, "verdicts"), quiet: 4}
				if err := m.start(context.Background()); errors.Is(err, errCrash) {
					m = nil
					return true
				} else if err != nil {
					rt.Fatalf("start: %v", err)
				}
			}
			moved, err := m.step(context.Background())
			if errors.Is(err, errCrash) {
				m = nil
				return true
			}
			if err != nil {
				rt.Fatalf("step: %v", err)
			}
			return moved
		}
		for range rapid.IntRange(1, 30).Draw(rt, "transactions") {
			_, err := w.db.Update(context.Background(), store.Origin{}, drawTransaction(rt))
			if err != nil {
				rt.Fatalf("%v", err)
			}
			for range rapid.IntRange(0, 3).Draw(rt, "steps") {
				step(rapid.IntRange(0, 6).Draw(rt, "left"))
			}
			if rapid.IntRange(0, 4).Draw(rt, "stop") == 0 {
				m = nil
			}
		}
		m = nil
		for step(1 << 20) {
		}
		if diff := gocmp.Diff(w.waiting(o), w.verdicts()); diff != "" {
			rt.Fatalf("(-naive +matcher)\n%s", diff)
		}
	})
}

func drawTransaction(rt *rapid.T) func(store.Writer) error {
	var writes []func(store.Writer) error
	tenant := rapid.SampledFrom([]string{"a", "a", "b"}).Draw(rt, "tenant")
	for range rapid.IntRange(1, 3).Draw(rt, "writes") {
		typ := rapid.SampledFrom([]fhir.Type{"Patient", "Patient", fhir.SearchParameter, fhir.Subscription}).Draw(rt, "type")
		key := fhir.Key{Tenant: tenant, Type: typ, ID: rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "id")}
		if typ == fhir.SearchParameter {
			key.ID = "n"
		}
		var json string
		switch {
		case rapid.IntRange(0, 4).Draw(rt, "delete") == 0 && typ != fhir.Subscription:
		case typ == fhir.SearchParameter:
			json = rapid.SampledFrom([]string{nickGiven, nickFamily, nickToken, nickGone}).Draw(rt, "definition")
		case typ == fhir.Subscription:
			c := rapid.SampledFrom([]string{"Patient?nick=bob", "Patient?nick:exact=Bob", "Patient?nick:contains=ob", "Patient?family=bob", "Patient?_id=1", "Patient?%6eick=bob"}).Draw(rt, "criteria")
			if json = watch(c); rapid.IntRange(0, 4).Draw(rt, "off") == 0 {
				json = strings.Replace(json, `"criteria"`, `"status":"off","criteria"`, 1)
			}
		default:
			json = person(rapid.SampledFrom([]string{"Bob", "Eve"}).Draw(rt, "given"), rapid.SampledFrom([]string{"Bob", "Eve"}).Draw(rt, "family"))
		}
		writes = append(writes, func(w store.Writer) error {
			if json == "" {
				_, err := store.Delete(w, key, "")
				return err
			}
			in, err := fhir.Read([]byte(json), 0)
			if err != nil {
				return err
			}
			_, err = store.Update(w, key, in, "", nil)
			return err
		})
	}
	return func(w store.Writer) error {
		for _, write := range writes {
			if err := write(w); err != nil {
				return err
			}
		}
		return nil
	}
}
