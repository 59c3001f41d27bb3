package rest

import (
	"errors"
	"iter"
	"maps"
	"slices"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// overlay is a transaction's state as if what it is about to write were written: a conditional reference may
// point to a resource of its own transaction, and must be resolved before either is final.
//
// Only what a search reads is overlaid: Type, Read, Version, and the rows behind the last one that a search by
// an index reads besides the index.
type overlay struct {
	store.Reader
	pending map[fhir.Key]*fhir.Resource
	rows    []store.Change // of what is pending
}

// newOverlay stamps what is pending as it would be written.
func newOverlay(tx store.Writer, pending map[fhir.Key]fhir.Incoming) (overlay, error) {
	o := overlay{Reader: tx, pending: make(map[fhir.Key]*fhir.Resource, len(pending))}
	for key, in := range pending {
		version := uint64(1)
		prev, err := tx.Read(key, tx.Last())
		switch {
		case err == nil:
			version = prev.Version + 1
		case !errors.Is(err, store.ErrNotFound):
			return o, err
		}
		r := fhir.Stamped(in.Doc, key, version, tx.Now())
		o.pending[key] = r
		interaction := fhir.Update
		if r.Version == 1 {
			interaction = fhir.Create
		}
		o.rows = append(o.rows, store.Change{Seq: tx.Last() + store.Seq(len(o.rows)) + 1, Interaction: interaction, Resource: r})
	}
	for i := range o.rows {
		o.rows[i].End = o.Last()
	}
	return o, nil
}

// Last is the place behind the pending rows.
func (o overlay) Last() store.Seq { return o.Reader.Last() + store.Seq(len(o.rows)) }

// Changes yields the pending rows behind those that are written.
func (o overlay) Changes(after store.Seq) iter.Seq2[store.Change, error] {
	return func(yield func(store.Change, error) bool) {
		written := o.Reader.Last()
		if after < written {
			for c, err := range o.Reader.Changes(after) {
				if !yield(c, err) {
					return
				}
			}
		}
		for _, c := range o.rows {
			if c.Seq > after && !yield(c, nil) {
				return
			}
		}
	}
}

// Read returns the pending version if there is one.
func (o overlay) Read(key fhir.Key, at store.Seq) (*fhir.Resource, error) {
	if r, ok := o.pending[key]; ok {
		return r, nil
	}
	return o.Reader.Read(key, min(at, o.Reader.Last()))
}

// Version returns the pending version if it has that number.
func (o overlay) Version(key fhir.Key, version uint64) (*fhir.Resource, error) {
	if r, ok := o.pending[key]; ok && r.Version == version {
		return r, nil
	}
	return o.Reader.Version(key, version)
}

// Type merges the pending versions of a type into the stored ones, in id order.
func (o overlay) Type(tenant string, t fhir.Type, after string, at store.Seq) iter.Seq2[*fhir.Resource, error] {
	return func(yield func(*fhir.Resource, error) bool) {
		var ids []string
		for key := range maps.Keys(o.pending) {
			if key.Tenant == tenant && key.Type == t && key.ID > after {
				ids = append(ids, key.ID)
			}
		}
		slices.Sort(ids)
		own := func(id string) *fhir.Resource { return o.pending[fhir.Key{Tenant: tenant, Type: t, ID: id}] }
		for r, err := range o.Reader.Type(tenant, t, after, min(at, o.Reader.Last())) {
			if err == nil {
				for len(ids) > 0 && ids[0] < r.Key.ID {
					if !yield(own(ids[0]), nil) {
						return
					}
					ids = ids[1:]
				}
				if len(ids) > 0 && ids[0] == r.Key.ID {
					r, ids = own(ids[0]), ids[1:]
				}
			}
			if !yield(r, err) {
				return
			}
		}
		for _, id := range ids {
			if !yield(own(id), nil) {
				return
			}
		}
	}
}
