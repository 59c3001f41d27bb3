package store

import "fhirhook/fhir"

// AnyVersion as ifMatch asks only that the resource exists (RFC 9110 section 13.1.1).
const AnyVersion = "*"

// Update writes the next version of a resource, or its first (update-as-create), or brings a deleted one
// back, which continues the version numbers (R4 http.html#update).
//
// ifMatch is "" or the version id that the client believes to be current; if another is, nothing is written
// and the error is a fhir.PreconditionFailed. A tombstone's version may be named to bring back just that one.
//
// An update that changes nothing but id, meta.versionId and meta.lastUpdated writes nothing: it returns the
// current version with Changed false.
func Update(w Writer, key fhir.Key, in fhir.Incoming, ifMatch string, admit Admit) (Saved, error) {
	prev, err := newest(w, key)
	if err != nil {
		return Saved{}, err
	}
	if err := matches(key, prev, ifMatch); err != nil {
		return Saved{}, err
	}
	current := live(prev)
	in, err = admitted(admit, key, in, current, w.Now())
	if err != nil {
		return Saved{}, err
	}
	interaction := fhir.Create
	if current != nil {
		if fhir.SameContent(current.Doc(), in.Doc) {
			return Saved{Resource: current}, nil
		}
		interaction = fhir.Update
	}
	r, err := write(w, key, in, prev, interaction)
	if err != nil {
		return Saved{}, err
	}
	return Saved{Resource: r, Created: current == nil, Changed: true}, nil
}

// matches checks ifMatch against the newest version of key (nil: never written).
func matches(key fhir.Key, prev *fhir.Resource, ifMatch string) error {
	switch {
	case ifMatch == "":
		return nil
	case prev == nil:
		return fhir.Errorf(fhir.PreconditionFailed, "http.If-Match",
			"%s does not exist, so it has no version %q: leave If-Match out to create it", key, ifMatch)
	case ifMatch == prev.VersionID(), ifMatch == AnyVersion && !prev.Deleted:
		return nil
	case prev.Deleted:
		return fhir.Errorf(fhir.PreconditionFailed, "http.If-Match",
			"%s is deleted (version %s), and If-Match names version %q", key, prev.VersionID(), ifMatch)
	default:
		return fhir.Errorf(fhir.PreconditionFailed, "http.If-Match",
			"%s is at version %s, and If-Match names version %q: read it again and repeat the change", key, prev.VersionID(), ifMatch)
	}
}
