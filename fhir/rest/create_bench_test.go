package rest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
	"fhirhook/fhir/validate"
)

// BenchmarkCreate is what the endpoint itself does for a create: the store keeps nothing, and there is no network.
func BenchmarkCreate(b *testing.B) {
	db := forgetful{storetest.NewModel()}
	server, err := New(Options{
		DB: db, Search: search.New(db, criteria.R4(), search.Options{}), BaseURL: "http://localhost",
		Validator: validate.Structure,
	})
	if err != nil {
		b.Fatal(err)
	}
	body := `{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin [Mass/volume] in Blood"}],"text":"Hemoglobin"},"subject":{"reference":"Patient/p1","display":"Ada Example"},"encounter":{"reference":"Encounter/e1"},"effectiveDateTime":"2026-05-04T10:00:00Z","issued":"2026-05-04T11:30:00.000Z","performer":[{"reference":"Organization/lab","display":"Example Laboratory"}],"valueQuantity":{"value":13.2,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"},"note":[{"text":"measured twice, the second value is reported"}],"referenceRange":[{"low":{"value":12.0,"unit":"g/dL"},"high":{"value":15.5,"unit":"g/dL"},"text":"12.0 to 15.5 g/dL"}]}`
	header := http.Header{"Content-Type": {FHIRJSON}, "User-Agent": {"Go-http-client/1.1"}, "Accept-Encoding": {"gzip"}}
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, Prefix+"/Observation", strings.NewReader(body))
		r.Header = header
		w := &unread{header: http.Header{}}
		server.ServeHTTP(w, r)
		if w.status != http.StatusCreated {
			b.Fatal(w.status)
		}
	}
}

// unread is the answer to a request, of which only the status is kept.
type unread struct {
	header http.Header
	status int
}

func (u *unread) Header() http.Header         { return u.header }
func (u *unread) WriteHeader(status int)      { u.status = status }
func (u *unread) Write(b []byte) (int, error) { return len(b), nil }

// forgetful is a store that is always empty.
type forgetful struct{ store.DB }

func (forgetful) Update(_ context.Context, _ store.Origin, fn func(store.Writer) error) (store.Commit, error) {
	return store.Commit{Seq: 1}, fn(blank{})
}

// blank is the Writer of an empty store.
type blank struct{ store.Writer }

func (blank) Now() time.Time                                   { return time.UnixMilli(1_780_000_000_000).UTC() }
func (blank) Last() store.Seq                                  { return 0 }
func (blank) Read(fhir.Key, store.Seq) (*fhir.Resource, error) { return nil, store.ErrNotFound }
func (blank) Append(*fhir.Resource, fhir.Interaction) error    { return nil }
