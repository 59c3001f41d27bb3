package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

var ada = fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: "ada"}

func TestUpdate_ifMatch(t *testing.T) {
	tests := []struct {
		name    string
		before  string // what happens first: c create, u update, d delete
		ifMatch string
		want    string // version and flags, or the error's kind
	}{
		{"none on nothing", "", "", "1 created changed"},
		{"none on a version", "c", "", "2 changed"},
		{"none on a tombstone", "cd", "", "3 created changed"},
		{"current", "cu", "2", "3 changed"},
		{"stale", "cu", "1", "precondition failed"},
		{"ahead", "c", "2", "precondition failed"},
		{"not a number", "c", "abc", "precondition failed"},
		{"another spelling", "c", "01", "precondition failed"},
		{"on nothing", "", "1", "precondition failed"},
		{"the version before the deletion", "cd", "1", "precondition failed"},
		{"the deletion", "cd", "2", "3 created changed"},
		{"any on nothing", "", store.AnyVersion, "precondition failed"},
		{"any on a version", "c", store.AnyVersion, "2 changed"},
		{"any on a tombstone", "cd", store.AnyVersion, "precondition failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t)
			prepare(t, db, tt.before)
			before := last(t, db)
			got := update(t, db, func(w store.Writer) (store.Saved, error) {
				return store.Update(w, ada, patient(t, "new"), tt.ifMatch, nil)
			})
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if strings.HasPrefix(tt.want, "precondition") && last(t, db) != before {
				t.Error("something was written")
			}
		})
	}
}

