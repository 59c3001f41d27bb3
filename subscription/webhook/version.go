package webhook

import (
	"net/http"
	"strings"

	"fhirhook/fhir"
)

// versioned tells whether the client named the version that it changes.
func (x *exchange) versioned() bool {
	sent := x.r.Header.Get("If-Match")
	return sent != "" && sent != "*"
}

// expects refuses unless the version that the client named, if it did, is the current one.
func (x *exchange) expects(tag string) error {
	sent := strings.Join(x.r.Header.Values("If-Match"), ",")
	switch {
	case len(x.r.Header.Values("If-Match")) == 0 || sent == "*":
		return nil
	case !fhir.ValidID(bare(sent)):
		return refuse(http.StatusBadRequest, "", fault{Header: "If-Match", Detail: `must be one entity tag: send the ETag of the version, as in W/"3"`})
	case !matches(sent, tag):
		return changed()
	}
	return nil
}

// matches tells whether an entity tag is in a list, or the list is *. FHIR compares weakly, so W/"3" and "3" are
// the same.
func matches(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || bare(one) == bare(tag) {
			return true
		}
	}
	return false
}

// bare is what stands in an entity tag.
func bare(tag string) string {
	tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	if inner, ok := strings.CutPrefix(tag, `"`); ok && strings.HasSuffix(inner, `"`) {
		return strings.TrimSuffix(inner, `"`)
	}
	return tag
}
