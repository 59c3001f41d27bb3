package trail_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/search"
	"fhirhook/fhir/store"
	"fhirhook/fhir/validate"
	"fhirhook/subscription/trail"
)

// TestTrail_searchFindsWhatLookingAtEverythingFinds compares searches, in pages, with a naive one over AuditEvents
// that were made of all rows, and those that clients stored.
func TestTrail_searchFindsWhatLookingAtEverythingFinds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(0, 25).Draw(t, "attempts") {
			w.record(t, drawAttempt(t))
		}
		w.putSome(t)
		// Near enough that the stretches of time in which the newest are looked for end among them.
		now := noon.Add(time.Hour + time.Duration(rapid.IntRange(-4, 4).Draw(t, "now"))*time.Minute)
		filters := w.drawFilters(t)
		sort := rapid.SampledFrom([]string{"", "_id", "-_lastUpdated", "_lastUpdated", "-date", "date", "-outcome"}).Draw(t, "sort")
		want := w.naive(t, now, filters, sort)

		params := append(slices.Clone(filters), pair("_count", rapid.SampledFrom([]string{"1", "2", "5", "1000"}).Draw(t, "count")))
		if sort != "" {
			params = append(params, pair("_sort", sort))
		}
		total := rapid.Bool().Draw(t, "total")
		if !total {
			params = append(params, pair("_total", "none"))
		}
		got := []string{}
		for page := (search.Page{Next: params}); page.Next != nil; {
			page = w.search(t, now, page.Next...)
			got = append(got, refs(page.Matches)...)
			if page.TotalKnown != total || total && page.Total != len(want) {
				t.Fatalf("%v: total %d (%v), want %d (%v)", params, page.Total, page.TotalKnown, len(want), total)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%v:\n%s", params, diff)
		}
	})
}

// TestTrail_pagesHoldStillWhileOthersWrite walks pages while attempts and AuditEvents come that are newer than the
// first of them.
func TestTrail_pagesHoldStillWhileOthersWrite(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 20).Draw(t, "attempts") {
			w.record(t, drawAttempt(t))
		}
		w.putSome(t)
		now := time.Now()
		sort := rapid.SampledFrom([]string{"_id", "-_lastUpdated", "_lastUpdated", "-date"}).Draw(t, "sort")
		total := rapid.SampledFrom([]string{"none", "accurate"}).Draw(t, "total")
		want := w.naive(t, now, nil, sort)
		got := []string{}
		for page := (search.Page{Next: []criteria.Pair{pair("_count", "2"), pair("_sort", sort), pair("_total", total)}}); page.Next != nil; {
			page = w.search(t, time.Time{}, page.Next...)
			got = append(got, refs(page.Matches)...)
			late := drawAttempt(t)
			late.Time = time.Now().Add(time.Hour) // a clock that goes wrong must not change pages either
			w.record(t, late)
			w.put(t, "late", `{"resourceType":"AuditEvent","id":"late","recorded":"2020-01-01T00:00:00Z"}`)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTrail_isReadByID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 15).Draw(t, "attempts") {
			w.record(t, drawAttempt(t))
		}
		for _, want := range w.shown {
			got, err := w.trail.Read(t.Context(), want.Key)
			if err != nil {
				t.Fatalf("%s: %v", want.Key, err)
			}
			if diff := cmp.Diff(string(want.JSON), string(got.JSON)); diff != "" || got.Version != 1 || !got.Updated.Equal(want.Updated) {
				t.Fatal(diff)
			}
			other := want.Key
			other.Tenant = "stranger"
			if r, err := w.trail.Read(t.Context(), other); !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("another tenant reads %v, %v", r, err)
			}
		}
	})
}

