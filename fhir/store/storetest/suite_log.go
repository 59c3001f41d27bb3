package storetest

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

var make2k = []byte(strings.Repeat("x", 2048))

// goexit is what t.FailNow does in a function that runs where no test runs.
func goexit() { runtime.Goexit() }

// runs is how often a function given to Update runs.
func (f *fixture) runs() int {
	if _, doubled := f.db.(*rerun); doubled {
		return 2
	}
	return 1
}

// names lists versions, or says why not.
func names(seq iter.Seq2[*fhir.Resource, error]) string {
	var all []string
	for r, err := range seq {
		if err != nil {
			return err.Error()
		}
		all = append(all, name(r))
	}
	return strings.Join(all, " ")
}

// changes lists rows as place, end of transaction and version.
func changes(seq iter.Seq2[store.Change, error]) string {
	var all []string
	for c, err := range seq {
		if err != nil {
			return err.Error()
		}
		all = append(all, fmt.Sprintf("%d:%d:%s", c.Seq, c.End, name(c.Resource)))
	}
	return strings.Join(all, " ")
}

var logTests = []promise{
	{"rowsCarryWhoAndWhy", func(t *testing.T, f *fixture) {
		origin := store.Origin{Actor: "Ada", RequestID: "r-1", RequestKey: "k-1", Cause: "Task/1", Server: true}
		first := f.commit(t, origin, write{key: patient("a"), text: "one"}, write{key: patient("b"), text: "two"})
		second := f.commit(t, store.Origin{}, write{key: patient("a"), delete: true})
		stamped := func(id, text string) string {
			return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"meta":{"versionId":"1","lastUpdated":%q},"language":%q}`,
				id, fhir.Instant(first.Time), text)
		}
		want := []row{
			{1, 2, fhir.Create, origin, version{patient("a"), 1, first.Time, false, stamped("a", "one")}, false},
			{2, 2, fhir.Create, origin, version{patient("b"), 1, first.Time, false, stamped("b", "two")}, false},
			{3, 3, fhir.Delete, store.Origin{}, version{patient("a"), 2, second.Time, true, ""}, false},
		}
		if diff := cmp.Diff(want, f.rows(t)); diff != "" {
			t.Error(diff)
		}
	}},
	{"changesGoOnBehindAPlace", func(t *testing.T, f *fixture) {
		f.put(t, "a", "b", "c", "d")
		f.view(t, func(r store.Reader) error {
			for after, want := range []string{"1:1:a/1 2:2:b/1 3:3:c/1 4:4:d/1", "2:2:b/1 3:3:c/1 4:4:d/1", "3:3:c/1 4:4:d/1", "4:4:d/1", "", ""} {
				if got := changes(r.Changes(store.Seq(after))); got != want {
					t.Errorf("behind %d: %q, want %q", after, got, want)
				}
			}
			for range r.Changes(0) {
				break // a consumer may stop
			}
			return nil
		})
	}},
	{"timeIsUTCInMillisecondsAndNeverGoesBack", func(t *testing.T, f *fixture) {
		var last time.Time
		for i := range 20 {
			c := f.commit(t, store.Origin{}, write{key: patient(fmt.Sprint(i))})
			if c.Time.Location() != time.UTC || !c.Time.Equal(fhir.Millis(c.Time)) || c.Time.Before(last) {
				t.Fatalf("%s follows %s", c.Time, last)
			}
			last = c.Time
		}
	}},
	{"requestKeyFindsItsCommit", func(t *testing.T, f *fixture) {
		f.put(t, "a")
		c := f.commit(t, store.Origin{RequestKey: "k"}, write{key: patient("b")}, write{key: patient("c")})
		_, err := f.db.Update(f.ctx, store.Origin{RequestKey: "k"}, appendAll(write{key: patient("d")}))
		if !errors.Is(err, store.ErrRepeated) {
			t.Errorf("the second commit with the key: %v", err)
		}
		f.view(t, func(r store.Reader) error {
			if seq, err := r.Request("k"); seq != c.Seq || err != nil {
				t.Errorf("Request = %d, %v; want %d", seq, err, c.Seq)
			}
			for _, key := range []string{"", "other"} {
				if _, err := r.Request(key); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("Request(%q) = %v", key, err)
				}
			}
			return nil
		})
	}},
	{"whatIsReadIsTheCallersToKeep", func(t *testing.T, f *fixture) {
		f.commit(t, store.Origin{}, write{key: patient("a"), text: string(make2k)})
		var kept *fhir.Resource
		f.view(t, func(r store.Reader) (err error) {
			kept, err = r.Read(patient("a"), r.Last())
			return err
		})
		before := string(kept.JSON)
		for i := range 50 {
			f.commit(t, store.Origin{}, write{key: patient("a"), text: fmt.Sprint(i)})
		}
		f.again(t)
		if string(kept.JSON) != before || !strings.Contains(before, string(make2k)) {
			t.Error("the bytes changed")
		}
	}},
	{"viewsSeeOneState", func(t *testing.T, f *fixture) {
		f.put(t, "a")
		f.view(t, func(r store.Reader) error {
			f.put(t, "b", "a")
			got := []string{
				fmt.Sprint(r.Last()), changes(r.Changes(0)), names(r.Type(fhir.DefaultTenant, "Patient", "", 99)),
				changes(r.History(store.Scope{Tenant: fhir.DefaultTenant}, 0)),
			}
			if diff := cmp.Diff([]string{"1", "1:1:a/1", "a/1", "1:1:a/1"}, got); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	}},
	{"tenantsNeverMeet", func(t *testing.T, f *fixture) {
		// Names of which one begins the other are where keys would run together.
		keys := []fhir.Key{
			{Tenant: "t", Type: "Patient", ID: "a"},
			{Tenant: "t", Type: "Patient", ID: "a.b"},
			{Tenant: "t", Type: "PatientX", ID: "a"},
			{Tenant: "tt", Type: "Patient", ID: "a"},
			{Tenant: "t.", Type: "Patient", ID: "b"},
		}
		for _, k := range keys {
			f.commit(t, store.Origin{}, write{key: k})
		}
		f.view(t, func(r store.Reader) error {
			got := map[string]string{}
			for _, tenant := range []string{"t", "tt", "t.", "", "x"} {
				got[tenant] = names(r.Type(tenant, "Patient", "", 99)) + ";" +
					changes(r.History(store.Scope{Tenant: tenant}, 0)) + ";" +
					changes(r.History(store.Scope{Tenant: tenant, Type: "Patient"}, 0)) + ";" +
					changes(r.History(store.Scope{Tenant: tenant, Type: "Patient", ID: "a"}, 0))
			}
			want := map[string]string{
				"t":  "a/1 a.b/1;3:3:a/1 2:2:a.b/1 1:1:a/1;2:2:a.b/1 1:1:a/1;1:1:a/1",
				"tt": "a/1;4:4:a/1;4:4:a/1;4:4:a/1", "t.": "b/1;5:5:b/1;5:5:b/1;", "": ";;;", "x": ";;;",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	}},
	{"whatCantBeStoredIsRefused", refused},
}

func refused(t *testing.T, f *fixture) {
	f.put(t, "a")
	good := func(w store.Writer) *fhir.Resource {
		return &fhir.Resource{Key: patient("b"), Version: 1, Updated: w.Now(), JSON: []byte(`{}`)}
	}
	tests := []struct {
		name   string
		change func(*fhir.Resource)
		i      fhir.Interaction
	}{
		{"version 0", func(r *fhir.Resource) { r.Version = 0 }, fhir.Create},
		{"a gap", func(r *fhir.Resource) { r.Version = 2 }, fhir.Create},
		{"a version that is there", func(r *fhir.Resource) { r.Key.ID = "a" }, fhir.Update},
		{"another time", func(r *fhir.Resource) { r.Updated = r.Updated.Add(time.Millisecond) }, fhir.Create},
		{"no tenant", func(r *fhir.Resource) { r.Key.Tenant = "" }, fhir.Create},
		{"a zero byte", func(r *fhir.Resource) { r.Key.Tenant = "a\x00b" }, fhir.Create},
		{"no type", func(r *fhir.Resource) { r.Key.Type = "" }, fhir.Create},
		{"no id", func(r *fhir.Resource) { r.Key.ID = "" }, fhir.Create},
		{"a long id", func(r *fhir.Resource) { r.Key.ID = string(make2k) }, fhir.Create},
		{"no bytes", func(r *fhir.Resource) { r.JSON = nil }, fhir.Create},
		{"no interaction", func(*fhir.Resource) {}, 0},
		{"a tombstone by update", func(r *fhir.Resource) { r.Deleted, r.JSON = true, nil }, fhir.Update},
		{"a tombstone with bytes", func(r *fhir.Resource) { r.Deleted = true }, fhir.Delete},
		{"a delete that is no tombstone", func(*fhir.Resource) {}, fhir.Delete},
	}
	for _, tt := range tests {
		_, err := f.db.Update(f.ctx, store.Origin{}, func(w store.Writer) error {
			r := good(w)
			tt.change(r)
			return w.Append(r, tt.i)
		})
		if err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
	if _, err := f.db.Update(f.ctx, store.Origin{RequestKey: string(make2k)}, appendAll()); err == nil {
		t.Error("a long request key: accepted")
	}
	if rows := f.rows(t); len(rows) != 1 {
		t.Errorf("%d rows", len(rows))
	}
}
