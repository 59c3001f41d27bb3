package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// subscribe is the next version of a Subscription, with a status.
func subscribe(tenant, id string, version uint64, status string) func(store.Writer) error {
	return func(w store.Writer) error {
		r := &fhir.Resource{
			Key: fhir.Key{Tenant: tenant, Type: fhir.Subscription, ID: id}, Version: version, Updated: w.Now(),
			JSON: fmt.Appendf(nil, `{"resourceType":"Subscription","id":%q,"meta":{"versionId":"%d","lastUpdated":%q},"status":%q}`, id, version, fhir.Instant(w.Now()), status),
		}
		interaction := fhir.Update
		if version == 1 {
			interaction = fhir.Create
		}
		if status == "" {
			r.Deleted, r.JSON, interaction = true, nil, fhir.Delete
		}
		return w.Append(r, interaction)
	}
}

// bytes is the length of all versions of a tenant.
func (f *fixture) bytes(t *testing.T, tenant string) (n int64) {
	t.Helper()
	for _, r := range f.rows(t) {
		if r.Resource.Key.Tenant == tenant {
			n += int64(len(r.Resource.JSON))
		}
	}
	return n
}

func (f *fixture) uses(t *testing.T, tenant string) (u store.Usage) {
	t.Helper()
	f.view(t, func(r store.Reader) (err error) {
		u, err = r.Usage(tenant)
		return err
	})
	return u
}

var usageTests = []promise{
	{"countsWhatIsThereByTenant", func(t *testing.T, f *fixture) {
		other := fhir.Key{Tenant: "other", Type: "Patient", ID: "a"}
		f.put(t, "a", "a", "b")
		f.commit(t, store.Origin{}, write{key: other}, write{key: patient("c"), text: "long enough"})
		f.commit(t, store.Origin{}, write{key: patient("a"), delete: true}, write{key: patient("b")}, write{key: patient("b"), delete: true})
		f.commit(t, store.Origin{}, write{key: patient("b"), delete: true}) // of what is gone
		f.commit(t, store.Origin{}, write{key: patient("a")})               // back again
		for range 2 {
			for tenant, resources := range map[string]int64{fhir.DefaultTenant: 2, "other": 1, "nobody": 0, "": 0, "\x00": 0} {
				want := store.Usage{Resources: resources, Bytes: f.bytes(t, tenant)}
				if diff := cmp.Diff(want, f.uses(t, tenant)); diff != "" {
					t.Errorf("%q: %s", tenant, diff)
				}
			}
			f.again(t)
		}
	}},
	{"countsSubscriptionsThatAreNotOff", func(t *testing.T, f *fixture) {
		version := map[string]uint64{}
		for i, step := range []struct {
			id, status string
			want       int64
		}{
			{"a", "active", 1},
			{"b", "off", 1},
			{"b", "error", 2},
			{"b", "error", 2},
			{"a", "off", 1},
			{"a", "", 1},
			{"b", "", 0},
			{"b", "active", 1},
			{"c", "requested", 2},
			{"c", "off", 1},
			{"c", "active", 2},
		} {
			version[step.id]++
			if _, err := f.db.Update(f.ctx, store.Origin{}, subscribe(fhir.DefaultTenant, step.id, version[step.id], step.status)); err != nil {
				t.Fatal(err)
			}
			if got := f.uses(t, fhir.DefaultTenant).Subscriptions; got != step.want {
				t.Errorf("step %d: %d Subscriptions, want %d", i, got, step.want)
			}
		}
	}},
	{"aTransactionSeesItsOwnAndWhatFailsLeavesNothing", func(t *testing.T, f *fixture) {
		f.put(t, "a")
		before := f.uses(t, fhir.DefaultTenant)
		_, err := f.db.Update(f.ctx, store.Origin{}, func(w store.Writer) error {
			if u, err := w.Usage(fhir.DefaultTenant); u != before || err != nil {
				t.Errorf("at the beginning %+v, %v", u, err)
			}
			if err := (write{key: patient("b"), text: "b"}).append(w); err != nil {
				return err
			}
			u, err := w.Usage(fhir.DefaultTenant)
			if u.Resources != 2 || u.Bytes <= before.Bytes || err != nil {
				t.Errorf("inside %+v, %v", u, err)
			}
			if u, err := w.Usage("other"); u != (store.Usage{}) || err != nil {
				t.Errorf("another tenant's %+v, %v", u, err)
			}
			return errRefused
		})
		if !errors.Is(err, errRefused) {
			t.Error(err)
		}
		if diff := cmp.Diff(before, f.uses(t, fhir.DefaultTenant)); diff != "" {
			t.Error(diff)
		}
	}},
}