func TestTrail_whatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := store.Attempt{Lane: lane("a"), Number: 3, Time: noon, State: store.Delivered, Try: 1}
	secret := store.Attempt{Lane: lane(hidden), Number: 3, Time: noon, State: store.Delivered, Try: 1}
	w.record(t, a, secret)
	later := a
	later.Time = noon.Add(1)
	for name, id := range map[string]string{
		"no such id": "x", "another number": trail.ID(store.Attempt{Lane: a.Lane, Number: 4, Time: noon}, 0), "another instant": trail.ID(later, 0),
		"no second at that instant": trail.ID(a, 1), "an unknown lane": trail.ID(store.Attempt{Lane: lane("b"), Number: 3, Time: noon}, 0),
		"an unknown lane with a long id": trail.ID(store.Attempt{Lane: lane(long), Number: 3, Time: noon}, 0), "a lane that wants none": trail.ID(secret, 0),
	} {
		if r, err := w.trail.Read(t.Context(), fhir.Key{Tenant: tenant, Type: fhir.AuditEvent, ID: id}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

// TestTrail_expiresWithItsRows drops days of attempts between two pages.
func TestTrail_expiresWithItsRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 6 {
		w.record(t, store.Attempt{Lane: lane("a"), Number: uint64(i + 1), Time: noon.AddDate(0, 0, i-6), State: store.Delivered, Try: 1})
	}
	first := w.search(t, time.Time{}, pair("_sort", "date"), pair("_count", "2"), pair("_total", "none"))
	err := w.db.Queue().Update(t.Context(), w.lease, func(q store.QueueWriter) error {
		_, err := q.Expire(noon.AddDate(0, 0, -3))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.engine.Search(t.Context(), search.Request{Tenant: tenant, Type: fhir.AuditEvent, Params: first.Next})
	if fhir.KindOf(err) != fhir.Value || !strings.Contains(err.Error(), "no longer kept") {
		t.Errorf("the page behind one that expired: %v", err)
	}
	if left := w.search(t, time.Time{}); left.Total != 3 {
		t.Errorf("%d are left, want 3", left.Total)
	}
}

// TestTrail_longLanesAreReadInPieces has more rows than are read at a time in one day, of one number and of many.
func TestTrail_longLanesAreReadInPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all []store.Attempt
	for i := range 3*trail.PieceRows + 7 {
		a := store.Attempt{Lane: lane("a"), Number: 1, Time: noon.Add(time.Duration(i/2) * time.Microsecond), State: store.Owed, Try: 1}
		switch {
		case i%5 == 0:
			a.Number = uint64(i)
		case i%7 == 0:
			a.Time = a.Time.AddDate(0, 0, 1)
		case i%11 == 0:
			a.Number, a.Time = 0, a.Time.AddDate(0, 0, 1)
		}
		all = append(all, a)
	}
	w.record(t, all...)
	for _, since := range []time.Time{{}, noon.Add(100 * time.Microsecond)} {
		want := map[string]bool{}
		for _, r := range w.shown {
			want[r.Key.ID] = true
		}
		if !since.IsZero() {
			for _, a := range all {
				if a.Time.Before(since) {
					for n := range uint64(3) {
						delete(want, trail.ID(a, n))
					}
				}
			}
		}
		for r, err := range w.trail.Walk(t.Context(), search.Extent{Tenant: tenant, Since: since}) {
			if err != nil {
				t.Fatal(err)
			}
			if !want[r.Key.ID] {
				t.Fatalf("%s is not wanted, or came twice", r.Key)
			}
			delete(want, r.Key.ID)
		}
		if len(want) > 0 {
			t.Errorf("%d are missing", len(want))
		}
	}
}

func TestEvent_isValid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := drawAttempt(t)
		a.Reply = rapid.String().Draw(t, "any reply")
		r := trail.Event(a, 0, rapid.SampledFrom([]string{"", site}).Draw(t, "site"))
		in, err := fhir.Read(r.JSON, 0)
		if err != nil {
			t.Fatalf("%s: %v", r.JSON, err)
		}
		if problems := validate.Strict.Validate(in); len(problems) > 0 {
			t.Fatalf("%s: %v", r.JSON, problems)
		}
		if in.ID != r.Key.ID || !fhir.ValidID(in.ID) {
			t.Fatalf("its id is %q", in.ID)
		}
	})
}

