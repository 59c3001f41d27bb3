package bolt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

func changesBehind(t interface {
	Helper()
	Fatal(args ...any)
}, db *DB, after store.Seq,
) (all []store.Change) {
	t.Helper()
	err := db.View(context.Background(), func(r store.Reader) error {
		all = nil
		for c, err := range r.Changes(after) {
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Those who follow the log get one resource, whose parse they share, and which is the one that was written.
func TestReader_newestRowsAreShared(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, t.TempDir(), Options{noSync: true, Sealing: Sealing{Ring: ringOf(t), Types: every}})
	putSealed(t, db, "Patient", "a", `{"resourceType":"Patient","active":true}`)
	one, two := changesBehind(t, db, 0)[0], changesBehind(t, db, 0)[0]
	if one.Resource != two.Resource || one.Resource.Doc() != two.Resource.Doc() {
		t.Error("each reader got a resource of its own")
	}
	err := db.View(t.Context(), func(r store.Reader) error {
		version, err := r.Version(one.Resource.Key, 1)
		if err != nil {
			return err
		}
		read, err := r.Read(one.Resource.Key, r.Last())
		if version != one.Resource || read != one.Resource {
			t.Error("Version, Read and Changes give different resources")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// What is shared is what the file says, whatever the transactions were: of several rows, failed, in groups with others.
func TestReader_sharedRowsAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, t.TempDir(), Options{noSync: true})
	fail := errors.New("undone")
	tenants := 0
	rapid.Check(t, func(rt *rapid.T) {
		tenants++
		tenant := fmt.Sprint("t", tenants) // each run has its own
		before := db.last
		versions := map[string]uint64{}
		for range rapid.IntRange(1, 5).Draw(rt, "groups") {
			tx, err := db.resources.Begin(true)
			if err != nil {
				rt.Fatal(err)
			}
			o := newOverlay(tx)
			for n := range rapid.IntRange(1, 4).Draw(rt, "transactions") {
				w, err := db.newLogWriter(o, store.Origin{Actor: fmt.Sprint("a", n), RequestID: "r"})
				if err != nil {
					rt.Fatal(err)
				}
				written := map[string]uint64{}
				for range rapid.IntRange(0, 3).Draw(rt, "rows") {
					id := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "id")
					r := &fhir.Resource{Key: fhir.Key{Tenant: tenant, Type: "Patient", ID: id}, Version: versions[id] + written[id] + 1, Updated: w.Now()}
					i := rapid.SampledFrom([]fhir.Interaction{fhir.Create, fhir.Update, fhir.Delete}).Draw(rt, "interaction")
					if r.Deleted = i == fhir.Delete; !r.Deleted {
						r.JSON = []byte(`{"resourceType":"Patient","language":"` + strings.Repeat("x", rapid.IntRange(0, 9).Draw(rt, "size")) + `"}`)
					}
					if err := w.Append(r, i); err != nil {
						rt.Fatal(err)
					}
					written[id]++
				}
				if _, err := w.finish(); err != nil {
					rt.Fatal(err)
				}
				if rapid.Bool().Draw(rt, "undone") {
					o.undo()
					continue
				}
				o.settle()
				for id, n := range written {
					versions[id] += n
				}
			}
			durable := rapid.Bool().Draw(rt, "durable")
			if err := o.apply(tx); err != nil {
				rt.Fatal(err)
			}
			if !durable {
				err = errors.Join(fail, tx.Rollback())
			} else if err = tx.Commit(); err == nil {
				db.grown(o)
			}
			if !durable {
				for id := range versions {
					versions[id] = newestOf(rt, db, before, id)
				}
			}
			if err != nil && !errors.Is(err, fail) {
				rt.Fatal(err)
			}
		}
		shared := changesBehind(rt, db, before)
		db.recent.first, db.recent.footprint = db.recent.next, 0 // forgotten
		if diff := cmp.Diff(changesBehind(rt, db, before), shared, cmpopts.IgnoreUnexported(fhir.Resource{})); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func newestOf(t *rapid.T, db *DB, after store.Seq, id string) (version uint64) {
	for _, c := range changesBehind(t, db, after) {
		if c.Resource.Key.ID == id {
			version = c.Resource.Version
		}
	}
	return version
}

// A row that stands shorter in a reader's state, as purged ones do, isn't taken from memory.
func TestReader_sharesNoRowThatWasChanged(t *testing.T) {
	t.Parallel()
	var m recent
	r := &fhir.Resource{Key: fhir.Key{Tenant: "t", Type: "Patient", ID: "a"}, Version: 1, JSON: []byte(`{}`)}
	m.add([]recentRow{{Change: store.Change{Seq: 5, Resource: r}, encoded: 100}})
	for _, at := range []struct {
		seq     store.Seq
		encoded int
		want    bool
	}{{5, 100, true}, {5, 98, false}, {4, 100, false}, {6, 100, false}} {
		if c, ok := m.get(at.seq, at.encoded); ok != at.want || ok && c.Resource != r {
			t.Errorf("row %d of %d bytes: %v", at.seq, at.encoded, ok)
		}
	}
}

// However large and many the rows are, the newest are there, and memory is bounded.
func TestRecent_isBounded(t *testing.T) {
	t.Parallel()
	var m recent
	for seq := store.Seq(1); seq <= 60_000; seq++ {
		size := 1 + int(seq)%3000
		if seq%1000 == 0 {
			size = recentMost // it would push out many others
		}
		r := &fhir.Resource{JSON: make([]byte, size)}
		m.add([]recentRow{{Change: store.Change{Seq: seq, Resource: r}, encoded: size}})
		sum := 0
		if seq%5000 == 1 {
			for at := m.first; at < m.next; at++ {
				if c, ok := m.get(at, m.at(at).encoded); ok && c.Resource != nil {
					sum += c.Resource.Footprint()
				}
			}
		}
		c, ok := m.get(seq, size)
		if ok != (size < recentMost) || ok && c.Resource != r || sum > recentBytes || len(m.ring) > recentBytes/recentNone {
			t.Fatalf("row %d: there %v, %d bytes in a ring of %d", seq, ok, sum, len(m.ring))
		}
	}
}
