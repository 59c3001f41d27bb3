package audit_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/audit"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store/storetest"
)

const site = "https://own.example/fhir/R4"

// begin is the time at which tests begin.
var begin = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// caller is who calls in a tenant.
func caller(tenant, subject string) *auth.Principal {
	return (auth.Principal{Issuer: "https://id.example", Subject: subject, Tenant: tenant}).Compile(criteria.R4())
}

// deed is a read of a Patient by ada.
func deed(tenant, id string) rest.Deed {
	return rest.Deed{
		RequestID: "r-" + id, Who: caller(tenant, "ada"), From: tenant, Address: netip.MustParseAddr("192.0.2.7"), Method: "GET",
		Interaction: "read", Type: "Patient", ID: id, Version: 3, Status: 200, Took: 1500 * time.Microsecond,
	}
}

// world is a Log that runs, and a search over it.
type world struct {
	t      testing.TB
	dir    string
	clock  atomic.Int64 // of the Log, in nanoseconds since 1970; set it while nothing is recorded
	log    *audit.Log
	stop   func()
	engine *search.Engine
	trail  *audit.Trail
}

func (w *world) now() time.Time { return time.Unix(0, w.clock.Load()).UTC() }

func (w *world) set(t time.Time) { w.clock.Store(t.UnixNano()) }

func newWorld(t testing.TB, change ...func(*audit.Options)) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "audit")}
	w.set(begin)
	w.open(change...)
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) open(change ...func(*audit.Options)) {
	w.t.Helper()
	o := audit.Options{Dir: w.dir, Now: w.now}
	for _, f := range change {
		f(&o)
	}
	var err error
	if w.log, err = audit.Open(o); err != nil {
		w.t.Fatal(err)
	}
	w.trail = w.log.Shown(site)
	w.engine = search.New(storetest.NewModel(), criteria.R4(), search.Options{Virtuals: []search.Virtual{w.trail}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.log.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
		w.stop = func() {}
	}
}

// found is what a search in a tenant finds, as ids of the resources that the events are about, or the interaction.
func (w *world) found(tenant, query string) string {
	w.t.Helper()
	params, err := criteria.ParsePairs(query)
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := w.engine.Search(context.Background(), search.Request{
		Tenant: tenant, Type: fhir.AuditEvent, Params: params, Strict: true, Bases: []string{site}, Now: w.now(),
	})
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	var all []string
	for _, r := range page.Matches {
		all = append(all, told(r))
	}
	return strings.Join(all, " ")
}

// told is what an event is about.
func told(r *fhir.Resource) string {
	for e := range r.Doc().Root().Get("entity").Elements() {
		if ref := e.Path("what", "reference").Text(); ref != "" {
			return ref
		}
	}
	return r.Doc().Root().Get("subtype").At(0).Get("code").Text()
}

// all are the events of a tenant, as the view has them.
func (w *world) all(tenant string) (all []*fhir.Resource) {
	w.t.Helper()
	for r, err := range w.trail.Walk(context.Background(), search.Extent{Tenant: tenant}) {
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// files are the names in the folder.
func (w *world) files() string {
	w.t.Helper()
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// only names a Patient.
func only(id string) []criteria.Named { return []criteria.Named{{Type: "Patient", ID: id}} }
