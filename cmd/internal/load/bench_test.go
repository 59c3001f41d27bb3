package load_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"fhirhook/cmd/internal/app"
	"fhirhook/cmd/internal/load"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/bolt"
	"fhirhook/fhir/validate"
)

const benchResources = 10_000

// observations are lines like those of well-known generators of test patients.
func observations() []byte {
	var b bytes.Buffer
	for i := range benchResources {
		fmt.Fprintf(&b, `{"resourceType":"Observation","id":"4e8ed886-fd5f-40bb-8feb-%012d","status":"final",`+
			`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"laboratory"}]}],`+
			`"code":{"coding":[{"system":"http://loinc.org","code":"2339-0","display":"Glucose"}],"text":"Glucose"},`+
			`"subject":{"reference":"Patient/52c0ee5d-8e44-4c6f-8f5f-%012d"},"encounter":{"reference":"Encounter/0e0f0a0b-8e44-4c6f-8f5f-%012d"},`+
			`"effectiveDateTime":"2011-08-04T14:35:11-04:00","issued":"2011-08-04T14:35:11.123-04:00",`+
			`"valueQuantity":{"value":%d.16,"unit":"mg/dL","system":"http://unitsofmeasure.org","code":"mg/dL"}}`+"\n", i, i/50, i/10, i%100)
	}
	return b.Bytes()
}

// BenchmarkImport is to be at least half as fast as BenchmarkStraight: the same resources in the same batches.
func BenchmarkImport(b *testing.B) {
	text := observations()
	app.TuneCollector() // as the command does
	path := filepath.Join(b.TempDir(), "o.ndjson")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		db := opened(b)
		server, err := rest.New(rest.Options{
			DB: db, Search: search.New(db, criteria.R4(), search.Options{}), Validator: validate.Structure, AllowQuiet: true, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		report, err := load.Run(b.Context(), load.Options{
			Files: []string{path}, State: filepath.Join(b.TempDir(), "state"),
			Target: load.Local{Handler: server, Base: "http://localhost" + rest.Prefix},
		})
		if err != nil || report.Created != benchResources {
			b.Fatalf("%+v, %v", report, err)
		}
		closed(b, db)
	}
	b.ReportMetric(float64(benchResources*b.N)/b.Elapsed().Seconds(), "resources/s")
}

func BenchmarkStraight(b *testing.B) {
	text := observations()
	app.TuneCollector()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		db := opened(b)
		lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
		for len(lines) > 0 {
			n := min(load.DefaultBatch, len(lines))
			straight(b, db, lines[:n])
			lines = lines[n:]
		}
		closed(b, db)
	}
	b.ReportMetric(float64(benchResources*b.N)/b.Elapsed().Seconds(), "resources/s")
}

func straight(b *testing.B, db store.DB, lines [][]byte) {
	b.Helper()
	batch := make([]fhir.Incoming, len(lines))
	for i, line := range lines {
		var err error
		if batch[i], err = fhir.Read(line, 0); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := db.Update(context.Background(), store.Origin{}, func(w store.Writer) error {
		for _, in := range batch {
			if _, err := store.Update(w, fhir.Key{Tenant: fhir.DefaultTenant, Type: in.Type, ID: in.ID}, in, "", nil); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}

func opened(b *testing.B) store.DB {
	b.Helper()
	db, err := bolt.Open(b.TempDir(), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return db
}

func closed(b *testing.B, db store.DB) {
	b.Helper()
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}
