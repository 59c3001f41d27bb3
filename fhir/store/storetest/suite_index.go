package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir/store"
)

var indexTests = []promise{
	{"isASortedMapForEachShelf", func(t *testing.T, f *fixture) {
		rapid.Check(t, func(t *rapid.T) { f.indexEqualsAMap(t) })
	}},
	{"aFailedUpdateLeavesNothing", func(t *testing.T, f *fixture) {
		f.stock(t, "a", "k", "1")
		err := f.db.Index().Update(f.ctx, store.Lease{}, func(w store.IndexWriter) error {
			return errors.Join(w.Put("a", []byte("k"), []byte("2")), w.Put("b", []byte("k"), nil), w.Drop("a"), errRefused)
		})
		if !errors.Is(err, errRefused) {
			t.Errorf("Update = %v", err)
		}
		if diff := cmp.Diff(map[string][]string{"a": {"k=1"}}, f.shelves(t)); diff != "" {
			t.Error(diff)
		}
	}},
	{"aViewSeesNothingLater", func(t *testing.T, f *fixture) {
		f.stock(t, "a", "k", "1")
		err := f.db.Index().View(f.ctx, func(r store.IndexReader) error {
			f.stock(t, "a", "k", "2")
			v, err := r.Get("a", []byte("k"))
			if string(v) != "1" {
				t.Errorf("the value is %q", v)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}},
	{"aWriterSeesItsOwnWrites", func(t *testing.T, f *fixture) {
		f.stock(t, "a", "k", "1")
		err := f.db.Index().Update(f.ctx, store.Lease{}, func(w store.IndexWriter) error {
			if err := errors.Join(w.Put("a", []byte("l"), []byte("2")), w.Remove("a", []byte("k"))); err != nil {
				return err
			}
			if _, err := w.Get("a", []byte("k")); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a removed key: %v", err)
			}
			k, v, err := w.Cursor("a", nil).Next()
			if string(k) != "l" || string(v) != "2" {
				t.Errorf("the first is %q, %q", k, v)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}},
	{"isThereAfterReopening", func(t *testing.T, f *fixture) {
		f.stock(t, "a", "k", "1")
		f.again(t)
		if diff := cmp.Diff(map[string][]string{"a": {"k=1"}}, f.shelves(t)); diff != "" {
			t.Error(diff)
		}
	}},
	{"refusesKeysThatDontFit", func(t *testing.T, f *fixture) {
		for _, key := range []string{"", strings.Repeat("k", store.MaxIndexKey+1)} {
			err := f.db.Index().Update(f.ctx, store.Lease{}, func(w store.IndexWriter) error { return w.Put("a", []byte(key), nil) })
			if err == nil {
				t.Errorf("a key of %d bytes was taken", len(key))
			}
		}
		f.stock(t, "a", strings.Repeat("k", store.MaxIndexKey), strings.Repeat("v", 1<<20))
	}},
}

// indexEqualsAMap applies random transactions to the index and to a map of maps.
func (f *fixture) indexEqualsAMap(t *rapid.T) {
	want := map[string]map[string]string{}
	err := f.db.Index().Update(f.ctx, store.Lease{}, func(w store.IndexWriter) error {
		names, err := w.Shelves()
		for _, name := range names {
			err = errors.Join(err, w.Drop(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	name := rapid.SampledFrom([]string{"a", "a/b", "ab"})
	key := rapid.StringMatching(`[a-c]{1,3}`)
	for range rapid.IntRange(1, 4).Draw(t, "transactions") {
		var steps []func(store.IndexWriter) error
		after := map[string]map[string]string{}
		for n, s := range want {
			after[n] = maps.Clone(s)
		}
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			shelf := name.Draw(t, "shelf")
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				delete(after, shelf)
				steps = append(steps, func(w store.IndexWriter) error { return w.Drop(shelf) })
			case 1, 2:
				k := key.Draw(t, "key")
				delete(after[shelf], k)
				steps = append(steps, func(w store.IndexWriter) error { return w.Remove(shelf, []byte(k)) })
			default:
				k, v := key.Draw(t, "key"), key.Draw(t, "value")
				if after[shelf] == nil {
					after[shelf] = map[string]string{}
				}
				after[shelf][k] = v
				steps = append(steps, func(w store.IndexWriter) error { return w.Put(shelf, []byte(k), []byte(v)) })
			}
		}
		fail := rapid.IntRange(0, 3).Draw(t, "fails") == 0
		err := f.db.Index().Update(f.ctx, store.Lease{}, func(w store.IndexWriter) error {
			for _, step := range steps {
				if err := step(w); err != nil {
					return err
				}
			}
			if fail {
				return errRefused
			}
			return nil
		})
		switch {
		case fail && !errors.Is(err, errRefused), !fail && err != nil:
			t.Fatal(err)
		case !fail:
			want = after
		}
	}
	rows := map[string][]string{}
	for n, s := range want {
		for _, k := range slices.Sorted(maps.Keys(s)) {
			rows[n] = append(rows[n], k+"="+s[k])
		}
	}
	if diff := cmp.Diff(rows, f.shelves(t)); diff != "" {
		t.Fatal(diff)
	}
	shelf, from := name.Draw(t, "shelf"), key.Draw(t, "from")
	var behind []string
	for _, row := range rows[shelf] {
		if k, _, _ := strings.Cut(row, "="); k >= from {
			behind = append(behind, row)
		}
	}
	err = f.db.Index().View(f.ctx, func(r store.IndexReader) error {
		got, err := rowsOf(r.Cursor(shelf, []byte(from)))
		if diff := cmp.Diff(behind, got); diff != "" {
			return fmt.Errorf("from %q: %s", from, diff)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fails is what *testing.T and *rapid.T have in common.
type fails interface {
	Helper()
	Fatal(...any)
}

func (f *fixture) stock(t fails, shelf, key, value string) {
	t.Helper()
	err := f.db.Index().Update(f.ctx, store.Lease{}, func(w store.IndexWriter) error {
		return w.Put(shelf, []byte(key), []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) shelves(t fails) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := f.db.Index().View(f.ctx, func(r store.IndexReader) error {
		names, err := r.Shelves()
		for _, name := range names {
			rows, cursorErr := rowsOf(r.Cursor(name, nil))
			all[name], err = rows, errors.Join(err, cursorErr)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func rowsOf(c store.IndexCursor) ([]string, error) {
	var rows []string
	for {
		k, v, err := c.Next()
		if k == nil || err != nil {
			return rows, err
		}
		rows = append(rows, string(k)+"="+string(v))
	}
}
