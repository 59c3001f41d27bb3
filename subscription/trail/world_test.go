package trail_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
	"fhirhook/subscription/trail"
)

const (
	tenant = "t"
	site   = "https://own.example/fhir/R4"
	hidden = "hidden" // the Subscription that wants no AuditEvents
)

// long is an id that fits into no other.
var long = strings.Repeat("Long-", 12) + "id"

// subscriptions are those of the tests; the second is also what another one notifies of.
var subscriptions = []string{"a", "b.b", long, hidden}

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// world is a store with attempts, and what the test itself knows of them.
type world struct {
	db     store.DB
	lease  store.Lease
	trail  *trail.Trail
	engine *search.Engine
	shown  []*fhir.Resource // what should be found
	equal  map[string]uint64
	stored map[string]*fhir.Resource // AuditEvents of clients
}

func newWorld(t fataler) *world {
	t.Helper()
	w := &world{db: storetest.NewModel(), equal: map[string]uint64{}, stored: map[string]*fhir.Resource{}}
	lease, err := w.db.Lease(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	w.lease = lease
	w.trail = trail.New(trail.Options{
		Queue: w.db.Queue(), Site: site,
		Shown: func(_ context.Context, l store.Lane) (bool, error) { return l.Subscription != hidden, nil },
	})
	w.engine = search.New(w.db, criteria.R4(), search.Options{Virtuals: []search.Virtual{w.trail}})
	return w
}

func lane(subscription string) store.Lane {
	return store.Lane{Tenant: tenant, Subscription: subscription}
}

// record writes attempts, and remembers what should come of them.
func (w *world) record(t fataler, attempts ...store.Attempt) {
	t.Helper()
	err := w.db.Queue().Update(context.Background(), w.lease, func(q store.QueueWriter) error {
		for _, a := range attempts {
			record, err := q.Lane(a.Lane)
			if err := errors.Join(err, q.PutLane(record), q.Record(a)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attempts {
		place := fmt.Sprint(a.Lane, a.Number, a.Time.UnixNano())
		e := trail.Event(a, w.equal[place], site)
		w.equal[place]++
		if a.Lane.Tenant == tenant && a.Lane.Subscription != hidden {
			w.shown = append(w.shown, e)
		}
	}
}

// put stores an AuditEvent as a client does.
func (w *world) put(t fataler, id, body string) {
	t.Helper()
	in, err := fhir.Read([]byte(body), 0)
	if err != nil {
		t.Fatal(err)
	}
	var saved store.Saved
	_, err = w.db.Update(context.Background(), store.Origin{}, func(tx store.Writer) (err error) {
		saved, err = store.Update(tx, fhir.Key{Tenant: tenant, Type: fhir.AuditEvent, ID: id}, in, "", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.stored[id] = saved.Resource
}

func (w *world) search(t fataler, now time.Time, params ...criteria.Pair) search.Page {
	t.Helper()
	page, err := w.engine.Search(context.Background(), search.Request{
		Tenant: tenant, Type: fhir.AuditEvent, Params: params, Now: now, Strict: true, Bases: []string{site},
	})
	if err != nil {
		t.Fatalf("%v: %v", params, err)
	}
	return page
}

// naive is a search by looking at everything.
func (w *world) naive(t fataler, now time.Time, filters []criteria.Pair, sort string) []string {
	t.Helper()
	query, _, err := criteria.ParseParams(fhir.AuditEvent, filters, criteria.R4(), false)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Clone(w.shown)
	for _, r := range w.stored {
		all = append(all, r)
	}
	env := criteria.Env{Now: now, Bases: []string{site}}
	all = slices.DeleteFunc(all, func(r *fhir.Resource) bool { return !query.Match(r, env) })
	code, descending := strings.CutPrefix(sort, "-")
	slices.SortFunc(all, func(a, b *fhir.Resource) int {
		c := 0
		switch code {
		case "_lastUpdated":
			c = a.Updated.Compare(b.Updated)
		case "date":
			c = recorded(t, a).Compare(recorded(t, b))
		case "outcome":
			c = strings.Compare(a.Doc().Root().Get("outcome").Text(), b.Doc().Root().Get("outcome").Text())
		}
		if descending {
			c = -c
		}
		return cmp.Or(c, strings.Compare(a.Key.ID, b.Key.ID))
	})
	return refs(all)
}

func recorded(t fataler, r *fhir.Resource) time.Time {
	t.Helper()
	at, err := fhir.ParseInstant(r.Doc().Root().Get("recorded").Text())
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func refs(all []*fhir.Resource) []string {
	out := make([]string, 0, len(all))
	for _, r := range all {
		out = append(out, string(r.JSON))
	}
	return out
}

func pair(name, value string) criteria.Pair { return criteria.Pair{Name: name, Value: value} }

// noon is when it all happens, if not days before.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// drawAttempt draws a line of the attempt log: few places and times, so that some are equal.
func drawAttempt(t *rapid.T) store.Attempt {
	states := []store.State{store.Owed, store.Delivered, store.Failed, store.Withheld, store.Cancelled, store.Skipped}
	a := store.Attempt{
		Lane:   store.Lane{Tenant: rapid.SampledFrom([]string{tenant, tenant, tenant, "other"}).Draw(t, "tenant"), Subscription: rapid.SampledFrom(subscriptions).Draw(t, "lane")},
		Number: rapid.Uint64Range(0, 4).Draw(t, "number"),
		ID:     rapid.StringMatching(`[a-z2-7]{4}`).Draw(t, "id"),
		Try:    rapid.IntRange(0, 3).Draw(t, "try"),
		Time: noon.Add(-time.Duration(rapid.IntRange(0, 4).Draw(t, "days"))*24*time.Hour - time.Duration(rapid.IntRange(0, 3).Draw(t, "minutes"))*time.Minute +
			rapid.SampledFrom([]time.Duration{0, 1, time.Millisecond, -1}).Draw(t, "offset")),
		State: rapid.SampledFrom(states).Draw(t, "state"),
		Class: rapid.SampledFrom([]string{"", "timeout", "status-5xx"}).Draw(t, "class"),
		Reply: rapid.SampledFrom([]string{"", " ", "try\x00later", "ok"}).Draw(t, "reply"),
	}
	if a.Try > 0 {
		a.Duration, a.Status = time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "duration")), rapid.SampledFrom([]int{0, 200, 503}).Draw(t, "status")
	}
	if a.State == store.Owed {
		a.Next = a.Time.Add(time.Minute)
	}
	if a.Number > 0 {
		focus := rapid.SampledFrom([]string{"Patient/1", "Patient/2", "Observation/1", "Subscription/b.b"}).Draw(t, "focus")
		typ, id, _ := strings.Cut(focus, "/")
		a.Focus, a.Version = fhir.Key{Tenant: a.Lane.Tenant, Type: fhir.Type(typ), ID: id}, rapid.Uint64Range(1, 2).Draw(t, "version")
		a.Interaction = rapid.SampledFrom([]fhir.Interaction{fhir.Create, fhir.Update, fhir.Delete}).Draw(t, "interaction")
		a.Cause = rapid.SampledFrom([]string{"", "", "Patient/9/_history/1"}).Draw(t, "cause")
	}
	return a
}

// drawFilters draws criteria that find some.
func (w *world) drawFilters(t *rapid.T) []criteria.Pair {
	some := []criteria.Pair{
		pair("entity", "Subscription/a"), pair("entity", "Subscription/b.b"), pair("entity", "Patient/1"), pair("entity", "Patient/1,Subscription/"+long),
		pair("entity", "Patient/1/_history/2"), pair("entity:Patient", "2"), pair("entity", site+"/Observation/1"), pair("entity", "1"), pair("entity:missing", "false"),
		pair("patient", "Patient/1"), pair("entity", "Subscription/"+hidden),
		pair("date", "ge2026-05-03"), pair("date", "lt2026-05-02T12:00:00Z"), pair("date", "2026-05-04"), pair("date", "ne2026-05-04"), pair("date", "gt2026-05-04,lt2026-05-02"),
		pair("_lastUpdated", "le2026-05-03T11:59:00Z"), pair("date", "ap2026-05-03"), pair("date", "sa2026-05-01"),
		pair("outcome", "8"), pair("outcome", "0,4"), pair("subtype", "delivered"), pair("subtype", "ping"), pair("type", "transmit"), pair("type:not", "transmit"),
		pair("action", "E"), pair("agent-name", "fhirhook"), pair("entity-type", "Observation"), pair("entity-role", "9"), pair("site", "https"),
	}
	if len(w.shown) > 0 {
		ids := rapid.SliceOfN(rapid.SampledFrom(w.shown), 1, 3).Draw(t, "ids")
		values := []string{"s1", "nobody"}
		for _, r := range ids {
			values = append(values, r.Key.ID)
		}
		some = append(some, pair("_id", strings.Join(values, ",")), pair("_id", values[2]), pair("_id:not", values[2]))
	}
	return rapid.SliceOfN(rapid.SampledFrom(some), 0, 2).Draw(t, "filters")
}

func (w *world) putSome(t *rapid.T) {
	for i := range rapid.IntRange(0, 4).Draw(t, "stored") {
		id := rapid.SampledFrom([]string{"s1", "at-1", "zz", "B", "ax-2"}).Draw(t, "id")
		w.put(t, id, fmt.Sprintf(`{"resourceType":"AuditEvent","id":%q,"type":{"code":"rest"},"recorded":"2026-05-0%dT12:00:00Z","outcome":"%d","agent":[{"requestor":true}],"source":{"observer":{"display":"x"}},"entity":[{"what":{"reference":"Patient/1"}}]}`,
			id, 1+i, 4*(i%3)))
	}
}
