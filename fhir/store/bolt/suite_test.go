package bolt

import (
	"testing"

	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

// The suite runs without fsync: that acknowledged commits survive is what TestDB_survivesKill proves.
func TestDB(t *testing.T) {
	folders := map[store.DB]string{}
	open := func(t *testing.T, dir string) store.DB {
		t.Helper()
		db, err := Open(dir, Options{noSync: true})
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
