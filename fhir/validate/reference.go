package validate

import "bytes"

// checkReference knows the forms of Reference.reference (R4 references.html#literal): an absolute URL or URN, a
// relative Type/id with or without a version, a contained resource (#id), and the search of a conditional
// reference, which a transaction resolves.
func checkReference(b []byte) string {
	if problem := checkURI(b); problem != "" {
		return problem
	}
	if b[0] == '#' || absolute(b) {
		return ""
	}
	path, _, _ := bytes.Cut(b, []byte("#"))
	path, query, conditional := bytes.Cut(path, []byte("?"))
	name, rest, _ := bytes.Cut(path, []byte("/"))
	const wrong = "write Type/id, an absolute URL, urn:uuid:… or #id of a contained resource"
	switch s, ok := shapes()[string(name)]; {
	case !ok || !s.resource:
		if near := nearest(string(name), resourceNames()); near != "" {
			return string(name) + ` is no resource type: did you mean "` + near + `"?`
		}
		return wrong
	case conditional:
		if len(rest) > 0 || len(query) == 0 {
			return wrong
		}
		return ""
	}
	id, version, versioned := bytes.Cut(rest, []byte("/_history/"))
	if !validID(id) || versioned && !validID(version) {
		return wrong
	}
	return ""
}

// absolute tells whether b begins with a URI's scheme (RFC 3986 section 3.1).
func absolute(b []byte) bool {
	for i, c := range b {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z':
		case i > 0 && (digit(c) || c == '+' || c == '-' || c == '.'):
		default:
			return i > 0 && c == ':' && len(b) > i+1
		}
	}
	return false
}
