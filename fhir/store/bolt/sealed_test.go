package bolt

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/seal"
)

func ringOf(t *testing.T) *seal.Ring {
	t.Helper()
	ring, err := seal.Open(t.TempDir(), seal.NewMaster(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func every(fhir.Type) bool { return true }

func putSealed(t *testing.T, db *DB, typ fhir.Type, id, json string) {
	t.Helper()
	in, err := fhir.Read([]byte(json), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Update(context.Background(), store.Origin{}, func(w store.Writer) error {
		_, err := store.Create(w, fhir.Key{Tenant: "t", Type: typ, ID: id}, in, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDB_sealsOnlyWhatItIsAskedTo: a secret is in none of the files, what isn't sealed is, and both are read.
func TestDB_sealsOnlyWhatItIsAskedTo(t *testing.T) {
	t.Parallel()
	dir, ring := t.TempDir(), ringOf(t)
	sealing := Sealing{Ring: ring, Types: func(t fhir.Type) bool { return t == fhir.Subscription }}
	db, err := Open(dir, Options{noSync: true})
	if err != nil {
		t.Fatal(err)
	}
	putSealed(t, db, fhir.Subscription, "before", `{"resourceType":"Subscription","id":"before"}`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(dir, Options{noSync: true, Sealing: sealing}); err != nil {
		t.Fatal(err)
	}
	const secret, public = "planted-secret-7c1", "planted-public-7c1"
	putSealed(t, db, fhir.Subscription, "s", `{"resourceType":"Subscription","id":"s","reason":"`+secret+`"}`)
	putSealed(t, db, "Patient", "p", `{"resourceType":"Patient","id":"p","language":"`+public+`"}`)
	for id, want := range map[string]string{"Subscription/s": secret, "Subscription/before": "before", "Patient/p": public} {
		typ, name, _ := strings.Cut(id, "/")
		err := db.View(context.Background(), func(r store.Reader) error {
			got, err := r.Read(fhir.Key{Tenant: "t", Type: fhir.Type(typ), ID: name}, r.Last())
			if err == nil && !bytes.Contains(got.JSON, []byte(want)) {
				err = fmt.Errorf("read %s", got.JSON)
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := db.Check(context.Background(), func(_, _ uint64) {}); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var all []byte
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	if bytes.Contains(all, []byte(secret)) || !bytes.Contains(all, []byte(public)) {
		t.Error("the files hold the secret, or not what is no secret")
	}
}

// TestDB_saysThatARowIsSealed: without the key, or with the JSON of another row, an error says so.
func TestDB_saysThatARowIsSealed(t *testing.T) {
	t.Parallel()
	sealing := Sealing{Ring: ringOf(t), Types: every}
	r := &fhir.Resource{Key: fhir.Key{Tenant: "t", Type: "Patient", ID: "a"}, Version: 1, Updated: someTime, JSON: []byte(`{"a":1}`)}
	row := encodeRow(r, fhir.Create, store.Origin{}, sealing)
	if c, err := decodeRow(1, row, sealing); err != nil || !bytes.Equal(c.Resource.JSON, r.JSON) {
		t.Errorf("read %v, %v", c, err)
	}
	if _, err := decodeRow(1, row, Sealing{}); err == nil || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("without a key: %v", err)
	}
	if _, err := decodeRow(1, bytes.Replace(row, []byte("Patient\x01a"), []byte("Patient\x01b"), 1), sealing); err == nil {
		t.Error("the JSON of one resource was read as another's")
	}
}
