package bolt

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

func mustOpen(t testing.TB, dir string, opts Options) *DB {
	t.Helper()
	db, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// put writes the next version of a patient in each of some transactions.
func put(t testing.TB, db *DB, ids ...string) store.Commit {
	t.Helper()
	var c store.Commit
	for _, id := range ids {
		var err error
		if c, err = db.Update(t.Context(), store.Origin{}, appendPatient(id, "")); err != nil {
			t.Fatalf("put %s: %v", id, err)
		}
	}
	return c
}

func appendPatient(id, text string) func(store.Writer) error {
	doc, err := tape.Parse([]byte(`{"resourceType":"Patient","language":"`+text+`"}`), 0)
	return func(w store.Writer) error {
		if err != nil {
			return err
		}
		r := &fhir.Resource{Key: fhir.Key{Tenant: "t", Type: "Patient", ID: id}, Version: 1, Updated: w.Now()}
		i := fhir.Create
		if old, err := w.Read(r.Key, w.Last()); err == nil {
			r.Version, i = old.Version+1, fhir.Update
		}
		r.JSON = fhir.Stamp(doc, id, r.Version, w.Now())
		return w.Append(r, i)
	}
}

// filled makes a store with something in it and closes it.
func filled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	db := mustOpen(t, dir, Options{noSync: true})
	put(t, db, "a", "b", "a")
	err := db.Queue().Update(t.Context(), store.Lease{}, func(w store.QueueWriter) error {
		return w.SetCursor("matcher", store.Cursor{Seq: 3})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// setMeta changes what a file says of itself.
func setMeta(t *testing.T, path string, key []byte, value string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(metaBucket)).Put(key, []byte(value)) })
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func rewrite(t *testing.T, path string, fn func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fn(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_refusesWhatItCantUseAndLeavesItAlone(t *testing.T) {
	resources, queue := resourcesHalf.name, queueHalf.name
	garble := func(from, to int) func([]byte) []byte {
		return func(b []byte) []byte {
			for i := from; i < min(to, len(b)); i++ {
				b[i] ^= 0x5a
			}
			return b
		}
	}
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   string
	}{
		{"newer resources", func(t *testing.T, dir string) { setMeta(t, filepath.Join(dir, resources), metaFormat, "3") }, "run the newer fhirhook"},
		{"newer queue", func(t *testing.T, dir string) { setMeta(t, filepath.Join(dir, queue), metaFormat, "3") }, "run the newer fhirhook"},
		{"unreadable format", func(t *testing.T, dir string) { setMeta(t, filepath.Join(dir, queue), metaFormat, "x") }, "which is no number"},
		{"foreign twin", func(t *testing.T, dir string) {
			other := filled(t)
			b, err := os.ReadFile(filepath.Join(other, queue))
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, filepath.Join(dir, queue), func([]byte) []byte { return b })
		}, "belong to different stores"},
		{"swapped twins", func(t *testing.T, dir string) {
			for _, move := range [][2]string{{queue, "x"}, {resources, queue}, {"x", resources}} {
				if err := os.Rename(filepath.Join(dir, move[0]), filepath.Join(dir, move[1])); err != nil {
					t.Fatal(err)
				}
			}
		}, "under another name"},
		{"no queue", func(t *testing.T, dir string) { remove(t, dir, queue) }, "queue.db is missing"},
		{"no resources", func(t *testing.T, dir string) { remove(t, dir, resources) }, "resources.db is missing"},
		{"no bbolt file", func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(dir, resources), func([]byte) []byte { return bytes.Repeat([]byte("hello "), 10000) })
		}, "damaged"},
		{"empty file", func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(dir, resources), func([]byte) []byte { return nil })
		}, "it is empty"},
		{"another program's file", func(t *testing.T, dir string) {
			remove(t, dir, queue)
			db, err := bbolt.Open(filepath.Join(dir, queue), 0o600, &bbolt.Options{NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}, "was not made by fhirhook"},
		{"both meta pages garbled", func(t *testing.T, dir string) { rewrite(t, filepath.Join(dir, resources), garble(0, 8192)) }, "damaged"},
		{"all behind the meta pages garbled", func(t *testing.T, dir string) { rewrite(t, filepath.Join(dir, resources), garble(8192, 1<<30)) }, "can't be used"},
		{"the queue behind its meta pages garbled", func(t *testing.T, dir string) { rewrite(t, filepath.Join(dir, queue), garble(8192, 1<<30)) }, "can't be used"},
		{"cut short", func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(dir, resources), func(b []byte) []byte { return b[:3*4096] })
		}, "its end is missing"},
		{"a folder in its place", func(t *testing.T, dir string) {
			remove(t, dir, queue)
			if err := os.Mkdir(filepath.Join(dir, queue), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "can't be used"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filled(t)
			tt.damage(t, dir)
			before := contents(t, dir)
			db, err := Open(dir, Options{})
			if err == nil {
				_ = db.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("the error is %q; it should name the folder and say %q", err, tt.want)
			}
			if after := contents(t, dir); before != after {
				t.Error("the files were changed")
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// contents is every file of a folder, names and bytes.
func contents(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		all.WriteString(e.Name() + "\n")
		if e.Type().IsRegular() {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
	}
	return all.String()
}

func TestOpen_inUseSaysSo(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, Options{noSync: true})
	_, err := Open(dir, Options{LockTimeout: 10 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open = %v", err)
	}
}

func TestOpen_isPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	mustOpen(t, dir, Options{noSync: true})
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, resourcesHalf.name): 0o600, filepath.Join(dir, queueHalf.name): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

// The making of a store may be cut short at any step; the next Open makes it anew.
func TestOpen_finishesAMakingThatWasCutShort(t *testing.T) {
	tests := map[string]func(t *testing.T, dir string){
		"between the files": func(t *testing.T, dir string) { remove(t, dir, resourcesHalf.name) },
		"before both": func(t *testing.T, dir string) {
			for _, name := range []string{resourcesHalf.name, queueHalf.name} {
				if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+".new")); err != nil {
					t.Fatal(err)
				}
			}
		},
		"inside the first": func(t *testing.T, dir string) {
			remove(t, dir, resourcesHalf.name)
			remove(t, dir, queueHalf.name)
			if err := os.WriteFile(filepath.Join(dir, queueHalf.name+".new"), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"before the mark": func(*testing.T, string) {},
	}
	for name, cut := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := create(dir, Options{LockTimeout: time.Second, noSync: true}); err != nil {
				t.Fatal(err)
			}
			cut(t, dir)
			db := mustOpen(t, dir, Options{noSync: true})
			put(t, db, "a")
			if err := db.Check(t.Context(), nil); err != nil {
				t.Error(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 3 {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}

func TestDB_timeNeverGoesBackOverARestart(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 31, 12, 0, 0, 999_999, time.FixedZone("", 3600))
	clock := func() time.Time { return now }
	db := mustOpen(t, dir, Options{Clock: clock, noSync: true})
	first := put(t, db, "a")
	if want := time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC); first.Time != want {
		t.Errorf("time is %s, want %s", first.Time, want)
	}
	now = now.Add(-time.Hour)
	if c := put(t, db, "a"); c.Time != first.Time {
		t.Errorf("time went from %s to %s", first.Time, c.Time)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, dir, Options{Clock: clock, noSync: true})
	if c := put(t, db, "a"); c.Time != first.Time {
		t.Errorf("time went from %s to %s", first.Time, c.Time)
	}
	now = now.Add(2 * time.Hour)
	if c := put(t, db, "a"); !c.Time.After(first.Time) {
		t.Errorf("time stays at %s", c.Time)
	}
}
