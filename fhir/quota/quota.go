// Package quota keeps tenants within what they may store.
//
// The store counts what a tenant has with every row (store.Usage), so whether a transaction takes it beyond its quota is
// known exactly when the transaction ends, whatever it did in between: one that deletes as much as it creates passes. A
// transaction that adds nothing to what is over the quota passes, too, or else a tenant whose quota was lowered could not
// even tidy up.
//
// The trap: what the server writes by itself, such as the status of a Subscription, must not fail by a tenant's quota. So
// only those who write for clients get the guarded store.
package quota

import (
	"context"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/store"
)

// Guard returns db with one difference: a transaction that takes a tenant beyond its quota fails with a fhir.OverQuota, and
// leaves nothing.
func Guard(db store.DB, of func(tenant string) auth.Quota) store.DB { return &guarded{db, of} }

type guarded struct {
	store.DB
	of func(tenant string) auth.Quota
}

// Update is that of the store, but for the quota.
func (g *guarded) Update(ctx context.Context, origin store.Origin, fn func(store.Writer) error) (store.Commit, error) {
	return g.DB.Update(ctx, origin, func(tx store.Writer) error {
		w := &writer{Writer: tx, of: g.of}
		if err := fn(w); err != nil {
			return err
		}
		return w.judge()
	})
}

// writer remembers what the tenants had before their first row.
type writer struct {
	store.Writer
	of     func(tenant string) auth.Quota
	before []had // nearly always one
}

type had struct {
	tenant string
	quota  auth.Quota
	usage  store.Usage
}

// Append is that of the store.
func (w *writer) Append(r *fhir.Resource, i fhir.Interaction) error {
	if err := w.begin(r.Key.Tenant); err != nil {
		return err
	}
	return w.Writer.Append(r, i)
}

func (w *writer) begin(tenant string) (err error) {
	for _, b := range w.before {
		if b.tenant == tenant {
			return nil
		}
	}
	b := had{tenant: tenant, quota: w.of(tenant)}
	if limits(b.quota) {
		if b.usage, err = w.Usage(tenant); err != nil {
			return err
		}
	}
	w.before = append(w.before, b)
	return nil
}

// limits tells whether a quota bounds what is stored.
func limits(q auth.Quota) bool { return q.Resources > 0 || q.Subscriptions > 0 || q.StorageBytes > 0 }

func (w *writer) judge() error {
	for _, b := range w.before {
		if !limits(b.quota) {
			continue
		}
		now, err := w.Usage(b.tenant)
		if err != nil {
			return err
		}
		for _, one := range []struct {
			most, before, now int64
			what              string
		}{
			{b.quota.Resources, b.usage.Resources, now.Resources, "resources (quota resources): delete some"},
			{b.quota.Subscriptions, b.usage.Subscriptions, now.Subscriptions, "Subscriptions that are not off (quota subscriptions): delete some, or switch them off"},
			{b.quota.StorageBytes, b.usage.Bytes, now.Bytes, "bytes of all versions (quota storage-bytes): send less"},
		} {
			if one.most > 0 && one.now > one.most && one.now > one.before {
				return fhir.Errorf(fhir.OverQuota, "", "tenant %s may have %d %s, or ask the operator for more. This would make it %d", b.tenant, one.most, one.what, one.now)
			}
		}
	}
	return nil
}
