package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// write is one version to be written: of a patient, unless its key says otherwise.
type write struct {
	key    fhir.Key
	text   string // what tells versions apart
	delete bool
}

func patient(id string) fhir.Key {
	return fhir.Key{Tenant: fhir.DefaultTenant, Type: "Patient", ID: id}
}

// append writes it as the next version of its key.
func (x write) append(w store.Writer) error {
	r := &fhir.Resource{Key: x.key, Version: 1, Updated: w.Now(), Deleted: x.delete}
	interaction := fhir.Create
	switch old, err := w.Read(x.key, w.Last()); {
	case err == nil:
		r.Version = old.Version + 1
		if !old.Deleted {
			interaction = fhir.Update
		}
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if x.delete {
		return w.Append(r, fhir.Delete)
	}
	doc, err := tape.Parse(fmt.Appendf(nil, `{"resourceType":%q,"language":%q}`, x.key.Type, x.text), 0)
	if err != nil {
		return err
	}
	r.JSON = fhir.Stamp(doc, x.key.ID, r.Version, w.Now())
	return w.Append(r, interaction)
}

// commit writes some versions in one transaction.
func (f *fixture) commit(t *testing.T, origin store.Origin, writes ...write) store.Commit {
	t.Helper()
	c, err := f.db.Update(f.ctx, origin, appendAll(writes...))
	if err != nil {
		t.Fatalf("commit %v: %v", writes, err)
	}
	return c
}

// put writes one version of each of some patients, a transaction each, and returns the last place.
func (f *fixture) put(t *testing.T, ids ...string) store.Seq {
	t.Helper()
	var c store.Commit
	for _, id := range ids {
		c = f.commit(t, store.Origin{}, write{key: patient(id), text: id})
	}
	return c.Seq
}

func appendAll(writes ...write) func(store.Writer) error {
	return func(w store.Writer) error {
		for _, x := range writes {
			if err := x.append(w); err != nil {
				return err
			}
		}
		return nil
	}
}

// version is a resource in a form that can be compared.
type version struct {
	Key     fhir.Key
	Version uint64
	Updated time.Time
	Deleted bool
	JSON    string
}

func versionOf(r *fhir.Resource) version {
	if r == nil {
		return version{}
	}
	return version{r.Key, r.Version, r.Updated, r.Deleted, string(r.JSON)}
}

// row is a change in a form that can be compared.
type row struct {
	Seq, End    store.Seq
	Interaction fhir.Interaction
	Origin      store.Origin
	Resource    version
	Purged      bool
}

func rowOf(c store.Change) row {
	return row{c.Seq, c.End, c.Interaction, c.Origin, versionOf(c.Resource), c.Purged}
}

// name is a version as the tests write it: type/id/version, with a + for a tombstone.
func name(r *fhir.Resource) string {
	s := fmt.Sprintf("%s/%d", r.Key.ID, r.Version)
	if r.Deleted {
		s += "+"
	}
	return s
}

// view runs fn in a View and fails the test if it fails.
func (f *fixture) view(t *testing.T, fn func(store.Reader) error) {
	t.Helper()
	if err := f.db.View(f.ctx, fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// rows reads the log.
func (f *fixture) rows(t *testing.T) []row {
	t.Helper()
	var rows []row
	f.view(t, func(r store.Reader) error {
		for c, err := range r.Changes(0) {
			if err != nil {
				return err
			}
			rows = append(rows, rowOf(c))
		}
		return nil
	})
	return rows
}
