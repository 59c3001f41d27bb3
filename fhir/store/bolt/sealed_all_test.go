//go:build all

package bolt

import (
	"testing"

	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

// TestDB_sealed: encryption changes nothing of what a store does.
func TestDB_sealed(t *testing.T) {
	folders := map[store.DB]string{}
	sealing := Sealing{Ring: ringOf(t), Types: every}
	open := func(t *testing.T, dir string) store.DB {
		t.Helper()
		db, err := Open(dir, Options{noSync: true, Sealing: sealing})
		if err != nil {
			t.Fatal(err)
		}
		folders[db] = dir
		return db
	}
	storetest.Run(t,
		func(t *testing.T) store.DB { return open(t, t.TempDir()) },
		func(t *testing.T, db store.DB) store.DB {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, folders[db])
		})
}
