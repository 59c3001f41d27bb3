package rest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.etcd.io/bbolt"

	"fhirhook/criteria"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store/bolt"
)

// BenchmarkRead reads one resource over loopback from the server and from a bare Echo handler that serves the same
// bytes from bbolt, in turn, and reports the median ratio of neighbouring slices.
func BenchmarkRead(b *testing.B) {
	db, err := bolt.Open(b.TempDir(), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	server, err := New(Options{
		DB: db, Search: search.New(db, criteria.R4(), search.Options{}),
		Definitions: func(context.Context, string) (*criteria.Definitions, error) { return criteria.R4(), nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	ours := httptest.NewServer(server)
	defer ours.Close()
	body := get(b, put(b, ours.URL+Prefix+"/DiagnosticReport/r", `{"resourceType":"DiagnosticReport","id":"r","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"58410-2"}],"text":"Complete blood count"},"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2026-05-04T10:00:00Z","conclusion":"within the expected range"}`))
	bare := httptest.NewServer(bareReader(b, body))
	defer bare.Close()

	const slice = 500
	timed := func(url string) time.Duration {
		start := time.Now()
		for range slice {
			get(b, url)
		}
		return time.Since(start)
	}
	var ratios []float64
	for b.Loop() {
		mine, floor := timed(ours.URL+Prefix+"/DiagnosticReport/r"), timed(bare.URL+"/DiagnosticReport/r")
		ratios = append(ratios, float64(mine)/float64(floor))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "read÷bare")
}

// bareReader is Echo over bbolt, and nothing else.
func bareReader(b *testing.B, body []byte) http.Handler {
	b.Helper()
	db, err := bbolt.Open(b.TempDir()+"/bare.db", 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	bucket := []byte("r")
	if err := db.Update(func(tx *bbolt.Tx) error {
		r, err := tx.CreateBucket(bucket)
		if err != nil {
			return err
		}
		return r.Put([]byte("DiagnosticReport/r"), body)
	}); err != nil {
		b.Fatal(err)
	}
	e := echo.New()
	e.GET("/:type/:id", func(c echo.Context) error {
		var found []byte
		if err := db.View(func(tx *bbolt.Tx) error {
			found = append(found, tx.Bucket(bucket).Get([]byte(c.Param("type")+"/"+c.Param("id")))...)
			return nil
		}); err != nil {
			return err
		}
		return c.Blob(http.StatusOK, FHIRJSON, found)
	})
	return e
}

func put(b *testing.B, url, body string) string {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", FHIRJSON)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		b.Fatal(fmt.Sprint("PUT: ", answer.Status))
	}
	return url
}

func get(b *testing.B, url string) []byte {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		b.Fatal(answer.Status, err)
	}
	return text
}
