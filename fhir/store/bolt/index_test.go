package bolt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"fhirhook/fhir/store"
)

// An index that can't be used costs its making, and never the start.
func TestOpen_makesAnIndexAnewThatCantBeUsed(t *testing.T) {
	t.Parallel()
	key := []byte("k")
	tests := []struct {
		name   string
		damage func(t *testing.T, path string)
		kept   bool
	}{
		{"untouched", func(*testing.T, string) {}, true},
		{"gone", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"empty", func(t *testing.T, path string) { rewrite(t, path, func([]byte) []byte { return nil }) }, false},
		{"cut short", func(t *testing.T, path string) {
			rewrite(t, path, func(b []byte) []byte { return b[:2*os.Getpagesize()] })
		}, false},
		{"garbage", func(t *testing.T, path string) {
			rewrite(t, path, func(b []byte) []byte { return bytes.Repeat([]byte{0x5a}, len(b)) })
		}, false},
		{"another store's", func(t *testing.T, path string) { setMeta(t, path, metaEpoch, "another") }, false},
		{"a newer format's", func(t *testing.T, path string) { setMeta(t, path, metaFormat, "99") }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filled(t)
			db := mustOpen(t, dir, Options{noSync: true})
			err := db.Index().Update(t.Context(), store.Lease{}, func(w store.IndexWriter) error { return w.Put("a", key, key) })
			if err = errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			tt.damage(t, filepath.Join(dir, indexHalf.name))
			db = mustOpen(t, dir, Options{noSync: true})
			err = db.Index().View(t.Context(), func(r store.IndexReader) error {
				_, err := r.Get("a", key)
				return err
			})
			if got := err == nil; got != tt.kept {
				t.Errorf("Get = %v", err)
			}
			put(t, db, "c")
			if err := db.Check(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}
