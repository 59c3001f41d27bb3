package bolt

import (
	"bytes"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// log proves: the rows are numbered from 1 without gaps; each can be decoded and its JSON says of itself
// what the row says; time never goes back; transactions end where their rows say; and every row stands in
// the three indexes.
func (c *checker) log() error {
	err := c.db.view(c.ctx, c.db.resources, func(tx *bbolt.Tx) error {
		// Every row is walked through once here and once in each index.
		c.total = 4 * uint64((&logReader{source: &committed{tx: tx}}).Last())
		return nil
	})
	if err != nil {
		return err
	}
	var last store.Change
	err = c.walk(c.db.resources, logBucket, func(s source, k, v []byte) {
		c.step()
		seq := store.Seq(lastNumber(k))
		if len(k) != 8 || seq != last.Seq+1 {
			c.problem("log: row %d follows row %d", seq, last.Seq)
		}
		row, err := decodeRow(seq, v, c.db.sealing)
		if err != nil {
			c.problem("%w", err)
			last = store.Change{Seq: seq}
			return
		}
		if last.Resource != nil {
			c.neighbours(last, row)
		}
		if row.Purged {
			c.replaced(s, row)
		} else if err := checkBody(row.Resource); err != nil {
			c.problem("row %d: %w", seq, err)
		}
		c.indexed(s, row)
		if err := c.use(s, row.Resource); err != nil {
			c.problem("row %d: %w", seq, err)
		}
		last = row
	})
	c.last = last.Seq
	if err == nil && last.End != last.Seq {
		c.problem("log: row %d is the last, and its transaction ends with row %d", last.Seq, last.End)
	}
	return err
}

// amiss is where an entry is that should not be there, or isn't.
func amiss(there bool) string {
	if there {
		return "purged and still in"
	}
	return "missing in"
}

// replaced proves that a purged row is current at no place that can be read whole.
func (c *checker) replaced(s source, row store.Change) {
	horizon := (&logReader{source: s}).Horizon()
	next := store.Version{Key: row.Resource.Key, Number: row.Resource.Version + 1}
	v, _ := s.get(versionBucket, versionKey(next))
	if by, _, err := decodePlace(v); err != nil || by > horizon {
		c.problem("row %d is purged, and %s is current behind the horizon, %d", row.Seq, row.Resource.VersionedReference(), horizon)
	}
}

// held proves that what is kept for later is there still, and waits its turn.
func (c *checker) held() error {
	return c.walk(c.db.resources, heldBucket, func(s source, k, _ []byte) {
		v, err := decodeVersionKey(k)
		if err != nil {
			c.problem("held: %w", err)
			return
		}
		w := purger{logReader: logReader{source: s, sealing: c.db.sealing}}
		if _, i, content, err := w.replaced(v, w.Horizon()); err != nil || content == gone || i == fhir.Delete {
			c.problem("held: version %d of %s can't be purged later", v.Number, v.Key)
		}
	})
}

// neighbours proves what two rows in a row owe each other.
func (c *checker) neighbours(a, b store.Change) {
	if b.Resource.Updated.Before(a.Resource.Updated) {
		c.problem("row %d: time goes back from %s to %s", b.Seq, fhir.Instant(a.Resource.Updated), fhir.Instant(b.Resource.Updated))
	}
	if a.End == a.Seq {
		return
	}
	if a.End != b.End || a.Origin != b.Origin || !a.Resource.Updated.Equal(b.Resource.Updated) {
		c.problem("rows %d and %d are of one transaction and differ in its end, origin or time", a.Seq, b.Seq)
	}
}

// indexed proves that a row stands in the indexes.
func (c *checker) indexed(s source, row store.Change) {
	r := row.Resource
	v, _ := s.get(versionBucket, numbered(resourcePrefix(r.Key), r.Version))
	want := encodePlace(row.Seq, row.Interaction)
	if row.Purged {
		want = encodePurgedPlace(row.Seq, row.Interaction)
	}
	if !bytes.Equal(v, want) {
		c.problem("row %d: the version index does not lead to it from %s", row.Seq, r.VersionedReference())
	}
	// What is purged is in no history.
	if _, ok := s.get(typeBucket, numbered(prefix(r.Key.Tenant, string(r.Key.Type)), uint64(row.Seq))); ok == row.Purged {
		c.problem("row %d is %s the type index", row.Seq, amiss(ok))
	}
	if _, ok := s.get(tenantBucket, numbered(prefix(r.Key.Tenant), uint64(row.Seq))); ok == row.Purged {
		c.problem("row %d is %s the tenant index", row.Seq, amiss(ok))
	}
	if key := row.Origin.RequestKey; key != "" {
		if seq, err := (&logReader{source: s}).Request(key); err != nil || seq != row.End {
			c.problem("row %d: request %q leads to row %d and not to the end of its transaction, %d", row.Seq, key, seq, row.End)
		}
	}
}

// versions proves: each entry leads to a row of that version, and a resource's versions count from 1
// without gaps, along the log.
func (c *checker) versions() error {
	var resource []byte
	var version uint64
	var place store.Seq
	return c.walk(c.db.resources, versionBucket, func(s source, k, v []byte) {
		c.step()
		seq, _, err := decodePlace(v)
		if err != nil || len(k) < 8 {
			c.problem("version index: the entry %q is malformed", k)
			return
		}
		if p := k[:len(k)-8]; !bytes.Equal(p, resource) {
			resource, version, place = bytes.Clone(p), 0, 0
		}
		if n := lastNumber(k); n != version+1 || seq <= place {
			c.problem("version index: %q has version %d at row %d behind version %d at row %d", resource, n, seq, version, place)
		}
		version, place = lastNumber(k), seq
		c.leads(s, seq, func(r *fhir.Resource) []byte { return numbered(resourcePrefix(r.Key), r.Version) }, versionBucket, k)
	})
}

// types and tenants prove that each entry of their index leads to a row of that type and tenant.
func (c *checker) types() error {
	return c.walk(c.db.resources, typeBucket, func(s source, k, _ []byte) {
		c.step()
		seq := lastNumber(k)
		c.leads(s, store.Seq(seq), func(r *fhir.Resource) []byte {
			return numbered(prefix(r.Key.Tenant, string(r.Key.Type)), seq)
		}, typeBucket, k)
	})
}

func (c *checker) tenants() error {
	return c.walk(c.db.resources, tenantBucket, func(s source, k, _ []byte) {
		c.step()
		seq := lastNumber(k)
		c.leads(s, store.Seq(seq), func(r *fhir.Resource) []byte { return numbered(prefix(r.Key.Tenant), seq) }, tenantBucket, k)
	})
}

// leads proves that an index's key is the one that the row it leads to has.
func (c *checker) leads(s source, seq store.Seq, key func(*fhir.Resource) []byte, bucket string, k []byte) {
	row, err := (&logReader{source: s, sealing: c.db.sealing}).row(seq)
	if err != nil {
		c.problem("%s index: the entry %q leads nowhere: %w", bucket, k, err)
		return
	}
	if want := key(row.Resource); !bytes.Equal(want, k) {
		c.problem("%s index: the entry %q leads to row %d, whose entry is %q", bucket, k, seq, want)
	}
}

// requests proves that each request key leads to the last row of a transaction made with it.
func (c *checker) requests() error {
	return c.walk(c.db.resources, requestBucket, func(s source, k, _ []byte) {
		r := logReader{source: s, sealing: c.db.sealing}
		seq, err := r.Request(string(k))
		if err != nil {
			c.problem("request %q: %w", k, err)
			return
		}
		row, err := r.row(seq)
		if err != nil || row.Origin.RequestKey != string(k) || row.End != seq {
			c.problem("request %q leads to row %d, which is not the end of its transaction", k, seq)
		}
	})
}

// checkBody proves that the stored bytes are compact JSON and say of themselves what the row says.
func checkBody(r *fhir.Resource) error {
	if r.Deleted {
		if len(r.JSON) > 0 {
			return fmt.Errorf("%s is a tombstone with a body", r.VersionedReference())
		}
		return nil
	}
	doc, err := tape.Parse(r.JSON, maxDepth)
	if err != nil {
		return fmt.Errorf("%s: %w", r.VersionedReference(), err)
	}
	if !bytes.Equal(doc.Bytes(), r.JSON) {
		return fmt.Errorf("%s: its JSON holds insignificant white space", r.VersionedReference())
	}
	root := doc.Root()
	meta := root.Get("meta")
	says := []string{root.Get("resourceType").Text(), root.Get("id").Text(), meta.Get("versionId").Text(), meta.Get("lastUpdated").Text()}
	want := []string{string(r.Key.Type), r.Key.ID, r.VersionID(), fhir.Instant(r.Updated)}
	if !slices.Equal(says, want) {
		return fmt.Errorf("%s: its JSON says %q, its row %q", r.VersionedReference(), says, want)
	}
	return nil
}

// maxDepth is more than any limit that let the JSON in.
const maxDepth = 10_000
