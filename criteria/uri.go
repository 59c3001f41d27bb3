package criteria

import (
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// address is an element that a uri parameter selects.
type address struct {
	whole   string // as it stands there
	url     string // without |version
	version string
}

// uriValue is a value of a uri parameter, compared exactly, character by character (R4 search.html#uri).
// :below means that the resource's begins with it, :above that it begins with the resource's.
//
// url|version is understood too: on a canonical, and on the url of a resource that has a version. Without a
// version any is right.
type uriValue struct {
	whole        string
	url, version string
	modifier     string
}

func parseURI(s, modifier string) (Value, *fhir.Error) {
	parts := split(s, '|')
	if len(parts) > 2 {
		return nil, fhir.Errorf(fhir.Value, "", `%q has more than one |: write url or url|version, and \| for a | within`, clip(s))
	}
	v := &uriValue{url: unescape(parts[0]), modifier: modifier}
	v.whole = v.url
	if v.url == "" {
		return nil, fhir.Errorf(fhir.Value, "", "%q has no url: write url or url|version", clip(s))
	}
	if len(parts) == 2 && parts[1] != "" {
		v.version = unescape(parts[1])
		v.whole += "|" + v.version
	}
	if modifier != "" && strings.HasPrefix(strings.ToLower(v.url), "urn:") {
		return nil, fhir.Errorf(fhir.Value, "", "%q is a URN, and :%s is for URLs: URNs have no hierarchy", clip(v.whole), modifier)
	}
	if modifier != "" && v.version != "" {
		return nil, fhir.Errorf(fhir.Value, "", "%q has a version, and :%s looks at URLs alone: leave |%s away", clip(v.whole), modifier, clip(v.version))
	}
	return v, nil
}

func (v *uriValue) String() string {
	if v.version == "" {
		return escape(v.url)
	}
	return escape(v.url) + "|" + escape(v.version)
}

func (v *uriValue) matches(s *Subject, x *values) bool {
	for i := range x.addresses {
		if v.is(s, &x.addresses[i]) {
			return true
		}
	}
	return false
}

func (v *uriValue) is(s *Subject, a *address) bool {
	switch v.modifier {
	case modifierBelow:
		return strings.HasPrefix(a.url, v.url)
	case modifierAbove:
		return strings.HasPrefix(v.url, a.url) && !strings.HasPrefix(strings.ToLower(a.url), "urn:")
	}
	if v.whole == a.whole {
		return true
	}
	return (v.version == "" || v.version == a.version) && (v.url == a.url || s.localForm(a.url) == v.url)
}

// addressOf reads an element that a uri parameter selects. The url of a conformance resource gets the
// version that stands beside it.
func addressOf(l Leaf) (address, bool) {
	s := text(l.Node)
	if s == "" {
		return address{}, false
	}
	a := address{whole: s, url: s}
	switch {
	case l.Type == "canonical":
		a.url, a.version, _ = strings.Cut(s, "|")
	case l.Name == "url" && l.Owner.Get("resourceType").Kind() == tape.String:
		a.version = text(l.Owner.Get("version"))
	}
	return a, true
}
