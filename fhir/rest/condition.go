package rest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// conditions make an interaction depend on what is there (R4 http.html#concurrency, #cread, #ccreate). They come
// from the headers of a request or from Bundle.entry.request, whose names they are reported under.
type conditions struct {
	ifMatch         string    // a version id, store.AnyVersion, or "" for none
	ifNoneMatch     []string  // version ids, or store.AnyVersion alone
	ifModifiedSince time.Time // zero for none
	ifNoneExist     string    // a query; hasNoneExist tells an empty one from none
	hasNoneExist    bool
}

// parseTags reads a list of entity tags as version ids. R4 compares weakly, so W/"3" and "3" are the same; a
// bare 3 is read as meant.
func parseTags(header, value string) ([]string, error) {
	bad := func() ([]string, error) {
		return nil, fhir.Errorf(fhir.Value, "http."+header, `%s: %s is not an entity tag: send the ETag of the version, as in W/"3"`, header, value)
	}
	var ids []string
	for part := range strings.SplitSeq(value, ",") {
		tag := strings.TrimSpace(part)
		tag = strings.TrimPrefix(tag, "W/")
		if quoted := strings.Trim(tag, `"`); len(tag)-len(quoted) == 2 && tag[0] == '"' {
			tag = quoted
		} else if len(tag) != len(quoted) {
			return bad()
		}
		if tag != store.AnyVersion && !fhir.ValidID(tag) {
			return bad()
		}
		ids = append(ids, tag)
	}
	if len(ids) > 1 {
		for _, id := range ids {
			if id == store.AnyVersion {
				return bad()
			}
		}
	}
	return ids, nil
}

// parseConditions reads the four conditions; get returns a header's value, "" if it is absent.
func parseConditions(get func(name string) (string, bool)) (conditions, error) {
	var c conditions
	if v, ok := get("If-Match"); ok {
		ids, err := parseTags("If-Match", v)
		if err != nil {
			return c, err
		}
		if len(ids) > 1 {
			return c, fhir.Errorf(fhir.NotSupported, "http.If-Match", "If-Match with several entity tags is not offered: name the one version that you changed")
		}
		c.ifMatch = ids[0]
	}
	if v, ok := get("If-None-Match"); ok {
		ids, err := parseTags("If-None-Match", v)
		if err != nil {
			return c, err
		}
		c.ifNoneMatch = ids
	}
	if v, ok := get("If-Modified-Since"); ok {
		t, err := http.ParseTime(v)
		if err != nil {
			if t, err = fhir.ParseInstant(v); err != nil { // Bundle.entry.request.ifModifiedSince is an instant
				return c, fhir.Errorf(fhir.Value, "http.If-Modified-Since", "%q is neither an HTTP date nor an instant", v)
			}
		}
		c.ifModifiedSince = t
	}
	c.ifNoneExist, c.hasNoneExist = get("If-None-Exist")
	return c, nil
}

// unchanged tells whether a read may be answered with 304 (RFC 9110 section 13.2.2: If-None-Match goes first).
func (c conditions) unchanged(r *fhir.Resource) bool {
	if len(c.ifNoneMatch) > 0 {
		for _, id := range c.ifNoneMatch {
			if id == store.AnyVersion || id == r.VersionID() {
				return true
			}
		}
		return false
	}
	return !c.ifModifiedSince.IsZero() && !r.Updated.Truncate(time.Second).After(c.ifModifiedSince)
}

// refuse names the conditions that an interaction does not know: a condition that is ignored would let through
// what its sender meant to hold back.
func (c conditions) refuse(code interaction, known ...string) error {
	for _, set := range [...]struct {
		name string
		is   bool
	}{
		{"If-Match", c.ifMatch != ""},
		{"If-None-Match", len(c.ifNoneMatch) > 0},
		{"If-None-Exist", c.hasNoneExist},
	} {
		if set.is && !slices.Contains(known, set.name) {
			return fhir.Errorf(fhir.NotSupported, "http."+set.name, "%s has no meaning for the interaction %s here: leave it out", set.name, code)
		}
	}
	return nil
}
