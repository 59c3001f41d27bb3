package rest

import (
	"net/url"
	"strings"

	"fhirhook/criteria"
	"fhirhook/fhir"
)

// target is what a URL below [base] names.
type target struct {
	typ     fhir.Type // "" for the whole system
	id      string
	version string // of _history/[version]
	inner   string // of a compartment: a type or *
	special string // metadata, _history, _search; "" for none. _history without a version
	query   []Pair
}

// parseTarget reads a URL relative to [base], as Bundle.entry.request has it. An absolute URL must lie below
// base. It checks form, not existence; a type that R4 does not have is a fhir.NotFound.
func parseTarget(base, raw string) (target, error) {
	bad := func(format string, args ...any) (target, error) {
		return target{}, fhir.Errorf(fhir.Value, "", format, args...)
	}
	rest := raw
	if isAbsolute(rest) {
		below, ok := strings.CutPrefix(rest, base)
		if !ok || below != "" && below[0] != '/' && below[0] != '?' {
			return bad("the URL %s lies outside %s: an entry's request works on this server only", clip(raw), base)
		}
		rest = below
	}
	path, query, _ := strings.Cut(rest, "?")
	if strings.Contains(path, "#") {
		return bad("the URL %s has a fragment: leave it out", clip(raw))
	}
	var t target
	var err error
	if t.query, err = criteria.ParsePairs(query); err != nil {
		return target{}, err
	}
	path = strings.Trim(path, "/")
	if path == "" {
		return t, nil
	}
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" {
			return bad("the URL %s is malformed", clip(raw))
		}
		parts = append(parts, plain)
	}
	return t.fill(parts, raw)
}

// fill reads the steps of the path.
func (t target) fill(parts []string, raw string) (target, error) {
	if len(parts) == 1 && (parts[0] == "metadata" || parts[0] == "_history" || parts[0] == "_search") {
		t.special = parts[0]
		return t, nil
	}
	if t.typ = fhir.Type(parts[0]); !t.typ.Known() {
		return target{}, unknownType(parts[0])
	}
	unknown := func() (target, error) {
		return target{}, fhir.Errorf(fhir.NotFound, "", "there is nothing under %s", clip(raw))
	}
	switch parts = parts[1:]; {
	case len(parts) == 0:
		return t, nil
	case len(parts) == 1 && (parts[0] == "_history" || parts[0] == "_search"):
		t.special = parts[0]
		return t, nil
	case strings.HasPrefix(parts[0], "$") || strings.HasPrefix(parts[0], "_"):
		return unknown()
	}
	t.id = parts[0]
	switch parts = parts[1:]; {
	case len(parts) == 0:
		return t, nil
	case len(parts) == 1 && (parts[0] == anyType || fhir.Type(parts[0]).Known()):
		t.inner = parts[0]
		return t, nil
	case parts[0] != "_history":
		return unknown()
	case len(parts) == 1:
		t.special = "_history"
		return t, nil
	case len(parts) == 2:
		t.version = parts[1]
		return t, nil
	default:
		return unknown()
	}
}

// isAbsolute tells http and https URLs from a relative URL whose query holds one.
func isAbsolute(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

func unknownType(name string) error {
	return fhir.Errorf(fhir.NotFound, "", "%q is not a resource type of FHIR R4", clip(name))
}

// encodeQuery is the inverse of criteria.ParsePairs.
func encodeQuery(pairs []Pair) string {
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(queryEscape(p.Name))
		b.WriteByte('=')
		b.WriteString(queryEscape(p.Value))
	}
	return b.String()
}

// queryEscape is url.QueryEscape that leaves what is legal in a query and common in searches readable.
func queryEscape(s string) string {
	return queryReadable.Replace(url.QueryEscape(s))
}

var queryReadable = strings.NewReplacer("%3A", ":", "%2C", ",", "%2F", "/", "%24", "$")

// clip keeps what a client sent from filling an error.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
