package search_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/fhir/store/storetest"
)

func openDir(t *testing.T, dir string) store.DB {
	t.Helper()
	db, err := bolt.Open(dir, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func writeRows(t *testing.T, db store.DB, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		in := read(t, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","identifier":[{"value":"v%d"}]}`, i%40, i))
		_, err := db.Update(t.Context(), store.Origin{}, func(w store.Writer) error {
			_, err := store.Update(w, fhir.Key{Tenant: tenant, Type: "Patient", ID: in.ID}, in, "", nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// caughtUp steps until the index has everything and nothing is left to merge.
func caughtUp(t *testing.T, x *search.Index) {
	t.Helper()
	for busy := true; busy; {
		var err error
		if busy, err = x.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIndex_goesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), 0
	for round := range 4 {
		db := openDir(t, dir)
		ctx, stop := context.WithCancel(t.Context())
		index := search.NewSmallIndex(db, criteria.R4(), time.Hour, nil)
		var running sync.WaitGroup
		running.Go(func() {
			if err := index.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		writeRows(t, db, n, n+30)
		n += 30
		engine := search.New(db, criteria.R4(), search.Options{Index: index})
		for _, tt := range []struct {
			value string
			want  int
		}{{fmt.Sprintf("v%d", n-1), 1}, {fmt.Sprintf("v%d", n-41), 0}, {"v", 0}} {
			page, err := engine.Search(t.Context(), search.Request{Tenant: tenant, Type: "Patient", Params: []criteria.Pair{pair("identifier", tt.value)}})
			if err != nil || page.Total != tt.want {
				t.Errorf("round %d: %s: %d matches, want %d; %v", round, tt.value, page.Total, tt.want, err)
			}
		}
		stop()
		running.Wait()
		if err := search.CheckIndex(t.Context(), db, criteria.R4(), nil); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIndex_isBuiltAnewWhereItMeansSomethingElse(t *testing.T) {
	t.Parallel()
	db := storetest.NewModel()
	writeRows(t, db, 0, 50)
	own, rejected := criteria.R4().Extend([]criteria.Definition{{
		URL: "https://sp.example/nick", Code: "nick", Kind: criteria.String, Bases: []fhir.Type{"Patient"}, Expression: "Patient.name.text",
	}}, nil)
	if len(rejected) > 0 {
		t.Fatal(rejected)
	}
	for _, defs := range []*criteria.Definitions{criteria.R4(), own, criteria.R4()} {
		index := search.NewSmallIndex(db, defs, time.Hour, nil)
		if err := index.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if index.Place() != 0 {
			t.Errorf("it begins at row %d", index.Place())
		}
		caughtUp(t, index)
		if err := search.CheckIndex(t.Context(), db, defs, nil); err != nil || index.Place() != 50 {
			t.Errorf("at row %d: %v", index.Place(), err)
		}
	}
}

// What is replaced is forgotten once nobody can need it, so that an index does not grow with the history of few
// resources; and as of places before that, searches still find everything.
func TestIndex_forgetsWhatWasReplaced(t *testing.T) {
	t.Parallel()
	db := storetest.NewModel()
	for i := range 400 {
		writeRows(t, db, i, i+1)
	}
	index := search.NewSmallIndex(db, criteria.R4(), time.Nanosecond, func() time.Time { return time.Now().Add(time.Minute) })
	if err := index.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, index)
	if got := index.Postings(t.Context(), t); got > 400 {
		t.Errorf("%d postings are kept of 400 rows, of which 40 are current", got)
	}
	engine := search.New(db, criteria.R4(), search.Options{Index: index})
	err := db.View(t.Context(), func(r store.Reader) error {
		query, _, err := criteria.ParseParams("Patient", []criteria.Pair{pair("identifier", "v17")}, criteria.R4(), false)
		if err != nil {
			return err
		}
		for at, want := range map[store.Seq]int{18: 1, 57: 1, 58: 0, 400: 0} {
			found, err := engine.Matching(t.Context(), r, at, query, search.Request{Tenant: tenant}, 5)
			if err != nil || len(found) != want {
				t.Errorf("as of row %d: %v, %v", at, refs(found), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := search.CheckIndex(t.Context(), db, criteria.R4(), nil); err != nil {
		t.Error(err)
	}
}

func TestCheckIndex_noticesWhatIsLost(t *testing.T) {
	t.Parallel()
	db := storetest.NewModel()
	writeRows(t, db, 0, 60)
	index := search.NewSmallIndex(db, criteria.R4(), time.Hour, nil)
	if err := index.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, index)
	err := db.Index().Update(t.Context(), store.Lease{}, func(w store.IndexWriter) error {
		names, err := w.Shelves()
		for _, name := range names {
			if strings.HasPrefix(name, "run") {
				key, _, cursorErr := w.Cursor(name, nil).Next()
				return errors.Join(err, cursorErr, w.Remove(name, key))
			}
		}
		return errors.New("there is no run")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := search.CheckIndex(t.Context(), db, criteria.R4(), nil); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("CheckIndex = %v", err)
	}
}
