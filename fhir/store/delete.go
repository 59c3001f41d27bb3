package store

import "fhirhook/fhir"

// Delete writes a tombstone. A resource that never existed or is deleted already leaves nothing to do and is
// no error (R4 http.html#delete), whatever ifMatch says: what was asked for is so (RFC 9110 section
// 13.1.1). If it exists at another version than ifMatch ("" for any), the error is a
// fhir.PreconditionFailed.
func Delete(w Writer, key fhir.Key, ifMatch string) (Saved, error) {
	prev, err := newest(w, key)
	if err != nil {
		return Saved{}, err
	}
	if live(prev) == nil {
		return Saved{Resource: prev}, nil
	}
	if err := matches(key, prev, ifMatch); err != nil {
		return Saved{}, err
	}
	r := &fhir.Resource{Key: key, Version: prev.Version + 1, Updated: w.Now(), Deleted: true}
	if err := w.Append(r, fhir.Delete); err != nil {
		return Saved{}, err
	}
	return Saved{Resource: r, Changed: true}, nil
}
