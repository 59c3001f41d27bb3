package criteria

import (
	"strings"
	"time"
)

// Env is what a match depends on besides the resource and the query.
type Env struct {
	Now   time.Time      // for ap on dates
	Bases []string       // own base URLs: absolute references under them are local
	Zone  *time.Location // of dates that name none (R4 search.html#date); nil: UTC

	// Lookup sees the other resources; it must be about the subject's tenant and place. With nil, queries that
	// look further than their subject can't be decided (Subject.Err).
	Lookup *Lookup
}

func (e Env) zone() *time.Location {
	if e.Zone == nil {
		return time.UTC
	}
	return e.Zone
}

// place is a base URL without what does not distinguish objects: http and https on one host name the same
// thing, host names ignore case, and a default port may be left out (R4 references.html). Paths are kept.
func place(base string) string {
	rest, ok := strings.CutPrefix(base, "https://")
	port := ":443"
	if !ok {
		rest, ok = strings.CutPrefix(base, "http://")
		port = ":80"
	}
	if !ok {
		return strings.TrimSuffix(base, "/")
	}
	host, path, _ := strings.Cut(rest, "/")
	if path != "" && plainHost(host) && !strings.HasSuffix(host, port) { // as most are: no copy is needed
		return strings.TrimSuffix(base[strings.Index(base, "//"):], "/")
	}
	host = strings.TrimSuffix(strings.ToLower(host), port)
	return strings.TrimSuffix("//"+host+"/"+path, "/")
}

// plainHost tells whether a host has no letters that place would change.
func plainHost(host string) bool {
	for i := range len(host) {
		if c := host[i]; c >= 'A' && c <= 'Z' || c >= 0x80 {
			return false
		}
	}
	return true
}