func TestEvent_saysWhatHappened(t *testing.T) {
	t.Parallel()
	failed := store.Attempt{
		Lane: lane("labs"), Number: 7, ID: "c66z", Focus: fhir.Key{Tenant: tenant, Type: "Patient", ID: "1"}, Version: 3, Interaction: fhir.Update,
		Cause: "Observation/2/_history/1", Try: 2, Time: noon, Duration: 1500 * time.Millisecond, Status: 503, Class: "status-5xx", Reply: "try\x1b later ", State: store.Owed, Next: noon.Add(time.Minute),
	}
	got := string(trail.Event(failed, 0, site).JSON)
	want := `{"resourceType":"AuditEvent","id":"at-` + timeOfNoon + `-7-labs","meta":{"versionId":"1","lastUpdated":"2026-05-04T12:00:00.000Z"},` +
		`"type":{"system":"http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle","code":"transmit","display":"Transmit Record Lifecycle Event"},` +
		`"subtype":[{"system":"http://hl7.org/fhir/restful-interaction","code":"update"},{"system":"https://fhirhook.dev/CodeSystem/notification-state","code":"owed"}],` +
		`"action":"E","period":{"start":"2026-05-04T12:00:00.000Z","end":"2026-05-04T12:00:01.500Z"},"recorded":"2026-05-04T12:00:00.000Z","outcome":"4",` +
		`"outcomeDesc":"status-5xx: try` + "\uFFFD" + ` later","agent":[{"name":"fhirhook","requestor":false}],` +
		`"source":{"site":"https://own.example/fhir/R4","observer":{"display":"fhirhook"},"type":[{"system":"http://terminology.hl7.org/CodeSystem/security-source-type","code":"4","display":"Application Server"}]},` +
		`"entity":[{"what":{"reference":"Subscription/labs"},"type":{"system":"http://hl7.org/fhir/resource-types","code":"Subscription"},` +
		`"role":{"system":"http://terminology.hl7.org/CodeSystem/object-role","code":"9","display":"Subscriber"},"detail":[{"type":"id","valueString":"c66z"},` +
		`{"type":"sequence","valueString":"7"},{"type":"state","valueString":"owed"},{"type":"try","valueString":"2"},{"type":"duration-ms","valueString":"1500"},` +
		`{"type":"status","valueString":"503"},{"type":"error-class","valueString":"status-5xx"},{"type":"next-try","valueString":"2026-05-04T12:01:00.000Z"},` +
		`{"type":"cause","valueString":"Observation/2/_history/1"}]},{"what":{"reference":"Patient/1/_history/3"},` +
		`"type":{"system":"http://hl7.org/fhir/resource-types","code":"Patient"},"role":{"system":"http://terminology.hl7.org/CodeSystem/object-role","code":"1","display":"Patient"}}]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct {
		name    string
		attempt store.Attempt
		want    string
	}{
		{"delivered", store.Attempt{State: store.Delivered, Reply: "ok"}, "0 ok"},
		{"failed, to be tried again", store.Attempt{State: store.Owed, Class: "timeout"}, "4 timeout"},
		{"failed for good", store.Attempt{State: store.Failed, Class: "gone", Reply: "no"}, "8 gone: no"},
		{"cancelled", store.Attempt{State: store.Cancelled, Reply: "the Subscription was deleted"}, "4 the Subscription was deleted"},
		{"skipped", store.Attempt{State: store.Skipped}, "4 "},
		{"withheld", store.Attempt{State: store.Withheld}, "4 "},
		{"owed anew", store.Attempt{State: store.Owed}, "0 "},
	} {
		tt.attempt.Lane, tt.attempt.Time = lane("labs"), noon
		root := trail.Event(tt.attempt, 0, "").Doc().Root()
		if got := root.Get("outcome").Text() + " " + root.Get("outcomeDesc").Text(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// timeOfNoon is noon's nanoseconds in base 32, with the sign turned.
var timeOfNoon = func() string {
	s := strconv.FormatUint(uint64(noon.UnixNano())^1<<63, 32)
	return strings.Repeat("0", 13-len(s)) + s
}()

func TestID_isThePlaceOfARow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (store.Attempt, uint64) {
			return store.Attempt{
				Lane:   lane(rapid.StringMatching(`[A-Za-z0-9.\-]{1,64}`).Draw(t, name+" lane")),
				Number: rapid.Uint64().Draw(t, name+" number"),
				Time:   time.Unix(0, rapid.Int64().Draw(t, name+" time")),
			}, rapid.Uint64Range(0, 65535).Draw(t, name+" ordinal")
		}
		a, n := draw("a")
		b, m := draw("b")
		idA, idB := trail.ID(a, n), trail.ID(b, m)
		if !fhir.ValidID(idA) {
			t.Fatalf("%q is no id", idA)
		}
		w := trail.New(trail.Options{})
		if !w.Owns(idA) {
			t.Fatalf("%q is not read back", idA)
		}
		if same := a.Lane == b.Lane && a.Number == b.Number && a.Time.Equal(b.Time) && n == m; (idA == idB) != same {
			t.Fatalf("%q and %q", idA, idB)
		}
		if idA[:3] == idB[:3] && !a.Time.Equal(b.Time) && (idA < idB) != a.Time.Before(b.Time) {
			t.Fatalf("%q and %q are not in order of time", idA, idB)
		}
	})
}

func FuzzID(f *testing.F) {
	f.Add(trail.ID(store.Attempt{Lane: lane("labs"), Number: 7, Time: noon}, 0))
	f.Add(trail.ID(store.Attempt{Lane: lane(long), Number: 7, Time: noon}, 3))
	f.Add("at-" + timeOfNoon + "-07-labs")
	f.Add("at-" + timeOfNoon + "-7.0-labs")
	f.Add("at-zzzzzzzzzzzzz-7-labs")
	f.Add("ax-" + timeOfNoon + "-7-labs")
	f.Fuzz(func(t *testing.T, id string) {
		p, ok := trail.Parse(id)
		if ok && (trail.Write(p) != id || !fhir.ValidID(id)) {
			t.Errorf("%q is read as %+v", id, p)
		}
	})
}

func TestID_isWrittenInOneWayOnly(t *testing.T) {
	t.Parallel()
	w := trail.New(trail.Options{})
	for _, id := range []string{
		"", "at-", "at-" + timeOfNoon, "at-" + timeOfNoon + "-7", "at-" + timeOfNoon + "-7-", "at-" + timeOfNoon + "-07-labs", "at-" + timeOfNoon + "-7.0-labs",
		"AT-" + timeOfNoon + "-7-labs", "at-" + strings.ToUpper(timeOfNoon) + "-7-labs", "at-zzzzzzzzzzzzz-7-labs", "at-" + timeOfNoon + "x7-labs", "at-" + timeOfNoon + "-+7-labs",
		"ax-" + timeOfNoon + "-7-labs", "at-" + timeOfNoon + "-7-la_bs", "at-" + timeOfNoon + "-7-" + strings.Repeat("x", 60),
	} {
		if w.Owns(id) {
			t.Errorf("%q counts as an id", id)
		}
	}
}
