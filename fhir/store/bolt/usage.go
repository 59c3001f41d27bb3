package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// usageBucket is in resources.db: tenant → resources, Subscriptions, bytes; and under countedKey, which is no tenant's
// name, the row up to which all are counted. A file from before it has no such bucket, and a program from before it
// does not count: so what is behind is caught up with when the store is opened.
const usageBucket = "usage"

var countedKey = []byte{0}

// errUncounted says that the usage is behind the log: the store was opened without the key that what is behind needs.
var errUncounted = errors.New("what tenants use isn't counted: open the store with its key")

func encodeUsage(u store.Usage) []byte {
	b := binary.AppendVarint(make([]byte, 0, 12), u.Resources)
	return binary.AppendVarint(binary.AppendVarint(b, u.Subscriptions), u.Bytes)
}

func decodeUsage(v []byte) (store.Usage, error) {
	d := decoder{b: v}
	u := store.Usage{Resources: d.varint(), Subscriptions: d.varint(), Bytes: d.varint()}
	if err := d.end(); err != nil {
		return store.Usage{}, fmt.Errorf("usage: %w", err)
	}
	return u, nil
}

// counted is the row up to which the usage is counted.
func counted(s source) store.Seq {
	v, _ := s.get(usageBucket, countedKey)
	return store.Seq(lastNumber(v))
}

// Usage tells what a tenant has.
func (r *logReader) Usage(tenant string) (store.Usage, error) {
	if counted(r.source) != r.Last() {
		return store.Usage{}, errUncounted
	}
	return usageOf(r.source, tenant)
}

func usageOf(s source, tenant string) (store.Usage, error) {
	v, ok := s.get(usageBucket, []byte(tenant))
	if !ok || tenant == "" || tenant == string(countedKey) {
		return store.Usage{}, nil
	}
	return decodeUsage(v)
}

// tally is usage while it is counted.
type tally map[string]store.Usage

// add counts a row that is about to follow, or follows, those that were counted in s before.
func (t tally) add(s source, sealing Sealing, r *fhir.Resource) error {
	u, ok := t[r.Key.Tenant]
	if !ok {
		var err error
		if u, err = usageOf(s, r.Key.Tenant); err != nil {
			return err
		}
	}
	prev, err := replaced(s, sealing, r)
	if err != nil {
		return err
	}
	t[r.Key.Tenant] = u.With(prev, r)
	return nil
}

// replaced is the version before r, as far as counting needs to know it: that it was deleted stands in the index, and only
// of Subscriptions more counts.
func replaced(s source, sealing Sealing, r *fhir.Resource) (*fhir.Resource, error) {
	if r.Version == 1 {
		return nil, nil //nolint:nilnil // there is none
	}
	v, _ := s.get(versionBucket, numbered(resourcePrefix(r.Key), r.Version-1))
	seq, i, err := decodePlace(v)
	if err != nil || r.Key.Type != fhir.Subscription || i == fhir.Delete {
		return &fhir.Resource{Key: r.Key, Deleted: i == fhir.Delete}, err
	}
	prev, err := (&logReader{source: s, sealing: sealing}).resource(seq)
	if errors.Is(err, store.ErrPurged) { // what it counted as, its own row can't tell either: the two cancel out
		return &fhir.Resource{Key: r.Key}, nil
	}
	return prev, err
}

// Usage tells what a tenant has, with what this transaction wrote.
func (w *logWriter) Usage(tenant string) (store.Usage, error) {
	if len(w.rows) == 0 {
		return w.logReader.Usage(tenant)
	}
	if w.usage == nil {
		return store.Usage{}, errUncounted
	}
	if u, ok := w.usage[tenant]; ok {
		return u, nil
	}
	return usageOf(w.source, tenant)
}

// count counts a row that is being appended. If what is behind could not be counted when the store was opened, this
// isn't, either.
func (w *logWriter) count(r *fhir.Resource) error {
	if len(w.rows) == 0 && counted(w.source) == w.last {
		w.usage = tally{}
	}
	if w.usage == nil {
		return nil
	}
	return w.usage.add(w.source, w.sealing, r)
}

// put writes what was counted, up to a row.
func (t tally) put(put func(key, value []byte) error, last store.Seq) error {
	if t == nil {
		return nil
	}
	for tenant, u := range t {
		if err := put([]byte(tenant), encodeUsage(u)); err != nil {
			return err
		}
	}
	return put(countedKey, seqKey(last))
}

// countBehind counts the rows that the usage is behind, before anybody writes. It stops before a row that can't be read,
// for want of its key or because it is damaged: Check tells which.
func (db *DB) countBehind() error {
	for {
		t := tally{}
		var from, to store.Seq
		err := db.view(context.Background(), db.resources, func(tx *bbolt.Tx) error {
			s := &committed{tx: tx}
			from = counted(s)
			to = from
			for c, err := range (&logReader{source: s, sealing: db.sealing}).Changes(from) {
				if err == nil {
					err = t.add(s, db.sealing, c.Resource)
				}
				if err != nil || to-from == countPage {
					break
				}
				to = c.Seq
			}
			return nil
		})
		if err != nil || to == from {
			return err
		}
		err = db.resources.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(usageBucket))
			if err != nil {
				return err
			}
			return t.put(b.Put, to)
		})
		if err != nil {
			return err
		}
	}
}

// usage proves that what is counted is what the rows say: c.used up to the row c.last, and what came meanwhile.
func (c *checker) usage() error {
	return c.db.view(c.ctx, c.db.resources, func(tx *bbolt.Tx) error {
		s := &committed{tx: tx}
		r := &logReader{source: s, sealing: c.db.sealing}
		for change, err := range r.Changes(c.last) {
			if err != nil {
				return err
			}
			if err := c.use(s, change.Resource); err != nil {
				return err
			}
		}
		if at, last := counted(s), r.Last(); at != last {
			c.problem("usage: it is counted up to row %d of %d", at, last)
			return nil
		}
		for k, v := range s.ascend(usageBucket, nil, nil) {
			tenant := string(k)
			if tenant == string(countedKey) {
				continue
			}
			says, err := decodeUsage(v)
			if err != nil || says != c.used[tenant] {
				c.problem("usage: tenant %q has %+v, and %+v is counted", tenant, c.used[tenant], says)
			}
			delete(c.used, tenant)
		}
		for tenant, u := range c.used {
			c.problem("usage: tenant %q has %+v, and is not counted", tenant, u)
		}
		return nil
	})
}

// use counts a row from nothing.
func (c *checker) use(s source, r *fhir.Resource) error {
	if _, ok := c.used[r.Key.Tenant]; !ok {
		c.used[r.Key.Tenant] = store.Usage{} // and not what is counted
	}
	return c.used.add(s, c.db.sealing, r)
}

// countPage is how many rows are counted in one View and one commit.
const countPage = 20_000
