package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/tape"
)

// modelReader reads the first rows of the log, and in a transaction its own rows behind them.
type modelReader struct {
	m         *model
	committed int
	log       []store.Change // those first rows
	horizon   store.Seq
	held      map[store.Version]bool
	own       []store.Change
}

// reader reads what stands now. m.mu is held.
func (m *model) reader() modelReader {
	return modelReader{m: m, committed: len(m.log), log: m.log, horizon: m.horizon, held: m.held}
}

func (r *modelReader) Last() store.Seq { return store.Seq(r.committed + len(r.own)) }

// freeze returns a reader that doesn't see what is written later.
func (r *modelReader) freeze() *modelReader {
	frozen := *r
	return &frozen
}

// row returns a row that is known to be there.
func (r *modelReader) row(seq store.Seq) store.Change {
	if i := int(seq) - 1 - r.committed; i >= 0 {
		c := r.own[i]
		c.End = r.Last()
		return c
	}
	return r.log[seq-1]
}

// resource returns what a row that is known to be there wrote.
func (r *modelReader) resource(seq store.Seq) (*fhir.Resource, error) {
	c := r.row(seq)
	if c.Purged {
		return nil, &store.PurgedError{Key: c.Resource.Key, Version: c.Resource.Version, Updated: c.Resource.Updated}
	}
	return c.Resource, nil
}

// rows returns the places of a key's versions, in order.
func (r *modelReader) rows(key fhir.Key) []store.Seq {
	r.m.mu.Lock()
	all := r.m.byKey[key]
	n, _ := slices.BinarySearch(all, store.Seq(r.committed+1))
	out := slices.Clone(all[:n])
	r.m.mu.Unlock()
	for _, c := range r.own {
		if c.Resource.Key == key {
			out = append(out, c.Seq)
		}
	}
	return out
}

func (r *modelReader) Read(key fhir.Key, at store.Seq) (*fhir.Resource, error) {
	rows := r.rows(key)
	n, found := slices.BinarySearch(rows, at)
	if found {
		n++
	}
	if n == 0 {
		return nil, store.ErrNotFound
	}
	return r.resource(rows[n-1])
}

func (r *modelReader) Version(key fhir.Key, version uint64) (*fhir.Resource, error) {
	rows := r.rows(key)
	if version == 0 || version > uint64(len(rows)) {
		return nil, store.ErrNotFound
	}
	return r.resource(rows[version-1])
}

func (r *modelReader) Type(tenant string, t fhir.Type, after string, at store.Seq) iter.Seq2[*fhir.Resource, error] {
	r = r.freeze()
	return func(yield func(*fhir.Resource, error) bool) {
		for _, id := range r.ids(tenant, t) {
			if id <= after {
				continue
			}
			res, err := r.Read(fhir.Key{Tenant: tenant, Type: t, ID: id}, at)
			if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrPurged) || err == nil && res.Deleted {
				continue
			}
			if !yield(res, err) || err != nil {
				return
			}
		}
	}
}

// ids returns the ids of a type that ever existed, sorted.
func (r *modelReader) ids(tenant string, t fhir.Type) []string {
	var ids []string
	add := func(k fhir.Key) {
		if k.Tenant == tenant && k.Type == t {
			ids = append(ids, k.ID)
		}
	}
	r.m.mu.Lock()
	for k := range r.m.byKey {
		add(k)
	}
	r.m.mu.Unlock()
	for _, c := range r.own {
		add(c.Resource.Key)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (r *modelReader) Changes(after store.Seq) iter.Seq2[store.Change, error] {
	r = r.freeze()
	return func(yield func(store.Change, error) bool) {
		for seq := after + 1; seq <= r.Last(); seq++ {
			if !yield(r.row(seq), nil) {
				return
			}
		}
	}
}

func (r *modelReader) History(scope store.Scope, before store.Seq) iter.Seq2[store.Change, error] {
	r = r.freeze()
	return func(yield func(store.Change, error) bool) {
		seq := r.Last()
		if before > 0 && before <= seq {
			seq = before - 1
		}
		for ; seq > 0; seq-- {
			c := r.row(seq)
			k := c.Resource.Key
			in := k.Tenant == scope.Tenant &&
				(scope.Type == "" || k.Type == scope.Type) && (scope.ID == "" || k.ID == scope.ID)
			if in && !c.Purged && !yield(c, nil) {
				return
			}
		}
	}
}

func (r *modelReader) Request(key string) (store.Seq, error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if seq, ok := r.m.request[key]; ok && seq <= store.Seq(r.committed) {
		return seq, nil
	}
	return 0, store.ErrNotFound
}

// Usage counts from the beginning, each time.
func (r *modelReader) Usage(tenant string) (u store.Usage, err error) {
	newest := map[fhir.Key]*fhir.Resource{}
	for seq := store.Seq(1); seq <= r.Last(); seq++ {
		if res := r.row(seq).Resource; res.Key.Tenant == tenant {
			u.Bytes += int64(len(res.JSON))
			newest[res.Key] = res
		}
	}
	for key, res := range newest {
		if res.Deleted {
			continue
		}
		u.Resources++
		if key.Type == fhir.Subscription && res.Doc().Root().Get("status").Text() != "off" {
			u.Subscriptions++
		}
	}
	return u, nil
}

type modelWriter struct {
	modelReader
	origin store.Origin
	now    time.Time
}

func (w *modelWriter) Now() time.Time { return w.now }

func (w *modelWriter) Append(r *fhir.Resource, i fhir.Interaction) error {
	if err := store.CheckAppend(r, i, w.now); err != nil {
		return err
	}
	if newest := uint64(len(w.rows(r.Key))); r.Version != newest+1 {
		return fmt.Errorf("append %s: version %d does not follow %d", r.Key, r.Version, newest)
	}
	if len(w.own) == 0 && w.origin.RequestKey != "" {
		if _, err := w.Request(w.origin.RequestKey); err == nil {
			return store.ErrRepeated
		}
	}
	w.own = append(w.own, store.Change{Seq: w.Last() + 1, Interaction: i, Origin: w.origin, Resource: r})
	return nil
}

// checkBody tells whether a stored version says of itself what its row says.
func checkBody(r *fhir.Resource) error {
	if r.Deleted {
		if len(r.JSON) > 0 {
			return fmt.Errorf("%s is a tombstone with a body", r.VersionedReference())
		}
		return nil
	}
	doc, err := tape.Parse(r.JSON, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", r.VersionedReference(), err)
	}
	root := doc.Root()
	meta := root.Get("meta")
	got := [...]string{root.Get("resourceType").Text(), root.Get("id").Text(), meta.Get("versionId").Text(), meta.Get("lastUpdated").Text()}
	want := [...]string{string(r.Key.Type), r.Key.ID, r.VersionID(), fhir.Instant(r.Updated)}
	if got != want {
		return fmt.Errorf("%s: its JSON says %q, its row %q", r.VersionedReference(), got, want)
	}
	return nil
}

func compareLanes(a, b store.Lane) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Subscription, b.Subscription))
}
