package bolt

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

func uses(t *testing.T, db *DB, tenant string) (u store.Usage, err error) {
	t.Helper()
	_ = db.View(t.Context(), func(r store.Reader) error {
		u, err = r.Usage(tenant)
		return nil
	})
	return u, err
}

// forget makes a store one that nobody has counted from a row on; 0: one that was made before usage was counted.
func forget(t *testing.T, db *DB, last store.Seq) {
	t.Helper()
	err := db.resources.Update(func(tx *bbolt.Tx) error {
		if last == 0 {
			return tx.DeleteBucket([]byte(usageBucket))
		}
		return tx.Bucket([]byte(usageBucket)).Put(countedKey, seqKey(last))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOpen_countsWhatIsBehind: a store from before usage was counted, and one that such a program wrote to since, are
// counted when they are opened.
func TestOpen_countsWhatIsBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, dir, Options{noSync: true})
	put(t, db, "a", "b", "a")
	three, _ := uses(t, db, "t")
	put(t, db, "c", "b")
	want, err := uses(t, db, "t")
	if err != nil || want.Resources != 3 || want.Bytes <= three.Bytes {
		t.Fatalf("%+v, %v", want, err)
	}
	for _, behind := range []store.Seq{0, 3} {
		forget(t, db, behind)
		if behind > 0 { // as the older program had left it
			err := db.resources.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte(usageBucket)).Put([]byte("t"), encodeUsage(three))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Check(t.Context(), nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("counted up to row %d of 5", behind)) {
			t.Errorf("Check says %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = mustOpen(t, dir, Options{noSync: true})
		if got, err := uses(t, db, "t"); got != want || err != nil {
			t.Errorf("from %d: %+v, %v; want %+v", behind, got, err, want)
		}
		if err := db.Check(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
}

// TestDB_countsNothingThatItCantRead: without the key of a Subscription its status can't be told. The usage stays behind
// until the store is opened with it, whatever is written meanwhile.
func TestDB_countsNothingThatItCantRead(t *testing.T) {
	t.Parallel()
	dir, ring := t.TempDir(), ringOf(t)
	sealing := Sealing{Ring: ring, Types: every}
	db := mustOpen(t, dir, Options{noSync: true, Sealing: sealing})
	putSealed(t, db, fhir.Subscription, "s", `{"resourceType":"Subscription","id":"s","status":"active"}`)
	forget(t, db, 0)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, dir, Options{noSync: true})
	put(t, db, "a")
	if _, err := uses(t, db, "t"); !errors.Is(err, errUncounted) {
		t.Errorf("without the key: %v", err)
	}
	_, err := db.Update(t.Context(), store.Origin{}, func(w store.Writer) error {
		if err := appendPatient("b", "")(w); err != nil {
			return err
		}
		if _, err := w.Usage("t"); !errors.Is(err, errUncounted) {
			t.Errorf("inside: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, dir, Options{noSync: true, Sealing: sealing})
	if got, err := uses(t, db, "t"); got.Resources != 3 || got.Subscriptions != 1 || err != nil {
		t.Errorf("with the key: %+v, %v", got, err)
	}
}

func TestCheck_findsUsageThatIsWrong(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*bbolt.Bucket) error{
		"a wrong count":   func(b *bbolt.Bucket) error { return b.Put([]byte("t"), encodeUsage(store.Usage{Resources: 1})) },
		"a garbled count": func(b *bbolt.Bucket) error { return b.Put([]byte("t"), []byte{1}) },
		"a lost tenant":   func(b *bbolt.Bucket) error { return b.Delete([]byte("t")) },
		"a tenant more":   func(b *bbolt.Bucket) error { return b.Put([]byte("u"), encodeUsage(store.Usage{Bytes: 7})) },
	} {
		db := mustOpen(t, t.TempDir(), Options{noSync: true})
		put(t, db, "a", "b", "a")
		if err := db.resources.Update(func(tx *bbolt.Tx) error { return damage(tx.Bucket([]byte(usageBucket))) }); err != nil {
			t.Fatal(err)
		}
		if err := db.Check(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "usage: tenant") {
			t.Errorf("%s: Check says %v", name, err)
		}
	}
}
