package store

import (
	"errors"
	"time"

	"fhirhook/fhir"
)

// Saved is what a write interaction left behind.
type Saved struct {
	Resource *fhir.Resource // the version that is current now; a tombstone after Delete, nil if there never was one
	Created  bool           // the answer is 201: create, update-as-create, or the revival of a deleted resource
	Changed  bool           // a version was written
}

// Admit decides what of a client's resource is stored: it may refuse it, or put in what the server owns. It
// runs inside the transaction, before the comparison that finds an update without a change. prev is the
// version that it replaces, nil if there is none or it is deleted. Like every function that runs in a
// transaction it may run twice.
type Admit func(in fhir.Incoming, prev *fhir.Resource, now time.Time) (fhir.Incoming, error)

// admitted applies admit, if there is one, and holds it to the key's type.
func admitted(admit Admit, key fhir.Key, in fhir.Incoming, prev *fhir.Resource, now time.Time) (fhir.Incoming, error) {
	if admit != nil {
		var err error
		if in, err = admit(in, prev, now); err != nil {
			return fhir.Incoming{}, err
		}
	}
	if in.Type != key.Type {
		return fhir.Incoming{}, fhir.Errorf(fhir.Invalid, "Resource.resourceType",
			"the resource is a %s, and the URL is about a %s: send it to %s", in.Type, key.Type, in.Type)
	}
	return in, nil
}

// newest returns the newest version of key, maybe a tombstone; nil if the key was never used.
func newest(r Reader, key fhir.Key) (*fhir.Resource, error) {
	prev, err := r.Read(key, r.Last())
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return prev, err
}

// live is r unless it is nil or a tombstone.
func live(r *fhir.Resource) *fhir.Resource {
	if r == nil || r.Deleted {
		return nil
	}
	return r
}

// write stamps in as the version behind prev (nil: the first) and writes it.
func write(w Writer, key fhir.Key, in fhir.Incoming, prev *fhir.Resource, i fhir.Interaction) (*fhir.Resource, error) {
	version := uint64(1)
	if prev != nil {
		version = prev.Version + 1
	}
	r := fhir.Stamped(in.Doc, key, version, w.Now())
	return r, w.Append(r, i)
}
