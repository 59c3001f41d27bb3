package bolt

import (
	"context"
	"testing"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for v := uint64(1); v < 30; v++ {
		c, err := db.Update(ctx, store.Origin{}, func(w store.Writer) error {
			doc, _ := tape.Parse([]byte(`{"resourceType":"Patient"}`), 0)
			r := &fhir.Resource{Key: fhir.Key{Tenant: "t", Type: "Patient", ID: "a"}, Version: v, Updated: w.Now()}
			r.JSON = fhir.Stamp(doc, "a", v, w.Now())
			return w.Append(r, fhir.Update)
		})
		if err != nil || c.Seq != store.Seq(v) {
			t.Fatal(c, err)
		}
	}
	if err := db.Check(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Check(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