func TestDelete(t *testing.T) {
	tests := []struct{ name, before, ifMatch, want string }{
		{"nothing", "", "", "none"},
		{"nothing, conditionally", "", "3", "none"},
		{"a version", "c", "", "2 deleted changed"},
		{"the current version", "cu", "2", "3 deleted changed"},
		{"a stale version", "cu", "1", "precondition failed"},
		{"any", "c", store.AnyVersion, "2 deleted changed"},
		{"again", "cd", "", "2 deleted"},
		{"again, conditionally", "cd", "1", "2 deleted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t)
			prepare(t, db, tt.before)
			got := update(t, db, func(w store.Writer) (store.Saved, error) { return store.Delete(w, ada, tt.ifMatch) })
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestCreate_refusesAKeyThatWasEverUsed(t *testing.T) {
	for _, before := range []string{"c", "cd"} {
		db := open(t)
		prepare(t, db, before)
		got := update(t, db, func(w store.Writer) (store.Saved, error) { return store.Create(w, ada, patient(t, "new"), nil) })
		if got != "conflict" {
			t.Errorf("after %q: got %s", before, got)
		}
	}
}

func TestCreate_ignoresTheIDThatWasSent(t *testing.T) {
	db := open(t)
	update(t, db, func(w store.Writer) (store.Saved, error) {
		in, err := fhir.Read([]byte(`{"resourceType":"Patient","id":"eve","meta":{"versionId":"9","lastUpdated":"1999-01-01T00:00:00Z"}}`), 0)
		if err != nil {
			return store.Saved{}, err
		}
		return store.Create(w, ada, in, nil)
	})
	r := current(t, db, ada)
	want := fmt.Sprintf(`{"resourceType":"Patient","id":"ada","meta":{"versionId":"1","lastUpdated":"%s"}}`, fhir.Instant(r.Updated))
	if diff := cmp.Diff(want, string(r.JSON)); diff != "" {
		t.Error(diff)
	}
}

func TestWrites_refuseAResourceOfAnotherType(t *testing.T) {
	db := open(t)
	observation := fhir.Key{Tenant: ada.Tenant, Type: "Observation", ID: "ada"}
	for _, write := range []func(store.Writer) (store.Saved, error){
		func(w store.Writer) (store.Saved, error) { return store.Create(w, observation, patient(t, "x"), nil) },
		func(w store.Writer) (store.Saved, error) {
			return store.Update(w, observation, patient(t, "x"), "", nil)
		},
	} {
		if got := update(t, db, write); got != "invalid" {
			t.Errorf("got %s", got)
		}
	}
}

// DESIGN 4.2: an update that changes nothing makes no version, and that is judged on what admission leaves.
func TestUpdate_withoutAChangeWritesNothing(t *testing.T) {
	db := open(t)
	mark := func(in fhir.Incoming, prev *fhir.Resource, now time.Time) (fhir.Incoming, error) {
		return fhir.Read([]byte(strings.Replace(string(in.Doc.Bytes()), `"raw"`, `"admitted"`, 1)), 0)
	}
	put := func(family string, admit store.Admit) string {
		return update(t, db, func(w store.Writer) (store.Saved, error) { return store.Update(w, ada, patient(t, family), "", admit) })
	}
	for _, step := range []struct{ got, want string }{
		{put("admitted", nil), "1 created changed"},
		{put("admitted", nil), "1"},
		{put("raw", mark), "1"},
		{put("raw", nil), "2 changed"},
	} {
		if step.got != step.want {
			t.Errorf("got %s, want %s", step.got, step.want)
		}
	}
	if last(t, db) != 2 {
		t.Errorf("there are %d rows", last(t, db))
	}
}

func TestAdmit_seesTheLiveVersionOnly(t *testing.T) {
	db := open(t)
	var seen []string
	admit := func(in fhir.Incoming, prev *fhir.Resource, now time.Time) (fhir.Incoming, error) {
		if prev == nil {
			seen = append(seen, "none")
		} else {
			seen = append(seen, prev.VersionID())
		}
		if now.IsZero() {
			t.Error("no time")
		}
		return in, nil
	}
	step := func(fn func(w store.Writer) (store.Saved, error)) {
		seen = nil // the function may run twice
		update(t, db, fn)
	}
	var got []string
	note := func() { got = append(got, seen[len(seen)-1]) }
	step(func(w store.Writer) (store.Saved, error) { return store.Create(w, ada, patient(t, "a"), admit) })
	note()
	step(func(w store.Writer) (store.Saved, error) { return store.Update(w, ada, patient(t, "b"), "", admit) })
	note()
	prepare(t, db, "d")
	step(func(w store.Writer) (store.Saved, error) { return store.Update(w, ada, patient(t, "b"), "", admit) })
	note()
	if diff := cmp.Diff([]string{"none", "1", "none"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAdmit_refusalWritesNothing(t *testing.T) {
	db := open(t)
	refuse := func(fhir.Incoming, *fhir.Resource, time.Time) (fhir.Incoming, error) {
		return fhir.Incoming{}, fhir.Errorf(fhir.BusinessRule, "Patient", "not today")
	}
	for _, write := range []func(store.Writer) (store.Saved, error){
		func(w store.Writer) (store.Saved, error) { return store.Create(w, ada, patient(t, "x"), refuse) },
		func(w store.Writer) (store.Saved, error) { return store.Update(w, ada, patient(t, "x"), "", refuse) },
	} {
		if got := update(t, db, write); got != "business rule" || last(t, db) != 0 {
			t.Errorf("got %s, %d rows", got, last(t, db))
		}
	}
}

// Any sequence of interactions, several to a transaction, leaves what a plain list of contents says.
func TestInteractions_followThePlainModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db := storetest.Rerun(storetest.NewModel())
		versions := map[string][]string{} // per id; "" is a tombstone
		for range rapid.IntRange(1, 8).Draw(t, "transactions") {
			type op struct{ verb, id, content string }
			var ops []op
			for range rapid.IntRange(1, 4).Draw(t, "operations") {
				ops = append(ops, op{rapid.SampledFrom([]string{"update", "delete"}).Draw(t, "verb"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "content")})
			}
			var saved []store.Saved
			_, err := db.Update(context.Background(), store.Origin{}, func(w store.Writer) error {
				saved = nil
				for _, o := range ops {
					key := fhir.Key{Tenant: "t", Type: "Patient", ID: o.id}
					write := func() (store.Saved, error) { return store.Delete(w, key, "") }
					if o.verb == "update" {
						write = func() (store.Saved, error) { return store.Update(w, key, patient(t, o.content), "", nil) }
					}
					s, err := write()
					if err != nil {
						return err
					}
					saved = append(saved, s)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range ops {
				all := versions[o.id]
				live := len(all) > 0 && all[len(all)-1] != ""
				want := store.Saved{}
				switch {
				case o.verb == "delete" && live:
					want.Changed = true
					all = append(all, "")
				case o.verb == "update" && !(live && all[len(all)-1] == o.content):
					want = store.Saved{Created: !live, Changed: true}
					all = append(all, o.content)
				}
				versions[o.id] = all
				got := saved[i]
				if got.Created != want.Created || got.Changed != want.Changed || len(all) > 0 && got.Resource.Version != uint64(len(all)) {
					t.Fatalf("%v after %v: got %+v", o, all, got)
				}
			}
		}
		err := db.View(context.Background(), func(r store.Reader) error {
			for id, all := range versions {
				for i, content := range all {
					v, err := r.Version(fhir.Key{Tenant: "t", Type: "Patient", ID: id}, uint64(i+1))
					if err != nil {
						return err
					}
					if v.Deleted != (content == "") || v.Doc().Root().Get("name").At(0).Get("family").Text() != content {
						t.Fatalf("%s is %s, want %q", v.VersionedReference(), v.JSON, content)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Check(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
	})
}

func open(t *testing.T) store.DB {
	db := storetest.Rerun(storetest.NewModel())
	t.Cleanup(func() {
		if err := db.Check(context.Background(), nil); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func patient(t interface{ Fatal(...any) }, family string) fhir.Incoming {
	in, err := fhir.Read([]byte(`{"resourceType":"Patient","name":[{"family":"`+family+`"}]}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// prepare writes Patient/ada: c creates it, u updates it, d deletes it.
func prepare(t *testing.T, db store.DB, steps string) {
	t.Helper()
	for i, s := range steps {
		got := update(t, db, func(w store.Writer) (store.Saved, error) {
			switch s {
			case 'c':
				return store.Create(w, ada, patient(t, "first"), nil)
			case 'u':
				return store.Update(w, ada, patient(t, fmt.Sprint("step ", i)), "", nil)
			default:
				return store.Delete(w, ada, "")
			}
		})
		if !strings.HasSuffix(got, "changed") {
			t.Fatalf("step %c: %s", s, got)
		}
	}
}

// update runs an interaction in a transaction and says in words what came of it.
func update(t *testing.T, db store.DB, fn func(store.Writer) (store.Saved, error)) string {
	t.Helper()
	var saved store.Saved
	_, err := db.Update(t.Context(), store.Origin{}, func(w store.Writer) (err error) {
		saved, err = fn(w)
		return err
	})
	if e, ok := errors.AsType[*fhir.Error](err); ok {
		name := map[fhir.Kind]string{fhir.PreconditionFailed: "precondition failed", fhir.Conflict: "conflict", fhir.Invalid: "invalid", fhir.BusinessRule: "business rule"}[e.Kind]
		if e.Diagnostic == "" || name == "" {
			t.Fatalf("kind %d: %v", e.Kind, e)
		}
		return name
	}
	if err != nil {
		t.Fatal(err)
	}
	if saved.Resource == nil {
		return "none"
	}
	words := []string{saved.Resource.VersionID()}
	for _, w := range []struct {
		is   bool
		word string
	}{{saved.Resource.Deleted, "deleted"}, {saved.Created, "created"}, {saved.Changed, "changed"}} {
		if w.is {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, " ")
}

func last(t *testing.T, db store.DB) (seq store.Seq) {
	t.Helper()
	if err := db.View(t.Context(), func(r store.Reader) error { seq = r.Last(); return nil }); err != nil {
		t.Fatal(err)
	}
	return seq
}

func current(t *testing.T, db store.DB, key fhir.Key) (res *fhir.Resource) {
	t.Helper()
	err := db.View(t.Context(), func(r store.Reader) (err error) {
		res, err = r.Read(key, r.Last())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}
