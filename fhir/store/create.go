package store

import "fhirhook/fhir"

// Create writes the first version of a resource whose id was drawn before the transaction (R4
// http.html#create; the id that the client sent is ignored). A key that was ever used is a fhir.Conflict.
func Create(w Writer, key fhir.Key, in fhir.Incoming, admit Admit) (Saved, error) {
	switch prev, err := newest(w, key); {
	case err != nil:
		return Saved{}, err
	case prev != nil:
		return Saved{}, fhir.Errorf(fhir.Conflict, "", "%s exists already: to replace it, PUT it", key)
	}
	in, err := admitted(admit, key, in, nil, w.Now())
	if err != nil {
		return Saved{}, err
	}
	r, err := write(w, key, in, nil, fhir.Create)
	if err != nil {
		return Saved{}, err
	}
	return Saved{Resource: r, Created: true, Changed: true}, nil
}
