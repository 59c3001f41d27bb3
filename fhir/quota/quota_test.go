package quota_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/quota"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/storetest"
)

func put(id, body string) func(store.Writer) error {
	return func(w store.Writer) error {
		in, err := fhir.Read([]byte(body), 0)
		if err != nil {
			return err
		}
		_, err = store.Update(w, fhir.Key{Tenant: "t", Type: in.Type, ID: id}, in, "", nil)
		return err
	}
}

func patient(id string) func(store.Writer) error { return put(id, `{"resourceType":"Patient"}`) }

func subscription(id, status string) func(store.Writer) error {
	return put(id, `{"resourceType":"Subscription","status":"`+status+`"}`)
}

func remove(typ fhir.Type, id string) func(store.Writer) error {
	return func(w store.Writer) error {
		_, err := store.Delete(w, fhir.Key{Tenant: "t", Type: typ, ID: id}, "")
		return err
	}
}

func all(steps ...func(store.Writer) error) func(store.Writer) error {
	return func(w store.Writer) error {
		for _, step := range steps {
			if err := step(w); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestGuard_holdsTenantsToWhatTheyMayHave: each step is a transaction; what is refused leaves nothing.
func TestGuard_holdsTenantsToWhatTheyMayHave(t *testing.T) {
	t.Parallel()
	long := `{"resourceType":"Basic","language":"` + strings.Repeat("x", 2000) + `"}`
	type step struct {
		name string
		do   func(store.Writer) error
		over string // what is named in the refusal; "": none
	}
	for name, tt := range map[string]struct {
		quota auth.Quota
		steps []step
	}{
		"resources": {auth.Quota{Resources: 2}, []step{
			{"the first", patient("a"), ""},
			{"the second", patient("b"), ""},
			{"a third", patient("c"), "2 resources (quota resources)"},
			{"another version", put("a", `{"resourceType":"Patient","active":true}`), ""},
			{"two at once", all(remove("Patient", "a"), patient("c"), patient("d")), "would make it 3"},
			{"one for another", all(patient("c"), remove("Patient", "a")), ""},
			{"a Subscription is one, too", subscription("s", "active"), "resources"},
			{"less", remove("Patient", "c"), ""},
			{"back again", patient("a"), ""},
		}},
		"subscriptions": {auth.Quota{Subscriptions: 1}, []step{
			{"one", subscription("a", "active"), ""},
			{"one that is off", subscription("b", "off"), ""},
			{"a second", subscription("c", "requested"), "1 Subscriptions that are not off (quota subscriptions)"},
			{"one that comes back", subscription("b", "active"), "subscriptions"},
			{"a change", subscription("a", "error"), ""},
			{"one for another", all(subscription("a", "off"), subscription("b", "active")), ""},
			{"other things", patient("p"), ""},
		}},
		"storage": {auth.Quota{StorageBytes: 5000}, []step{
			{"some", put("a", long), ""},
			{"some more", put("b", long), ""},
			{"too much", put("c", long), "storage-bytes"},
			{"a delete", remove("Basic", "a"), ""},
			{"what was deleted counts, for it is kept", put("c", long), "storage-bytes"},
			{"a little", patient("p"), ""},
		}},
		"none": {auth.Quota{Requests: 1, Notifications: 1}, []step{{"any", all(put("a", long), put("b", long), subscription("c", "active")), ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Rerun(storetest.NewModel())
			guarded := quota.Guard(db, func(tenant string) auth.Quota {
				if tenant == "t" {
					return tt.quota
				}
				return auth.Quota{}
			})
			for _, s := range tt.steps {
				before := last(t, db)
				_, err := guarded.Update(t.Context(), store.Origin{}, s.do)
				switch {
				case s.over == "" && err != nil:
					t.Errorf("%s: %v", s.name, err)
				case s.over != "" && (fhir.KindOf(err) != fhir.OverQuota || !strings.Contains(err.Error(), s.over)):
					t.Errorf("%s: %v, want something about %s", s.name, err, s.over)
				case s.over != "" && last(t, db) != before:
					t.Errorf("%s: it left something", s.name)
				}
			}
		})
	}
}

func last(t *testing.T, db store.DB) (seq store.Seq) {
	t.Helper()
	if err := db.View(t.Context(), func(r store.Reader) error { seq = r.Last(); return nil }); err != nil {
		t.Fatal(err)
	}
	return seq
}

// TestGuard_aLowerQuotaLetsTidyUp: who has too much already may change it and make it less, and not more.
func TestGuard_aLowerQuotaLetsTidyUp(t *testing.T) {
	t.Parallel()
	db := storetest.NewModel()
	if _, err := db.Update(t.Context(), store.Origin{}, all(patient("a"), patient("b"), patient("c"))); err != nil {
		t.Fatal(err)
	}
	guarded := quota.Guard(db, func(string) auth.Quota { return auth.Quota{Resources: 1} })
	for _, do := range []func(store.Writer) error{put("a", `{"resourceType":"Patient","active":true}`), remove("Patient", "a"), all(remove("Patient", "b"), patient("d"))} {
		if _, err := guarded.Update(t.Context(), store.Origin{}, do); err != nil {
			t.Error(err)
		}
	}
	if _, err := guarded.Update(t.Context(), store.Origin{}, patient("e")); fhir.KindOf(err) != fhir.OverQuota {
		t.Error(err)
	}
}

// TestGuard_isNeverExceeded: whatever is tried, by however many at once, no tenant has more than it may.
func TestGuard_isNeverExceeded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		db := storetest.NewModel()
		most := map[string]int64{"a": rapid.Int64Range(1, 4).Draw(rt, "a"), "b": rapid.Int64Range(1, 4).Draw(rt, "b")}
		guarded := quota.Guard(db, func(tenant string) auth.Quota { return auth.Quota{Resources: most[tenant]} })
		for range rapid.IntRange(1, 30).Draw(rt, "transactions") {
			var steps []func(store.Writer) error
			for range rapid.IntRange(1, 4).Draw(rt, "steps") {
				key := fhir.Key{Tenant: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "tenant"), Type: "Patient", ID: fmt.Sprint(rapid.IntRange(0, 7).Draw(rt, "id"))}
				if rapid.Bool().Draw(rt, "delete") {
					steps = append(steps, func(w store.Writer) error { _, err := store.Delete(w, key, ""); return err })
					continue
				}
				in, err := fhir.Read([]byte(`{"resourceType":"Patient"}`), 0)
				if err != nil {
					rt.Fatal(err)
				}
				steps = append(steps, func(w store.Writer) error { _, err := store.Update(w, key, in, "", nil); return err })
			}
			_, err := guarded.Update(context.Background(), store.Origin{}, all(steps...))
			if e, ok := errors.AsType[*fhir.Error](err); err != nil && (!ok || e.Kind != fhir.OverQuota) {
				rt.Fatal(err)
			}
			err = db.View(context.Background(), func(r store.Reader) error {
				for tenant, limit := range most {
					if u, err := r.Usage(tenant); err != nil || u.Resources > limit {
						return fmt.Errorf("%s has %+v, %w", tenant, u, err)
					}
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
		}
	})
}
