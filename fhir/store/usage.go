package store

import "fhirhook/fhir"

// Usage is what a tenant has in the store. An engine keeps it with each row, in the row's own transaction, so that it is
// exact at every place, whatever happens to the process.
type Usage struct {
	Resources     int64 // that are there: their newest version is no tombstone
	Subscriptions int64 // of those, Subscriptions whose status isn't off
	Bytes         int64 // of the JSON of all versions, as it is served
}

// With is the usage once a version has replaced another: prev, which is nil before a resource's first.
func (u Usage) With(prev, next *fhir.Resource) Usage {
	was, is := present(prev), present(next)
	return Usage{
		Resources:     u.Resources + is.Resources - was.Resources,
		Subscriptions: u.Subscriptions + is.Subscriptions - was.Subscriptions,
		Bytes:         u.Bytes + int64(len(next.JSON)),
	}
}

// present is what a version counts as while it is the newest.
func present(r *fhir.Resource) (u Usage) {
	if r == nil || r.Deleted {
		return u
	}
	u.Resources = 1
	if r.Key.Type == fhir.Subscription && !r.Doc().Root().Get("status").Is("off") {
		u.Subscriptions = 1
	}
	return u
}
