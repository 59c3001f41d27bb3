package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// tell names what a read returned.
func tell(r *fhir.Resource, err error) string {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "-"
	case err != nil:
		return err.Error()
	default:
		return name(r)
	}
}

var versionTests = []promise{
	{"readIsAsOfThePlace", func(t *testing.T, f *fixture) {
		f.put(t, "a", "b", "a")                                                                // 1 2 3
		f.commit(t, store.Origin{}, write{key: patient("a"), delete: true})                    // 4
		f.commit(t, store.Origin{}, write{key: patient("b")}, write{key: patient("a")})        // 5 6
		f.commit(t, store.Origin{}, write{key: fhir.Key{Tenant: "t", Type: "Basic", ID: "a"}}) // 7
		f.view(t, func(r store.Reader) error {
			var got []string
			for at := range store.Seq(9) {
				got = append(got, tell(r.Read(patient("a"), at))+" "+tell(r.Read(patient("b"), at)))
			}
			want := []string{"- -", "a/1 -", "a/1 b/1", "a/2 b/1", "a/3+ b/1", "a/3+ b/2", "a/4 b/2", "a/4 b/2", "a/4 b/2"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	}},
	{"readsDeepInThePastAreExact", func(t *testing.T, f *fixture) {
		const versions = 70
		for range versions {
			f.put(t, "a", "b")
		}
		f.view(t, func(r store.Reader) error {
			for at := store.Seq(1); at <= 2*versions; at++ {
				want := fmt.Sprintf("a/%d", (at+1)/2)
				if got := tell(r.Read(patient("a"), at)); got != want {
					t.Errorf("at %d: %s, want %s", at, got, want)
				}
				wantType := want
				if at > 1 {
					wantType += fmt.Sprintf(" b/%d", at/2)
				}
				if got := names(r.Type(fhir.DefaultTenant, "Patient", "", at)); got != wantType {
					t.Errorf("type at %d: %s, want %s", at, got, wantType)
				}
			}
			return nil
		})
	}},
	{"versionsAreFoundByNumber", func(t *testing.T, f *fixture) {
		f.put(t, "a", "a")
		f.commit(t, store.Origin{}, write{key: patient("a"), delete: true})
		f.view(t, func(r store.Reader) error {
			var got []string
			for v := range uint64(5) {
				got = append(got, tell(r.Version(patient("a"), v)))
			}
			got = append(got, tell(r.Version(patient("b"), 1)))
			if diff := cmp.Diff([]string{"-", "a/1", "a/2", "a/3+", "-", "-"}, got); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	}},
}

var typeTests = []promise{
	{"inOrderOfIDsWithoutTheDeleted", func(t *testing.T, f *fixture) {
		f.put(t, "b", "B", "a.b", "a", "a-b", "10", "9")
		f.commit(t, store.Origin{}, write{key: patient("a-b"), delete: true})
		f.view(t, func(r store.Reader) error {
			for after, want := range map[string]string{
				"": "10/1 9/1 B/1 a/1 a.b/1 b/1", "a": "a.b/1 b/1", "a-b": "a.b/1 b/1", "1": "10/1 9/1 B/1 a/1 a.b/1 b/1", "b": "", "zz": "",
			} {
				if got := names(r.Type(fhir.DefaultTenant, "Patient", after, r.Last())); got != want {
					t.Errorf("behind %q: %s, want %s", after, got, want)
				}
			}
			if got := names(r.Type(fhir.DefaultTenant, "Patient", "", 7)); !strings.Contains(got, "a-b/1") {
				t.Errorf("before the delete: %s", got)
			}
			if got := names(r.Type(fhir.DefaultTenant, "Basic", "", 99)); got != "" {
				t.Errorf("another type: %s", got)
			}
			return nil
		})
	}},
	{"canBeResumedInPagesAtTheSamePlace", func(t *testing.T, f *fixture) {
		for i := range 60 {
			f.put(t, fmt.Sprintf("p%02d", i))
			if i%3 == 0 { // many versions, so that engines that jump do
				for range i {
					f.commit(t, store.Origin{}, write{key: patient(fmt.Sprintf("p%02d", i))})
				}
			}
		}
		var at store.Seq
		var whole string
		f.view(t, func(r store.Reader) error {
			at = r.Last()
			whole = names(r.Type(fhir.DefaultTenant, "Patient", "", at))
			return nil
		})
		var paged []string
		after := ""
		for more := true; more; {
			f.view(t, func(r store.Reader) error {
				more = false
				n := 0
				for res, err := range r.Type(fhir.DefaultTenant, "Patient", after, at) {
					if err != nil {
						return err
					}
					paged, after, more = append(paged, name(res)), res.Key.ID, true
					if n++; n == 7 {
						break
					}
				}
				return nil
			})
			f.commit(t, store.Origin{}, write{key: patient("p50")}, write{key: patient(fhir.NewID())})
		}
		if got := strings.Join(paged, " "); got != whole {
			t.Errorf("in pages %s\nas one   %s", got, whole)
		}
	}},
}

var historyTests = []promise{
	{"newestFirstByScopeAndResumable", func(t *testing.T, f *fixture) {
		basic := fhir.Key{Tenant: fhir.DefaultTenant, Type: "Basic", ID: "a"}
		f.put(t, "a", "b") // 1 2
		f.commit(t, store.Origin{}, write{key: patient("a"), delete: true}, write{key: basic})
		f.put(t, "a") // 5
		f.commit(t, store.Origin{}, write{key: fhir.Key{Tenant: "other", Type: "Patient", ID: "a"}})
		scopes := map[string]store.Scope{
			"instance": {Tenant: fhir.DefaultTenant, Type: "Patient", ID: "a"},
			"type":     {Tenant: fhir.DefaultTenant, Type: "Patient"},
			"system":   {Tenant: fhir.DefaultTenant},
			"nothing":  {Tenant: fhir.DefaultTenant, Type: "Patient", ID: "zz"},
		}
		want := map[string][]string{
			"instance": {"5:5:a/3 3:4:a/2+ 1:1:a/1", "", "1:1:a/1", "1:1:a/1", "3:4:a/2+ 1:1:a/1", "3:4:a/2+ 1:1:a/1", "5:5:a/3 3:4:a/2+ 1:1:a/1"},
			"type":     {"5:5:a/3 3:4:a/2+ 2:2:b/1 1:1:a/1", "", "1:1:a/1", "2:2:b/1 1:1:a/1", "3:4:a/2+ 2:2:b/1 1:1:a/1", "3:4:a/2+ 2:2:b/1 1:1:a/1", "5:5:a/3 3:4:a/2+ 2:2:b/1 1:1:a/1"},
			"system":   {"5:5:a/3 4:4:a/1 3:4:a/2+ 2:2:b/1 1:1:a/1", "", "1:1:a/1", "2:2:b/1 1:1:a/1", "3:4:a/2+ 2:2:b/1 1:1:a/1", "4:4:a/1 3:4:a/2+ 2:2:b/1 1:1:a/1", "5:5:a/3 4:4:a/1 3:4:a/2+ 2:2:b/1 1:1:a/1"},
			"nothing":  {"", "", "", "", "", "", ""},
		}
		f.view(t, func(r store.Reader) error {
			got := map[string][]string{}
			for name, scope := range scopes {
				for before := range store.Seq(7) {
					got[name] = append(got[name], changes(r.History(scope, before)))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	}},
}
